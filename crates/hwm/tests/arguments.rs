//! `--no-args`: what stands in arguments is in nothing that hwm writes.
#![cfg(target_os = "linux")]

use std::{
    fs,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

/// The built hwm.
const HWM: &str = env!("CARGO_BIN_EXE_hwm");
/// A secret that stands in arguments of the job and of its children only.
const SECRET: &str = "hunter2";

/// A shell with a secret in its script and among its arguments, and a child with one.
const JOB: [&str; 4] =
    ["sh", "-c", "sh -c 'sleep 0.1' child-hunter2; true password=hunter2", "--token=hunter2"];

fn hwm(dir: &Path, args: &[&str]) -> Output {
    let mut hwm = Command::new(HWM);
    hwm.current_dir(dir).env("XDG_DATA_HOME", dir.join("kept")).args(args);
    hwm.env_remove("GITHUB_OUTPUT").env_remove("GITHUB_STEP_SUMMARY").output().expect("hwm starts")
}

/// Files below `dir` that hold the secret.
fn files_with_secret(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files_with_secret(&path));
        } else if holds_secret(&fs::read(&path).expect("readable")) {
            found.push(path.display().to_string());
        }
    }
    found
}

fn holds_secret(bytes: &[u8]) -> bool {
    bytes.windows(SECRET.len()).any(|part| part == SECRET.as_bytes())
}

fn reveals_nothing(dir: &TempDir, args: &[&str]) {
    let Output { status, stdout, stderr } = hwm(dir.path(), args);
    let printed = String::from_utf8_lossy(&stderr);
    assert!(status.success(), "{args:?}: {printed}");
    assert!(!holds_secret(&stdout), "{args:?}: {}", String::from_utf8_lossy(&stdout));
    assert!(!holds_secret(&stderr), "{args:?}: {printed}");
    assert_eq!(files_with_secret(dir.path()), Vec::<String>::new(), "{args:?}");
}

fn record(dir: &TempDir) -> Value {
    serde_json::from_slice(&fs::read(dir.path().join("r.json")).expect("written")).expect("a record")
}

const OUTPUTS: [&str; 6] = [
    "--json=r.json",
    "--csv=rows.csv",
    "--group-csv=groups.csv",
    "--timeline=time.csv",
    "--save=it",
    "--tree",
];

#[test]
fn arguments_are_in_nothing_that_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let plain = hwm(dir.path(), &[&["run", "--json=r.json", "--"], &JOB[..]].concat());
    assert!(plain.status.success() && holds_secret(&plain.stderr), "the summary shows the command");
    assert_eq!(files_with_secret(dir.path()).len(), 1, "so does the record");
    assert_eq!(record(&dir).get("arguments_left_out"), None);

    let hook = ["--post-run-cmd", "env > env.txt; cat \"$HWM_RECORD\" > hook.json"];
    for more in [&[][..], &["--lineage", "sampling", "-i", "5"], &["--exact"], &["--max-total-rss", "8G"]] {
        let args = [&["run", "--no-args", "--live=10ms"], &OUTPUTS[..], &hook, more, &["--"], &JOB].concat();
        reveals_nothing(&dir, &args);
        let record = record(&dir);
        assert_eq!(record["command"], serde_json::json!(["sh"]), "{more:?}");
        assert_eq!(record["arguments_left_out"], true, "{more:?}");
        let rows = record["processes"].as_array().expect("rows");
        assert!(rows.iter().all(|row| row["command"] == row["comm"]), "{more:?}: {rows:?}");
        assert!(rows.iter().any(|row| row["command"] == "sleep"), "{more:?}: {rows:?}");
    }
    // A text made of such a record notes that the command is incomplete.
    let view = hwm(dir.path(), &["view", "r.json"]);
    assert!(String::from_utf8_lossy(&view.stdout).contains("sh (arguments left out)"), "{view:?}");
    for format in ["csv", "chrome-trace", "firefox-profiler"] {
        reveals_nothing(&dir, &["export", "r.json", "--format", format, "-o", "export"]);
    }
    reveals_nothing(&dir, &["list"]);
    reveals_nothing(&dir, &["compare", "r.json", "@last", "--max-increase", "1000%"]);
}

#[test]
fn a_check_leaves_arguments_out_of_its_outputs() {
    let dir = tempfile::tempdir().unwrap();
    let outputs = [
        "--json=r.json",
        "--baseline=base.json",
        "--update-baseline",
        "--junit=junit.xml",
        "--markdown=report.md",
        "--env-file=env",
        "--benchmark-json=bench.json",
        "--run-option=--no-args",
        "--",
    ];
    reveals_nothing(&dir, &[&["ci-check"], &outputs[..], &JOB].concat());
    assert_eq!(record(&dir)["arguments_left_out"], true);
    assert!(dir.path().join("base.json").exists(), "the baseline was kept");
}

/// A process that bears a secret as its first argument, too, ended with the value.
struct Bearer(Child);

impl Bearer {
    fn start() -> Self {
        let mut sleep = Command::new("sleep");
        sleep.arg0(SECRET).arg("600").stdout(Stdio::null());
        Self(sleep.spawn().expect("it starts"))
    }
}

impl Drop for Bearer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_arguments_of_what_is_attached_to_are_left_out() {
    let bearer = Bearer::start();
    let pid = bearer.0.id().to_string();
    let dir = tempfile::tempdir().unwrap();
    // The job is ended for a limit at once.
    let ends = ["--max-total-rss=1K", "--on-limit=kill"];
    let args = [&["attach", "--no-args"], &OUTPUTS[..], &ends, &[&pid]].concat();
    let output = hwm(dir.path(), &args);
    assert_eq!(output.status.code(), Some(10), "{output:?}");
    assert!(!holds_secret(&output.stdout) && !holds_secret(&output.stderr), "{output:?}");
    assert_eq!(files_with_secret(dir.path()), Vec::<String>::new());
    let record = record(&dir);
    assert_eq!(
        (&record["command"], &record["arguments_left_out"]),
        (&serde_json::json!(["sleep"]), &true.into())
    );
}

#[test]
fn what_a_pattern_finds_in_arguments_is_not_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let args = ["run", "--no-args", "--group-by", "cmdline-regex=(.*)", "--", "true"];
    let output = hwm(dir.path(), &args);
    assert_eq!(output.status.code(), Some(125), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("give one of the two"), "{output:?}");
}
