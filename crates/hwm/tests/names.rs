//! The names of processes (`docs/names.md`), from their command lines to the outputs.
#![cfg(target_os = "linux")]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;

/// Waits until its sample is in the timeline, so that its command line was read.
const SCRIPT: &str = r#"until [ "$(cat "$1" 2>/dev/null | wc -l)" -ge 3 ]; do :; done"#;

/// Runs a script, called `build.sh`, whose argument is secret.
fn measured(directory: &Path, options: &[&str]) -> (Output, String) {
    fs::write(directory.join("build.sh"), SCRIPT).unwrap();
    let output = Command::new(assert_cmd::cargo::cargo_bin("hwm"))
        .current_dir(directory)
        .args(["run", "--json=record.json", "--timeline=timeline.csv"])
        .args(options)
        .args(["--", "sh", "build.sh", "timeline.csv", "--password=SECRET"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    (output, fs::read_to_string(directory.join("record.json")).unwrap())
}

fn first_process(record: &str) -> Value {
    serde_json::from_str::<Value>(record).unwrap()["processes"][0].take()
}

#[test]
fn a_script_is_named_in_record_groups_and_summary() {
    let directory = tempfile::tempdir().unwrap();
    let (output, record) = measured(directory.path(), &["-v", "--group-by", "name"]);
    let first = first_process(&record);
    assert_eq!((&first["command"], &first["name"]), (&"sh".into(), &"sh build.sh".into()));
    let record: Value = serde_json::from_str(&record).unwrap();
    let groups = record["groups"].as_array().unwrap();
    assert!(groups.iter().any(|group| group["by"] == "name" && group["key"] == "sh build.sh"), "{groups:?}");
    let summary = String::from_utf8(output.stderr).unwrap();
    assert!(summary.contains("Process groups by name"), "{summary}");
    // The first line is the command with all its arguments.
    let (_, rest) = summary.trim_start().split_once('\n').unwrap();
    assert!(rest.contains("sh build.sh") && !rest.contains("SECRET"), "{summary}");
}

#[test]
fn without_arguments_there_is_no_name_of_them() {
    let directory = tempfile::tempdir().unwrap();
    let (_, record) = measured(directory.path(), &["--no-args"]);
    let first = first_process(&record);
    assert_eq!((&first["command"], &first["name"]), (&"sh".into(), &Value::Null));
    assert!(!record.contains("build.sh") && !record.contains("SECRET"));
}
