//! CPU time, I/O and page faults, against programs that know their own.
#![cfg(target_os = "linux")]

mod programs;

use std::{fs, path::Path, process::Command};

use serde_json::Value;

const MIB: u64 = 1 << 20;

/// Runs `hwm run OPTIONS -- workload ARGS`, with its record, CSV and timeline in `dir`.
fn run(dir: &Path, options: &[&str], args: &[&str]) -> (Value, String) {
    let json = dir.join("record.json");
    let mut hwm = Command::new(programs::HWM);
    hwm.arg("run").arg(format!("--json={}", json.display()));
    hwm.arg("--csv").arg(dir.join("rows.csv")).arg("--timeline").arg(dir.join("time.csv"));
    hwm.args(options).arg("--").arg(programs::workload().expect("built")).args(args);
    let output = hwm.output().expect("hwm starts");
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{printed}");
    (serde_json::from_slice(&fs::read(json).expect("written")).expect("a record"), printed)
}

fn seconds(cpu: &Value) -> f64 {
    cpu["user_seconds"].as_f64().expect("known") + cpu["system_seconds"].as_f64().expect("known")
}

/// Returns the last value of the job's counter.
fn last(record: &Value, metric: &str) -> u64 {
    let counters = record["timeline"]["counters"].as_array().expect("counters");
    let total = counters
        .iter()
        .find(|counter| counter["metric"] == metric && counter["scope"] == "total")
        .expect("the job's");
    let values: Vec<u64> = total["values"].as_array().unwrap().iter().filter_map(Value::as_u64).collect();
    assert!(values.is_sorted(), "{metric} only grows: {values:?}");
    *values.last().expect("some value")
}

const LINEAGE_OPTIONS: [&[&str]; 2] = [&[], &["--lineage", "sampling"]];

#[test]
fn cpu_time_of_each_process_is_its_own() {
    for way in LINEAGE_OPTIONS {
        let dir = tempfile::tempdir().unwrap();
        let (record, printed) = run(dir.path(), &[&["--with-cpu"], way].concat(), &["burn", "400"]);
        // The program stops at 0.4 s by its own clock, twice. A tick of the kernel is 10 ms.
        let total = seconds(&record["usage"]["cpu"]);
        assert!((0.8..1.0).contains(&total), "{way:?}: {}", record["usage"]);
        assert!(printed.contains("CPU time:") && printed.contains("Page faults:"), "{printed}");
        let rows = record["processes"].as_array().unwrap();
        assert_eq!(rows.len(), 2, "{rows:?}");
        for row in rows {
            let cpu = &row["usage"]["cpu"];
            // On a busy machine the last sample of a child may be long before its exit.
            let least = if cpu["certainty"] == "exact" { 0.3 } else { 0.0 };
            assert!((least..0.55).contains(&seconds(cpu)), "{way:?}: {cpu}");
            assert!(cpu["mean_processors"].is_number(), "{cpu}");
            assert!(row["usage"]["io"].is_null(), "not asked for");
        }
        // The command has ended before hwm waits for it: its figures are then complete.
        assert_eq!(rows[0]["usage"]["cpu"]["certainty"], "exact", "{}", rows[0]);
        let counted = last(&record, "cpu_time") as f64 / 1e6;
        assert!((counted - total).abs() < 0.001, "the end is counted: {counted} of {total}");
    }
}

#[test]
fn bytes_of_a_child_are_not_its_parents() {
    for way in LINEAGE_OPTIONS {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("data");
        let args = ["copy", file.to_str().unwrap(), "20"];
        let (record, printed) = run(dir.path(), &[&["--with-io", "-i", "1"], way].concat(), &args);
        // /proc/PID/io of a parent holds what its waited-for children moved: 30 MiB.
        let rows = record["processes"].as_array().unwrap();
        // Sampling may miss the child. Its bytes count all the same, and not as its parent's.
        assert!(rows.len() == 2 || !way.is_empty(), "{rows:?}");
        let io = |row: &Value, key: &str| row["usage"]["io"][key].as_u64().expect("known");
        let slack = 64 << 10;
        for key in ["read_bytes", "written_bytes"] {
            let own = io(&rows[0], key);
            assert!((10 * MIB..10 * MIB + slack).contains(&own), "{way:?} {key}: {own}");
            for child in rows[1..].iter().filter(|row| row["usage"]["io"].is_object()) {
                let child = io(child, key);
                assert!(child < 20 * MIB + slack, "{way:?} {key}: {child}");
            }
            let total = record["usage"]["io"][key].as_u64().unwrap();
            assert!((30 * MIB..30 * MIB + slack).contains(&total), "{way:?} {key}: {total}");
        }
        assert!(printed.contains("I/O:") && !printed.contains("CPU time:"), "{printed}");
        let counted = last(&record, "written");
        assert!((30 * MIB..30 * MIB + slack).contains(&counted), "{way:?}: the end is counted: {counted}");
        let csv = fs::read_to_string(dir.path().join("rows.csv")).unwrap();
        let header: Vec<&str> = csv.lines().next().unwrap().split(',').collect();
        let column = header.iter().position(|name| *name == "written_bytes").expect("a column");
        let first: Vec<&str> = csv.lines().nth(1).unwrap().split(',').collect();
        assert_eq!(first[column].parse::<u64>().unwrap(), io(&rows[0], "written_bytes"));
        let timeline = fs::read_to_string(dir.path().join("time.csv")).unwrap();
        let fields = timeline.lines().next().unwrap().split(',').count();
        assert!(timeline.lines().all(|line| line.split(',').count() == fields));
    }
}

#[test]
fn each_touched_page_is_a_fault() {
    let dir = tempfile::tempdir().unwrap();
    let (record, _) = run(dir.path(), &["--with-cpu"], &["fault", "64"]);
    let faults = record["usage"]["faults"]["minor"].as_u64().unwrap();
    let pages = 64 * MIB / 4096;
    assert!((pages..pages + 2000).contains(&faults), "{faults}");
    assert_eq!(record["processes"][0]["usage"]["faults"]["minor"], record["usage"]["faults"]["minor"]);
    assert_eq!(record["usage"]["faults"]["certainty"], "exact");
}

#[test]
fn unrequested_usage_is_unknown() {
    let dir = tempfile::tempdir().unwrap();
    let (record, printed) = run(dir.path(), &[], &["burn", "50"]);
    assert!(seconds(&record["usage"]["cpu"]) >= 0.1, "{}", record["usage"]);
    assert!(record["usage"]["io"].is_null() && record["processes"][0]["usage"].is_null());
    assert_eq!(record["timeline"]["counters"], serde_json::json!([]));
    assert!(!printed.contains("CPU time:"), "{printed}");
}

#[test]
fn swap_is_read_beside_the_marks() {
    let dir = tempfile::tempdir().unwrap();
    let (record, _) = run(dir.path(), &[], &["hold", "20", "100"]);
    assert!(record["peak"]["swap"]["bytes"].is_u64(), "{}", record["peak"]);
    assert!(record["processes"][0]["peak"]["swap"]["bytes"].is_u64());
}

/// Runs `hwm run` of a shell whose child the kernel kills for the limit of the job's cgroup. Returns `None`, with the
/// reason printed, if that is impossible here.
fn run_out_of_memory() -> Option<(Value, String)> {
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("record.json");
    let mut hwm = Command::new(programs::HWM);
    hwm.arg("run").arg(format!("--json={}", json.display()));
    hwm.args(["--max-cgroup", "60M", "--on-limit", "warn", "--", "sh", "-c", "\"$0\" hold 300 100; exit 7"]);
    let output = hwm.arg(programs::workload().expect("built")).output().expect("hwm starts");
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    if printed.contains("cannot be set") {
        eprintln!("skipped: {printed}");
        return None;
    }
    let record: Value = serde_json::from_slice(&fs::read(json).expect("written")).expect("a record");
    if record["oom"].is_null() && record["exit"]["code"] == 7 && printed.contains("swap") {
        eprintln!("skipped: it was swapped out instead");
        return None;
    }
    Some((record, printed))
}

#[test]
fn an_oom_kill_in_the_jobs_cgroup_is_named() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: no cgroup can be made");
        return;
    }
    for _ in 0..10 {
        let Some((record, printed)) = run_out_of_memory() else { return };
        let oom = &record["oom"];
        assert!(printed.contains("Out of memory:"), "{printed}");
        if record["exit"]["code"] != 7 {
            // The kernel has killed the shell, too, while its child gave its memory back.
            assert_eq!(oom["in_job"], 2, "{oom} {printed}");
            continue;
        }
        assert_eq!(oom["in_job"], 1, "{oom} {printed}");
        let victims = oom["victims"].as_array().unwrap();
        // Inside a pid namespace nothing reports how a grandchild ended, and the kernel's log has the pids of outside.
        if victims.is_empty() && !is_initial_pid_namespace() {
            return;
        }
        let [victim] = &victims[..] else { panic!("{oom}") };
        assert_eq!(victim["command"], "workload", "{oom}");
        assert!(victim["evidence"] == "kernel_log" || victim["evidence"] == "counted", "{oom}");
        assert!(printed.contains("the kernel killed workload (pid "), "{printed}");
        return;
    }
    panic!("the shell was killed ten times in a row");
}

/// Returns whether this is the initial pid namespace (`PROC_PID_INIT_INO` of `linux/proc_ns.h`).
fn is_initial_pid_namespace() -> bool {
    fs::read_link("/proc/self/ns/pid").is_ok_and(|link| link.as_os_str() == "pid:[4026531836]")
}

#[test]
fn a_kill_that_is_none_of_the_kernels_is_not_called_one() {
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("record.json");
    let mut hwm = Command::new(programs::HWM);
    hwm.args(["run", "-q"]).arg(format!("--json={}", json.display()));
    hwm.arg("--").arg(programs::workload().expect("built")).args(["killed", "20", "9"]);
    assert_eq!(hwm.status().expect("hwm starts").code(), Some(137));
    let record: Value = serde_json::from_slice(&fs::read(json).expect("written")).expect("a record");
    // On a machine that runs out of memory just now another process may have been killed: then it is possible, no
    // more.
    let victims = record["oom"]["victims"].as_array().map_or(&[][..], Vec::as_slice);
    assert!(victims.iter().all(|victim| victim["evidence"] == "possible"), "{}", record["oom"]);
    let pressure = &record["usage"]["pressure"];
    if fs::exists("/proc/pressure/memory").unwrap() {
        assert!(pressure["some_seconds"].is_number(), "{pressure}");
        assert!(["job", "cgroup", "machine"].contains(&pressure["of"].as_str().unwrap()), "{pressure}");
    }
}
