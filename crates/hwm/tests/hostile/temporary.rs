//! Temporary files, in directories where another user can replace them.

use std::{fs, process::Output};

use crate::stage::{Stage, User};

/// Runs a job with a command after it that prints the first byte of its record, if there is one.
fn run(stage: &Stage, user: User, directory: &str) -> Output {
    let print = "[ -z \"$HWM_RECORD\" ] || head -c 1 \"$HWM_RECORD\"";
    let mut hwm = stage.hwm(user, &["run", "-q", "--post-run-cmd", print, "--", "true"]);
    hwm.env("TMPDIR", stage.path(directory)).output().expect("runs")
}

#[test]
fn the_hook_gets_no_record_that_others_can_replace() {
    let Some(stage) = Stage::set() else { return };
    stage.directory("attackers", User::Attacker, 0o755);
    // The sticky bit binds no owner, and the owner of a directory can rename what is in it.
    stage.directory("attackers-sticky", User::Attacker, 0o1777);
    stage.directory("attackers/roots", User::Root, 0o700);
    stage.directory("attackers/victims", User::Victim, 0o700);
    stage.directory("open", User::Root, 0o777);
    stage.link("link", User::Root, &stage.path("attackers"));
    for user in [User::Root, User::Victim] {
        for trap in ["attackers", "attackers-sticky", "attackers/roots", "attackers/victims", "open", "link"]
        {
            let output = run(&stage, user, trap);
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{user:?} {trap}: {said}");
            assert!(said.contains("another user can replace files in"), "{trap}: {said}");
            assert!(said.contains("set TMPDIR"), "{trap}: {said}");
            assert_eq!(output.status.code(), Some(0), "{trap}");
        }
    }
    for directory in ["attackers-sticky", "attackers/roots", "attackers/victims", "open"] {
        assert_eq!(fs::read_dir(stage.path(directory)).expect("read").count(), 0, "{directory}");
    }
}

#[test]
fn the_hook_gets_a_record_in_a_safe_directory() {
    let Some(stage) = Stage::set() else { return };
    stage.directory("victims", User::Victim, 0o700);
    // Its group is the user's own.
    stage.directory("group", User::Victim, 0o775);
    stage.link("link", User::Root, &stage.path("private"));
    let places = [
        (User::Root, "sticky"),
        (User::Root, "private"),
        (User::Root, "link"),
        (User::Victim, "sticky"),
        (User::Victim, "victims"),
        (User::Victim, "group"),
    ];
    for (user, directory) in places {
        let output = run(&stage, user, directory);
        let said = String::from_utf8_lossy(&output.stderr);
        let printed = String::from_utf8_lossy(&output.stdout);
        assert_eq!((&*printed, &*said), ("{", ""), "{user:?} {directory}");
    }
}
