//! The cost of judging: `hwm compare --detect-leaks` of two made-up records. Each is of a job of one hour and
//! 10,000 processes, as large as the recorder makes them (2,000 columns, 2,000 series of processes). Asked:
//! less than a second.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::Result;
use serde_json::{Value, json};

use super::{Setup, measure};
use crate::{stats, table::ResultRow};

const PROCESSES: usize = 10_000;
const COMMANDS: usize = 500;
const COLUMNS: usize = 2_000;
const SERIES: usize = 2_000;
const SECONDS: f64 = 3600.0;
const MIB: u64 = 1 << 20;

pub(super) fn run(setup: &Setup) -> Result<Vec<ResultRow>> {
    let dir = tempfile::tempdir()?;
    let (base, candidate) = (dir.path().join("base.json"), dir.path().join("candidate.json"));
    // The candidate shrank: a regression would give an exit code other than success.
    fs::write(&base, record(900).to_string())?;
    fs::write(&candidate, record(400).to_string())?;
    let mut wall = Vec::new();
    for _ in 0..setup.pairs {
        let mut command = Command::new(&setup.hwm);
        command.arg("compare").args([&base, &candidate]).arg("--detect-leaks");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        wall.push(measure::run(&mut command)?.wall.as_secs_f64() * 1e3);
    }
    let size = |file: &Path| fs::metadata(file).map_or(0, |metadata| metadata.len() >> 10);
    let what = format!("hwm compare --detect-leaks, {PROCESSES} processes, 1 hour: wall time");
    let row = ResultRow::new(what, "ms", stats::mean(&wall));
    Ok(vec![row.at_most(1000.0).note(format!("two records of {} KiB", size(&base)))])
}

/// Makes a record with this total.
fn record(mib: u64) -> Value {
    let bytes = mib * MIB;
    let time = "2025-11-20T18:02:34Z";
    let processes: Vec<Value> = (0..PROCESSES)
        .map(|row| {
            let command = format!("tool-{}", row % COMMANDS);
            let start = row as f64 * SECONDS / PROCESSES as f64;
            json!({
                "pid": row + 100, "ppid": 99, "command": command, "comm": command, "exe": "/usr/bin/tool",
                "args": null, "max_rss_kib": 20_480 + row, "first_seen": time, "last_seen": time,
                "start_seconds": start, "end_seconds": start + 30.0, "still_running": false,
                "peak": {"rss": {"bytes": (20_480 + row) << 10, "source": "mark_sampled", "certainty": "at_least"},
                    "swap": null, "vram": null},
                "images": [], "exit": {"code": 0, "signal": null},
            })
        })
        .collect();
    let groups: Vec<Value> = (0..COMMANDS)
        .map(|group| {
            json!({"key": format!("tool-{group}"), "by": "command", "processes": PROCESSES / COMMANDS,
                "peak_bytes": (20 + group as u64) * MIB * mib / 400, "at_seconds": 1.0})
        })
        .collect();
    let series = |scope: &str, id: Option<usize>, first: usize, length: usize| {
        let bytes: Vec<u64> = (0..length).map(|column| (50 + column as u64 * 37 % 41) * MIB).collect();
        json!({"metric": "rss", "scope": scope, "id": id, "first": first, "bytes": bytes, "min": bytes,
            "max": bytes})
    };
    let mut all = vec![series("total", None, 0, COLUMNS)];
    // Most live for half a minute, as many cells as the recorder keeps; some for the whole hour.
    all.extend((0..SERIES).map(|id| match id {
        0..5 => series("process", Some(id), 0, COLUMNS),
        _ => series("process", Some(id), id * (COLUMNS - 16) / SERIES, 16),
    }));
    let seconds: Vec<f64> = (0..COLUMNS).map(|column| column as f64 * SECONDS / COLUMNS as f64).collect();
    json!({
        "schema": {"name": "highwater.record", "major": 1, "minor": 2},
        "complete": true,
        "tool": {"version": "0.1.0", "target": "x86_64-linux"},
        "host": {"name": null, "os": "linux", "kernel": null, "cpus": 2, "memory_bytes": null,
            "container_limit_bytes": null, "rank": null},
        "command": ["make"], "start_time": time, "end_time": time, "duration_seconds": SECONDS,
        "interval_ms": 50, "interval_mode": "adaptive", "samples": 72_000,
        "exit": {"code": 0, "signal": null, "signal_name": null, "cause": "exited"},
        "primary_metric": "rss", "max_total_rss_kib": bytes >> 10,
        "peak": {
            "rss": {"bytes": bytes, "lower_bytes": bytes, "upper_bytes": bytes + 10 * MIB,
                "lower_rigorous": true, "upper_rigorous": false, "slack_bytes": null, "certainty": "bounded",
                "at_seconds": 1.0, "between_seconds": null},
            "pss": null, "cgroup": null, "gpu": [],
        },
        "capture": {
            "lineage": "perf", "peaks": "marks", "lost_events": 0, "processes_seen": PROCESSES,
            "processes_seen_is": "exact", "processes_without_exact_peak": PROCESSES,
            "images_without_last_mark": 0, "processes_left_out": 0, "processes_still_running": 0,
            "downgrades": [], "overhead": null,
        },
        "processes": processes, "groups": groups, "limits": [], "findings": [],
        "timeline": {"seconds": seconds, "series": all},
    })
}
