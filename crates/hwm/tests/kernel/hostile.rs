//! A job that disturbs its own measurement.

use std::{fs, path::Path, process::Command};

use crate::run::{Place, User, holds};

/// Every process of the same user may open a pipe of another through `/proc/PID/fd`, for reading and for writing.
#[test]
fn job_output_in_the_notice_pipe_is_ignored() {
    let attack = "
        for fd in /proc/$PPID/fd/*; do
            case ${fd##*/} in 0|1|2) continue;; esac
            case $(readlink $fd) in pipe:*) (cat junk > $fd) 2> /dev/null;; esac
        done
        for pid in $(cat /proc/$PPID/task/*/children); do
            [ $(cat /proc/$pid/comm) = memory-keeper ] || continue
            if (: > /proc/$pid/fd/3) 2> /dev/null; then echo open; else echo closed; fi > keeper
        done
        $W hold 30 0; exit 7";
    let _turn = crate::turn();
    for user in User::all() {
        let place = Place::new();
        // The job writes a piece that is no notice, and one that is too short.
        fs::write(place.path("junk"), [255; 128 + 5]).unwrap();
        let script = format!("W={}; {attack}", place.path("workload").display());
        let run = place.run(user, &["--exact"], &["sh", "-c", &script]);
        assert_eq!(run.status.code(), Some(7), "{user:?}");
        if !holds(&run) {
            return;
        }
        // Root opens every pipe.
        let keeper = fs::read_to_string(place.path("keeper")).unwrap();
        assert_eq!(keeper, if user.is_root() { "open\n" } else { "closed\n" }, "{user:?}");
        let capture = &run.record["capture"];
        assert!(capture["lost_events"].as_u64().is_some_and(|lost| lost > 0), "{user:?}: {capture}");
        assert!(
            capture["downgrades"].to_string().contains("pipe of the memory-keeper"),
            "{user:?}: {capture}"
        );
        let after = run.processes().iter().find(|process| process["command"] == "workload").unwrap();
        let peak = &after["peak"]["rss"];
        // Root learns of it from the exit records, too.
        let source = if user.is_root() { "taskstats" } else { "exit_notify" };
        assert_eq!((&peak["certainty"], &peak["source"]), (&"exact".into(), &source.into()), "{after}");
        assert!(peak["bytes"].as_u64().is_some_and(|bytes| (30 << 20..60 << 20).contains(&bytes)), "{after}");
    }
}

/// Root mounts over the whole hierarchy, so that no path leads to the group of the job any more.
#[test]
fn a_job_that_mounts_over_the_hierarchy_leaves_no_group_behind() {
    let place = Place::new();
    let script = "cat /proc/self/cgroup > group && mount -t tmpfs none /sys/fs/cgroup && : > mounted";
    let hwm = place.hwm(User::Same, &["--cgroup"], &["sh", "-c", script]);
    let mut unshare = Command::new("unshare");
    unshare.arg("--mount").arg(hwm.get_program()).args(hwm.get_args()).current_dir(place.path("."));
    let printed = unshare.output().unwrap();
    if !place.path("mounted").exists() {
        return eprintln!("skipped: {}", String::from_utf8_lossy(&printed.stderr));
    }
    let groups = fs::read_to_string(place.path("group")).unwrap();
    let named = groups
        .lines()
        .filter_map(|line| line.splitn(3, ':').nth(2))
        .filter(|path| path.contains("highwater-"));
    let mut has_group = false;
    for path in named {
        has_group = true;
        for hierarchy in ["/sys/fs/cgroup/memory", "/sys/fs/cgroup"] {
            let group = format!("{hierarchy}{path}");
            assert!(!Path::new(&group).exists(), "{group}");
        }
    }
    if !has_group {
        eprintln!("skipped: no group was made");
    }
}
