//! The job's code passes through; failures of hwm itself have codes of their own.

use std::{fs, os::unix::fs::PermissionsExt, process::Command};

use crate::{hwm, output, stderr};

fn code_of(script: &str) -> Option<i32> {
    output(&mut hwm(&["-q"], script)).status.code()
}

#[test]
fn the_jobs_own_code() {
    assert_eq!(code_of("exit 0"), Some(0));
    assert_eq!(code_of("exit 3"), Some(3));
    assert_eq!(code_of("exit 255"), Some(255));
}

#[test]
fn a_signal_is_128_and_its_number() {
    assert_eq!(code_of("kill -KILL $$"), Some(137));
    assert_eq!(code_of("ulimit -c 0; kill -SEGV $$"), Some(139));
    assert_eq!(code_of("kill -TERM $$"), Some(143));
}

fn start(program: &str) -> (Option<i32>, String) {
    let output = output(Command::new(env!("CARGO_BIN_EXE_hwm")).args(["run", "--", program]));
    (output.status.code(), stderr(&output))
}

#[test]
fn not_found_and_not_executable() {
    let (code, printed) = start("no-such-program-anywhere");
    assert_eq!(code, Some(127), "{printed}");
    assert!(printed.contains("no-such-program-anywhere"), "{printed}");

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("plain");
    fs::write(&file, "not a program").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let (code, printed) = start(file.to_str().unwrap());
    assert_eq!(code, Some(126), "{printed}");
    let (code, printed) = start(dir.path().to_str().unwrap());
    assert_eq!(code, Some(126), "a directory: {printed}");
}

#[test]
fn bad_usage_is_125_and_starts_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let started = dir.path().join("started");
    let script = format!(": > {}", started.display());
    let nowhere = dir.path().join("no/such/dir/file");
    let (nowhere, directory) = (nowhere.to_str().unwrap(), dir.path().to_str().unwrap());
    let json = format!("--json={nowhere}");
    let bad: [&[&str]; 8] = [
        &["--interval", "0"],
        &["--interval", "abc"],
        &["--no-such-option"],
        &["--include", "("],
        &["--csv", nowhere],
        &["--timeline", nowhere],
        &[json.as_str()],
        &["--csv", directory],
    ];
    for options in bad {
        let output = output(&mut hwm(options, &script));
        let printed = stderr(&output);
        assert_eq!(output.status.code(), Some(125), "{options:?}: {printed}");
        assert!(!printed.trim().is_empty(), "{options:?} prints nothing");
        assert!(!printed.contains("panicked"), "{options:?}: {printed}");
        assert!(!started.exists(), "{options:?} started the job");
    }
    for command in [&["run"][..], &["run", "--"], &["run", "--", ""]] {
        let output = output(Command::new(env!("CARGO_BIN_EXE_hwm")).args(command));
        assert_eq!(output.status.code(), Some(125), "{command:?}: {}", stderr(&output));
    }
}
