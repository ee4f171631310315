//! CPU time, page faults, and bytes read and written. Wine counts none of them: then a downgrade is reported, and no
//! figure shown.

use highwater::record::{Certainty, UsageSource};

use super::{MIB, hwm, run, text, workload};

#[test]
fn of_a_child_and_of_the_command() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("written");
    let file = file.to_str().expect("Unicode");
    let options = ["--with-cpu", "--with-io"];
    let (output, record) = run(&options, &[&workload(), "burn", "500", file, "30"]);
    let printed = text(&output.stderr);
    assert!(output.status.success() && record.processes.len() == 2, "{printed}");
    let lacks = |what: &str| record.capture.downgrades.iter().any(|down| down.wanted.contains(what));
    let rows: Vec<_> = record.processes.iter().filter_map(|process| process.usage).collect();
    assert_eq!(rows.len(), 2);
    if let Some(cpu) = record.usage.cpu {
        // The clock by which it is charged ticks 64 times a second. The machine may have been busy with others.
        let of = |cpu: highwater::record::CpuTime| cpu.user_seconds + cpu.system_seconds;
        assert!((0.1..3.0).contains(&of(cpu)), "{cpu:?}");
        assert_eq!((cpu.source, cpu.certainty), (UsageSource::JobObject, Certainty::Exact), "{cpu:?}");
        let sum: f64 = rows.iter().map(|row| row.cpu.map_or(0.0, of)).sum();
        assert!((sum - of(cpu)).abs() < 0.02, "{sum} and {cpu:?}");
        let faults = record.usage.faults.expect("they come with it");
        assert!(faults.total.is_some_and(|total| total > 100), "{faults:?}");
        assert_eq!((faults.minor, faults.major), (None, None), "Windows does not distinguish them");
        assert!(rows.iter().all(|row| row.cpu.is_some_and(|cpu| cpu.certainty == Certainty::Exact)));
    } else {
        println!("no CPU time here");
        assert!(lacks("CPU time"), "{printed}");
        let nothing = rows.iter().all(|row| row.cpu.is_none() && row.faults.is_none());
        assert!(nothing && record.usage.faults.is_none(), "{rows:?}");
    }
    if let Some(io) = record.usage.io {
        assert!(io.written_bytes.is_some_and(|bytes| (60 * MIB..62 * MIB).contains(&bytes)), "{io:?}");
        assert_eq!((io.storage_read_bytes, io.storage_written_bytes), (None, None), "{io:?}");
        assert_eq!((io.source, io.certainty), (UsageSource::JobObject, Certainty::Exact), "{io:?}");
        let own = rows.iter().map(|row| row.io.and_then(|io| io.written_bytes).unwrap_or_default());
        assert!(own.clone().all(|bytes| (30 * MIB..31 * MIB).contains(&bytes)), "{rows:?}");
    } else {
        println!("no bytes here");
        assert!(lacks("bytes read and written") && rows.iter().all(|row| row.io.is_none()), "{printed}");
    }
    // What is not known stands nowhere as 0.
    assert!(!printed.contains("0 B read") || record.usage.io.is_some(), "{printed}");
}

#[test]
fn nothing_that_was_not_asked_for() {
    let (output, record) = run(&[], &["cmd", "/c", "exit", "0"]);
    assert!(output.status.success() && record.usage.io.is_none());
    assert!(record.processes.iter().all(|process| process.usage.is_none()));
    let missing = record.capture.downgrades.iter().any(|down| down.wanted.contains("CPU time"));
    assert!(!missing, "not asked for: {:?}", record.capture.downgrades);
}

#[test]
fn cpu_time_of_a_row_is_known_or_unknown() {
    let output = hwm(&["ps", "--all", "--json"]);
    let printed: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let rows = printed["processes"].as_array().expect("rows");
    assert!(!rows.is_empty(), "{printed}");
    let (_, record) = run(&["--with-cpu"], &["cmd", "/c", "exit", "0"]);
    // Where jobs have no CPU time, rows of ps must not invent any.
    if record.usage.cpu.is_none() {
        assert!(rows.iter().all(|row| row["cpu_seconds"].is_null()), "{printed}");
    }
}
