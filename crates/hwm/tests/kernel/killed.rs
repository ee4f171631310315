//! hwm is killed while the job's tasks are held: nothing of it may be felt in the job.

use std::{fs, path::Path, thread, time::Duration};

use crate::{
    run::{Place, User, until, wait},
    turn,
};

/// Moments at which hwm is killed.
const TIMES: u64 = 300;
/// Processes of each job.
const RUNS: usize = 40;

/// Keepers of this place's hwm that are alive: of one that has ended and that nobody waits for, nothing can be read.
fn keepers(place: &Place) -> usize {
    let hwm = place.path("hwm");
    let Ok(processes) = fs::read_dir("/proc") else { return 0 };
    processes
        .flatten()
        .filter(|process| {
            fs::read_to_string(process.path().join("comm")).is_ok_and(|name| name == "memory-keeper\n")
                && fs::read_link(process.path().join("exe")).is_ok_and(|exe| exe == hwm)
        })
        .count()
}

fn killed_after(place: &Place, user: User, script: &str, pause: Duration) {
    let mut hwm = place.hwm(user, &["--exact", "--no-cgroup"], &["sh", "-c", script]);
    let mut child = hwm.spawn().expect("hwm starts");
    thread::sleep(pause);
    let _ = child.kill();
    wait(&mut child);
}

fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

#[test]
fn at_random_moments_of_a_storm() {
    let _turn = turn();
    let place = Place::new();
    let (codes, over) = (place.path("codes"), place.path("over"));
    // Each child exits with its own number; each code goes to a file, and so does the end.
    let script = format!(
        "i=0; while [ $i -lt {RUNS} ]; do sh -c \"exit $i\"; echo $? >> {}; i=$((i+1)); done; echo > {}",
        codes.display(),
        over.display()
    );
    let expected: Vec<String> = (0..RUNS).map(|code| code.to_string()).collect();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let users = User::all();
    for time in 0..TIMES {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let pause = Duration::from_micros(3_000 + (random >> 33) % 60_000);
        let user = users[usize::try_from(time).unwrap() % users.len()];
        let _ = (fs::remove_file(&codes), fs::remove_file(&over));
        killed_after(&place, user, &script, pause);
        if lines(&codes).is_empty() {
            // Killed before the job began, or before its first child had ended: then it may never have been started.
            thread::sleep(Duration::from_millis(50));
            if lines(&codes).is_empty() {
                continue;
            }
        }
        until("the job ends although hwm was killed", || over.exists());
        assert_eq!(lines(&codes), expected, "killed after {pause:?}");
    }
    until("all keepers have gone", || keepers(&place) == 0);
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
        killed_after(&place, user, &make, Duration::from_millis(100));
        until("make ends although hwm was killed", || place.path("over").exists());
        assert!(targets.iter().all(|target| place.path(target).exists()));
    }
    until("all keepers have gone", || keepers(&place) == 0);
}

#[test]
fn a_pipe_behind_hwm_ends_with_hwm() {
    let _turn = turn();
    let place = Place::new();
    for user in User::all() {
        // The keeper outlives hwm with the daemon, and must not hold hwm's standard output open.
        let mut hwm = place.hwm(
            user,
            &["--exact", "--no-cgroup"],
            &["sh", "-c", "(sleep 3 >/dev/null 2>&1 &); echo x"],
        );
        let output = hwm.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        let before = std::time::Instant::now();
        let output = output.output().unwrap();
        assert_eq!(output.stdout, b"x\n");
        let lives = keepers(&place) > 0;
        assert!(lives || before.elapsed() >= Duration::from_secs(3), "the keeper left before the daemon");
        until("the keeper has gone with the daemon", || keepers(&place) == 0);
    }
}
