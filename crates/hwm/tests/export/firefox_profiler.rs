//! The profile: against the structure that the Firefox Profiler's loader needs, and the peak read back as it draws it.

use serde_json::Value;

use crate::made::{
    HOSTILE_COMMAND, MIB, PEAK_BYTES, SAMPLED_PEAK_BYTES, checkpoint, crowd, export, nothing, record,
    violations,
};

const SCHEMA: &str = include_str!("firefox-profile.schema.json");

/// Returns the profile of a record, which keeps to the schema. In each table all columns have its length.
fn profile(record: &Value) -> Value {
    let text = export(record, "firefox-profiler");
    assert!(!text.contains(['\u{1b}', '\u{202e}']), "a terminal would obey");
    let profile: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(violations(SCHEMA, &profile), Vec::<String>::new());
    let threads = profile["threads"].as_array().expect("a list");
    let tables = threads.iter().flat_map(|thread| thread.as_object().expect("a thread").values());
    let samples = profile["counters"].as_array().expect("a list").iter().map(|counter| &counter["samples"]);
    for table in tables.chain(samples).filter_map(Value::as_object) {
        let length = table["length"].as_u64();
        for column in table.values().filter_map(Value::as_array) {
            assert_eq!(Some(column.len() as u64), length, "{table:?}");
        }
    }
    for thread in threads {
        let strings = thread["stringArray"].as_array().expect("a list").len() as u64;
        let names = thread["markers"]["name"].as_array().expect("a list");
        assert!(names.iter().all(|name| name.as_u64().is_some_and(|name| name < strings)));
    }
    profile
}

/// Returns what the profiler draws: the sums over a counter's deltas, with their moments in milliseconds.
fn drawn(profile: &Value, process: &str, counter: &str) -> Vec<(f64, f64)> {
    let threads = profile["threads"].as_array().expect("a list");
    let is_it = |found: &&Value| {
        let thread = usize::try_from(found["mainThreadIndex"].as_u64().expect("an index")).expect("small");
        let name = threads[thread]["processName"].as_str().expect("a name");
        assert_eq!(threads[thread]["pid"], found["pid"]);
        name.starts_with(process) && found["name"] == counter
    };
    let counter = profile["counters"].as_array().expect("a list").iter().find(is_it).expect("a counter");
    let numbers = |name: &str| -> Vec<f64> {
        let column = counter["samples"][name].as_array().expect("a column");
        column.iter().map(|value| value.as_f64().expect("a number")).collect()
    };
    let sums = |values: Vec<f64>| {
        values.into_iter().scan(0.0, |sum, value| {
            *sum += value;
            Some(*sum)
        })
    };
    sums(numbers("timeDeltas")).zip(sums(numbers("count"))).collect()
}

/// Returns name and fields of the markers of a process's thread.
fn markers(profile: &Value, process: &str) -> Vec<(String, Value)> {
    let threads = profile["threads"].as_array().expect("a list");
    let is_it =
        |thread: &&Value| thread["processName"].as_str().is_some_and(|name| name.starts_with(process));
    let thread = threads.iter().find(is_it).expect("a thread");
    let string = |index: &Value| {
        let index = usize::try_from(index.as_u64().expect("an index")).expect("small");
        thread["stringArray"][index].as_str().expect("a string").to_owned()
    };
    let table = &thread["markers"];
    let names = table["name"].as_array().expect("a column");
    let data = table["data"].as_array().expect("a column");
    let fields = |data: &Value| {
        let fields = data.as_object().expect("fields").iter();
        let text = fields.map(|(key, value)| {
            (key.clone(), if value.is_number() { string(value) } else { value.to_string() }.into())
        });
        Value::Object(text.collect())
    };
    names.iter().zip(data).map(|(name, data)| (string(name), fields(data))).collect()
}

#[test]
fn the_peak_comes_back() {
    let profile = profile(&record());
    let total = drawn(&profile, "whole job", "RSS");
    let highest = total.iter().map(|&(_, bytes)| bytes).fold(0.0, f64::max);
    assert!((highest - SAMPLED_PEAK_BYTES as f64).abs() < 0.5, "{total:?}");
    let markers = markers(&profile, "whole job");
    let (_, peak) = markers.iter().find(|(name, _)| name == "peak of the total RSS").expect("marked");
    let text = peak["text"].as_str().expect("text");
    assert!(text.contains(&format!("({PEAK_BYTES} bytes)")) && text.contains("at least 300 MiB"), "{text}");
    let (_, measured) = markers.iter().find(|(name, _)| name == "measured").expect("marked");
    assert!(measured["text"].as_str().expect("text").contains("missing: PSS"), "{measured}");
}

#[test]
fn lines_begin_and_end_with_their_process() {
    let profile = profile(&record());
    let mib = MIB as f64;
    let known = [(0.0, 0.0), (0.0, 10.0 * mib), (1000.0, 20.0 * mib), (3000.0, 19.0 * mib), (3500.0, 0.0)];
    assert_eq!(drawn(&profile, "make", "RSS"), known);
    assert_eq!(drawn(&profile, "daemon", "RSS"), [(2500.0, 0.0), (3000.0, mib)]);
    assert_eq!(drawn(&profile, "GPU 0 VRAM", "GPU 0 VRAM").len(), 3);
    assert_eq!(drawn(&profile, "whole job", "processCPU").len(), 4);
}

#[test]
fn unknown_figures_are_marked() {
    let profile = profile(&record());
    let markers = markers(&profile, "ld");
    let [(name, life)] = &markers[..] else { panic!("{markers:?}") };
    assert_eq!(name, "ld");
    for field in ["peak", "bytes", "certainty", "source", "exe", "exit"] {
        assert_eq!(life[field], "unknown", "{field}");
    }
    assert_eq!(life["pid"], "101 (parent 100)");
}

#[test]
fn the_job_has_all_lives() {
    let profile = profile(&record());
    let markers = markers(&profile, "whole job");
    let lives: Vec<_> =
        markers.iter().filter(|(_, data)| data["type"] == "\"process\"").map(|(name, _)| name).collect();
    assert_eq!(lives, ["make", HOSTILE_COMMAND, "ld", "daemon"]);
}

#[test]
fn odd_records_give_profiles_too() {
    assert_eq!(profile(&nothing())["threads"].as_array().map(Vec::len), Some(1));
    assert_eq!(profile(&checkpoint())["counters"].as_array().map(Vec::len), Some(0));
    assert_eq!(profile(&crowd())["threads"].as_array().map(Vec::len), Some(10_001));
}
