//! Jobs with an exec that waits for a file system: reading that process takes until its exec goes on.

use std::{
    fs,
    process::{Command, Stdio},
    thread,
};

use serde_json::Value;

use super::{Run, programs};

/// Exit code of the program of known size where FUSE cannot be mounted.
const NO_FUSE: i32 = 77;

/// Runs hwm on a situation beside such an exec. `None` where there can be none.
fn run_held(options: &[&str], situation: &[&str]) -> Option<Run> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let json = dir.path().join("record.json");
    let mut hwm = Command::new(programs::HWM);
    hwm.args(["run", "-q", &format!("--json={}", json.display())]).args(options).arg("--");
    hwm.arg(programs::workload().expect("built")).arg("held-exec").args(situation).current_dir(&dir);
    let output = hwm.output().expect("hwm starts");
    if output.status.code() == Some(NO_FUSE) {
        eprintln!("skipped: FUSE cannot be mounted here");
        return None;
    }
    let record = fs::read(&json).map_or(Value::Null, |text| serde_json::from_slice(&text).expect("a record"));
    Some(Run { output, record })
}

/// Returns the limit that the job exceeded.
fn exceeded(run: &Run) -> &Value {
    let mut limits = run.record["limits"].as_array().expect("limits").iter().map(|limit| &limit["exceeded"]);
    limits.find(|exceeded| exceeded.is_object()).unwrap_or(&Value::Null)
}

#[test]
fn an_exec_that_waits_for_a_file_system_delays_no_limit() {
    for option in ["--max-total-rss=100M", "--max-per-proc-rss=100M", "--max-memory=100M"] {
        for lineage in ["--lineage=auto", "--lineage=sampling"] {
            let Some(run) = run_held(&[option, lineage], &["hold", "300", "600000"]) else { return };
            assert_eq!(run.record["exit"]["cause"], "limit", "{option} {lineage}: {}", run.printed());
            assert_eq!(exceeded(&run)["command"], "workload", "{option} {lineage}: {}", run.record["limits"]);
        }
    }
}

#[test]
fn memory_of_threads_and_copies_is_found_meanwhile() {
    let leaderless = ["leaderless", "4", "100", "600000"];
    let copies = ["vfork-family", "3", "150", "600000"];
    for (option, situation) in [
        ("--max-per-proc-rss=200M", &leaderless),
        ("--max-total-rss=200M", &leaderless),
        ("--max-memory=200M", &leaderless),
        ("--max-total-rss=400M", &copies),
    ] {
        let Some(run) = run_held(&[option], situation) else { return };
        assert_eq!(run.record["exit"]["cause"], "limit", "{option} {situation:?}: {}", run.printed());
        assert!(exceeded(&run).is_object(), "{option} {situation:?}: {}", run.record["limits"]);
    }
}

#[test]
fn meanwhile_a_memory_map_counts_once() {
    let guests = ["closed-family", "guests", "4", "150", "2500"];
    let Some(run) = run_held(&["--max-total-rss=400M"], &guests) else { return };
    assert_eq!(run.code(), Some(0), "{}", run.printed());
    assert_eq!(exceeded(&run), &Value::Null, "{}", run.record["limits"]);
}

#[test]
fn a_time_within_the_wait_is_not_given_to_its_begin() {
    let Some(run) = run_held(&[], &["spike", "200", "200", "2500"]) else { return };
    assert_eq!(run.code(), Some(0), "{}", run.printed());
    let peak = &run.record["peak"]["memory"];
    let [from, to] = [0, 1].map(|end| peak["between_seconds"][end].as_f64());
    let at = peak["at_seconds"].as_f64();
    let latest = to.or(at).expect("a time");
    assert!(latest > 1.0 && from.is_none_or(|from| from < latest), "{peak}");
}

/// It is over its limit before hwm looks at it.
#[test]
fn a_running_job_with_such_an_exec_is_judged_at_once() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let mut workload = Command::new(programs::workload().expect("built"));
    workload.args(["held-exec", "hold", "300", "600000"]).current_dir(&dir).stderr(Stdio::null());
    let mut job = workload.spawn().expect("starts");
    let pid = job.id();
    // It grows once the exec waits.
    let resident_pages = || {
        let statm = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
        statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0_usize)
    };
    while resident_pages() * rustix::param::page_size() < 200 << 20 {
        if let Some(status) = job.try_wait().expect("a child") {
            assert_eq!(status.code(), Some(NO_FUSE));
            eprintln!("skipped: FUSE cannot be mounted here");
            return;
        }
        thread::yield_now();
    }
    let json = dir.path().join("record.json");
    let output = Command::new(programs::HWM)
        .args(["attach", "--on-limit=kill", "--max-total-rss=100M", &pid.to_string()])
        .args(["-q", &format!("--json={}", json.display())])
        .output()
        .expect("hwm starts");
    job.wait().expect("a child");
    let message = String::from_utf8_lossy(&output.stderr);
    let record: Value = serde_json::from_slice(&fs::read(&json).expect(&message)).expect("a record");
    let run = Run { output, record };
    assert!(exceeded(&run).is_object(), "{}: {}", run.printed(), run.record["limits"]);
    // No sample was taken before its end.
    let peak = &run.record["peak"];
    assert!(peak["memory"]["bytes"].as_u64().is_none_or(|bytes| bytes > 200 << 20), "{peak}");
}
