//! The files that `hwm run` writes.
#![cfg(target_os = "linux")]

use std::{
    fs,
    process::{Command, Output, Stdio},
};

use assert_cmd::cargo::CommandCargoExt;
use highwater::record::Record;

fn hwm(args: &[&str]) -> Command {
    let mut command = Command::cargo_bin("hwm").expect("built");
    command.arg("run").args(args);
    command
}

fn output(args: &[&str]) -> Output {
    hwm(args).output().expect("runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_forgotten_equals_sign_is_pointed_out() {
    let output = output(&["--json", "out.json", "true"]);
    assert_eq!(output.status.code(), Some(127));
    assert!(text(&output.stderr).contains("--json=out.json"));
}

#[test]
fn all_files_at_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = |name: &str| dir.path().join(name);
    let json = format!("--json={}", file("a.json").display());
    let (csv, timeline) = (file("a.csv"), file("a.time"));
    let paths = [csv.to_str().expect("text"), timeline.to_str().expect("text")];
    let args = ["-q", &json, "--csv", paths[0], "--timeline", paths[1], "-i", "20", "--", "sleep", "0.2"];
    assert_eq!(output(&args).status.code(), Some(0));
    let record = Record::from_json(&fs::read(file("a.json")).expect("written")).expect("a record");
    assert!(record.complete);
    let csv = fs::read_to_string(csv).expect("written");
    assert_eq!(csv.lines().count(), 1 + record.processes.len());
    let timeline = fs::read_to_string(timeline).expect("written");
    assert!(timeline.lines().count() > 2, "{timeline}");
    assert!(
        timeline.starts_with("timestamp,elapsed_seconds,total_rss_kib,total_rss_mib,process_count,"),
        "{timeline}"
    );
    let mut fields = timeline.lines().map(|line| line.split(',').count());
    let columns = fields.next();
    assert!(fields.all(|fields| Some(fields) == columns), "{timeline}");
    let kept: Vec<_> = fs::read_dir(dir.path()).expect("listed").collect();
    assert_eq!(kept.len(), 3, "no temporary file stays: {kept:?}");
}

#[test]
fn a_pipe_without_a_reader_stops_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let pipe = dir.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("runs").success());
    let name = pipe.to_str().expect("text");
    let output = output(&["-q", "--timeline", name, "--", "sh", "-c", "sleep 0.1; exit 3"]);
    let printed = text(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{printed}");
    assert!(printed.contains("no program has opened this pipe"), "{printed}");
}

#[test]
fn a_typo_leaves_the_last_good_files_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    let (json, timeline) = (dir.path().join("a.json"), dir.path().join("a.csv"));
    for file in [&json, &timeline] {
        fs::write(file, "good").expect("written");
    }
    let option = format!("--json={}", json.display());
    let name = timeline.to_str().expect("text");
    let typo = [&option, "--timeline", name, "--", "no-such-command-here"];
    assert_eq!(output(&typo).status.code(), Some(127));
    assert_eq!(fs::read_to_string(json).expect("read"), "good");
    assert_eq!(fs::read_to_string(timeline).expect("read"), "good");
}

#[test]
fn closed_pipes_are_no_reason_to_panic() {
    for option in ["--json", "--top=3"] {
        let mut child = hwm(&[option, "--", "sh", "-c", "sleep 0.2; exit 8"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("runs");
        drop((child.stdout.take(), child.stderr.take()));
        assert_eq!(child.wait().expect("ends").code(), Some(8), "{option}");
    }
}
