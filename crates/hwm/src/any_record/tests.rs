use serde_json::{Value, json};

use super::*;

/// Returns a record in which every optional part is there.
fn full() -> Value {
    let mut record: Value =
        serde_json::from_str(include_str!("../../tests/fixtures/record.json")).expect("the fixture");
    let figure = json!({"bytes": 4096, "certainty": "at_least", "at_seconds": 1.5});
    let on_gpu =
        json!({"bytes": 4096, "lower_bytes": 1024, "certainty": "exact", "scope": "job", "at_seconds": 1.5});
    for name in ["pss", "cgroup", "commit", "swap"] {
        record["peak"][name] = figure.clone();
    }
    record["max_total_rss_kib"] = json!(4);
    record["peak"]["rss"] = json!({
        "bytes": 4096, "lower_bytes": 1024, "upper_bytes": 8192, "lower_rigorous": true, "upper_rigorous": false,
        "slack_bytes": 64, "certainty": "bounded", "at_seconds": null, "between_seconds": [1.5, 1.75],
    });
    record["peak"]["gpu"] = json!([{
        "index": 0, "name": "H200", "id": "0000:01:00.0", "total_bytes": 8192, "vram": on_gpu, "gtt": on_gpu,
        "processes": 2, "processes_unknown": 1, "other_users": 1, "source": "nvml",
    }]);
    record["capture"]["attached"] =
        json!({"pid": 7, "ran_for_seconds": 60.5, "processes": 2, "marks_bytes": 4096});
    record["oom"] = json!({
        "in_job": 1, "around": 2, "around_is": "machine",
        "victims": [{"pid": 7, "command": "victim", "evidence": "possible"}],
    });
    let usage = json!({
        "cpu": {"user_seconds": 1.5, "system_seconds": 0.5, "mean_processors": 1.0, "source": "waited", "certainty": "exact"},
        "io": {"read_bytes": 1, "written_bytes": 2, "storage_read_bytes": 3, "storage_written_bytes": 4,
            "source": "taskstats", "certainty": "at_least"},
        "faults": {"minor": 5, "major": 6, "total": 11, "source": "waited", "certainty": "exact"},
        "pressure": {"of": "job", "some_seconds": 0.5, "full_seconds": 0.25},
    });
    record["usage"] = usage.clone();
    record["processes"][0]["usage"] = usage;
    record["limits"] = json!([{
        "of": "total_rss", "limit_bytes": 2048, "action": "kill",
        "exceeded": {"bytes": 4096, "highest_bytes": 8192, "at_seconds": 1.5, "pid": 7, "command": "culprit", "ended_by": "SIGKILL"},
    }]);
    record["findings"] = json!([{
        "kind": "leak", "scope": "process", "metric": "rss", "id": 1, "pid": 7, "command": "leaky",
        "bytes_per_minute": 4096, "began_seconds": 0.5, "until_seconds": 2.5, "from_bytes": 1024, "to_bytes": 4096,
        "sureness": "clear",
    }]);
    record["leak_search"] = json!({
        "min_growth_percent": 50.0, "min_duration_seconds": 60.0, "floor_bytes": 1024, "judged": 3, "too_short": 1,
        "total_judged": true,
    });
    let group = |by: &str, key: &str, id: Option<u64>, parent: Option<u64>| json!({"key": key, "by": by, "processes": 1, "peak_bytes": 1024, "at_seconds": 0.5, "id": id, "parent": parent});
    record["groups"] = json!([
        group("command", "rustc", None, None),
        group("exe", "/bin/rustc", None, None),
        group("ppid", "1", None, None),
        group("command_line", "x", None, None),
        group("tree", "cargo", Some(0), None),
        group("tree", "rustc", Some(1), Some(0)),
    ]);
    let line = |scope: &str, id: Option<u64>, first: usize, bytes: Value| json!({"metric": "rss", "scope": scope, "id": id, "first": first, "bytes": bytes, "min": bytes, "max": bytes});
    let seconds: Vec<f64> = (0..20).map(f64::from).collect();
    let rising: Vec<u64> = (0..20).map(|at| 64 * at * 1024 * 1024).collect();
    record["timeline"] = json!({
        "seconds": seconds,
        "series": [
            line("total", None, 0, json!(rising)),
            line("process", Some(0), 2, json!([8192, null, 8192])),
            line("process", Some(1), 1, json!([4096])),
            line("device", Some(0), 0, json!([1024, 2048])),
            line("other", None, 17, json!([1024, null, 2048])),
        ],
        "counters": [
            {"metric": "cpu_time", "unit": "microseconds", "scope": "total", "id": null, "first": 0, "values": [1, null, 3]},
            {"metric": "read", "unit": "bytes", "scope": "process", "id": 1, "first": 18, "values": [1, 2]},
        ],
    });
    record
}

/// Collects the paths of all values below, as JSON pointers.
fn paths(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                paths(value, &format!("{at}/{name}"), found);
            }
        }
        // The first two stand for all.
        Value::Array(values) => {
            values
                .iter()
                .enumerate()
                .take(2)
                .for_each(|(place, value)| paths(value, &format!("{at}/{place}"), found));
        }
        _ => {}
    }
}

#[test]
fn a_full_record_is_written_everywhere() {
    write_everywhere(full().to_string().as_bytes()).expect("a record");
}

/// Figures that depend on each other, at their highest together.
#[test]
fn the_largest_peaks_are_written_everywhere() {
    let mut record = full();
    let most = json!(u64::MAX);
    for name in ["bytes", "lower_bytes", "upper_bytes"] {
        record["peak"]["rss"][name] = most.clone();
    }
    record["max_total_rss_kib"] = json!(u64::MAX / 1024);
    record["processes"][0]["peak"]["rss"]["bytes"] = most.clone();
    record["processes"][0]["max_rss_kib"] = json!(u64::MAX / 1024);
    record["peak"]["gpu"][0]["vram"]["bytes"] = most.clone();
    record["peak"]["gpu"][0]["vram"]["lower_bytes"] = most;
    write_everywhere(record.to_string().as_bytes()).expect("a record");
}

/// Replaces one value of the record at a time: the record is refused, or written everywhere.
#[test]
fn no_single_value_makes_an_output_panic() {
    let record = full();
    let mut all = Vec::new();
    paths(&record, "", &mut all);
    let hostile = [
        json!(null),
        json!(1_u64 << 62),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(1e308),
        json!("\u{1b}[2J\n##[error]x ::error::y \u{202e}\u{e0041}"),
        json!([]),
    ];
    let mut accepted = 0;
    for path in &all {
        for value in &hostile {
            let mut changed = record.clone();
            *changed.pointer_mut(path).expect("a path of the record") = value.clone();
            accepted += u32::from(write_everywhere(changed.to_string().as_bytes()).is_ok());
        }
    }
    assert!(accepted > 300, "most fields take most values of their type: {accepted}");
}

/// Replaces every text of a record at once.
#[test]
fn no_text_acts_on_what_shows_it() {
    fn spoil(value: &mut Value) {
        match value {
            Value::Object(fields) => fields.values_mut().for_each(spoil),
            Value::Array(values) => values.iter_mut().for_each(spoil),
            _ => {}
        }
        for name in
            ["key", "command", "comm", "exe", "name", "kernel", "wanted", "reason", "signal_name", "ended_by"]
        {
            if let Some(text) = value.get_mut(name).filter(|text| text.is_string() || text.is_null()) {
                *text = json!(
                    "\u{200b}::error::\u{1b}[2J\r\n::error::x ##[error]y\u{202e}\u{feff}\u{e0041}\u{9b}31m"
                );
            }
        }
    }
    let mut record = full();
    record["exit"] = json!({"code": null, "signal": 9, "signal_name": "", "cause": "signaled"});
    spoil(&mut record);
    record["schema"]["name"] = json!("highwater.record");
    write_everywhere(record.to_string().as_bytes()).expect("a record");
}
