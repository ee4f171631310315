//! Texts whose length a process chooses: hwm's own memory does not grow with them.
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
const MAX_HWM_RSS: u64 = 40 * MIB;
const VAST_ARGUMENTS_MIB: &str = "1024";

/// Another process with arguments of 1 GiB, ended with the value; `None` where the kernel refuses them.
struct Vast(Child);

impl Vast {
    fn start() -> Option<Self> {
        let mut command = Command::new(programs::workload().expect("built"));
        command.args(["vast-arguments", VAST_ARGUMENTS_MIB, "60000"]).stdout(Stdio::piped());
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
    assert!(peak < MAX_HWM_RSS, "{} MiB", peak / MIB);
}

#[test]
fn what_is_attached_to_is_recorded_up_to_a_bound() {
    let Some(vast) = Vast::start() else { return };
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("inner.json");
    let pid = vast.0.id().to_string();
    let to = format!("--json={}", json.display());
    // The job is ended for a limit at once.
    let args = ["attach", "-q", &to, "--max-total-rss=1K", "--on-limit=kill", &pid];
    let peak = peak_of_hwm(dir.path(), &args, 10);
    assert!(peak < MAX_HWM_RSS, "{} MiB", peak / MIB);
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
    let job = ["--", workload, "vast-arguments", VAST_ARGUMENTS_MIB, "100", "5"];
    for options in [&[][..], &["--lineage", "sampling"], &["--group-by", "cmdline-regex=(x+)"]] {
        let args = [&["run", "-q", &to], options, &job].concat();
        let peak = peak_of_hwm(dir.path(), &args, 0);
        assert!(peak < MAX_HWM_RSS, "{options:?}: {} MiB", peak / MIB);
    }
    let printed = record(&json)["capture"]["downgrades"].to_string();
    assert!(printed.contains("whole command lines"), "a pattern has not seen all of them: {printed}");
}

#[test]
fn long_names_are_cut() {
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("inner.json");
    let to = format!("--json={}", json.display());
    let workload = programs::workload().expect("built").to_str().unwrap();
    let args = ["run", "-q", &to, "--", workload, "long-names", "200", "120000", "1000"];
    let peak = peak_of_hwm(dir.path(), &args, 0);
    assert!(peak < MAX_HWM_RSS, "{} MiB", peak / MIB);
    assert!(fs::metadata(&json).unwrap().len() < 4 * MIB);
    let record = record(&json);
    let names = record["processes"].as_array().unwrap().iter().filter_map(|row| row["command"].as_str());
    assert_eq!(names.map(str::len).max(), Some(255));
}

/// Returns a record of `DENSE_RECORD_BYTES` bytes. At `path` it has a list of `units` times `unit` between `open` and
/// `close`, and then spaces.
fn dense_record(path: &str, [open, unit, close]: [&str; 3], units: usize) -> String {
    let mut record: Value = serde_json::from_str(include_str!("fixtures/record.json")).expect("the fixture");
    *record.pointer_mut(path).unwrap_or_else(|| panic!("{path}")) = "@".into();
    let text = record.to_string();
    let (before, after) = text.split_once("\"@\"").expect("it is there");
    let list = vec![unit; units].join(",");
    let mut text = [before, open, &list, close, after].concat();
    assert!(text.len() <= DENSE_RECORD_BYTES, "{path}: {}", text.len());
    text.extend(std::iter::repeat_n(' ', DENSE_RECORD_BYTES - text.len()));
    text
}

const DENSE_RECORD_BYTES: usize = 12 << 20;
/// The text, four times its length and 64 MiB for what is made of it, as much again for an output, and hwm itself.
const MAX_HWM_RSS_FOR_DENSE_RECORD: u64 = (12 + 2 * (4 * 12 + 64)) * MIB + MAX_HWM_RSS;

#[test]
fn memory_for_small_values_follows_the_length() {
    let dir = tempfile::tempdir().unwrap();
    let (file, good) = (dir.path().join("r.json"), dir.path().join("good.json"));
    fs::write(&good, include_str!("fixtures/record.json")).unwrap();
    let (file, good) = (file.to_str().unwrap(), good.to_str().unwrap());
    let in_finding = ["[{\"kind\":\"leak\",\"x\":[", "[0]", "]}]"];
    let in_series = ["{\"seconds\":[],\"series\":[[\"rss\",\"total\",null,0,[", "0", "],[],[]]]}"];
    let compare = &["compare", good, file][..];
    let trace = &["export", file, "--format", "chrome-trace", "-o", "/dev/null"][..];
    let profile = &["export", file, "--format", "firefox-profiler", "-o", "/dev/null"][..];
    let row = "[0,0,\"\",null,\"\",null,null,null,\"2025-11-20T18:02:34Z\",\"2025-11-20T18:02:34Z\",0,null,true,{},null,null,[],null]";
    for (path, list, units, call, code) in [
        // Too many small values for a text of this length: refused before any is read.
        ("/command", ["[", "\"\"", "]"], 4_000_000, compare, 2),
        ("/command", ["[", "\"a\"", "]"], 3_000_000, compare, 2),
        ("/findings", in_finding, 3_000_000, compare, 2),
        ("/capture/downgrades", ["[", "[\"a\",\"a\"]", "]"], 1_000_000, compare, 2),
        ("/timeline", in_series, 6_000_000, compare, 2),
        // The number that is read: more than a record may list, and fewer.
        ("/processes", ["[", row, "]"], 50_000, profile, 0),
        ("/groups", ["[", "[\"a\",\"command\",0,null,null]", "]"], 300_000, compare, 2),
        ("/groups", ["[", "[\"a\",\"command\",0,null,null]", "]"], 1 << 18, compare, 0),
        ("/command", ["[", "\"a\"", "]"], 1 << 20, compare, 0),
        ("/processes/0/images", ["[", "[\"a\",null]", "]"], 700_000, trace, 0),
    ] {
        fs::write(file, dense_record(path, list, units)).unwrap();
        let peak = peak_of_hwm(dir.path(), call, code);
        assert!(peak < MAX_HWM_RSS_FOR_DENSE_RECORD, "{path} of {units}: {} MiB", peak / MIB);
    }
}
