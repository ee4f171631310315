//! A job that forks faster than it can be looked at is ended all the same. A program of its own: all that falls to it is
//! taken for the job's.
#![cfg(target_os = "linux")]

#[allow(dead_code)]
mod programs;

use std::{fs, thread, time::Duration};

use highwater::{
    Job,
    job::{CgroupUse, LineageFrom},
    record::ExitCause,
};

const CHAINS: usize = 30;
/// They end by themselves, or a failure would use up all pids of the machine.
const CHAIN_LENGTH: usize = 600;

/// Most runs until one is ended before its chains come to their end by themselves, as they may on a busy machine.
const MAX_RUNS: usize = 50;

#[test]
fn chains_that_fork_and_exit_at_once_are_ended() {
    for lineage in [LineageFrom::Auto, LineageFrom::Sampling] {
        let is_proven = (0..MAX_RUNS).any(|_| chains_are_ended(lineage));
        assert!(is_proven, "{lineage:?}: the order always came too late");
    }
}

/// Runs chains and has them ended. Returns whether the order came in time.
fn chains_are_ended(lineage: LineageFrom) -> bool {
    let workload = programs::workload().expect("built");
    let dir = tempfile::tempdir().expect("a directory");
    let at = |name: &str| dir.path().join(name);
    let job = Job::new(workload).arg("fork-chains").arg(dir.path());
    let job = job.arg(CHAINS.to_string()).arg(CHAIN_LENGTH.to_string()).owns_all_children(true);
    let job = job.lineage(lineage).cgroup(CgroupUse::Never);
    let (control, begun, ended) = (job.control(), at("begun"), at("ended"));
    let count_ended = move || fs::read(&ended).map_or(0, |bytes| bytes.len());
    let ended_at_order = count_ended.clone();
    let killer = thread::spawn(move || {
        while !begun.exists() {
            thread::sleep(Duration::from_millis(1));
        }
        control.kill_tree();
        ended_at_order()
    });
    let record = job.run().expect("runs");
    if killer.join().expect("ends") > 0 {
        return false;
    }
    // Without root's priority hwm has one share among theirs: on one processor they come to their end first.
    let ended = count_ended();
    let runs_first = rustix::process::geteuid().is_root();
    assert!(!runs_first || ended < CHAINS / 2, "{lineage:?}: {ended} of {CHAINS} went on to their end");
    assert_eq!(record.exit.expect("known").cause, ExitCause::Killed);
    assert_eq!(record.capture.processes_still_running, 0);
    true
}
