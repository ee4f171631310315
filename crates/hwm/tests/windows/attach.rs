//! `hwm attach`: processes that run already.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::Duration,
};

use highwater::{
    ProcessMemory,
    record::{Certainty, ExitCause, Lineage, Process, Record},
};

use super::{HWM, MIB, hwm, text, workload};

/// A process that hwm did not start; it does not outlive the test.
struct Other(Child);

impl Other {
    fn start(situation: &[&str]) -> Self {
        let mut command = Command::new(workload());
        command.args(situation).stdin(Stdio::piped()).stdout(Stdio::piped());
        Self(command.spawn().expect("it starts"))
    }

    fn pid(&self) -> String {
        self.0.id().to_string()
    }

    fn is_ready(&mut self) {
        let mut line = String::new();
        BufReader::new(self.0.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        assert_eq!(line.trim(), "ready");
    }

    /// Waits until it holds so much.
    fn reaches(&self, bytes: u64) {
        for _ in 0..600 {
            let memory = ProcessMemory::of(self.0.id()).expect("it lives");
            if memory.working_set_bytes.is_ok_and(|size| size > bytes) {
                return;
            }
            sleep(Duration::from_millis(50));
        }
        panic!("it never holds {bytes} bytes");
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn attach(json: &Path, pid: &str, options: &[&str]) -> Command {
    let mut command = Command::new(HWM);
    command.args(["attach", pid]).arg(format!("--json={}", json.display())).args(options);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn read(json: &Path) -> Record {
    Record::from_json(&std::fs::read(json).expect("a record")).expect("a record")
}

/// Windows gives a process that has no console yet one of its own, and with it a child: conhost.exe.
fn workloads(record: &Record) -> Vec<&Process> {
    let is_one = |exe: &str| exe.to_lowercase().ends_with("\\workload.exe");
    record.processes.iter().filter(|process| process.exe.as_deref().is_some_and(is_one)).collect()
}

#[test]
fn from_then_on_to_its_end() {
    let dir = tempfile::tempdir().expect("a directory");
    let json = dir.path().join("record.json");
    let other = Other::start(&["hold", "100", "5000", "7"]);
    other.reaches(100 * MIB);
    let output = attach(&json, &other.pid(), &[]).output().expect("hwm starts");
    let printed = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "it was measured: {printed}");
    let record = read(&json);
    let exit = record.exit.as_ref().expect("the handle reports it");
    assert_eq!((exit.code, exit.cause), (Some(7), ExitCause::Exited));
    assert_eq!((record.capture.lineage, workloads(&record).len()), (Lineage::Scan, 1));
    assert_eq!(record.capture.processes_seen, record.processes.len() as u64);
    assert_eq!(record.capture.processes_seen_is, Certainty::AtLeast);
    let attached = record.capture.attached.as_ref().expect("it was attached to");
    assert_eq!(attached.pid.to_string(), other.pid());
    assert!(attached.ran_for_seconds.is_some_and(|ran| ran > 0.0), "{attached:?}");
    assert!(attached.marks_bytes.is_some_and(|bytes| bytes > 100 * MIB), "{attached:?}");
    assert!(record.peak.rss.expect("read").bytes > 100 * MIB);
    let is_reported =
        record.capture.downgrades.iter().any(|downgrade| downgrade.wanted.contains("committed"));
    assert!(record.peak.commit.is_none() && is_reported, "{printed}");
    assert!(record.command[0].ends_with("workload.exe"), "{:?}", record.command);
}

#[test]
fn memory_from_before_is_no_peak() {
    let dir = tempfile::tempdir().expect("a directory");
    let json = dir.path().join("record.json");
    let mut other = Other::start(&["shrink", "150", "30"]);
    other.is_ready();
    let hwm = attach(&json, &other.pid(), &[]).spawn().expect("hwm starts");
    // It lives long enough to be attached to; then the test ends it.
    sleep(Duration::from_secs(4));
    other.0.kill().expect("it lives");
    let output = hwm.wait_with_output().expect("hwm ends");
    let (record, printed) = (read(&json), text(&output.stderr));
    let process = workloads(&record)[0];
    assert!(process.mark_before_bytes.is_some_and(|bytes| bytes > 150 * MIB), "{process:?}");
    let peak = process.peak.rss.expect("read");
    assert!((30 * MIB..120 * MIB).contains(&peak.bytes), "{peak:?}");
    assert_eq!(peak.certainty, Certainty::AtLeast, "it has not risen over its mark");
    assert!(process.peak.commit.is_none_or(|commit| commit.bytes < 120 * MIB), "{process:?}");
    assert!(record.peak.rss.expect("read").bytes < 120 * MIB, "{printed}");
    assert!(record.exit.is_some() && !process.still_running, "{printed}");
}

#[test]
fn descendants_born_before_and_later() {
    let dir = tempfile::tempdir().expect("a directory");
    let json = dir.path().join("record.json");
    let mut other = Other::start(&["later", "40", "3000"]);
    other.is_ready();
    let hwm = attach(&json, &other.pid(), &[]).spawn().expect("hwm starts");
    sleep(Duration::from_secs(3));
    other.0.stdin.take().expect("piped").write_all(b"go\n").expect("it reads");
    let output = hwm.wait_with_output().expect("hwm ends");
    let record = read(&json);
    let [_, child] = workloads(&record)[..] else { panic!("{record:?}: {}", text(&output.stderr)) };
    assert_eq!(child.ppid, other.0.id());
    assert!(child.start_seconds > 0.0 && child.mark_before_bytes.is_none());
    assert!(record.peak.rss.expect("read").bytes > 40 * MIB);

    // Two children, each with one of its own; the limit is exceeded, and only a warning is printed.
    let other = Other::start(&["tree", "30"]);
    other.reaches(MIB);
    sleep(Duration::from_secs(3));
    let options = ["--max-total-rss=50M", "--on-limit=kill"];
    let output = attach(&json, &other.pid(), &options).output().expect("hwm starts");
    let record = read(&json);
    assert_eq!(output.status.code(), Some(10), "{}", text(&output.stderr));
    let found = workloads(&record);
    assert_eq!((found.len(), record.capture.processes_still_running), (5, 0));
    let all = record.processes.len() as u64;
    assert_eq!(record.capture.attached.as_ref().map(|attached| attached.processes), Some(all));
    assert_eq!(record.exit.as_ref().map(|exit| exit.cause), Some(ExitCause::Limit));
    for process in found {
        // Its handle gives a code only after the end.
        assert!(process.exit.is_some_and(|exit| exit.code == Some(1)), "{process:?}");
    }
}

#[test]
fn a_limit_that_only_warns_ends_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let json = dir.path().join("record.json");
    let other = Other::start(&["hold", "60", "4000"]);
    other.reaches(60 * MIB);
    let output = attach(&json, &other.pid(), &["--max-total-rss=30M"]).output().expect("hwm starts");
    let printed = text(&output.stderr);
    assert!(printed.contains("over the limit of 30.0 MiB"), "{printed}");
    assert_eq!(read(&json).exit.and_then(|exit| exit.code), Some(0), "it ended by itself");
}

#[test]
fn killing_hwm_leaves_it_alone() {
    let mut other = Other::start(&["hold", "20", "60000"]);
    let mut hwm = Command::new(HWM).args(["attach", &other.pid()]).spawn().expect("hwm starts");
    sleep(Duration::from_secs(2));
    hwm.kill().expect("hwm lives");
    hwm.wait().expect("it ends");
    assert!(other.0.try_wait().expect("asked").is_none(), "it goes on");
}

#[test]
fn a_process_that_cannot_be_attached_to_is_reported() {
    let refused = |pid: &str, why: &str| {
        let output = hwm(&["attach", pid]);
        let printed = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{printed}");
        assert!(printed.contains(why) && printed.lines().count() == 1, "{printed}");
    };
    refused("2147483000", "no process with pid 2147483000");
    refused("4", "belongs to the kernel");
    let mut ended = Other::start(&["exit", "0"]);
    ended.0.wait().expect("it ends");
    refused(&ended.pid(), "it has exited");
    let limited = hwm(&["attach", &std::process::id().to_string(), "--max-total-pss=1G"]);
    assert!(
        text(&limited.stderr).contains("counts shared memory in each process"),
        "{}",
        text(&limited.stderr)
    );
}
