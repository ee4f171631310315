//! Texts whose length a process chooses: hwm's own memory does not follow them.
#![cfg(target_os = "linux")]

mod programs;

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::Value;

const MIB: u64 = 1 << 20;
/// hwm itself takes less than 16 MiB, a build without optimizations somewhat more.
const ENOUGH: u64 = 40 * MIB;
const VAST: &str = "1024";

/// Another process with arguments of 1 GiB, ended with the value; `None` where the kernel refuses them.
struct Vast(Child);

impl Vast {
    fn start() -> Option<Self> {
        let mut command = Command::new(programs::workload().expect("built"));
        command.args(["vast-arguments", VAST, "60000"]).stdout(Stdio::piped());
        let mut other = Self(command.spawn().expect("it starts"));
        let mut line = String::new();
        BufReader::new(other.0.stdout.take().expect("piped")).read_line(&mut line).expect("it speaks");
        if line == "ready\n" {
            return Some(other);
        }
        eprintln!("skipped: {line}");
        None
    }
}

impl Drop for Vast {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs hwm under another hwm, which measures it. Returns its peak.
fn peak_of_hwm(dir: &Path, args: &[&str], code: i32) -> u64 {
    let outer = dir.join("outer.json");
    let mut hwm = Command::new(programs::HWM);
    hwm.args(["run", "-q"])
        .arg(format!("--json={}", outer.display()))
        .arg("--")
        .arg(programs::HWM)
        .args(args);
    let output = hwm.output().expect("hwm starts");
    assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
    record(&outer)["processes"][0]["peak"]["rss"]["bytes"].as_u64().expect("known")
}

fn record(path: &PathBuf) -> Value {
    serde_json::from_slice(&fs::read(path).expect("written")).expect("a record")
}

#[test]
fn a_list_of_processes_does_not_follow_their_arguments() {
    let Some(_vast) = Vast::start() else { return };
    let dir = tempfile::tempdir().unwrap();
    let peak = peak_of_hwm(dir.path(), &["ps", "--all", "--no-wait", "--json"], 0);
    assert!(peak < ENOUGH, "{} MiB", peak / MIB);
}

#[test]
fn what_is_attached_to_is_recorded_up_to_a_bound() {
    let Some(vast) = Vast::start() else { return };
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("inner.json");
    let pid = vast.0.id().to_string();
    let to = format!("--json={}", json.display());
    // It is ended for a limit at once.
    let args = ["attach", "-q", &to, "--max-total-rss=1K", "--on-limit=kill", &pid];
    let peak = peak_of_hwm(dir.path(), &args, 10);
    assert!(peak < ENOUGH, "{} MiB", peak / MIB);
    let record = record(&json);
    assert!(record["command"].as_array().unwrap().len() <= 1 << 16);
    assert!(record["capture"]["downgrades"].to_string().contains("the whole command line"), "{record}");
}

#[test]
fn a_job_does_not_make_its_measurement_large() {
    if Vast::start().is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("inner.json");
    let to = format!("--json={}", json.display());
    let workload = programs::workload().expect("built").to_str().unwrap();
    let job = ["--", workload, "vast-arguments", VAST, "100", "5"];
    for options in [&[][..], &["--lineage", "sampling"], &["--group-by", "cmdline-regex=(x+)"]] {
        let args = [&["run", "-q", &to], options, &job].concat();
        let peak = peak_of_hwm(dir.path(), &args, 0);
        assert!(peak < ENOUGH, "{options:?}: {} MiB", peak / MIB);
    }
    let said = record(&json)["capture"]["downgrades"].to_string();
    assert!(said.contains("whole command lines"), "a pattern has not seen all of them: {said}");
}

#[test]
fn long_names_are_cut() {
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("inner.json");
    let to = format!("--json={}", json.display());
    let workload = programs::workload().expect("built").to_str().unwrap();
    let args = ["run", "-q", &to, "--", workload, "long-names", "200", "120000", "1000"];
    let peak = peak_of_hwm(dir.path(), &args, 0);
    assert!(peak < ENOUGH, "{} MiB", peak / MIB);
    assert!(fs::metadata(&json).unwrap().len() < 4 * MIB);
    let record = record(&json);
    let names = record["processes"].as_array().unwrap().iter().filter_map(|row| row["command"].as_str());
    assert_eq!(names.map(str::len).max(), Some(255));
}
