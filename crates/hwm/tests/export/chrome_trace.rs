//! Trace events: against their schema, and the peak, lives and gaps read back.

use serde_json::{Value, json};

use crate::made::{
    HOSTILE_COMMAND, MIB, PEAK_BYTES, SAMPLED_PEAK_BYTES, checkpoint, crowd, export, nothing, record,
    violations,
};

const SCHEMA: &str = include_str!("chrome-trace.schema.json");

/// Returns the trace of a record, which keeps to the schema.
fn trace(record: &Value) -> Value {
    let text = export(record, "chrome-trace");
    assert!(!text.contains(['\u{1b}', '\u{202e}']), "a terminal would obey");
    let trace = serde_json::from_str(&text).expect("JSON");
    assert_eq!(violations(SCHEMA, &trace), Vec::<String>::new());
    trace
}

fn events<'a>(trace: &'a Value, ph: &'a str) -> impl Iterator<Item = &'a Value> {
    trace["traceEvents"].as_array().expect("a list").iter().filter(move |event| event["ph"] == ph)
}

/// Returns moment and value of a counter's events.
fn counter(trace: &Value, pid: &Value, name: &str) -> Vec<(f64, u64)> {
    events(trace, "C")
        .filter(|event| event["pid"] == *pid && event["name"] == name)
        .map(|event| {
            (event["ts"].as_f64().expect("a moment"), event["args"]["bytes"].as_u64().expect("bytes"))
        })
        .collect()
}

/// Returns the track of the process with this name.
fn track<'a>(trace: &'a Value, name: &str) -> &'a Value {
    let is_it = |event: &&Value| event["name"] == "process_name" && event["args"]["name"] == name;
    &events(trace, "M").find(is_it).unwrap_or_else(|| panic!("no {name}"))["pid"]
}

#[test]
fn the_peak_comes_back() {
    let trace = trace(&record());
    let job = &trace["traceEvents"][0]["pid"];
    let highest = counter(&trace, job, "RSS").into_iter().map(|(_, bytes)| bytes).max();
    assert_eq!(highest, Some(SAMPLED_PEAK_BYTES));
    let peak = events(&trace, "X").find(|event| event["name"] == "peak of the total RSS").expect("marked");
    assert_eq!((peak["ts"].as_f64(), peak["dur"].as_f64()), (Some(1.5e6), Some(0.5e6)));
    assert_eq!(peak["args"]["bytes"], PEAK_BYTES);
    assert_eq!(peak["args"]["certainty"], "bounded");
    assert_eq!(trace["otherData"]["peak"]["rss"]["upper_rigorous"], false);
    let limit = events(&trace, "i").find(|event| event["name"] == "limit exceeded").expect("marked");
    assert_eq!(limit["ts"].as_f64(), Some(1e6));
}

#[test]
fn a_peak_that_a_sample_gave_is_an_instant() {
    let mut record = record();
    record["peak"]["rss"]["at_seconds"] = json!(1.0);
    record["peak"]["rss"]["between_seconds"] = Value::Null;
    let trace = trace(&record);
    let peak = events(&trace, "i").find(|event| event["name"] == "peak of the total RSS").expect("marked");
    assert_eq!((peak["ts"].as_f64(), peak["args"]["bytes"].as_u64()), (Some(1e6), Some(PEAK_BYTES)));
}

#[test]
fn the_peak_of_memory_is_marked_beside_it() {
    let mut record = record();
    record["peak"]["memory"] = json!({
        "bytes": 3 * MIB, "lower_bytes": 3 * MIB, "upper_bytes": 4 * MIB, "lower_rigorous": false,
        "upper_rigorous": false, "certainty": "bounded", "source": "pss", "at_seconds": 1.25, "parts": {},
    });
    let trace = trace(&record);
    let peak = events(&trace, "i").find(|event| event["name"] == "peak memory").expect("marked");
    assert_eq!((peak["ts"].as_f64(), peak["args"]["bytes"].as_u64()), (Some(1.25e6), Some(3 * MIB)));
}

#[test]
fn unknown_is_left_out_and_the_dead_hold_nothing() {
    let trace = trace(&record());
    let make = track(&trace, "make");
    assert_eq!(make, 100);
    let known = [(0.0, 10 * MIB), (1e6, 20 * MIB), (3e6, 19 * MIB), (3.5e6, 0)];
    assert_eq!(counter(&trace, make, "RSS"), known);
    // The process still runs, so no event shows an end.
    assert_eq!(counter(&trace, track(&trace, "daemon"), "RSS"), [(3e6, MIB)]);
    let life = events(&trace, "X").find(|event| event["name"] == "ld").expect("a life");
    assert_eq!(life["args"]["peak"]["rss"], Value::Null);
    assert_eq!((life["ts"].as_f64(), life["dur"].as_f64()), (Some(2.25e6), Some(1e6)));
}

#[test]
fn each_process_has_a_track_of_its_own() {
    let trace = trace(&record());
    let names = ["make", HOSTILE_COMMAND, "ld", "daemon"];
    let mut tracks: Vec<u64> =
        names.iter().map(|name| track(&trace, name).as_u64().expect("a number")).collect();
    assert_eq!(tracks[..2], [100, 101]);
    tracks.extend(trace["traceEvents"][0]["pid"].as_u64());
    tracks.sort_unstable();
    tracks.dedup();
    assert_eq!(tracks.len(), 5, "a pid that came twice, and pid 0, have numbers of their own: {tracks:?}");
    assert_eq!(counter(&trace, track(&trace, "ld"), "RSS"), [(3e6, 0), (3.25e6, 0)]);
}

#[test]
fn other_lines_stand_with_the_job() {
    let trace = trace(&record());
    let job = &trace["traceEvents"][0]["pid"];
    assert_eq!(counter(&trace, job, "GPU 0 VRAM"), [(1e6, 64 * MIB), (2.5e6, 64 * MIB)]);
    assert_eq!(counter(&trace, job, "RSS of all other processes"), [(3e6, MIB)]);
    let cpu: Vec<_> = events(&trace, "C").filter(|event| event["name"] == "CPU time").collect();
    assert_eq!(cpu.len(), 3);
    assert_eq!(cpu[2]["args"], json!({"microseconds": 1_500_000}));
}

#[test]
fn odd_records_give_traces_too() {
    assert_eq!(events(&trace(&nothing()), "C").count(), 0);
    assert_eq!(events(&trace(&checkpoint()), "C").count(), 0);
    assert_eq!(events(&trace(&checkpoint()), "X").count(), 6);
    assert_eq!(events(&trace(&crowd()), "C").count(), 20_000);
}

/// A process that ended before it began, and one whose line has values after its end.
#[test]
fn times_that_contradict_each_other_do_no_harm() {
    let mut record = record();
    record["processes"][0]["start_seconds"] = json!(3.5);
    record["processes"][0]["end_seconds"] = json!(0.5);
    let trace = trace(&record);
    let life = events(&trace, "X").find(|event| event["name"] == "make").expect("its life");
    assert_eq!((&life["ts"], &life["dur"]), (&json!(3.5e6), &json!(0.0)));
    assert_eq!(counter(&trace, track(&trace, "make"), "RSS").last(), Some(&(3e6, 0)));
}
