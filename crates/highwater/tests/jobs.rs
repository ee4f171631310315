//! Jobs inside another program: several at once, and beside children that do not belong to the job.
#![cfg(all(target_os = "linux", feature = "job"))]

use std::{fs::File, process::Command, thread, time::Duration};

use highwater::{
    Error, Job, Roots,
    job::{Observer, Progress},
    record::{ExitCause, PeakSource, Process, Record},
};

#[test]
fn two_jobs_and_a_foreign_child_leave_each_other_alone() {
    let mut foreign = Command::new("sh").args(["-c", "sleep 0.3; exit 7"]).spawn().unwrap();
    let jobs = [3, 4].map(|code| {
        thread::spawn(move || {
            Job::new("sh").args(["-c", &format!("sleep 0.2 & sleep 0.1; exit {code}")]).run()
        })
    });
    let records = jobs.map(|job| job.join().unwrap().unwrap());
    assert_eq!(foreign.wait().unwrap().code(), Some(7), "a foreign child is its owner's to wait for");
    for (record, code) in records.iter().zip([3, 4]) {
        assert_eq!(record.exit.as_ref().unwrap().code, Some(code));
        assert!(record.processes.len() >= 2, "{:?}", record.processes);
        assert!(record.processes.iter().all(|process| process.pid != foreign.id()));
    }
    let pids = |record: &Record| record.processes.iter().map(|process| process.pid).collect::<Vec<_>>();
    assert!(pids(&records[0]).iter().all(|pid| !pids(&records[1]).contains(pid)));
}

#[test]
fn what_cannot_be_started_is_an_error() {
    let file = tempfile::NamedTempFile::new().unwrap();
    assert!(matches!(Job::new("no-such-command-anywhere").run(), Err(Error::NotFound { .. })));
    assert!(matches!(Job::new(file.path()).run(), Err(Error::NotExecutable { .. })));
    assert!(matches!(Job::new("").run(), Err(Error::EmptyCommand)));
    assert!(matches!(Job::new("true").arg("a\0b").run(), Err(Error::NulByte { .. })));
}

#[test]
fn environment_directory_and_stdout_are_the_callers_choice() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    let job = Job::new("sh")
        .args(["-c", "echo \"$HIGHWATER_TEST $HOME $(pwd)\""])
        .env("HIGHWATER_TEST", "set")
        .env_remove("HOME")
        .current_dir(directory.path())
        .stdout(File::create(&out).unwrap());
    assert_eq!(job.run().unwrap().exit.unwrap().code, Some(0));
    let place = directory.path().canonicalize().unwrap();
    assert_eq!(std::fs::read_to_string(out).unwrap().trim(), format!("set  {}", place.display()));
}

#[test]
fn a_tree_can_be_killed_from_another_thread() {
    let job = Job::new("sh").args(["-c", "trap '' TERM; (trap '' TERM; sleep 60 & sleep 60) & wait"]);
    let control = job.control();
    let killer = thread::spawn(move || {
        thread::sleep(Duration::from_millis(200));
        control.kill_tree();
    });
    let record = job.run().unwrap();
    killer.join().unwrap();
    assert_eq!(record.exit.unwrap().cause, ExitCause::Killed);
    assert_eq!(record.capture.processes_still_running, 0);
    assert!(record.processes.len() >= 3, "{:?}", record.processes);
}

#[test]
fn without_proc_the_job_runs_and_its_code_is_known() {
    let empty = tempfile::tempdir().unwrap();
    let roots = Roots { proc: empty.path().into(), ..Roots::default() };
    let record = Job::new("sh").args(["-c", "sleep 0.05; exit 9"]).roots(roots).run().unwrap();
    assert_eq!(record.exit.unwrap().code, Some(9));
    // The kernel may still report processes, and to root their peaks.
    let read = |process: &Process| process.peak.rss.map(|peak| peak.source);
    let looked = [Some(PeakSource::Sampled), Some(PeakSource::MarkSampled)];
    assert!(
        record.processes.iter().all(|process| !looked.contains(&read(process))),
        "{:?}",
        record.processes
    );
    assert!(record.duration_seconds >= 0.05);
    assert!(record.max_total_rss_kib != Some(0), "unknown is never 0");
}

#[test]
fn without_proc_the_command_can_still_be_killed() {
    let empty = tempfile::tempdir().unwrap();
    let roots = Roots { proc: empty.path().into(), ..Roots::default() };
    let job = Job::new("sleep").arg("20").roots(roots);
    let control = job.control();
    let killer = thread::spawn(move || {
        thread::sleep(Duration::from_millis(100));
        control.kill_tree();
    });
    let record = job.run().unwrap();
    killer.join().unwrap();
    assert_eq!(record.exit.unwrap().cause, ExitCause::Killed);
    assert!(record.duration_seconds < 15.0);
}

/// If the session leader lies outside the pid namespace (a container's `exec`, `unshare --pid`), the kernel
/// shows session and group 0.
#[test]
fn in_a_pid_namespace_whose_session_lies_outside() {
    let mut again = Command::new("unshare");
    again.args(["--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]);
    let allowed = again.arg("true").status().is_ok_and(|status| status.success());
    if !allowed {
        eprintln!("skipped: no pid namespace can be made here");
        return;
    }
    let mut again = Command::new("unshare");
    again.args(["--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]);
    again.arg(std::env::current_exe().unwrap()).arg("two_jobs_and_a_foreign_child_leave_each_other_alone");
    let output = again.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn an_observer_sees_samples_and_checkpoints_that_read_back() {
    #[derive(Default)]
    struct SeenSamples {
        samples: u64,
        checkpoint: Option<Vec<u8>>,
    }
    impl Observer for SeenSamples {
        fn sampled(&mut self, progress: &Progress<'_>) {
            self.samples += 1;
            self.checkpoint = Some(serde_json::to_vec(&progress.record()).unwrap());
        }
    }
    let mut seen = SeenSamples::default();
    let record = Job::new("sleep").arg("0.1").run_observed(&mut seen).unwrap();
    assert!(seen.samples > 2 && seen.samples <= record.samples);
    assert!(!Record::from_json(&seen.checkpoint.unwrap()).unwrap().complete);
}
