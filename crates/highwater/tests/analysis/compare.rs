//! Comparisons of whole records.

use highwater::{
    analysis::{Comparison, ComparisonRow, Quantity, Reason, Rules, Verdict, WarningKind, compare},
    record::{Certainty, Record},
};
use serde_json::json;

use crate::made::{MIB, read, record};

fn judged(base: &Record, candidate: &Record) -> Comparison {
    compare(std::slice::from_ref(base), std::slice::from_ref(candidate), Rules::default())
}

fn group<'a>(comparison: &'a Comparison, name: &str) -> &'a ComparisonRow {
    let is = |row: &&ComparisonRow| matches!(&row.what, Quantity::Group { command } if command == name);
    comparison.groups.iter().find(is).expect("a group")
}

fn kinds(comparison: &Comparison) -> Vec<WarningKind> {
    comparison.warnings.iter().map(|warning| warning.kind).collect()
}

#[test]
fn the_total_decides_and_groups_explain() {
    let base = record(400, &[("rustc", 300), ("cc", 20), ("old", 50)]);
    let candidate = record(404, &[("rustc", 350), ("cc", 21), ("new", 90)]);
    let result = judged(&base, &candidate);
    assert_eq!(result.verdict, Verdict::Fine);
    assert_eq!(group(&result, "rustc").verdict, Verdict::Regression);
    assert_eq!(group(&result, "cc").verdict, Verdict::Fine);
    assert_eq!(
        (group(&result, "new").verdict, group(&result, "new").reason),
        (Verdict::Regression, Reason::New)
    );
    assert_eq!((group(&result, "old").reason, group(&result, "old").candidate.bytes), (Reason::Gone, None));
    let order: Vec<_> = result.groups.iter().map(|row| row.what.clone()).collect();
    assert!(matches!(&order[0], Quantity::Group { command } if command == "new"), "{order:?}");
    let mut rules = Rules::default();
    rules.groups_decide = true;
    assert_eq!(compare(&[base], &[candidate], rules).verdict, Verdict::Regression);
}

#[test]
fn a_group_that_may_have_been_missed_proves_nothing() {
    let (mut base, candidate) = (record(400, &[]), record(400, &[("new", 90)]));
    base.capture.processes_seen_is = Certainty::AtLeast;
    assert_eq!(group(&judged(&base, &candidate), "new").verdict, Verdict::NoEvidence);
}

#[test]
fn growth_of_the_total() {
    let result = judged(&record(400, &[]), &record(500, &[]));
    assert_eq!(result.verdict, Verdict::Regression);
    let total = result.primary().unwrap();
    assert_eq!(total.change_bytes.zip(total.change_percent), Some((104_857_600, 25.0)));
    assert_eq!(kinds(&result), [WarningKind::SingleRun]);
    assert_eq!(judged(&record(500, &[]), &record(400, &[])).verdict, Verdict::Fine);
}

#[test]
fn unknown_on_either_side_is_said() {
    let (known, mut unknown) = (record(400, &[]), record(400, &[]));
    (unknown.peak.rss, unknown.max_total_rss_kib) = (None, None);
    for (base, candidate) in [(&known, &unknown), (&unknown, &known), (&unknown, &unknown)] {
        let result = judged(base, candidate);
        assert_eq!(result.verdict, Verdict::Unknown);
        assert_eq!(result.primary().unwrap().change_bytes, None);
    }
    assert_eq!(compare::<(), ()>(&[], &[], Rules::default()).verdict, Verdict::Unknown);
}

#[test]
fn a_checkpoint_is_unknown() {
    let mut checkpoint = record(400, &[("a", 100)]);
    checkpoint.complete = false;
    let result = judged(&record(400, &[("a", 100)]), &checkpoint);
    assert_eq!(result.verdict, Verdict::Unknown);
    assert_eq!(group(&result, "a").verdict, Verdict::Unknown);
    assert!(kinds(&result).contains(&WarningKind::Incomplete));
}

#[test]
fn pss_with_rss_in_it_proves_no_growth() {
    let with_pss = |mib: u64, certainty: &str| {
        let mut record = record(1000, &[]);
        let figure = json!({"bytes": mib * MIB, "certainty": certainty, "at_seconds": 1.0});
        record.peak.pss = Some(serde_json::from_value(figure).unwrap());
        record
    };
    for base in ["at_least", "sampled"] {
        let result = judged(&with_pss(200, base), &with_pss(900, "sampled"));
        assert_eq!(
            (result.verdict, result.totals[1].reason),
            (Verdict::NoEvidence, Reason::IntervalsOverlap),
            "{base}"
        );
        assert_eq!(result.totals[1].candidate.lower_bytes, Some(0));
    }
}

#[test]
fn pss_lies_below_the_upper_end_of_rss() {
    let with_pss = |mib: u64| {
        let mut record = record(800, &[]);
        let figure = json!({"bytes": mib * MIB, "certainty": "at_least", "at_seconds": 1.0});
        record.peak.pss = Some(serde_json::from_value(figure).unwrap());
        record
    };
    let result = judged(&with_pss(200), &with_pss(700));
    assert_eq!((result.verdict, result.totals[1].reason), (Verdict::NoEvidence, Reason::IntervalsOverlap));
    assert_eq!(result.totals[1].base.upper_bytes, Some(800 * MIB));
    assert_eq!(judged(&with_pss(200), &with_pss(900)).verdict, Verdict::Regression);
}

#[test]
fn page_cache_does_not_decide() {
    let with_cgroup = |mib: u64| {
        let mut record = record(100, &[]);
        let figure = json!({"bytes": mib * MIB, "certainty": "exact", "at_seconds": null});
        record.peak.cgroup = Some(serde_json::from_value(figure).unwrap());
        record
    };
    let result = judged(&with_cgroup(200), &with_cgroup(700));
    assert_eq!((result.verdict, result.totals[1].verdict), (Verdict::Fine, Verdict::Regression));
    assert!(!result.totals[1].decides);
}

#[test]
fn devices() {
    let with_gpu = |id: &str, bytes: serde_json::Value, scope: &str| {
        let vram = if bytes.is_null() {
            json!(null)
        } else {
            json!({"bytes": bytes, "lower_bytes": bytes, "certainty": "sampled", "scope": scope, "at_seconds": 1.0})
        };
        let mut record = record(100, &[]);
        let device = json!({
            "index": 0, "name": null, "id": id, "total_bytes": null, "vram": vram, "gtt": null,
            "processes": 1, "processes_unknown": 0, "other_users": 0, "source": "nvml",
        });
        record.peak.gpu.push(serde_json::from_value(device).unwrap());
        record
    };
    let base = with_gpu("a", json!(100 * MIB), "job");
    assert_eq!(judged(&base, &with_gpu("a", json!(300 * MIB), "job")).verdict, Verdict::Regression);
    assert_eq!(
        judged(&base, &with_gpu("b", json!(300 * MIB), "job")).verdict,
        Verdict::Regression,
        "by its place"
    );
    assert_eq!(judged(&base, &with_gpu("a", json!(null), "job")).verdict, Verdict::Unknown);
    assert_eq!(judged(&base, &record(100, &[])).verdict, Verdict::Unknown, "not asked for");
    assert_eq!(
        judged(&base, &with_gpu("a", json!(300 * MIB), "device")).totals[1].reason,
        Reason::NotTheSame
    );
    let more = judged(&record(100, &[]), &base);
    assert_eq!((more.verdict, more.totals[1].verdict), (Verdict::Fine, Verdict::Unknown));
}

#[test]
fn what_makes_it_weaker_is_said() {
    let mut candidate = record(400, &[]);
    candidate.command.push("--more".to_owned());
    candidate.schema.minor = highwater::record::SchemaVersion::MINOR + 1;
    candidate.host.cpus = Some(64);
    candidate.capture.peaks = highwater::record::PeaksFrom::Marks;
    candidate.exit.as_mut().unwrap().code = Some(3);
    let result = compare(&[record(400, &[]), record(401, &[])], &[candidate], Rules::default());
    assert_eq!(
        kinds(&result),
        [
            WarningKind::DifferentCommand,
            WarningKind::DifferentVersion,
            WarningKind::NewerVersion,
            WarningKind::DifferentMachine,
            WarningKind::DifferentCapture,
            WarningKind::JobFailed,
        ]
    );
    assert_eq!(result.verdict, Verdict::Fine);
}

#[test]
fn older_records_compare_with_newer_ones() {
    let old = Record::from_json(include_bytes!("../records/1.0.json")).unwrap();
    let new = read(&serde_json::from_str(include_str!("../records/1.2.json")).unwrap());
    let result = judged(&old, &new);
    assert!(kinds(&result).contains(&WarningKind::DifferentVersion));
    assert_eq!(result.primary().unwrap().verdict, Verdict::Fine);
}
