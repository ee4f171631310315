//! Very many, very short processes.

use std::{io::Read, process::Stdio};

use serde_json::Value;

use crate::{
    run::{Place, Run, User, bounds, kernel_reports_events, wait},
    turn,
};

const STORM_PROCESSES: u64 = 2_000;

/// Checks that each of the tiny programs is there with the right size.
fn assert_all_exact(run: &Run, truth: u64) {
    let sizes: Vec<&Value> = run
        .processes()
        .iter()
        .filter(|process| process["command"].as_str().is_some_and(|name| name.starts_with("tiny")))
        .map(|process| &process["peak"]["rss"])
        .collect();
    assert_eq!(sizes.len() as u64, STORM_PROCESSES);
    for peak in sizes {
        assert_eq!(peak["certainty"], "exact", "{peak}");
        let bytes = peak["bytes"].as_u64().unwrap();
        let tolerance = (truth / 50).max(512 << 10);
        assert!(bytes.abs_diff(truth) <= tolerance, "{bytes} of {truth}");
    }
}

#[test]
fn no_process_of_5_ms_is_missed() {
    let _turn = turn();
    let place = Place::new();
    let (tiny, truth) = place.tiny(8192, 5);
    let workload = place.path("workload");
    let storm =
        [workload.to_str().unwrap(), "exec-storm", tiny.to_str().unwrap(), &STORM_PROCESSES.to_string(), "4"];
    for user in User::all() {
        for options in [&["--no-cgroup"][..], &["--no-cgroup", "--exact"]] {
            let run = place.run(user, options, &storm);
            run.check();
            assert_eq!(run.status.code(), Some(0));
            if !kernel_reports_events(&run) {
                eprintln!("skipped for {user:?} {options:?}: {}", run.reasons());
                continue;
            }
            assert_eq!(
                run.seen(),
                (STORM_PROCESSES + 1, "exact"),
                "{user:?} {options:?} {}",
                run.record["capture"]
            );
            // The source is exit records, for root in the initial namespaces, or the hold at the exit.
            let is_exact = run.word("/capture/peaks") != "marks";
            let may_be = user.is_root() || options.contains(&"--exact");
            assert!(is_exact || !may_be || run.reasons() != "[]", "{}", run.record["capture"]);
            if is_exact {
                assert_all_exact(&run, truth);
            } else {
                for process in run.processes() {
                    let certainty = &process["peak"]["rss"]["certainty"];
                    assert_ne!(certainty, "exact", "{process}");
                    assert!(process["end_seconds"].is_f64(), "{process}");
                }
            }
            if bounds(&run) {
                assert!(run.upper_is_rigorous(), "{} {}", run.record["peak"], run.record["capture"]);
            }
            // Four of the programs live at a time, beside the storm itself.
            let upper = run.number("/peak/rss/upper_bytes").unwrap();
            assert!(upper >= 4 * truth * 9 / 10, "{upper}");
        }
    }
}

#[test]
fn losses_are_counted_and_nothing_hangs() {
    let _turn = turn();
    let place = Place::new();
    let (tiny, _) = place.tiny(4, 0);
    let workload = place.path("workload");
    for user in User::all() {
        for (options, most) in [(&["--no-cgroup"][..], "50000"), (&["--no-cgroup", "--exact"], "10000")] {
            let storm = [workload.to_str().unwrap(), "vfork-storm", tiny.to_str().unwrap(), most];
            let mut hwm =
                place.hwm(user, options, &storm).stdout(Stdio::piped()).spawn().expect("hwm starts");
            let run = Run { status: wait(&mut hwm), record: place.record() };
            run.check();
            assert_eq!(run.status.code(), Some(0));
            let mut printed = String::new();
            hwm.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
            let count: u64 = printed.trim().parse().unwrap();
            assert!(count > 0);
            let (seen, is) = run.seen();
            if kernel_reports_events(&run) && run.number("/capture/lost_events") == Some(0) {
                assert_eq!((seen, is), (count + 1, "exact"), "{user:?} {options:?}");
            } else {
                assert_eq!(is, "at_least", "{user:?} {options:?} {}", run.record["capture"]);
            }
        }
    }
}
