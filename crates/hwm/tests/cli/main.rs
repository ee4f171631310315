//! The output and the exit codes of the built command, without a job.
#![allow(clippy::needless_raw_string_hashes)] // snapbox writes its snapshots with them

mod help;
mod help_of_views;
mod mistakes;

use std::{fs, process::Output};

use assert_cmd::Command;

fn hwm(args: &[&str]) -> Output {
    // Help is wrapped to the terminal's width.
    Command::cargo_bin("hwm").expect("built").env("COLUMNS", "100").args(args).output().expect("runs")
}

fn stdout(args: &[&str]) -> String {
    let output = hwm(args);
    assert_eq!(output.status.code(), Some(0));
    String::from_utf8(output.stdout).expect("text")
}

/// Returns the standard error of a call that must fail with `code`, in one line.
fn complaint(code: i32, args: &[&str]) -> String {
    let output = hwm(args);
    let text = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert_eq!(output.stdout, b"", "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

#[test]
fn version_is_one_line() {
    let text = stdout(&["--version"]);
    assert_eq!(text, stdout(&["-V"]));
    assert_eq!(text.lines().count(), 1);
    assert!(text.starts_with(concat!("hwm ", env!("CARGO_PKG_VERSION"), " (")), "{text}");
    assert!(text.contains("built 20") && text.contains(std::env::consts::ARCH), "{text}");
}

#[test]
fn completions_for_each_shell() {
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let script = stdout(&["completions", shell]);
        assert!(script.contains("timeline"), "{shell}");
    }
}

#[test]
fn pages_and_completions_for_packagers() {
    let dir = tempfile::tempdir().expect("a directory");
    let name = dir.path().to_str().expect("text");
    stdout(&["man", "--dir", name]);
    stdout(&["completions", "--dir", name]);
    for file in [
        "hwm.1",
        "hwm-run.1",
        "hwm-ps.1",
        "hwm-watch.1",
        "hwm-fits.1",
        "hwm-man.1",
        "hwm.bash",
        "_hwm",
        "hwm.fish",
        "_hwm.ps1",
    ] {
        assert!(dir.path().join(file).is_file(), "{file}");
    }
    let page = fs::read_to_string(dir.path().join("hwm-run.1")).expect("read");
    assert!(page.contains("\\-\\-timeline"), "{page}");
    assert!(page.contains("{n} in the names") && !page.contains('\x1b'), "{page}");
}

#[test]
fn main_page_is_printed() {
    assert!(stdout(&["man"]).contains(".TH hwm 1"));
}
