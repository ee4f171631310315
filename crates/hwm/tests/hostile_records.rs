//! Records that were written to do harm, handed to every verb that reads one: each answers with a clear refusal, or with its
//! usual output. It never panics, and what it prints acts on no terminal and on no CI system.

use std::{fs, path::Path, process::Output};

use assert_cmd::Command;
use serde_json::{Value, json};

/// A name that tries everything at once.
const HOSTILE_NAME: &str = "::add-mask::0 ##[error]x ##vso[task.y]z ##teamcity[t]\u{1b}[2J\u{9b}31m\r\n::error::e\u{202e}\u{200b}\u{2066}\u{e0041}";

/// The result that a verb must have for a record.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Expected {
    Output,
    /// The message holds this.
    Refusal(&'static str),
}

use Expected::{Output as Fine, Refusal};

fn record() -> Value {
    let mut record: Value = serde_json::from_str(include_str!("fixtures/record.json")).expect("the fixture");
    let line = |scope: &str, id: Option<u64>, first: u64, bytes: Value| json!({"metric": "rss", "scope": scope, "id": id, "first": first, "bytes": bytes, "min": bytes, "max": bytes});
    record["timeline"] = json!({
        "seconds": [0.0, 1.0, 2.5],
        "series": [line("total", None, 0, json!([1024, 4096, 2048])), line("process", Some(0), 1, json!([4096]))],
        "counters": [],
    });
    record["peak"]["memory"] = json!({
        "bytes": 4096, "lower_bytes": 2048, "upper_bytes": 8192, "lower_rigorous": true, "upper_rigorous": false,
        "certainty": "bounded", "source": "cgroup", "at_seconds": 1.0, "between_seconds": null,
        "parts": {"anon_bytes": 1024, "shmem_bytes": 0, "file_bytes": 3072, "hugetlb_bytes": null},
        "holders": {
            "largest": [{"process": 0, "bytes": 4096}], "others": 1, "others_bytes": 0, "shared_counted_in_each": false
        },
    });
    record["groups"] =
        json!([{"key": "make", "by": "command", "processes": 1, "peak_bytes": 4096, "at_seconds": 1.0}]);
    record
}

/// Returns the record with one value replaced.
fn with(path: &str, value: Value) -> String {
    let mut record = record();
    *record.pointer_mut(path).expect("a path of the record") = value;
    record.to_string()
}

/// Returns the record's text with the number 1024, the first of the total, replaced by what may be no JSON.
fn with_text(text: &str) -> String {
    record().to_string().replacen("[1024,", &format!("[{text},"), 1)
}

fn node(id: u64, parent: Option<u64>) -> Value {
    json!({"key": HOSTILE_NAME, "by": "tree", "processes": 1, "peak_bytes": 1, "at_seconds": null, "id": id, "parent": parent})
}

fn records() -> Vec<(&'static str, String, Expected)> {
    let first = "timeline.series[0].first";
    let ring = json!([node(0, Some(1)), node(1, Some(0))]);
    let names = {
        let mut record = record();
        let list = record["processes"].as_array_mut().expect("rows");
        for row in list {
            row["command"] = json!(HOSTILE_NAME);
            row["exe"] = json!(HOSTILE_NAME);
        }
        record["groups"][0]["key"] = json!(HOSTILE_NAME);
        record["command"] = json!([HOSTILE_NAME, "::error::x", "##[warning]y"]);
        record["host"]["name"] = json!(HOSTILE_NAME);
        record["exit"] = json!({"code": null, "signal": 9, "signal_name": HOSTILE_NAME, "cause": "signaled"});
        record["capture"]["downgrades"] = json!([{"wanted": HOSTILE_NAME, "reason": HOSTILE_NAME}]);
        record.to_string()
    };
    let same_pids = {
        let mut record = record();
        for row in record["processes"].as_array_mut().expect("rows") {
            (row["pid"], row["ppid"]) = (json!(7), json!(7));
        }
        record.to_string()
    };
    let twice = record().to_string().replacen("\"samples\":", "\"samples\":1,\"samples\":", 1);
    vec![
        ("first 2^62", with("/timeline/series/0/first", json!(1_u64 << 62)), Refusal(first)),
        ("first 2^30", with("/timeline/series/0/first", json!(1_u64 << 30)), Refusal(first)),
        ("first 2^64-1", with("/timeline/series/0/first", json!(u64::MAX)), Refusal(first)),
        ("more values than columns", with("/timeline/series/0/bytes", json!([1, 2, 3, 4])), Refusal(first)),
        (
            "a process that is not there",
            with("/timeline/series/1/id", json!(u64::MAX)),
            Refusal("timeline.series[1].id"),
        ),
        ("ring of groups", with("/groups", ring), Refusal("groups[0].parent")),
        ("group beyond", with("/groups", json!([node(u64::MAX, None)])), Refusal("groups[0].id")),
        (
            "a holder that is not there",
            with("/peak/memory/holders/largest/0/process", json!(u64::MAX)),
            Refusal("peak.memory.holders.largest[0].process"),
        ),
        (
            "very many holders",
            with(
                "/peak/memory/holders/largest",
                json!(vec![json!({"process": 0, "bytes": u64::MAX}); 1 << 17]),
            ),
            Fine,
        ),
        (
            "memory below its lower end",
            with("/peak/memory/bytes", json!(1)),
            Refusal("peak.memory.lower_bytes"),
        ),
        (
            "a moment of memory before the start",
            with("/peak/memory/at_seconds", json!(-1e308)),
            Refusal("peak.memory.at_seconds"),
        ),
        ("the most others", with("/peak/memory/holders/others", json!(u64::MAX)), Fine),
        ("the most memory of others", with("/peak/memory/holders/others_bytes", json!(u64::MAX)), Fine),
        ("the largest part", with("/peak/memory/parts/anon_bytes", json!(u64::MAX)), Fine),
        ("negative column", with("/timeline/seconds/0", json!(-1e308)), Refusal("timeline.seconds[0]")),
        (
            "negative start",
            with("/processes/0/start_seconds", json!(-1)),
            Refusal("processes[0].start_seconds"),
        ),
        ("columns in no order", with("/timeline/seconds/0", json!(9)), Refusal("timeline.seconds[1]")),
        ("NaN", with_text("NaN"), Refusal("not a complete JSON document")),
        ("1e999", with_text("1e999"), Refusal("number out of range")),
        ("-1 bytes", with_text("-1"), Refusal("invalid value")),
        ("2^64 bytes", with_text("18446744073709551616"), Refusal("invalid type")),
        (
            "half a surrogate",
            with("/command", json!([])).replace("\"command\":[]", "\"command\":[\"\\ud800\"]"),
            Refusal(""),
        ),
        ("a field twice", twice, Refusal("duplicate field")),
        ("deep nesting", with_text(&"[".repeat(200_000)), Refusal("")),
        (
            "deep nesting in what is passed over",
            with("/tool", json!({"version": "", "target": "", "x": "@"}))
                .replace("\"@\"", &"[".repeat(200_000)),
            Refusal(""),
        ),
        ("all sizes at the top", with_text("18446744073709551615"), Fine),
        ("the longest time", with("/duration_seconds", json!(1.7e308)), Fine),
        ("the longest interval", with("/interval_ms", json!(u64::MAX)), Fine),
        ("the last year", with("/start_time", json!("9999-12-30T22:00:00Z")), Fine),
        ("one pid for all, its own parent", same_pids, Fine),
        ("a huge name", with("/processes/0/command", json!("x".repeat(1 << 20))), Fine),
        ("a huge command", with("/command", json!(vec![""; 100_000])), Fine),
        ("commands to terminals and CI systems", names, Fine),
    ]
}

/// Calls with a record `r.json` beside `good.json`. `out` is a file that may be written.
const VERB_CALLS: &[&[&str]] = &[
    &["view", "r.json"],
    &["explain", "r.json"],
    &["view", "good.json", "r.json"],
    &["view", "r.json", "--html", "out"],
    &["compare", "good.json", "r.json", "--groups", "--detect-leaks"],
    &["compare", "r.json", "r.json", "--json"],
    &["compare", "r.json", "good.json", "--markdown"],
    &["leaks", "r.json"],
    &["leaks", "r.json", "--json"],
    &["export", "r.json", "--format", "csv"],
    &["export", "r.json", "--format", "csv", "--csv-escape-formulas"],
    &["export", "r.json", "--format", "chrome-trace"],
    &["export", "r.json", "--format", "firefox-profiler"],
    &["ci-check", "--record", "r.json", "--baseline", "good.json", "--junit", "out", "--markdown", "out2"],
    &[
        "ci-check",
        "--record",
        "good.json",
        "--baseline",
        "r.json",
        "--env-file",
        "out",
        "--benchmark-json",
        "out2",
    ],
];

fn call(place: &Path, args: &[&str]) -> Output {
    let mut command = Command::cargo_bin("hwm").expect("built");
    command.current_dir(place).env_remove("GITHUB_OUTPUT").env_remove("GITHUB_STEP_SUMMARY").args(args);
    command.output().expect("runs")
}

#[test]
fn hostile_records_are_refused_or_shown() {
    let place = tempfile::tempdir().expect("a directory");
    let place = place.path();
    fs::write(place.join("good.json"), record().to_string()).expect("written");
    for (name, text, expected) in records() {
        fs::write(place.join("r.json"), text).expect("written");
        // Without its page hwm refuses to write one, for any record.
        for args in VERB_CALLS.iter().filter(|args| cfg!(page) || !args.contains(&"--html")) {
            let Output { status, stdout, stderr } = call(place, args);
            let printed = format!("{name}: {args:?}: {status}");
            let errors = String::from_utf8(stderr).expect("UTF-8");
            let code = status.code().unwrap_or_else(|| panic!("{printed}: {errors}"));
            assert!(code <= 2, "{printed}: {errors}");
            acts_on_nothing(&printed, &errors);
            acts_on_nothing(&printed, &String::from_utf8(stdout).expect("UTF-8"));
            for file in ["out", "out2"] {
                if let Ok(text) = fs::read_to_string(place.join(file)) {
                    // The page's script is no text of the record's.
                    let is_page = text.starts_with("<!doctype html>");
                    acts_on_nothing(&printed, if is_page { "" } else { &text });
                    fs::remove_file(place.join(file)).expect("removed");
                }
            }
            match expected {
                Refusal(why) => {
                    assert_ne!(code, 0, "{printed}");
                    assert!(errors.contains("r.json: ") && errors.contains(why), "{printed}: {errors}");
                    assert_eq!(errors.lines().count(), 1, "{printed}: {errors}");
                }
                Fine => assert!(!errors.contains("r.json: "), "{printed}: {errors}"),
            }
        }
    }
}

fn acts_on_nothing(printed: &str, text: &str) {
    let hidden = text.chars().find(|c| {
        matches!(c, '\0'..='\x09' | '\x0b'..='\x1f' | '\x7f'..='\u{9f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
            || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
    });
    assert_eq!(hidden, None, "{printed}: {text:?}");
    let lower = text.to_ascii_lowercase();
    assert!(
        !["##[", "##vso[", "##teamcity["].iter().any(|command| lower.contains(command)),
        "{printed}: {text}"
    );
    for line in text.lines().map(str::trim_start).filter(|line| line.starts_with("::")) {
        let own = ["::error title=", "::warning title=", "::notice title="];
        assert!(own.iter().any(|own| line.starts_with(own)), "{printed}: {line}");
    }
}
