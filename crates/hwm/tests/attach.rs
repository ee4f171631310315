//! `hwm attach`: a process that runs already, measured from then on, and left in peace.
#![cfg(target_os = "linux")]

#[path = "programs/default_signals.rs"]
mod default_signals;
mod programs;

use std::{
    fs,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

const MIB: u64 = 1 << 20;
/// A time far longer than any step here takes.
const FAILURE_TIMEOUT: Duration = Duration::from_secs(600);

/// A job of its own, ended with the value.
struct Other(Child);

impl Other {
    fn start(args: &[&str]) -> Self {
        let program = programs::workload().expect("built");
        Self(Command::new(program).args(args).stdin(Stdio::null()).spawn().expect("it starts"))
    }

    fn script(script: &str) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", script]).env("W", programs::workload().expect("built")).stdin(Stdio::null());
        Self(shell.process_group(0).spawn().expect("it starts"))
    }

    fn pid(&self) -> String {
        self.0.id().to_string()
    }

    fn rss(&self) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/statm", self.pid())).expect("it lives");
        let pages: u64 = text.split(' ').nth(1).unwrap().parse().unwrap();
        pages * 4096
    }

    /// Waits until its RSS is as much.
    fn reaches(&self, bytes: u64) {
        let start = Instant::now();
        while self.rss() < bytes {
            assert!(start.elapsed() < FAILURE_TIMEOUT, "{}", self.rss());
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn lives(&mut self) -> bool {
        self.0.try_wait().expect("a child of this process").is_none()
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn attach(dir: &Path, pid: &str, options: &[&str]) -> Command {
    let mut hwm = Command::new(programs::HWM);
    hwm.args(["attach", pid]).arg(format!("--json={}", dir.join("record.json").display())).args(options);
    default_signals::with_default_signals(&mut hwm);
    hwm
}

fn record(dir: &Path, output: &Output) -> (Value, String) {
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{printed}");
    let text = fs::read(dir.join("record.json")).expect("written");
    (serde_json::from_slice(&text).expect("a record"), printed)
}

#[test]
fn a_process_that_runs_already_is_measured_from_then_on() {
    for way in [&[][..], &["--lineage", "sampling"]] {
        let dir = tempfile::tempdir().unwrap();
        let other = Other::start(&["hold", "20", "1500"]);
        other.reaches(20 * MIB);
        let output = attach(dir.path(), &other.pid(), way).output().expect("hwm starts");
        let (record, printed) = record(dir.path(), &output);
        let peak = record["peak"]["rss"]["bytes"].as_u64().unwrap();
        assert!((20 * MIB..30 * MIB).contains(&peak), "{way:?}: {peak}");
        let attached = &record["capture"]["attached"];
        assert_eq!(attached["pid"].to_string(), other.pid());
        assert_eq!(record["peak"]["rss"]["upper_rigorous"], false, "a rise below the old mark may be missed");
        assert!(attached["marks_bytes"].as_u64().is_some_and(|marks| marks >= 20 * MIB), "{attached}");
        let row = &record["processes"][0];
        assert_eq!(row["mark_before_bytes"], attached["marks_bytes"]);
        assert!(printed.contains("Attached to:") && printed.contains("what happened before"), "{printed}");
        assert_eq!(record["command"][1], "hold", "its command line is the job's");
    }
}

#[test]
fn an_earlier_peak_and_later_growth() {
    let dir = tempfile::tempdir().unwrap();
    // A spike of 150 MiB for 20 ms in the middle of its life: attached to before it, and after it.
    let other = Other::start(&["spike", "150", "20", "1600"]);
    let (record_before, _) = record(dir.path(), &attach(dir.path(), &other.pid(), &[]).output().unwrap());
    let peak = record_before["peak"]["rss"]["bytes"].as_u64().unwrap();
    assert!(peak > 140 * MIB, "the mark rose while it was watched: {peak}");
    let other = Other::start(&["spike", "150", "20", "2400"]);
    let start = Instant::now();
    let mark = |pid: &str| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a mark").to_owned();
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
    };
    // The spike is over once it can be seen, however slow the machine is.
    while mark(&other.pid()) < 140 * MIB || other.rss() > 50 * MIB {
        assert!(start.elapsed() < FAILURE_TIMEOUT);
        thread::sleep(Duration::from_millis(5));
    }
    let (record_after, _) = record(dir.path(), &attach(dir.path(), &other.pid(), &[]).output().unwrap());
    let peak = record_after["peak"]["rss"]["bytes"].as_u64().unwrap();
    assert!(peak < 60 * MIB, "that was before: {peak}");
    assert!(record_after["processes"][0]["mark_before_bytes"].as_u64().unwrap() > 140 * MIB);
    assert!(record_after["peak"]["rss"]["upper_bytes"].as_u64().unwrap() < 160 * MIB);
}

#[test]
fn its_descendants_belong_to_it_also_those_born_before() {
    let dir = tempfile::tempdir().unwrap();
    let other = Other::script("$W hold 30 1500 & sleep 0.5; $W hold 40 500; wait");
    thread::sleep(Duration::from_millis(250));
    let options = ["--tree", "--csv", dir.path().join("rows.csv").to_str().unwrap().to_owned().leak()];
    let (record, printed) = record(dir.path(), &attach(dir.path(), &other.pid(), &options).output().unwrap());
    let peak = record["peak"]["rss"]["bytes"].as_u64().unwrap();
    assert!((70 * MIB..85 * MIB).contains(&peak), "{peak}");
    assert_eq!(record["capture"]["attached"]["processes"], 3, "the shell, one workload, sleep");
    assert!(printed.contains("Process tree"), "{printed}");
    let csv = fs::read_to_string(dir.path().join("rows.csv")).unwrap();
    assert_eq!(csv.lines().filter(|line| line.contains(",workload,")).count(), 2, "{csv}");
}

#[test]
fn ctrl_c_ends_the_measurement_and_not_the_process() {
    for signal in [libc::SIGINT, libc::SIGTERM] {
        let dir = tempfile::tempdir().unwrap();
        let mut other = Other::start(&["hold", "20", "30000"]);
        other.reaches(20 * MIB);
        let hwm = attach(dir.path(), &other.pid(), &[]).stderr(Stdio::piped()).spawn().expect("hwm starts");
        thread::sleep(Duration::from_millis(600));
        // SAFETY: sends a signal to a child of this process, which has not been waited for.
        unsafe { libc::kill(i32::try_from(hwm.id()).unwrap(), signal) };
        let (record, printed) = record(dir.path(), &hwm.wait_with_output().expect("waited"));
        assert!(other.lives(), "it was to be left alone");
        assert!(record["complete"] == true && record["exit"].is_null(), "{}", record["exit"]);
        assert_eq!(record["processes"][0]["still_running"], true);
        assert!(printed.contains("left as it was"), "{printed}");
    }
}

#[test]
fn a_limit_is_reported_and_ends_nothing_unless_asked_to() {
    let dir = tempfile::tempdir().unwrap();
    let mut other = Other::start(&["hold", "60", "2000"]);
    other.reaches(60 * MIB);
    let output = attach(dir.path(), &other.pid(), &["--max-total-rss", "30M"]).output().unwrap();
    let (_, printed) = record(dir.path(), &output);
    assert!(printed.contains("over the limit of 30.0 MiB"), "{printed}");
    assert_eq!(other.0.wait().unwrap().code(), Some(0), "it ended by itself");
    let mut other = Other::start(&["hold", "60", "60000"]);
    other.reaches(60 * MIB);
    let options = ["--max-total-rss", "30M", "--on-limit", "kill"];
    let output = attach(dir.path(), &other.pid(), &options).output().unwrap();
    assert_eq!(output.status.code(), Some(10), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&other.0.wait().unwrap()), Some(libc::SIGTERM));
}

#[test]
fn a_process_that_cannot_be_attached_to_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |pid: &str, why: &str| {
        let output = attach(dir.path(), pid, &[]).output().expect("hwm starts");
        let printed = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{printed}");
        assert!(printed.contains(why) && printed.lines().count() == 1, "{printed}");
    };
    // The pid is above the largest possible one.
    refused("4194999", "no process with pid 4194999");
    if fs::read_to_string("/proc/2/comm").is_ok_and(|comm| comm.trim() == "kthreadd") {
        refused("2", "a kernel thread");
    }
    let mut ended = Command::new("true").spawn().unwrap();
    thread::sleep(Duration::from_millis(200));
    refused(&ended.id().to_string(), "it has exited");
    ended.wait().unwrap();
}
