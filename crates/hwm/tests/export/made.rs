//! Records made for these tests, and calls of hwm on them.

use std::{fs, path::Path};

use assert_cmd::Command;
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) const MIB: u64 = 1 << 20;

/// The highest total of [`record`] in its timeline. By the high-water marks the peak was higher.
pub(crate) const SAMPLED_PEAK_BYTES: u64 = 300 * MIB;
/// The peak of [`record`].
pub(crate) const PEAK_BYTES: u64 = 310 * MIB;

/// A name that would do harm in HTML, on a terminal and in CSV.
pub(crate) const HOSTILE_COMMAND: &str = "<script>alert(\"1\")</script>\u{1b}[31m,=1+1\u{202e}";

/// Returns a record with cases that formats get wrong: two processes with one pid, a hostile command, unknown figures.
/// It has a process that is still running, a device, and small processes that are counted together.
pub(crate) fn record() -> Value {
    let mib = |values: &[Option<u64>]| -> Vec<Option<u64>> {
        values.iter().map(|value| value.map(|mib| mib * MIB)).collect()
    };
    let series = |metric: &str, scope: &str, id: Option<u64>, first: u64, values: &[Option<u64>]| {
        json!({
            "metric": metric, "scope": scope, "id": id, "first": first, "bytes": mib(values), "min": mib(values),
            "max": mib(values),
        })
    };
    json!({
        "schema": {"name": "highwater.record", "major": 1, "minor": 3},
        "complete": true,
        "tool": {"version": "0.1.0", "target": "x86_64-linux"},
        "host": {
            "name": "build-7", "os": "linux", "kernel": "6.18.44", "cpus": 2, "memory_bytes": 25_277_444_096_u64,
            "container_limit_bytes": null, "rank": null,
        },
        "command": ["make", "-j2", HOSTILE_COMMAND],
        "start_time": "2025-11-20T18:02:34Z",
        "end_time": "2025-11-20T18:02:38Z",
        "duration_seconds": 4.0,
        "interval_ms": 1000,
        "interval_mode": "fixed",
        "samples": 4,
        "exit": {"code": 0, "signal": null, "signal_name": null, "cause": "exited"},
        "primary_metric": "rss",
        "max_total_rss_kib": PEAK_BYTES / 1024,
        "peak": {
            "rss": {
                "bytes": PEAK_BYTES, "lower_bytes": SAMPLED_PEAK_BYTES, "upper_bytes": PEAK_BYTES + 5 * MIB, "lower_rigorous": true,
                "upper_rigorous": false, "slack_bytes": null, "certainty": "bounded", "at_seconds": null,
                "between_seconds": [1.5, 2.0],
            },
            "pss": null,
            "cgroup": {"bytes": 290 * MIB, "certainty": "exact", "at_seconds": null},
            "gpu": [],
        },
        "capture": {
            "lineage": "perf", "peaks": "marks", "lost_events": 0, "processes_seen": 4,
            "processes_seen_is": "exact", "processes_without_exact_peak": 3, "images_without_last_mark": 3,
            "processes_left_out": 1, "processes_still_running": 1,
            "downgrades": [{"wanted": "PSS", "reason": "smaps_rollup cannot be read"}], "overhead": null,
        },
        "processes": [
            process(100, 1, "make", Some(20), 0.0, Some(3.5)),
            process(101, 100, HOSTILE_COMMAND, Some(280), 0.5, Some(2.0)),
            process(101, 100, "ld", None, 2.25, Some(3.25)),
            process(0, 100, "daemon", Some(1), 2.5, None),
        ],
        "groups": [],
        "limits": [{
            "of": "total_rss", "limit_bytes": 250 * MIB, "action": "warn",
            "exceeded": {
                "bytes": 300 * MIB, "highest_bytes": 300 * MIB, "at_seconds": 1.0, "pid": 101, "command": HOSTILE_COMMAND,
                "ended_by": null,
            },
        }],
        "findings": [],
        "timeline": {
            "seconds": [0.0, 1.0, 2.5, 3.0],
            "series": [
                series("rss", "total", None, 0, &[Some(10), Some(300), None, Some(21)]),
                series("rss", "process", Some(0), 0, &[Some(10), Some(20), None, Some(19)]),
                series("rss", "process", Some(1), 1, &[Some(280)]),
                series("rss", "process", Some(2), 2, &[None, Some(0)]),
                series("rss", "process", Some(3), 2, &[None, Some(1)]),
                series("rss", "other", None, 3, &[Some(1)]),
                series("vram", "device", Some(0), 1, &[Some(64), Some(64)]),
            ],
            "counters": [{
                "metric": "cpu_time", "unit": "microseconds", "scope": "total", "id": null, "first": 0,
                "values": [0, 900_000, null, 1_500_000],
            }],
        },
    })
}

pub(crate) fn process(
    pid: u32,
    parent: u32,
    command: &str,
    peak_mib: Option<u64>,
    start: f64,
    end: Option<f64>,
) -> Value {
    let peak =
        peak_mib.map(|mib| json!({"bytes": mib * MIB, "source": "mark_sampled", "certainty": "at_least"}));
    json!({
        "pid": pid, "ppid": parent, "command": command, "comm": "comm", "exe": null, "args": null,
        "max_rss_kib": peak_mib.map(|mib| mib * 1024), "first_seen": "2025-11-20T18:02:34Z",
        "last_seen": "2025-11-20T18:02:37Z", "start_seconds": start, "end_seconds": end,
        "still_running": end.is_none(), "peak": {"rss": peak, "swap": null, "vram": null}, "images": [],
        "exit": null,
    })
}

/// Returns a checkpoint: the job had not ended when it was written.
pub(crate) fn checkpoint() -> Value {
    let mut record = record();
    record["complete"] = json!(false);
    record["exit"] = Value::Null;
    record["timeline"] = Value::Null;
    record
}

/// Returns a record of a job without a sample, which took no time.
pub(crate) fn nothing() -> Value {
    let mut record = record();
    record["duration_seconds"] = json!(0.0);
    record["processes"] = json!([]);
    record["limits"] = json!([]);
    record["peak"] = json!({"rss": null, "pss": null, "cgroup": null, "gpu": []});
    record["max_total_rss_kib"] = Value::Null;
    record["timeline"] = json!({"seconds": [], "series": []});
    record
}

/// Returns a record of ten thousand processes one after the other, a second each.
pub(crate) fn crowd() -> Value {
    let mut record = record();
    let count = 10_000;
    let processes: Vec<Value> = (0..count)
        .map(|order| process(1000 + order, 1, "cc1", Some(7), f64::from(order), Some(f64::from(order) + 1.0)))
        .collect();
    let series: Vec<Value> = (0..count)
        .map(|order| {
            json!({
                "metric": "rss", "scope": "process", "id": order, "first": order, "bytes": [7 * MIB],
                "min": [7 * MIB], "max": [7 * MIB],
            })
        })
        .collect();
    record["duration_seconds"] = json!(f64::from(count));
    record["processes"] = json!(processes);
    record["timeline"] = json!({"seconds": (0..count).collect::<Vec<_>>(), "series": series});
    record
}

/// A directory with records, in which hwm is called.
pub(crate) struct Place(TempDir);

impl Place {
    pub(crate) fn with(name: &str, record: &Value) -> Self {
        let place = Self(tempfile::tempdir().expect("a directory"));
        place.put(name, &record.to_string());
        place
    }

    pub(crate) fn put(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).expect("written");
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::cargo_bin("hwm").expect("built");
        command.current_dir(self.path()).env("COLUMNS", "100").args(args);
        command
    }
}

/// Returns the export of a record in this format, from standard output.
pub(crate) fn export(record: &Value, format: &str) -> String {
    let place = Place::with("mem.json", record);
    let output = place.command(&["export", "mem.json", "--format", format]).output().expect("runs");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Returns everything by which a document violates a schema of this directory.
pub(crate) fn violations(schema: &str, document: &Value) -> Vec<String> {
    let schema: Value = serde_json::from_str(schema).expect("a schema is JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    validator.iter_errors(document).map(|error| format!("{}: {error}", error.instance_path())).collect()
}
