#![allow(clippy::needless_raw_string_hashes)] // snapbox writes its snapshots with them

use snapbox::{assert_data_eq, str};

use super::*;
use crate::filter::RowFilter;

/// Returns a record as a real run writes it, with an unknown peak, an odd name and a process that is still running.
pub(crate) fn fixture() -> Record {
    Record::from_json(include_bytes!("../../../../tests/fixtures/record.json")).unwrap()
}

fn summary(record: &Record, top: usize, filter: &RowFilter) -> String {
    let tally = Tally::of(record.processes.iter().map(Ok), top, filter).unwrap();
    let mut out = Vec::new();
    write(record, &tally, &SummaryLayout { width: 60, top, filter, with_cpu: false, csv: None }, &mut out)
        .unwrap();
    anstream::adapter::strip_str(std::str::from_utf8(&out).unwrap()).to_string()
}

#[test]
fn whole_summary() {
    assert_data_eq!(
        summary(&fixture(), 2, &RowFilter::default()),
        str![[r#"
Job:              cargo build --release --message-format ...
Duration:         00:03:21
Samples:          1974 (adaptive, every 102 ms on average)
Max total RSS:    6.40 GiB (estimate; at least 5.90 GiB,
                  probably at most 6.61 GiB; from the
                  kernel's marks, between 152.11 s and
                  152.21 s)
Max total PSS:    ≥ 5.10 GiB (shared pages counted once;
                  seen in samples only, it may have been
                  higher)
Max per process:  ≥ 912 MiB (pid 8473, rustc)

Per-process peaks
  pid 8473  ≥ 912 MiB  rustc
  pid 8474  ≥ 534 MiB  rustc
  ... and 3 more (see --csv)

Process groups by command (the group's peak at one instant)
  rustc (2 processes)  1.41 GiB
  cargo (1 process)    53.4 MiB
  ... and 2 more (see --json)

Still running:    sccache (pid 8501); --wait waits for them

Measured:         descendants looked up at each sample;
                  peaks from the kernel's marks; at least 5
                  processes (shorter ones may have been
                  missed); no process's peak is exact;
                  missing: cgroup peak (no writable cgroup
                  with the memory controller)

"#]]
    );
}

#[test]
fn unknown_is_never_zero() {
    let mut record = fixture();
    record.peak.rss = None;
    record.peak.pss = None;
    record.max_total_rss_kib = None;
    record.processes.retain(|process| process.max_rss_kib.is_none());
    let text = summary(&record, 10, &RowFilter::default());
    for label in ["Max total RSS:", "Max total PSS:", "Max per process:"] {
        let line = text.lines().find(|line| line.starts_with(label)).unwrap();
        assert_eq!(line[label.len()..].trim(), "unknown");
    }
    assert!(text.contains("pid 8490  unknown  odd\\x1b[31m,name"), "{text}");
}

#[test]
fn a_limit_that_was_not_judged_is_not_kept() {
    let mut value = serde_json::to_value(fixture()).unwrap();
    let limit =
        |of: &str| serde_json::json!({"of": of, "limit_bytes": 1, "action": "kill", "exceeded": null});
    value["limits"] = [limit("total_rss"), limit("total_pss"), limit("cgroup")].into_iter().collect();
    let verdicts = |value: &serde_json::Value| -> Vec<String> {
        let record = Record::from_json(value.to_string().as_bytes()).unwrap();
        let verdict = |limit| limits::sentence(limit, &record).split_once(": ").unwrap().1.to_owned();
        record.limits.iter().map(verdict).collect()
    };
    assert_eq!(verdicts(&value), ["kept, as far as was seen"; 3]);
    let (mut partly, mut unread) = (value.clone(), value);
    let downgrade = serde_json::json!({"wanted": "the limit on total PSS", "reason": "one was not read"});
    partly["capture"]["downgrades"].as_array_mut().unwrap().push(downgrade);
    assert_eq!(verdicts(&partly)[1], "judged only in part; one was not read");
    for peak in ["rss", "pss"] {
        unread["peak"][peak] = serde_json::Value::Null;
    }
    unread["max_total_rss_kib"] = serde_json::Value::Null;
    let none = "not judged, as no figure to compare it with was read";
    assert_eq!(verdicts(&unread), [none, none, "kept, as far as was seen"]);
}

#[test]
fn filters_change_lists_and_never_totals() {
    let filter = RowFilter::new(vec![regex_lite::Regex::new("^cargo$").unwrap()], vec![]);
    let text = summary(&fixture(), 10, &filter);
    assert!(text.contains("Max per process:  ≥ 912 MiB (pid 8473, rustc)"), "{text}");
    assert!(text.contains("  pid 8470"));
    assert!(!text.contains("  pid 8473"));
    assert!(!text.contains("more (see --csv)"));
}

#[test]
fn none_listed_still_counts_them() {
    let text = summary(&fixture(), 0, &RowFilter::default());
    assert!(text.contains("... and 5 more (see --csv)"), "{text}");
}

#[test]
fn interval_is_shown_where_it_matters_with_its_certain_end() {
    let mut peak = fixture().peak.rss.unwrap();
    (peak.bytes, peak.lower_bytes, peak.upper_bytes) = (100 << 20, 99 << 20, 101 << 20);
    peak.between_seconds = None;
    assert_eq!(total_peak(&peak), "100 MiB (estimate)");
    peak.upper_bytes = 200 << 20;
    (peak.lower_rigorous, peak.upper_rigorous) = (true, true);
    assert_eq!(total_peak(&peak), "100 MiB (estimate; between 99.0 MiB and 200 MiB)");
    peak.lower_rigorous = false;
    assert_eq!(total_peak(&peak), "100 MiB (estimate; at most 200 MiB, probably at least 99.0 MiB)");
    (peak.certainty, peak.lower_bytes, peak.upper_bytes) = (Certainty::Exact, peak.bytes, peak.bytes);
    assert_eq!(total_peak(&peak), "100 MiB");
}

#[test]
fn largest_rows_are_kept_whatever_their_order() {
    let mut record = fixture();
    let whole = summary(&record, 3, &RowFilter::default());
    record.processes.reverse();
    assert_eq!(summary(&record, 3, &RowFilter::default()), whole);
}

#[test]
fn a_footprint_is_called_so_and_never_rss() {
    let mut record = fixture();
    record.primary_metric = highwater::record::Metric::PhysFootprint;
    record.capture.lineage = highwater::record::Lineage::Kqueue;
    record.peak.pss = None;
    let summary = summary(&record, 2, &RowFilter::default());
    assert!(summary.contains("Max total phys_footprint: 6.40 GiB"), "{summary}");
    assert!(summary.contains("kqueue"), "{summary}");
    assert!(!summary.contains("RSS"), "{summary}");
}
