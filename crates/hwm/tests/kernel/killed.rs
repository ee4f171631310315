//! hwm is killed while the job's tasks are held at an exec or exit. The job must not notice it.

use std::{fs, io::Read, path::Path, process::Stdio, thread, time::Duration};

use crate::{
    run::{Place, User, until, wait},
    turn,
};

/// Moments at which hwm is killed.
const KILL_MOMENTS: u64 = 300;
/// Processes of each job.
const JOB_PROCESSES: usize = 40;

/// Returns the number of living memory-keepers of this place's hwm. The files of a zombie hold nothing to read.
fn living_memory_keepers(place: &Place) -> usize {
    // Only root may read the link `exe` of a process that is not dumpable. Its command line is that of hwm.
    let hwm = place.path("hwm").into_os_string().into_encoded_bytes();
    let Ok(processes) = fs::read_dir("/proc") else { return 0 };
    processes
        .flatten()
        .filter(|process| {
            fs::read_to_string(process.path().join("comm")).is_ok_and(|name| name == "memory-keeper\n")
                && fs::read(process.path().join("cmdline"))
                    .is_ok_and(|line| line.split(|&byte| byte == 0).next() == Some(&hwm[..]))
        })
        .count()
}

/// Starts hwm, kills it after this time, and waits until the last process of its job has ended.
fn killed_after(place: &Place, user: User, script: &str, pause: Duration) {
    killed_when(place, user, script, || thread::sleep(pause));
}

/// Starts hwm, kills it once `moment` returns, and waits until the last process of its job has ended.
fn killed_when(place: &Place, user: User, script: &str, moment: impl Fn()) {
    let mut hwm = place.hwm(user, &["--exact", "--no-cgroup"], &["sh", "-c", script]);
    let mut child = hwm.stdout(Stdio::piped()).spawn().expect("hwm starts");
    moment();
    let _ = child.kill();
    wait(&mut child);
    // All processes of the job have its standard output; the memory-keeper has not.
    let mut rest = Vec::new();
    child.stdout.take().expect("a pipe").read_to_end(&mut rest).expect("read");
}

fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

#[test]
fn at_random_moments_of_a_storm() {
    let _turn = turn();
    let place = Place::new();
    let expected: Vec<String> = (0..JOB_PROCESSES).map(|code| code.to_string()).collect();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let users = User::all();
    for time in 0..KILL_MOMENTS {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let pause = Duration::from_micros(3_000 + (random >> 33) % 60_000);
        let user = users[usize::try_from(time).unwrap() % users.len()];
        // Each job has files of its own.
        let (codes, over) = (place.path(&format!("codes{time}")), place.path(&format!("over{time}")));
        // Each child exits with its own number; each code goes to a file, and so does the end.
        let script = format!(
            "i=0; while [ $i -lt {JOB_PROCESSES} ]; do sh -c \"exit $i\"; echo $? >> {}; i=$((i+1)); done; echo > {}",
            codes.display(),
            over.display()
        );
        killed_after(&place, user, &script, pause);
        // If hwm was killed before the job began, there is none.
        if over.exists() || codes.exists() {
            assert!(over.exists(), "the job ends although hwm was killed after {pause:?}");
            assert_eq!(lines(&codes), expected, "killed after {pause:?}");
        }
    }
    until("all living_memory_keepers have gone", || living_memory_keepers(&place) == 0);
}

#[test]
fn under_make() {
    let _turn = turn();
    let place = Place::new();
    if std::process::Command::new("make").arg("--version").output().is_err() {
        return eprintln!("skipped: no make here");
    }
    let targets: Vec<String> = (0..60).map(|number| format!("t{number}")).collect();
    let all = targets.join(" ");
    fs::write(place.path("Makefile"), format!("all: {all}\n{all}:\n\t@sleep 0.02; echo done > $@\n"))
        .unwrap();
    let make = format!("make -s -j4 && echo > {}", place.path("over").display());
    for user in User::all() {
        let _ = fs::remove_file(place.path("over"));
        for target in &targets {
            let _ = fs::remove_file(place.path(target));
        }
        // On a busy machine hwm takes long to start the job, which is none if hwm is killed before.
        killed_when(&place, user, &make, || {
            until("make has made some", || {
                targets.iter().filter(|target| place.path(target).exists()).count() > 5
            });
        });
        assert!(place.path("over").exists(), "make ends although hwm was killed");
        assert!(targets.iter().all(|target| place.path(target).exists()));
    }
    until("all living_memory_keepers have gone", || living_memory_keepers(&place) == 0);
}

#[test]
fn a_pipe_behind_hwm_ends_with_hwm() {
    let _turn = turn();
    let place = Place::new();
    for user in User::all() {
        // The memory-keeper outlives hwm with the daemon, and must not hold hwm's standard output open.
        let mut hwm = place.hwm(
            user,
            &["--exact", "--no-cgroup"],
            &["sh", "-c", "(sleep 3 >/dev/null 2>&1 &); echo x"],
        );
        let output = hwm.stdout(Stdio::piped()).stderr(Stdio::piped());
        let before = std::time::Instant::now();
        let output = output.output().unwrap();
        assert_eq!(output.stdout, b"x\n");
        let lives = living_memory_keepers(&place) > 0;
        assert!(
            lives || before.elapsed() >= Duration::from_secs(3),
            "the memory-keeper left before the daemon"
        );
        until("the memory-keeper has gone with the daemon", || living_memory_keepers(&place) == 0);
    }
}

#[test]
fn a_process_that_was_just_killed_is_not_left_running() {
    let _turn = turn();
    let place = Place::new();
    for user in User::all() {
        for lineage in ["auto", "sampling"] {
            // The shell ends before the kernel has freed what it killed.
            let script = "./workload hold 100 60000 & sleep 0.3; kill -KILL $!";
            let run = place.run(user, &["--lineage", lineage], &["sh", "-c", script]);
            assert_eq!(run.number("/capture/processes_still_running"), Some(0), "{user:?}, {lineage}");
            let left = place.run(user, &["--lineage", lineage], &["sh", "-c", "exec sleep 2 & sleep 0.2"]);
            assert_eq!(left.number("/capture/processes_still_running"), Some(1), "{user:?}, {lineage}");
        }
    }
}
