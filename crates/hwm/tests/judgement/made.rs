//! Records made for these tests, and calls of hwm in a directory that holds them.

use std::{fs, path::Path, process::Output};

use assert_cmd::Command;
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) const MIB: u64 = 1 << 20;

/// Returns a record of `make all` with this total, exact.
pub(crate) fn record(total_mib: u64) -> Value {
    let bytes = total_mib * MIB;
    json!({
        "schema": {"name": "highwater.record", "major": 1, "minor": 2},
        "complete": true,
        "tool": {"version": "0.1.0", "target": "x86_64-linux"},
        "host": {
            "name": "build-7", "os": "linux", "kernel": "6.18.44", "cpus": 2, "memory_bytes": 25_277_444_096_u64,
            "container_limit_bytes": 512 * MIB, "rank": null,
        },
        "command": ["make", "all"],
        "start_time": "2025-11-20T18:02:34Z",
        "end_time": "2025-11-20T18:02:37Z",
        "duration_seconds": 3.25,
        "interval_ms": 17,
        "interval_mode": "adaptive",
        "samples": 190,
        "exit": {"code": 0, "signal": null, "signal_name": null, "cause": "exited"},
        "primary_metric": "rss",
        "max_total_rss_kib": bytes / 1024,
        "peak": {
            "rss": {
                "bytes": bytes, "lower_bytes": bytes, "upper_bytes": bytes, "lower_rigorous": true,
                "upper_rigorous": true, "slack_bytes": null, "certainty": "exact", "at_seconds": 1.5,
                "between_seconds": null,
            },
            "pss": null, "cgroup": null, "gpu": [],
        },
        "capture": {
            "lineage": "perf", "peaks": "exit_notify", "lost_events": 0, "processes_seen": 2,
            "processes_seen_is": "exact", "processes_without_exact_peak": 0, "images_without_last_mark": 0,
            "processes_left_out": 0, "processes_still_running": 0, "downgrades": [], "overhead": null,
        },
        "processes": [],
        "groups": [
            {"key": "cc1", "by": "command", "processes": 7, "peak_bytes": bytes / 2, "at_seconds": 1.5},
            {"key": "make", "by": "command", "processes": 1, "peak_bytes": 2 * MIB, "at_seconds": 0.5},
        ],
        "limits": [],
        "findings": [],
        "timeline": {"seconds": [], "series": []},
    })
}

/// Returns a record of `make all` with a total that was not measured.
pub(crate) fn unknown() -> Value {
    let mut record = record(1);
    record["peak"]["rss"] = Value::Null;
    record["max_total_rss_kib"] = Value::Null;
    record
}

/// Returns a record of `make all` with a total that leaks a MiB a second, for 200 s.
pub(crate) fn leaky() -> Value {
    let mut record = record(300);
    let seconds: Vec<u64> = (0..200).collect();
    let bytes: Vec<u64> = seconds.iter().map(|second| (100 + second) * MIB).collect();
    let series = json!({
        "metric": "rss", "scope": "total", "id": null, "first": 0, "bytes": bytes, "min": bytes, "max": bytes,
    });
    record["timeline"] = json!({"seconds": seconds, "series": [series]});
    record
}

/// A directory with records, in which hwm is called.
pub(crate) struct Place(TempDir);

impl Place {
    pub(crate) fn with(records: &[(&str, Value)]) -> Self {
        let place = Self(tempfile::tempdir().expect("a directory"));
        for (name, record) in records {
            place.put(name, &record.to_string());
        }
        place
    }

    pub(crate) fn put(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).expect("written");
    }

    pub(crate) fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Returns a call as on a machine without a CI.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::cargo_bin("hwm").expect("built");
        command.current_dir(self.path()).env("COLUMNS", "100").args(args);
        for name in ["GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT"] {
            command.env_remove(name);
        }
        command
    }

    pub(crate) fn call(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("runs")
    }

    /// Returns the standard output of a call that exits with `code`.
    pub(crate) fn prints(&self, code: i32, args: &[&str]) -> String {
        let output = self.call(args);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{errors}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// Returns the standard error, one line, of a call that exits with `code` and prints nothing else.
    pub(crate) fn complains(&self, code: i32, args: &[&str]) -> String {
        let output = self.call(args);
        let text = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert_eq!(output.stdout, b"", "{text}");
        assert_eq!(text.lines().count(), 1, "{text}");
        text
    }
}
