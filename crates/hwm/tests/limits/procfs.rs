//! Limits of jobs that hide `/proc`, or have none.

use super::*;

/// Runs a script of the shell in a mount namespace of its own.
fn in_mount_namespace(script: &str) -> io::Result<Output> {
    Command::new("unshare").args(["--mount", "sh", "-c", script]).output()
}

/// Returns whether the user of the test may do `hide` to `/proc`, in a mount namespace of its own.
fn may_hide_procfs(hide: &str) -> bool {
    let hidden = in_mount_namespace(&format!("{hide} && ! test -e /proc/self"));
    let may_hide = hidden.as_ref().is_ok_and(|output| output.status.success());
    if !may_hide {
        eprintln!("skipped: no mount namespace without procfs ({hide}): {hidden:?}");
    }
    may_hide
}

/// Ways to take `/proc` away from all processes of a mount namespace.
const WAYS_TO_HIDE_PROCFS: [&str; 2] = ["umount -l /proc", "mount -t tmpfs none /proc"];

/// Returns the output of `hwm run OPTIONS -- COMMAND` where `hide` was done to `/proc`, or `None` where a user may not.
fn run_without_procfs(hide: &str, options: &[&str], command: &str) -> Option<Output> {
    let options = options.join(" ");
    let script = format!("{hide} && exec {} run {options} -- {command}", programs::HWM);
    may_hide_procfs(hide).then(|| in_mount_namespace(&script).expect("starts"))
}

/// Runs a job that does `hide` to `/proc` of the mount namespace that it shares with hwm, and then `command`. The
/// programs `./60M` and `./300M` are of that size, and live for a second.
fn run_hiding_procfs(hide: &str, options: &[&str], command: &str) -> Run {
    let dir = tempfile::tempdir().expect("a directory");
    let json = dir.path().join("record.json");
    for mib in [60, 300] {
        tiny::write_tiny(&dir.path().join(format!("{mib}M")), mib << 10, 1000).expect("written");
    }
    let script = format!(
        "cd {} && exec {} run -q --json={} {} -- sh -c '{hide} || exit 3; {command}'",
        dir.path().display(),
        programs::HWM,
        json.display(),
        options.join(" "),
    );
    let output = in_mount_namespace(&script).expect("starts");
    let record = fs::read(&json).map_or(Value::Null, |text| serde_json::from_slice(&text).expect("a record"));
    Run { output, record }
}

#[test]
fn a_job_that_hides_procfs_does_not_escape_its_limit() {
    for hide in WAYS_TO_HIDE_PROCFS.into_iter().filter(|hide| may_hide_procfs(hide)) {
        for lineage in ["--lineage=auto", "--lineage=sampling"] {
            for (option, code) in
                [("--max-total-rss=100M", 10), ("--max-per-proc-rss=100M", 11), ("--max-total-pss=100M", 10)]
            {
                let run = run_hiding_procfs(hide, &[option, lineage], "exec ./300M");
                let what = format!("{hide}, {option} {lineage}: {}", run.printed());
                assert_eq!(run.code(), Some(code), "{what}");
                assert_eq!(run.record["exit"]["cause"], "limit", "{what}");
            }
        }
    }
}

#[test]
fn a_job_that_hides_procfs_has_its_peak() {
    for hide in WAYS_TO_HIDE_PROCFS.into_iter().filter(|hide| may_hide_procfs(hide)) {
        for option in ["--lineage=auto", "--lineage=sampling", "--exact"] {
            let run = run_hiding_procfs(hide, &[option], "./60M & ./60M; wait");
            let what = format!("{hide}, {option}: {}", run.printed());
            assert_eq!(run.code(), Some(0), "{what}");
            let peak = run.record["peak"]["rss"]["bytes"].as_u64().expect("a peak") >> 20;
            assert!((120..130).contains(&peak), "{what}: {}", run.record["peak"]);
            let processes = run.record["processes"].as_array().expect("processes");
            let peaks = processes.iter().filter_map(|process| process["peak"]["rss"]["bytes"].as_u64());
            assert_eq!(peaks.filter(|bytes| *bytes >= 60 << 20).count(), 2, "{what}: {processes:?}");
        }
    }
}

#[test]
fn an_unreadable_proc_refuses_a_limited_job() {
    for hide in WAYS_TO_HIDE_PROCFS {
        for option in ["--max-total-rss=200M", "--max-per-proc-rss=200M", "--max-total-pss=200M"] {
            let Some(output) = run_without_procfs(hide, &["-q", option], "echo started") else { continue };
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!((output.status.code(), &*output.stdout), (Some(125), &b""[..]), "{option}: {said}");
            assert!(
                said.contains("the limit cannot be enforced: no process can be read"),
                "{option}: {said}"
            );
        }
        // Without a limit the job runs.
        let Some(output) = run_without_procfs(hide, &["-q"], "echo started") else { continue };
        assert_eq!((output.status.code(), &*output.stdout), (Some(0), &b"started\n"[..]));
    }
}

#[test]
fn a_job_without_procfs_is_not_sampled_for_nothing() {
    for hide in WAYS_TO_HIDE_PROCFS {
        let Some(output) = run_without_procfs(hide, &["-q", "--json"], "sleep 1.5") else { continue };
        let record: Value = serde_json::from_slice(&output.stdout).expect("a record");
        let samples = record["samples"].as_u64().expect("a number");
        // One every 50 ms, and quicker ones at the start.
        assert!((1..150).contains(&samples), "{hide}: {samples} samples");
    }
}

#[test]
fn a_job_may_unmount_procfs_as_it_may_without_hwm() {
    if in_mount_namespace("umount /proc").is_ok_and(|output| output.status.success()) {
        for option in ["--lineage=auto", "--lineage=sampling", "--exact"] {
            let run = run_hiding_procfs("umount /proc", &[option], "exec ./60M");
            assert_eq!(run.code(), Some(0), "{option}: {}", run.printed());
        }
    } else {
        eprintln!("skipped: procfs cannot be unmounted here");
    }
}
