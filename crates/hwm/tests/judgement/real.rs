//! Real runs of programs of known size, compared with each other.

use std::{path::Path, process::Command};

use crate::{
    made::Place,
    programs::{HWM, workload},
};

/// Runs a workload and leaves its record.
fn measure(place: &Place, name: &str, job: &[&str]) {
    let workload: &Path = workload().expect("the workloads");
    let status = Command::new(HWM)
        .current_dir(place.path())
        .args(["run", "-q", &format!("--json={name}"), "--"])
        .arg(workload)
        .args(job)
        .status();
    assert!(status.as_ref().is_ok_and(std::process::ExitStatus::success), "{status:?}");
}

#[test]
fn the_same_job_twice_is_no_regression() {
    let place = Place::with(&[]);
    measure(&place, "one", &["hold", "60", "300"]);
    measure(&place, "two", &["hold", "60", "300"]);
    let text = place.prints(0, &["compare", "one", "two"]);
    assert!(text.contains("Fine: "), "{text}");
}

#[test]
fn a_job_that_grew_is_one() {
    let place = Place::with(&[]);
    measure(&place, "base", &["hold", "60", "300"]);
    measure(&place, "new", &["hold", "100", "300"]);
    let text = place.prints(1, &["compare", "base", "new"]);
    assert!(text.contains("Regression: Peak memory grew by "), "{text}");
    place.prints(0, &["compare", "new", "base"]);
}

/// Eight workers that share 100 MiB have a sum of RSS of 900 MiB, and hold less than one process of 200 MiB.
#[test]
fn shared_memory_counts_once() {
    let place = Place::with(&[]);
    measure(&place, "shared", &["shared-workers", "cow", "8", "100"]);
    measure(&place, "alone", &["hold", "200", "300"]);
    let text = place.prints(1, &["compare", "shared", "alone"]);
    assert!(text.contains("Regression: Peak memory grew by "), "{text}");
    place.prints(0, &["compare", "alone", "shared"]);
}

#[test]
fn a_check_runs_the_command_and_judges_it() {
    let place = Place::with(&[]);
    let workload = workload().expect("the workloads").to_str().expect("text");
    let check = |code, mib: &str| {
        let args =
            ["ci-check", "--baseline", "base", "--update-baseline", "--run-option=-q", "--env-file", "env"];
        place.prints(code, &[&args[..], &["--json", "mem", "--", workload, "hold", mib, "300"]].concat());
        place.text("env").lines().next().map(str::to_owned)
    };
    assert_eq!(check(0, "60").as_deref(), Some("verdict=no_baseline"));
    assert_eq!(check(0, "60").as_deref(), Some("verdict=fine"));
    let base = place.text("base");
    assert_eq!(check(1, "100").as_deref(), Some("verdict=regression"));
    assert_eq!(place.text("base"), base);
    assert_ne!(place.text("mem"), base);
}

#[test]
fn the_jobs_own_failure_comes_first() {
    let place = Place::with(&[]);
    let check = |code, job: &[&str]| {
        let args =
            ["ci-check", "--baseline", "base", "--update-baseline", "--json", "mem", "--junit", "xml", "--"];
        place.prints(code, &[&args[..], job].concat())
    };
    let text = check(7, &["sh", "-c", "exit 7"]);
    assert!(text.contains("The job failed with exit code 7."), "{text}");
    assert!(place.text("xml").contains("<error message=\"The job failed with exit code 7.\"/>"));
    check(137, &["sh", "-c", "kill -9 $$"]);
    // A record of an earlier run is left; it is not taken for this run's.
    let output = place.call(&["ci-check", "--json", "mem", "--junit", "none", "--", "/no/such/program"]);
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(127), &b""[..]));
    assert!(!place.path().join("none").exists() && !place.path().join("base").exists());
}

/// Runs an example that finds hwm in its search path; returns the exit code.
fn example(place: &Place, args: &[&str]) -> Option<i32> {
    let beside = Path::new(HWM).parent().expect("a directory");
    let path = format!("{}:{}", beside.display(), std::env::var("PATH").unwrap_or_default());
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/ci/");
    let (file, args) = args.split_first().expect("an example");
    let mut command = Command::new(format!("{examples}{file}"));
    command.args(args).current_dir(place.path()).env("PATH", path);
    let output = command.output().unwrap_or_else(|error| panic!("{file}: {error}"));
    output.status.code()
}

#[test]
fn the_example_for_shells() {
    let place = Place::with(&[]);
    let workload = workload().expect("the workloads").to_str().expect("text");
    let check = |mib: &str| example(&place, &["check.sh", "runs", workload, "hold", mib, "100"]);
    assert_eq!([check("40"), check("40"), check("140")], [Some(0), Some(0), Some(1)]);
    assert_eq!(example(&place, &["check.sh", "runs", "sh", "-c", "exit 9"]), Some(9));
}

#[test]
fn the_example_for_python() {
    let has_python = Command::new("python3").arg("--version").output().is_ok();
    if !has_python {
        return;
    }
    let place = Place::with(&[]);
    let workload = workload().expect("the workloads").to_str().expect("text");
    let check = |limit: &str| example(&place, &["check.py", limit, workload, "hold", "40", "100"]);
    assert_eq!([check("100"), check("20")], [Some(0), Some(1)]);
    assert_eq!(example(&place, &["check.py", "20", "sh", "-c", "exit 9"]), Some(9));
}
