//! `--max-total-pss` on jobs whose PSS is refused, or never stands still.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
};

use crate::run::{Place, Run, User, is_root, wait};

/// Runs a script under a limit, with `$W` for the programs of known size. A job that is not ended for it ends by itself.
fn run(place: &Place, user: User, limit: &str, script: &str) -> Run {
    let script = format!("W={}; {script}", place.path("workload").display());
    place.run(user, &[&format!("--max-total-pss={limit}")], &["sh", "-c", &script])
}

fn is_ended_for_the_limit(run: &Run) -> bool {
    assert_eq!(run.status.code() == Some(10), run.word("/exit/cause") == "limit", "{}", run.record["exit"]);
    run.word("/exit/cause") == "limit"
}

#[test]
fn a_process_that_refuses_its_pss_is_held_to_the_limit() {
    let place = Place::new();
    for user in User::all() {
        let undumpable = run(&place, user, "200M", "exec $W undumpable 300 20000");
        assert!(is_ended_for_the_limit(&undumpable), "{user:?}: {}", undumpable.reasons());
    }
    // The kernel shows no memory map of a program that its user may not read.
    fs::set_permissions(place.path("workload"), fs::Permissions::from_mode(0o111)).unwrap();
    for user in User::all() {
        let unreadable = run(&place, user, "200M", "exec $W hold 300 20000");
        assert!(is_ended_for_the_limit(&unreadable), "{user:?}: {}", unreadable.reasons());
    }
}

#[test]
fn processes_that_refuse_their_pss_and_keep_the_limit_one_by_one_leave_a_doubt() {
    let place = Place::new();
    for user in User::all() {
        let workload = place.path("workload");
        // Root's job is ended, and the other ends by itself.
        let time = if user.is_root() { 20_000 } else { 3_000 };
        let hold = format!("{} undumpable 120 {time}", workload.display());
        let script = format!("{hold} & {hold}; wait");
        let output = place.hwm(user, &["--max-total-pss=200M"], &["sh", "-c", &script]).output();
        let output = output.expect("hwm starts");
        let printed = String::from_utf8_lossy(&output.stderr);
        let run = Run { status: output.status, record: place.record() };
        assert_eq!(is_ended_for_the_limit(&run), user.is_root(), "{user:?}: {printed}");
        let warning = "total PSS may exceed the limit of 200 MiB unseen: the PSS of";
        let warnings =
            printed.lines().filter(|line| line.contains(warning) && line.contains("--max-total-rss"));
        assert_eq!(warnings.count(), usize::from(!user.is_root()), "{user:?}: {printed}");
        let is_in_doubt = run.reasons().contains("\"the limit on total PSS\"");
        assert_eq!(is_in_doubt, !user.is_root(), "{user:?}: {}", run.reasons());
    }
}

#[test]
fn a_process_whose_main_thread_has_left_is_held_to_the_limit() {
    let place = Place::new();
    for user in User::all() {
        // No thread or process by itself exceeds the limit.
        let run = run(&place, user, "200M", "$W leaderless 4 40 20000 & $W hold 120 20000; wait");
        assert!(is_ended_for_the_limit(&run), "{user:?}: {}", run.reasons());
    }
}

#[test]
fn a_job_that_forks_all_the_time_is_held_to_the_limit() {
    let place = Place::new();
    for user in User::all() {
        let script =
            "$W hold 120 9000 & $W hold 120 9000 & for i in $(seq 3000); do /bin/true; done; kill %1 %2";
        let run = run(&place, user, "200M", script);
        assert!(is_ended_for_the_limit(&run), "{user:?}: {}", run.reasons());
    }
}

#[test]
fn memory_that_changes_hands_counts_once() {
    let place = Place::new();
    for user in User::all() {
        let run = run(&place, user, "150M", "exec $W hand-over 100 20 20");
        assert!(!is_ended_for_the_limit(&run), "{user:?}: {}", run.record["limits"]);
    }
}

const MAX_PROCESSES: u64 = 16;

#[test]
fn a_job_that_uses_up_the_processes_of_its_user_is_held_to_the_limit() {
    if !is_root() {
        return eprintln!("skipped: only root can act as a user of its own");
    }
    let place = Place::new();
    let workload = place.path("workload");
    let job = [workload.to_str().expect("text"), "crowded", "120", "20000"];
    let mut hwm = place.hwm(User::Same, &["--max-total-pss=200M"], &job);
    // The kernel counts all processes of a user, also those of an earlier run that are not reaped yet.
    let uid = 100_000 + std::process::id() % 100_000;
    hwm.uid(uid).gid(uid);
    let limit_processes = || {
        let limit = rustix::process::Rlimit { current: Some(MAX_PROCESSES), maximum: Some(MAX_PROCESSES) };
        Ok(rustix::process::setrlimit(rustix::process::Resource::Nproc, limit)?)
    };
    // SAFETY: the closure makes one system call and allocates nothing.
    unsafe { hwm.pre_exec(limit_processes) };
    let status = wait(&mut hwm.spawn().expect("hwm starts"));
    let run = Run { status, record: place.record() };
    assert!(run.number("/peak/rss/bytes").is_some_and(|bytes| bytes > 200 << 20), "{}", run.record["exit"]);
    assert!(is_ended_for_the_limit(&run), "{}", run.reasons());
}
