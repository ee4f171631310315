//! Leaks in real runs of programs whose growth is known: `hwm run --detect-leaks`.

use std::{path::Path, process::Command, thread};

use serde_json::{Value, json};

use crate::{
    made::Place,
    programs::{HWM, workload},
};

/// The results of a run.
struct LeakRun {
    errors: String,
    record: Value,
}

/// Runs a workload for 8 s and looks for growth over 4 s.
fn run(options: &[&str], job: &[&str]) -> LeakRun {
    let place = Place::with(&[]);
    let workload: &Path = workload().expect("the workloads");
    let output = Command::new(HWM)
        .current_dir(place.path())
        .args(["run", "--detect-leaks", "--leak-min-duration=4s", "--json=record"])
        .args(options)
        .arg("--")
        .arg(workload)
        .args(job)
        .arg("8000")
        .output()
        .expect("runs");
    assert!(output.status.success(), "{job:?}: {output:?}");
    let errors = String::from_utf8(output.stderr).expect("text");
    let record = serde_json::from_str(&place.text("record")).expect("JSON");
    LeakRun { errors, record }
}

#[test]
fn what_is_flagged_and_what_is_not() {
    let flagged = ["steady", "rising-teeth"];
    let not_flagged = ["flat-teeth", "warm-up", "cache", "late", "level"];
    // They sleep most of the time: together they take no longer than one.
    thread::scope(|scope| {
        for course in flagged {
            scope.spawn(move || {
                let LeakRun { errors, record } = run(&[], &["course", course, "80"]);
                assert!(errors.contains("Leak:             the job's total: "), "{course}: {errors}");
                let found = &record["findings"][0];
                assert_eq!((&found["kind"], &found["scope"]), (&json!("leak"), &json!("total")), "{course}");
                assert!(found["bytes_per_minute"].as_u64() > Some(100 << 20), "{course}: {found}");
                assert!(found["began_seconds"].as_f64() < Some(4.0), "{course}: {found}");
            });
        }
        for course in not_flagged {
            scope.spawn(move || {
                let LeakRun { errors, record } = run(&[], &["course", course, "80"]);
                assert!(errors.contains("Leaks:            none found in 2 series"), "{course}: {errors}");
                assert_eq!(record["findings"], json!([]), "{course}");
                assert_eq!(record["leak_search"]["total_judged"], json!(true), "{course}");
            });
        }
    });
}

#[test]
fn one_worker_of_many_is_named() {
    let LeakRun { errors, record } = run(&["-q"], &["one-leaks", "8", "60"]);
    let found = record["findings"].as_array().expect("a list");
    let [leak] = &found[..] else { panic!("{found:?}") };
    assert_eq!(leak["scope"], "process");
    let row = usize::try_from(leak["id"].as_u64().expect("a row")).expect("small");
    assert_eq!(record["processes"][row]["pid"], leak["pid"]);
    let max_rss_kib = record["processes"][row]["max_rss_kib"].as_u64();
    assert!(max_rss_kib > Some(50 << 10), "{leak}");
    // Without a summary the leak is reported all the same.
    assert_eq!(errors.lines().count(), 1, "{errors}");
    assert!(errors.starts_with("hwm: warning: leak: pid "), "{errors}");
}

#[test]
fn a_job_too_short_is_not_called_free_of_leaks() {
    let place = Place::with(&[]);
    let output = place.call(&["run", "--detect-leaks", "--json=record", "--", "true"]);
    let errors = String::from_utf8(output.stderr).expect("text");
    assert!(output.status.success() && errors.contains("Leaks:            cannot tell; "), "{errors}");
    let record: Value = serde_json::from_str(&place.text("record")).expect("JSON");
    assert_eq!((&record["findings"], &record["leak_search"]["total_judged"]), (&json!([]), &json!(false)));
    let output = place.call(&["run", "--json=record", "--", "true"]);
    let record: Value = serde_json::from_str(&place.text("record")).expect("JSON");
    assert!(output.status.success() && record["leak_search"].is_null(), "it was not looked for");
}
