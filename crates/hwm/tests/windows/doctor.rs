//! `hwm doctor`: each mechanism that works there must work in jobs, and each that is missing must be missing in jobs.

use std::collections::BTreeSet;

use highwater::record::PeakSource;
use serde_json::Value;

use super::{hwm, run, text, workload};

#[test]
fn its_report_agrees_with_jobs() {
    let output = hwm(&["doctor", "--json"]);
    let printed: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", text(&output.stderr)));
    let schema: Value =
        serde_json::from_str(include_str!("../../../../docs/schemas/doctor.schema.json")).expect("a schema");
    let schema = jsonschema::validator_for(&schema).expect("a schema");
    assert!(schema.is_valid(&printed), "{printed:#}");
    let rows = printed.as_array().expect("rows");
    let names: BTreeSet<&str> = rows.iter().filter_map(|row| row["mechanism"].as_str()).collect();
    assert_eq!(names.len(), rows.len(), "one stands twice: {printed:#}");
    let works = |name: &str| {
        let row = rows.iter().find(|row| row["mechanism"] == name).unwrap_or_else(|| panic!("no row {name}"));
        row["state"] == "works"
    };
    for needed in
        ["working set", "peak working set", "commit charge", "process list", "job object", "completion port"]
    {
        assert!(works(needed), "{needed}: {printed:#}");
    }
    for row in rows.iter().filter(|row| row["state"] == "missing") {
        println!("{}: {}", row["mechanism"], row["why"]);
        assert!(row["why"].as_str().is_some_and(|why| !why.is_empty()), "{row}");
    }

    let (_, record) = run(&["--with-cpu", "--with-io"], &[&workload(), "hold", "30", "1000"]);
    let process = &record.processes[0];
    let peak = process.peak.rss.expect("its working set is read");
    // Where they are not kept they may still be there for a moment, and then they are read.
    assert!(!works("marks after the end") || peak.source == PeakSource::AfterEnd, "{peak:?}");
    assert_eq!(works("peak commit of a job"), record.peak.commit.is_some(), "{:?}", record.peak);
    let used = (record.usage.cpu.is_some(), record.usage.io.is_some());
    assert_eq!(works("job accounting"), used == (true, true), "{:?}", record.usage);
    let of_process = process.usage.expect("asked for");
    assert_eq!(works("cpu time"), of_process.cpu.is_some(), "{of_process:?}");
    assert_eq!(works("bytes moved"), of_process.io.is_some(), "{of_process:?}");
    let limited = hwm(&["run", "--quiet", "--max-cgroup=60M", "--", &workload(), "hold", "200", "500"]);
    assert_eq!(works("commit limit"), limited.status.code() != Some(0), "{}", text(&limited.stderr));
}

#[test]
fn for_people() {
    let output = hwm(&["doctor"]);
    let printed = text(&output.stdout);
    assert!(output.status.success() && printed.lines().count() >= 20, "{printed}");
    assert!(printed.contains("yes  working set") && !printed.contains("/proc"), "{printed}");
}
