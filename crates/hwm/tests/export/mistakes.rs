//! Mistakes of users, and records that cannot be read: one clear line, and nothing lost.

use std::process::{Command, Stdio};

use serde_json::json;
use snapbox::{assert_data_eq, str};

use crate::made::{Place, checkpoint, record};

/// Returns exit code and standard error.
fn complaint(place: &Place, args: &[&str]) -> String {
    let output = place.command(args).output().expect("runs");
    let code = output.status.code().map_or("none".to_owned(), |code| code.to_string());
    format!(
        "{}{}exit code {code}\n",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn place() -> Place {
    let place = Place::with("mem.json", &record());
    let text = record().to_string();
    place.put("short.json", &text[..900]);
    place.put("empty.json", "");
    place.put("other.json", "{\"name\": \"something\"}");
    place.put(
        "newer.json",
        &json!({"schema": {"name": "highwater.record", "major": 2, "minor": 0}}).to_string(),
    );
    place
}

#[test]
fn a_reader_that_stops_early_is_no_failure() {
    let place = place();
    for format in ["csv", "chrome-trace", "firefox-profiler"] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output = Command::new(env!("CARGO_BIN_EXE_hwm"))
            .args(["export", "mem.json", "--format", format])
            .current_dir(place.path())
            .stdout(writer)
            .stderr(Stdio::piped())
            .output()
            .expect("runs");
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), &*message), (Some(0), ""), "{format}");
    }
}

#[test]
fn records_that_cannot_be_read() {
    let place = place();
    let all: String = ["short.json", "empty.json", "other.json", "newer.json", "none.json", "."]
        .iter()
        .map(|file| complaint(&place, &["export", file, "--format", "csv"]))
        .collect();
    assert_data_eq!(
        all,
        str![[r#"
hwm: short.json: not a complete JSON document: EOF while parsing an object at line 1 column 900; was it cut short, or is it no output of hwm run --json?
exit code 1
hwm: empty.json: not a complete JSON document: EOF while parsing a value at line 1 column 0; was it cut short, or is it no output of hwm run --json?
exit code 1
hwm: other.json: not a highwater record: it has no field `schema`
exit code 1
hwm: newer.json: the record has schema version 2.0; this highwater reads up to major 1: use a newer one
exit code 1
hwm: none.json: No such file or directory (os error 2)
exit code 1
hwm: .: Is a directory (os error 21)
exit code 1

"#]]
    );
}

#[test]
fn outputs_that_cannot_be_written() {
    let place = place();
    let all: String = [
        &["export", "mem.json"][..],
        &["export", "mem.json", "--format", "xml"],
        &["export", "mem.json", "--format", "parquet"],
        &["export", "mem.json", "--format", "parquet", "-o", "-"],
        &["export", "mem.json", "--format", "csv", "-o", "no/such"],
        &["export", "mem.json", "--format", "csv", "-o", "."],
        &["export", "mem.json", "--format", "csv", "-o", "mem.json"],
    ]
    .iter()
    .map(|args| complaint(&place, args))
    .collect();
    assert_data_eq!(
        all,
        str![[r#"
hwm: the following required arguments were not provided: --format <FORMAT> (see hwm export --help)
exit code 2
hwm: invalid value 'xml' for '--format <FORMAT>'; [possible values: chrome-trace, firefox-profiler, csv, parquet] (see hwm export --help)
exit code 2
hwm: the tables are three files: name a directory for them, as in -o mem.parquet
exit code 2
hwm: the tables are three files: name a directory for them, as in -o mem.parquet
exit code 2
hwm: --output no/such: the directory no cannot be used; create it first: No such file or directory (os error 2)
exit code 1
hwm: --output .: . is a directory; name a file in it
exit code 1
hwm: --output mem.json: this is the record itself
exit code 2

"#]]
    );
    let text = std::fs::read_to_string(place.path().join("mem.json")).expect("still there");
    assert_eq!(text, record().to_string());
}

#[test]
fn a_checkpoint_is_reported_as_one() {
    let place = Place::with("mem.json", &checkpoint());
    assert_data_eq!(
        complaint(&place, &["export", "mem.json", "--format", "csv"]),
        str![[r#"
elapsed_seconds,metric,unit,scope,process,device,pid,command,value,min,max
hwm: warning: mem.json has no memory over time: its job had not ended when it was written
exit code 0

"#]]
    );
}

#[test]
fn standard_input_is_read() {
    let place = place();
    let mut command = place.command(&["export", "-", "--format", "csv", "-o", "mem.csv"]);
    let output = command.write_stdin(record().to_string()).output().expect("runs");
    assert_eq!(output.status.code(), Some(0));
    assert!(place.path().join("mem.csv").is_file());
    let failed = place.command(&["export", "-", "--format", "csv"]).write_stdin("{").output().expect("runs");
    let error = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert!(error.starts_with("hwm: standard input: not a complete JSON document"), "{error}");
    assert_eq!(failed.status.code(), Some(1));
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_fails_and_a_reader_that_stops_early_does_not() {
    let place = place();
    let full = complaint(&place, &["export", "mem.json", "--format", "csv", "-o", "/dev/full"]);
    assert_data_eq!(
        full,
        str![[r#"
hwm: /dev/full: No space left on device (os error 28)
exit code 1

"#]]
    );
    let hwm = assert_cmd::cargo::cargo_bin("hwm");
    let script = format!(
        "{} export mem.json --format chrome-trace | head -c 1; echo \" ${{PIPESTATUS[0]}}\"",
        hwm.display()
    );
    let output = std::process::Command::new("bash").current_dir(place.path()).args(["-c", &script]).output();
    assert_eq!(String::from_utf8_lossy(&output.expect("runs").stdout), "{ 0\n");
}
