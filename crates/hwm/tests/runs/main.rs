//! The work around runs: repeating them, keeping their records, calling a command afterwards.
#![cfg(target_os = "linux")]
#![allow(clippy::needless_raw_string_hashes)] // snapbox writes its snapshots with them

mod hook;
mod kept;
mod repeat;

use std::{fs, path::Path, process::Output};

use assert_cmd::Command;
use serde_json::Value;
use tempfile::TempDir;

/// A directory in which hwm is called, with a home of its own.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::cargo_bin("hwm").expect("built");
        command.current_dir(self.path()).env("COLUMNS", "100").env("HOME", self.path());
        command.env("XDG_DATA_HOME", self.path().join("data")).args(args);
        command
    }

    fn call(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("runs")
    }

    /// Returns both outputs of a call that exits with `code`.
    fn prints(&self, code: i32, args: &[&str]) -> (String, String) {
        let Output { status, stdout, stderr } = self.call(args);
        let [stdout, stderr] = [stdout, stderr].map(|text| String::from_utf8(text).expect("text"));
        assert_eq!(status.code(), Some(code), "{args:?}: {stderr}");
        (stdout, stderr)
    }

    /// Returns the one line of a call that exits with `code` and prints nothing else.
    fn complains(&self, code: i32, args: &[&str]) -> String {
        let (stdout, stderr) = self.prints(code, args);
        assert_eq!((stdout.as_str(), stderr.lines().count()), ("", 1), "{args:?}: {stderr}");
        stderr
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_str(&self.text(name)).expect("JSON")
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path()).expect("read");
        let mut names: Vec<_> =
            entries.map(|entry| entry.expect("read").file_name().into_string().expect("text")).collect();
        names.sort();
        names
    }
}
