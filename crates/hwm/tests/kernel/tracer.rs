//! A job with a tracer that asks for stops by seccomp filters, which the filter of `--exact` may hide from it.

use crate::run::{Place, Run, User, holds};

/// Name of the stops in `capture.downgrades`.
const TRACER_STOPS: &str = "stops that a tracer in the job asked for";

#[test]
fn stops_that_exact_hides_from_a_tracer_are_reported() {
    let _turn = crate::turn();
    for user in User::all() {
        let place = Place::new();
        let workload = place.path("workload");
        let job = [workload.to_str().unwrap(), "tracer", "/bin/true"];
        let plain = place.run(user, &[], &job);
        assert_eq!(
            (plain.status.code(), plain.reasons().contains(TRACER_STOPS)),
            (Some(1), false),
            "{user:?}"
        );

        let output = place.hwm(user, &["--exact"], &job).output().unwrap();
        let run = Run { status: output.status, record: place.record() };
        if !holds(&run) {
            eprintln!("skipped for {user:?}: {}", run.reasons());
            continue;
        }
        let printed = String::from_utf8_lossy(&output.stderr);
        assert_eq!(run.status.code(), Some(0), "the kernel prefers the hold ({user:?}): {printed}");
        let mut downgrades = run.record["capture"]["downgrades"].as_array().unwrap().iter();
        let reported = downgrades.find(|downgrade| downgrade["wanted"] == TRACER_STOPS);
        let reason = reported.and_then(|downgrade| downgrade["reason"].as_str()).unwrap_or_default();
        // The exec of the program and its exit.
        assert!(
            reason.contains("execs and exits (2)") && reason.contains("run it without --exact"),
            "{reason}"
        );
        assert_eq!(printed.matches(&format!("warning: {reason}")).count(), 1, "{printed}");

        let untraced = place.run(user, &["--exact"], &["sh", "-c", "/bin/true; exit 5"]);
        assert_eq!(untraced.status.code(), Some(5));
        assert!(!untraced.reasons().contains(TRACER_STOPS), "{}", untraced.reasons());
    }
}
