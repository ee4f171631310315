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
    let text = place.says(0, &["compare", "one", "two"]);
    assert!(text.contains("Fine: "), "{text}");
}

#[test]
fn a_job_that_grew_is_one() {
    let place = Place::with(&[]);
    measure(&place, "base", &["hold", "60", "300"]);
    measure(&place, "new", &["hold", "100", "300"]);
    let text = place.says(1, &["compare", "base", "new"]);
    assert!(text.contains("Regression: Peak RSS grew by 40."), "{text}");
    place.says(0, &["compare", "new", "base"]);
}
