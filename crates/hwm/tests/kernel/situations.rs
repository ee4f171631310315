//! Programs that are hard to follow: each must be followed rightly, or be called uncertain with the reason, and must
//! behave as without hwm.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use crate::{
    install::install,
    run::{Place, Run, User, bounds, holds, is_root, kernel_reports_events},
    turn,
};

const HOLD_MODES: [&[&str]; 2] = [&["--no-cgroup"], &["--no-cgroup", "--exact"]];
/// Each source of births and ends by itself.
const EVENT_SOURCES: [&[&str]; 4] = [
    &["--no-cgroup", "--wait", "--lineage", "perf"],
    &["--no-cgroup", "--wait", "--lineage", "proc-connector"],
    &["--no-cgroup", "--wait", "--lineage", "sampling"],
    &["--no-cgroup", "--wait", "--exact"],
];

/// Runs `command` as every user in both modes, and hands each run to `judge`.
fn each(command: &[&str], code: i32, judge: impl Fn(&Run, &str)) {
    in_modes(&HOLD_MODES, command, code, judge);
}

fn in_modes(modes: &[&[&str]], command: &[&str], code: i32, judge: impl Fn(&Run, &str)) {
    let _turn = turn();
    let place = Place::new();
    let (tiny, _) = place.tiny(2048, 20);
    let named: Vec<String> = command
        .iter()
        .map(|word| {
            word.replace("{hwm}", place.path("hwm").to_str().unwrap())
                .replace("{workload}", place.path("workload").to_str().unwrap())
                .replace("{tiny}", tiny.to_str().unwrap())
        })
        .collect();
    let named: Vec<&str> = named.iter().map(String::as_str).collect();
    for user in User::all() {
        for mode in modes {
            let run = place.run(user, mode, &named);
            run.check();
            let what = format!("{user:?} {mode:?}: {} {}", run.record["capture"], run.record["processes"]);
            assert_eq!(run.status.code(), Some(code), "{what}");
            judge(&run, &what);
        }
    }
}

/// Short ones, so that only the kernel's exit records may name them. The last is that of the other thread.
#[test]
fn a_process_is_called_as_its_first_thread() {
    let script = "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do {workload} named-thread; done; exit 3";
    each(&["sh", "-c", script], 3, |run, what| {
        let other =
            run.processes().iter().find(|row| row["comm"] == "other-name" || row["command"] == "other-name");
        assert!(other.is_none(), "{what}");
    });
}

/// Returns whether a program can be started here.
fn has(program: &str) -> bool {
    let there = Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    if !there {
        eprintln!("skipped: no {program} here");
    }
    there
}

fn peak(run: &Run, index: usize) -> u64 {
    run.processes()[index]["peak"]["rss"]["bytes"].as_u64().unwrap_or(0)
}

#[test]
fn a_static_program() {
    each(&["{tiny}"], 0, |run, what| {
        if holds(run) {
            assert_eq!(run.word("/processes/0/peak/rss/certainty"), "exact", "{what}");
            let upper = run.number("/peak/rss/upper_bytes");
            assert!(!bounds(run) || run.number("/peak/rss/bytes") == upper, "{what}");
        }
    });
}

/// Checks that the interval holds the truth, and that the estimate finds it.
fn holds_mib(run: &Run, mib: u64, what: &str) {
    let end = |name: &str| run.number(&format!("/peak/rss/{name}")).unwrap();
    let truth = mib << 20;
    assert!(end("upper_bytes") >= truth, "{what}");
    assert!(end("bytes") >= truth - truth / 33 && end("bytes") <= truth + truth / 20, "{what}");
    assert!(
        run.processes().iter().any(|process| {
            process["peak"]["rss"]["bytes"].as_u64().is_some_and(|bytes| bytes >= truth - truth / 33)
        }),
        "{what}"
    );
}

#[test]
fn a_child_that_is_made_by_request() {
    in_modes(&EVENT_SOURCES, &["{workload}", "sibling", "100", "200"], 0, |run, what| {
        holds_mib(run, 100, what);
        assert_eq!(run.seen().0, 2, "{what}");
    });
}

#[test]
fn a_memory_map_that_its_owner_leaves() {
    in_modes(&EVENT_SOURCES, &["{workload}", "guest", "100", "200"], 0, |run, what| {
        holds_mib(run, 120, what);
    });
    in_modes(&EVENT_SOURCES, &["{workload}", "guest", "100", "200", "{tiny}"], 0, |run, what| {
        holds_mib(run, 120, what);
    });
}

#[test]
fn a_command_that_may_not_be_watched() {
    // A program that may be run and not read: the kernel reports nothing of it.
    let _turn = turn();
    let place = Place::new();
    let shell = place.path("sh");
    install(Path::new("/bin/sh"), &shell);
    fs::set_permissions(&shell, fs::Permissions::from_mode(0o711)).expect("the test's own file");
    let workload = place.path("workload");
    let script = format!("{} hold 100 300; :", workload.display());
    for user in User::all() {
        let run = place.run(user, &["--no-cgroup"], &[shell.to_str().unwrap(), "-c", &script]);
        run.check();
        let what = format!("{user:?} {} {}", run.record["capture"], run.record["processes"]);
        holds_mib(&run, 100, &what);
    }
}

/// `something & exec hwm run` leaves hwm the shell's children, and their descendants once they have ended. They are
/// not the job's, and are not ended with it.
#[test]
fn children_from_before_are_not_the_jobs() {
    let _turn = turn();
    let place = Place::new();
    let pids = place.path("strangers");
    for mode in ["--lineage=auto", "--lineage=sampling"] {
        let _ = fs::remove_file(&pids);
        let script = format!(
            "sleep 60 & echo $! >>{pids}; setsid sh -c 'sleep 60 & echo $! >>{pids}; sleep 0.3' & \
             exec {hwm} run -q --no-cgroup {mode} --json={json} --max-total-rss=20M --grace=100ms -- \
             sh -c 'trap \"\" TERM; sleep 0.8; {workload} hold 50 3000'",
            pids = pids.display(),
            hwm = place.path("hwm").display(),
            json = place.path("record.json").display(),
            workload = place.path("workload").display(),
        );
        let status = Command::new("sh").args(["-c", &script]).status().unwrap();
        let pids: Vec<String> = fs::read_to_string(&pids).unwrap().lines().map(str::to_owned).collect();
        let found: Vec<String> = pids
            .iter()
            .map(|pid| fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default())
            .collect();
        let _ = Command::new("kill").args(&pids).status();
        let run = Run { status, record: place.record() };
        run.check();
        assert_eq!(run.status.code(), Some(10), "{mode}");
        let names: Vec<_> = run.processes().iter().map(|row| row["command"].as_str().unwrap()).collect();
        assert!(names.contains(&"workload"), "{mode}: {names:?}");
        // The shell's own wait is the only sleep of the job.
        assert!(names.iter().filter(|&&name| name == "sleep").count() <= 1, "{mode}: {names:?}");
        assert_eq!(run.record["capture"]["processes_still_running"], 0, "{mode}");
        let lives = |stat: &str| {
            stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
        };
        assert!(found.len() == 2 && found.iter().all(|stat| lives(stat)), "{mode}: {found:?}");
    }
}

/// Each orphan of the job becomes a child of hwm, and so does each of an inherited child. Without events it is not known
/// which is which, and hwm alone can reap either.
#[test]
fn orphans_beside_an_inherited_child_are_reaped_when_sampled() {
    let place = Place::new();
    // It waits until hwm has no other exited child than the one that it has inherited.
    let job = r#"
        exited() { case $(cat /proc/$1/stat 2>/dev/null) in *") Z "*) true;; *) false;; esac; }
        exited_children() {
            for pid in $(cat /proc/$PPID/task/*/children); do ! exited $pid || echo $pid; done
        }
        until exited $1; do sleep 0.01; done
        for i in $(seq 200); do (: &); done
        for i in $(seq 500); do
            [ "$(exited_children)" != $1 ] || exit 0
            sleep 0.05
        done
        exited_children | wc -l >&2
        exit 1"#;
    fs::write(place.path("job"), job).unwrap();
    let script = format!(
        "sleep 0.1 & exec {} run -q --no-cgroup --lineage=sampling --json={} -- sh {} $!",
        place.path("hwm").display(),
        place.path("record.json").display(),
        place.path("job").display(),
    );
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    let run = Run { status: output.status, record: place.record() };
    run.check();
    assert_eq!(run.status.code(), Some(0), "exited children: {}", String::from_utf8_lossy(&output.stderr));
}

/// The files of a zombie belong to root: a process of another user must have opened them before.
#[test]
fn final_bytes_are_known_to_every_user() {
    let _turn = turn();
    let place = Place::new();
    let (workload, data) = (place.path("workload"), place.path("data"));
    // The parent reads and writes its own 10 MiB at its very end, after those of its child.
    let command = [workload.to_str().unwrap(), "copy", data.to_str().unwrap(), "20"];
    for user in User::all() {
        // The other user cannot write over what this one has left.
        let _ = fs::remove_file(&data);
        let run = place.run(user, &["--with-io"], &command);
        run.check();
        let io = &run.processes()[0]["usage"]["io"];
        for key in ["read_bytes", "written_bytes"] {
            let bytes = io[key].as_u64().expect("known");
            assert!((10 << 20..10 << 20 | 64 << 10).contains(&bytes), "{user:?} {key}: {io}");
        }
    }
}

#[test]
fn few_descriptors() {
    let _turn = turn();
    let place = Place::new();
    let workload = place.path("workload");
    let script = format!(
        "ulimit -n 40; exec {} run -q --no-cgroup --json={} -- {} shared-workers cow 30 8",
        place.path("hwm").display(),
        place.path("record.json").display(),
        workload.display()
    );
    let status = Command::new("sh").args(["-c", &script]).status().unwrap();
    let run = Run { status, record: place.record() };
    run.check();
    let what = run.record["processes"].to_string();
    assert_eq!(run.seen().0, 31, "{what}");
    assert!(run.processes().iter().all(|process| process["peak"]["rss"]["bytes"].is_u64()), "{what}");
    assert!(run.number("/peak/rss/bytes").unwrap() >= 31 * (8 << 20), "{what}");
}

#[test]
fn a_double_forked_daemon_and_the_process_in_the_middle() {
    let script = "(sh -c 'sleep 20; exit 3' &) ; exit 4";
    each(&["sh", "-c", script], 4, |run, what| {
        if kernel_reports_events(run) {
            // The command, the middle one, the daemon, and what it runs.
            assert!(run.seen().0 >= 3 && run.seen().1 == "exact", "{what}");
            let left = run.number("/capture/processes_still_running").unwrap();
            assert!((1..=2).contains(&left), "the daemon, and its sleep: {what}");
        }
    });
}

#[test]
fn a_pipeline_of_20() {
    let script = format!("echo x {} >/dev/null", "| cat ".repeat(20));
    each(&["sh", "-c", &script], 0, |run, what| {
        if kernel_reports_events(run) {
            assert_eq!(run.seen(), (22, "exact"), "{what}");
            let cats = run.processes().iter().filter(|process| process["command"] == "cat").count();
            assert_eq!(cats, 20, "{what}");
        }
    });
}

#[test]
fn killed_by_sigkill() {
    each(&["sh", "-c", "{workload} killed 40 9; test $? = 137"], 0, |run, what| {
        let killed = run.processes().iter().find(|process| process["command"] == "workload").unwrap();
        assert!(killed["max_rss_kib"].as_u64().is_some_and(|kib| kib >= 40 << 10), "{what}");
        let certainty = &killed["peak"]["rss"]["certainty"];
        let recorded = run.word("/capture/peaks").ends_with("taskstats");
        // A process that is killed is not held: without an exit record its mark was sampled.
        assert_eq!(certainty, if recorded { "exact" } else { "at_least" }, "{what}");
        if recorded {
            assert_eq!(killed["exit"]["signal"], 9, "{what}");
        }
    });
}

#[test]
fn a_chain_of_execs() {
    each(&["{workload}", "exec", "60", "10"], 0, |run, what| {
        assert!(peak(run, 0) >= 60 << 20, "{what}");
        if holds(run) {
            let images = run.processes()[0]["images"].as_array().unwrap();
            assert_eq!(images.len(), 2, "{what}");
            assert!(images.iter().all(|image| image["peak"]["certainty"] == "exact"), "{what}");
            assert!(images[1]["peak"]["bytes"].as_u64().unwrap() < 20 << 20, "{what}");
        }
    });
}

#[test]
fn an_exec_that_fails_ends_nothing() {
    // A PATH search: three directories without it, then the right one.
    let script = "PATH=/nonexistent:/var:/etc:/bin:/usr/bin env true; exit 7";
    each(&["sh", "-c", script], 7, |run, what| {
        if kernel_reports_events(run) {
            assert_eq!(run.seen(), (2, "exact"), "{what}");
        }
        if holds(run) {
            let env = &run.processes()[1];
            let images: Vec<_> = env["images"].as_array().unwrap().iter().collect();
            assert_eq!(images.len(), 2, "{what}");
            assert!(images.iter().all(|image| image["peak"]["certainty"] == "exact"), "{what}");
        }
    });
}

#[test]
fn a_thread_that_execs() {
    if !has("/usr/bin/python3") {
        return;
    }
    let script = "import os, threading\n\
        t = threading.Thread(target=lambda: os.execv('/bin/sh', ['sh', '-c', 'exit 5']))\n\
        t.start(); t.join()";
    each(&["/usr/bin/python3", "-c", script], 5, |run, what| {
        if kernel_reports_events(run) {
            assert_eq!(run.seen(), (1, "exact"), "{what}");
            assert_eq!(run.processes()[0]["images"].as_array().unwrap().len(), 2, "{what}");
        }
    });
}

#[test]
fn a_process_whose_leader_has_left() {
    each(&["{workload}", "leaderless", "4", "10"], 0, |run, what| {
        assert!(peak(run, 0) >= 40 << 20, "{what}");
    });
}

#[test]
fn posix_spawn_is_counted_once() {
    each(&["{workload}", "vfork-storm", "{tiny}", "5"], 0, |run, what| {
        if kernel_reports_events(run) {
            assert_eq!(run.seen(), (6, "exact"), "{what}");
        }
        if bounds(run) {
            // Only one child lives beside the parent: nothing is added for children that run in its memory map.
            let upper = run.number("/peak/rss/upper_bytes").unwrap();
            assert!(run.upper_is_rigorous() && upper <= peak(run, 0) + peak(run, 1) + (256 << 10), "{what}");
        }
    });
}

#[test]
fn strace_inside_the_job() {
    if !has("strace") {
        return;
    }
    each(&["strace", "-f", "-o", "/dev/null", "sh", "-c", "/bin/true; exit 6"], 6, |run, what| {
        assert!(run.processes().iter().any(|process| process["command"] == "sh"), "{what}");
    });
}

#[test]
fn gdb_inside_the_job() {
    if !has("gdb") {
        return;
    }
    let gdb =
        ["gdb", "-q", "-batch", "-nx", "-ex", "run", "-ex", "quit 3", "--args", "{workload}", "nothing"];
    each(&gdb, 3, |run, what| {
        assert!(run.processes().iter().any(|process| process["command"] == "gdb"), "{what}");
    });
}

#[test]
fn hwm_inside_hwm() {
    let inner =
        ["{hwm}", "run", "-q", "--no-cgroup", "--exact", "--json=inner.json", "--", "sh", "-c", "exit 9"];
    each(&inner, 9, |run, what| {
        let directory = run.word("/processes/0/exe").rsplit_once('/').unwrap().0.to_owned();
        let inner = fs::read(format!("{directory}/inner.json")).unwrap();
        let inner: serde_json::Value = serde_json::from_slice(&inner).unwrap();
        assert_eq!(inner["exit"]["code"], 9);
        if holds(run) {
            let printed = inner["capture"]["downgrades"].to_string();
            assert!(printed.contains("listener is in place"), "{printed} {what}");
        }
        fs::remove_file(format!("{directory}/inner.json")).unwrap();
    });
}

/// A program that gains root's user id by its mode; only root can make one.
#[test]
fn a_setuid_program() {
    if !is_root() {
        return eprintln!("skipped: only root can make a setuid program");
    }
    let _turn = turn();
    let place = Place::new();
    let id = place.path("id");
    install(Path::new("/usr/bin/id"), &id);
    fs::set_permissions(&id, fs::Permissions::from_mode(0o4755)).unwrap();
    let shell = place.path("root-sh");
    install(Path::new("/bin/sh"), &shell);
    fs::set_permissions(&shell, fs::Permissions::from_mode(0o4755)).unwrap();
    let script = format!("{} -u > {}", id.display(), place.path("uid").display());
    let uid = || fs::read_to_string(place.path("uid")).unwrap().trim().to_owned();

    let run = place.run(User::Ordinary, &[], &["sh", "-c", &script]);
    run.check();
    let gains = uid() == "0";
    let _ = fs::remove_file(place.path("uid"));
    if !gains {
        return eprintln!("skipped: programs on this file system gain nothing");
    }
    let run = place.run(User::Ordinary, &["--exact"], &["sh", "-c", &script]);
    if holds(&run) {
        assert_eq!(uid(), "65534", "--exact: no privileges are gained, as in the help");
    }

    // The kernel's perf events stop at such a program. Its children are found by polling, and a downgrade is reported.
    let script = format!("{} -p -c '(sleep 0.3; true); sleep 0.3; true'", shell.display());
    let run = place.run(User::Ordinary, &["--lineage", "perf"], &["sh", "-c", &script]);
    run.check();
    assert_eq!(run.status.code(), Some(0));
    assert_eq!(run.seen().1, "at_least", "{}", run.record);
    let sleeps = run.processes().iter().filter(|process| process["command"] == "sleep").count();
    assert_eq!(sleeps, 2, "{}", run.record["processes"]);
}

#[test]
fn a_process_whose_memory_takes_long_to_free_is_one_process() {
    // perf reports its end some 0.1 s before the memory is gone. It still stands in its parent's list of children.
    in_modes(&EVENT_SOURCES, &["sh", "-c", "{workload} hold 1500 10; exit 3"], 3, |run, what| {
        assert_eq!(run.processes().len(), 2, "{what}");
    });
}
