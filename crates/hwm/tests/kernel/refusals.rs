//! The kernel, or a sandbox around hwm, refuses a mechanism: the next best is used and the reason reported.

use std::{ffi::OsStr, io, os::unix::process::CommandExt, process::Command};

use crate::{
    run::{Place, Run, User, holds, wait},
    turn,
};

/// Makes the system call `number` fail with EPERM, as a container's seccomp profile does.
fn refuse(command: &mut Command, number: i64) {
    let one = |code, k| libc::sock_filter { code, jt: 0, jf: 0, k };
    let number = u32::try_from(number).unwrap();
    let refused = libc::SECCOMP_RET_ERRNO | libc::EPERM.unsigned_abs();
    let filter = [
        one(0x20, 0),                                              // the call's number
        libc::sock_filter { code: 0x15, jt: 0, jf: 1, k: number }, // this one?
        one(0x06, refused),
        one(0x06, libc::SECCOMP_RET_ALLOW),
    ];
    let install = move || {
        let program = libc::sock_fprog { len: 4, filter: filter.as_ptr().cast_mut() };
        // SAFETY: system calls on memory that lives, in the child between fork and exec.
        let installed = unsafe {
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
                && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) == 0
        };
        if installed { Ok(()) } else { Err(io::Error::last_os_error()) }
    };
    // SAFETY: the closure makes system calls only.
    unsafe { command.pre_exec(install) };
}

fn run_refused(place: &Place, user: User, options: &[&str], number: i64) -> Run {
    let mut hwm = place.hwm(user, options, &["sh", "-c", "/bin/true; exit 3"]);
    refuse(&mut hwm, number);
    let status = wait(&mut hwm.spawn().expect("hwm starts"));
    let run = Run { status, record: place.record() };
    run.check();
    assert_eq!(run.status.code(), Some(3), "{}", run.record);
    run
}

#[test]
fn a_command_that_cannot_be_followed_is_not_started() {
    let _turn = turn();
    let place = Place::new();
    for user in User::all() {
        let made = place.path("made");
        let mut hwm = place.hwm(user, &[], &["touch", made.to_str().expect("text")]);
        refuse(&mut hwm, libc::SYS_pidfd_open);
        let status = wait(&mut hwm.spawn().expect("hwm starts"));
        assert_eq!(status.code(), Some(125));
        assert!(!made.exists(), "the command ran, and hwm had given up");
    }
}

#[test]
fn perf_events() {
    let _turn = turn();
    let place = Place::new();
    for user in User::all() {
        let run = run_refused(&place, user, &[], libc::SYS_perf_event_open);
        assert_ne!(run.word("/capture/lineage"), "perf");
        assert!(run.reasons().contains("perf events: "), "{}", run.reasons());
        if run.word("/capture/lineage") == "proc_connector" {
            assert_eq!(run.seen(), (2, "exact"), "{}", run.record);
        } else {
            assert_eq!(run.seen().1, "at_least");
        }
    }
}

#[test]
fn the_filter() {
    let _turn = turn();
    let place = Place::new();
    for user in User::all() {
        let run = run_refused(&place, user, &["--exact"], libc::SYS_seccomp);
        assert!(!holds(&run));
        assert!(run.reasons().contains("exact peaks"), "{}", run.reasons());
        assert!(run.reasons().contains("seccomp notification was refused"), "{}", run.reasons());
    }
}

#[test]
fn the_comparison_of_memory_maps() {
    let _turn = turn();
    let place = Place::new();
    for user in User::all() {
        // Without it a copy is assumed, which makes the bound wider and never wrong.
        run_refused(&place, user, &["--exact"], libc::SYS_kcmp);
    }
}

#[test]
fn a_cgroup() {
    let _turn = turn();
    let place = Place::new();
    for user in User::all() {
        let run = place.run(user, &["--cgroup"], &["sh", "-c", "exit 3"]);
        run.check();
        assert_eq!(run.status.code(), Some(3));
        let charged = run.number("/peak/cgroup/bytes");
        let reason = run.reasons().contains("cgroup");
        assert!(charged.is_some_and(|bytes| bytes > 0) != reason, "{charged:?} {}", run.reasons());
    }
}

/// Returns a run in which only holding reports processes: perf is not asked, and the connector is silent there. `None`
/// if this user may not make the namespaces.
fn run_in_new_namespaces(place: &Place, user: User, options: &[&str], script: &str) -> Option<Run> {
    let inside = |program: &OsStr| {
        let mut unshare = Command::new("unshare");
        unshare.args(["--user", "--map-root-user", "--pid", "--net", "--fork", "--mount-proc"]).arg(program);
        if user == User::Ordinary {
            unshare.uid(65_534).gid(65_534);
        }
        unshare.current_dir(place.path(""));
        unshare
    };
    if !inside("true".as_ref()).status().is_ok_and(|status| status.success()) {
        eprintln!("skipped for {user:?}: no new namespaces here");
        return None;
    }
    let options = [&["--exact", "--lineage", "proc-connector"], options].concat();
    let hwm = place.hwm(user, &options, &["sh", "-c", script]);
    let status = wait(&mut inside(hwm.get_program()).args(hwm.get_args()).spawn().expect("unshare starts"));
    let run = Run { status, record: place.record() };
    run.check();
    assert_eq!(run.word("/capture/lineage"), "children", "{}", run.record["capture"]);
    assert!(run.reasons().contains("proc connector: "), "{}", run.reasons());
    Some(run)
}

#[test]
fn all_but_holding_in_new_namespaces() {
    let _turn = turn();
    let place = Place::new();
    for user in User::all() {
        let Some(run) = run_in_new_namespaces(&place, user, &[], "/bin/true; true; exit 3") else { continue };
        assert_eq!(run.status.code(), Some(3), "{}", run.record);
        if holds(&run) {
            // The process was seen because it was held, however short it was.
            assert_eq!(run.processes().len(), 2, "{}", run.record["processes"]);
            for process in run.processes() {
                assert_eq!(process["peak"]["rss"]["certainty"], "exact", "{process}");
            }
            assert_eq!(run.processes()[1]["command"], "true");
        }
    }
}

#[test]
fn a_process_that_is_first_seen_at_its_exec_is_read() {
    let _turn = turn();
    let place = Place::new();
    let script = format!("sleep 0.3; {} hold 200 30000; true", place.path("workload").display());
    for user in User::all() {
        let options = ["--interval", "100", "--max-total-rss", "100M"];
        let Some(run) = run_in_new_namespaces(&place, user, &options, &script) else { continue };
        // Only a reading of the living child can have shown so much before its end.
        assert_eq!(run.status.code(), Some(10), "{}", run.record["limits"]);
    }
}

#[test]
fn a_procfs_of_another_namespace() {
    let _turn = turn();
    if !crate::run::is_root() {
        return eprintln!("skipped: needs a pid namespace");
    }
    let place = Place::new();
    let output = Command::new("unshare")
        .args(["--pid", "--fork", "--"])
        .arg(place.path("hwm"))
        .args(["run", "--", "sh", "-c", "echo run"])
        .output();
    let Ok(output) = output else { return eprintln!("skipped: no unshare here") };
    let printed = String::from_utf8_lossy(&output.stderr);
    if printed.starts_with("unshare") {
        return eprintln!("skipped: {printed}");
    }
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(125), &b""[..]), "{printed}");
    assert!(printed.contains("--mount-proc"), "{printed}");
}

#[test]
fn a_job_that_leaves_its_cgroup() {
    let _turn = turn();
    let place = Place::new();
    let groups = "/sys/fs/cgroup/memory";
    let (tasks, workload) = (format!("{groups}/cgroup.procs"), place.path("workload"));
    if !crate::run::is_root() || std::fs::metadata(&tasks).is_err() {
        return eprintln!("skipped: no cgroup v1 to write to");
    }
    let script = format!("echo $$ > {tasks}; exec {} hold 50 300", workload.display());
    let run = place.run(User::Same, &["--cgroup"], &["sh", "-c", &script]);
    run.check();
    if run.number("/peak/cgroup/bytes").is_none() {
        return eprintln!("skipped: {}", run.reasons());
    }
    assert_eq!(run.word("/peak/cgroup/certainty"), "at_least", "{}", run.record["peak"]);
    assert!(run.reasons().contains("left the group"), "{}", run.reasons());
}
