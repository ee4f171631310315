//! `hwm.exe` on real processes, run on Windows or under Wine. Wine keeps no peak of a Job Object and none of a process
//! that has ended, and counts no private bytes. What it shows as 0 must come out as unknown.
#![cfg(windows)]

mod attach;
mod doctor;
mod fakes;
mod jobs;
mod ps;
mod usage;

use std::{
    path::PathBuf,
    process::{Command, Output},
};

use highwater::record::Record;

const HWM: &str = env!("CARGO_BIN_EXE_hwm");
const MIB: u64 = 1 << 20;

/// Returns the path of `workload.exe`, which is built beside hwm.
fn workload() -> String {
    let path = PathBuf::from(HWM).with_file_name("workload.exe");
    assert!(path.exists(), "build it first: cargo build -p workload");
    path.to_str().expect("Unicode").to_owned()
}

fn hwm(args: &[&str]) -> Output {
    Command::new(HWM).args(args).output().expect("hwm starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs `hwm run OPTIONS -- COMMAND`; returns its output and the record.
fn run(options: &[&str], command: &[&str]) -> (Output, Record) {
    let dir = tempfile::tempdir().expect("a directory");
    let json = dir.path().join("record.json");
    let option = format!("--json={}", json.display());
    let args = [&["run", &option], options, &["--"], command].concat();
    let output = hwm(&args);
    let record = std::fs::read(&json).unwrap_or_else(|error| panic!("{error}: {}", text(&output.stderr)));
    (output, Record::from_json(&record).expect("a record"))
}
