#![allow(clippy::needless_raw_string_hashes)] // snapbox writes its snapshots with them

use snapbox::{assert_data_eq, str};

use super::*;
use crate::filter::RowFilter;

/// Returns a record as a real run writes it, with an unknown peak, an odd name and a process that is still running.
pub(crate) fn fixture() -> Record {
    Record::from_json(include_bytes!("../../../../tests/fixtures/record.json")).unwrap()
}

/// Returns the summary with all details.
fn summary(record: &Record, top: usize, filter: &RowFilter) -> String {
    printed(record, top, filter, SummaryDetail::All)
}

fn printed(record: &Record, top: usize, filter: &RowFilter, detail: SummaryDetail) -> String {
    let tally = Tally::of(record.processes.iter().map(Ok), top, filter, record.peak.memory.as_ref()).unwrap();
    let mut out = Vec::new();
    let layout = SummaryLayout { width: 60, top, filter, with_cpu: false, csv: None, detail };
    write(record, &tally, &layout, &mut out).unwrap();
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
  ... and 2 more (see --csv)
  1 process could not be read in time

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

/// Returns a job of a pool of workers, with what held its memory at the peak.
fn pool(certainty: &str, [lower, best, upper]: [u64; 3]) -> Record {
    const MIB: u64 = 1 << 20;
    let mut value = serde_json::to_value(fixture()).unwrap();
    value["peak"]["memory"] = serde_json::json!({
        "bytes": best * MIB, "lower_bytes": lower * MIB, "upper_bytes": upper * MIB, "lower_rigorous": true,
        "upper_rigorous": true, "certainty": certainty, "source": "pss", "at_seconds": 54.2,
        "between_seconds": null,
        "parts": {"anon_bytes": null, "shmem_bytes": null, "file_bytes": null, "hugetlb_bytes": null},
        "holders": {
            "largest": [
                {"process": 1, "bytes": 912 * MIB}, {"process": 2, "bytes": 534 * MIB},
                {"process": 0, "bytes": 53 * MIB}, {"process": 3, "bytes": MIB}
            ],
            "others": 2, "others_bytes": 3 * MIB, "shared_counted_in_each": true
        }
    });
    Record::from_json(value.to_string().as_bytes()).unwrap()
}

#[test]
fn the_answer_comes_first() {
    let text = printed(
        &pool("bounded", [550, 560, 575]),
        10,
        &RowFilter::default(),
        SummaryDetail::Answer(NextStep::NoRecord),
    );
    assert_data_eq!(
        text,
        str![[r#"
cargo build --release...  finished in 00:03:21, ≥ 5 processes
Peak memory:      560 MiB  (at 54.20 s)
                  6.40 GiB if each process is counted in
                  full (RSS): they share memory
At the peak:      2 × rustc  534 MiB to 912 MiB each
                  cargo      53.0 MiB
                  3 others   4.00 MiB
                  (memory that they share is counted in each
                  of them)
Still running:    sccache (pid 8501); --wait waits for them
More:             -v shows all figures; --save keeps the run
                  for hwm explain and hwm view

"#]]
    );
}

#[test]
fn a_range_is_shown_where_it_would_change_a_decision() {
    let figure = |certainty, ends| {
        let text = printed(
            &pool(certainty, ends),
            10,
            &RowFilter::default(),
            SummaryDetail::Answer(NextStep::NoRecord),
        );
        let line = text.lines().find_map(|line| line.strip_prefix("Peak memory:")).unwrap();
        line.trim().to_owned()
    };
    assert_eq!(figure("exact", [560, 560, 560]), "560 MiB  (at 54.20 s)");
    assert_eq!(figure("bounded", [500, 560, 570]), "560 MiB  (an estimate; at least 500 MiB; at 54.20 s)");
    assert_eq!(figure("bounded", [555, 560, 900]), "560 MiB  (up to 900 MiB cannot be excluded; at 54.20 s)");
    assert_eq!(
        figure("bounded", [500, 560, 900]),
        "560 MiB  (an estimate; between 500 MiB and 900 MiB; at 54.20 s)"
    );
    assert_eq!(figure("bounded", [555, 560, 6554]), "560 MiB  (at 54.20 s)", "the sum of RSS stands below");
    assert_eq!(figure("at_least", [560, 560, 900]), "≥ 560 MiB  (at 54.20 s)");
    assert_eq!(figure("at_most", [1, 560, 560]), "≤ 560 MiB  (at 54.20 s)");
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
    assert!(text.contains("\nPer-process peaks\n  1 process could not be read in time\n"), "{text}");
}

#[test]
fn a_bound_alone_is_shown_as_one() {
    let mut record = fixture();
    let rss = record.peak.rss.as_mut().unwrap();
    (rss.bytes, rss.lower_bytes, rss.certainty) = (300 << 20, 0, Certainty::AtMost);
    let answer = printed(&record, 2, &RowFilter::default(), SummaryDetail::Answer(NextStep::NoRecord));
    let expected = "Peak memory:      ≤ 300 MiB  (the highest sum of its processes' RSS)\n";
    assert!(answer.contains(expected), "{answer}");
}

#[test]
fn peak_memory_is_the_first_figure() {
    const MIB: u64 = 1 << 20;
    let line = |source: &str, certainty: &str, [lower, best, upper]: [u64; 3]| {
        let mut value = serde_json::to_value(fixture()).unwrap();
        value["peak"]["memory"] = serde_json::json!({
            "bytes": best * MIB, "lower_bytes": lower * MIB, "upper_bytes": upper * MIB,
            "lower_rigorous": true, "upper_rigorous": true, "certainty": certainty, "source": source,
            "at_seconds": null, "between_seconds": null,
            "parts": {"anon_bytes": null, "shmem_bytes": null, "file_bytes": null, "hugetlb_bytes": null}
        });
        let record = Record::from_json(value.to_string().as_bytes()).unwrap();
        let text = summary(&record, 2, &RowFilter::default());
        let figures = text.split_once("average)\n").unwrap().1;
        figures.split("Max total RSS:").next().unwrap().split_ascii_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        line("cgroup", "bounded", [550, 560, 900]),
        "Peak memory: 560 MiB (shared pages counted once)"
    );
    assert_eq!(
        line("pss", "bounded", [400, 560, 6500]),
        "Peak memory: 560 MiB (shared pages counted once; at least 400 MiB; at most 6.35 GiB)"
    );
    assert_eq!(line("pss", "exact", [6554, 6554, 6554]), "Peak memory: 6.40 GiB");
    assert_eq!(
        line("cgroup", "at_least", [150, 150, 300]),
        "Peak memory: ≥ 150 MiB (shared pages counted once)"
    );
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
    let (mut partly, mut unread, mut unsampled) = (value.clone(), value.clone(), value);
    let downgrade = serde_json::json!({"wanted": "the limit on total PSS", "reason": "one was not read"});
    partly["capture"]["downgrades"].as_array_mut().unwrap().push(downgrade);
    assert_eq!(verdicts(&partly)[1], "judged only in part; one was not read");
    let gap = serde_json::json!({"wanted": "samples to judge the limits without a gap", "reason": "no sample for 4.3 s"});
    unsampled["capture"]["downgrades"].as_array_mut().unwrap().push(gap);
    let in_part = "judged only in part; no sample for 4.3 s";
    assert_eq!(verdicts(&unsampled), [in_part, in_part, "kept, as far as was seen"]);
    // The kernel's high-water marks need no sample.
    let upper = unsampled["peak"]["rss"]["upper_bytes"].clone();
    unsampled["peak"]["rss"]["upper_rigorous"] = true.into();
    unsampled["limits"][0]["limit_bytes"] = upper;
    assert_eq!(verdicts(&unsampled), ["kept, as far as was seen", in_part, "kept, as far as was seen"]);
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
    let counted = "  ... and 4 more (see --csv)\n  1 process could not be read in time\n";
    assert!(text.contains(counted), "{text}");
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
