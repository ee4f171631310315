//! Files that are written to as they are, since they cannot be replaced: named pipes, files in closed directories, files
//! of the CI.

use std::{fs, process::Command};

use crate::stage::{Stage, User, chmod};

#[test]
fn a_foreign_pipe_in_a_sticky_directory_gets_nothing() {
    let Some(stage) = Stage::set() else { return };
    for user in [User::Root, User::Victim] {
        let name = format!("sticky/pipe{}", user.id());
        stage.pipe(&name, User::Attacker);
        for option in ["--json", "--timeline"] {
            let given = format!("{option}={name}");
            let (code, printed) = stage.run(user, &["run", "-q", &given, "--", "touch", "sticky/ran"]);
            assert_eq!(code, Some(125), "{option}: {printed}");
            assert!(printed.contains("the directory is sticky"), "{printed}");
        }
    }
    assert!(!stage.path("sticky/ran").exists());
}

#[test]
fn a_second_name_in_a_closed_directory_is_not_written_through() {
    let Some(stage) = Stage::set() else { return };
    let closed = stage.directory("closed", User::Attacker, 0o755);
    let target = stage.file("target", User::Victim, 0o600, "keep");
    fs::hard_link(&target, closed.join("x.json")).expect("linked");
    chmod(&closed, 0o555);
    for option in ["--json", "--timeline"] {
        let given = format!("{option}=closed/x.json");
        let (code, printed) = stage.run(User::Victim, &["run", "-q", &given, "--", "true"]);
        assert_eq!(code, Some(125), "{option}: {printed}");
        assert!(printed.contains("hard link"), "{printed}");
        assert_eq!(fs::read_to_string(&target).expect("read"), "keep");
    }
}

#[test]
fn files_of_the_ci_are_not_those_of_another_user() {
    let Some(stage) = Stage::set() else { return };
    assert_eq!(stage.run(User::Root, &["run", "-q", "--json=private/record.json", "--", "true"]).0, Some(0));
    let traps = stage.directory("traps", User::Attacker, 0o755);
    let target = stage.file("target", User::Root, 0o600, "keep\n");
    fs::hard_link(&target, traps.join("link")).expect("linked");
    let open = stage.file("sticky/open", User::Attacker, 0o666, "keep\n");
    stage.pipe("sticky/pipe", User::Attacker);
    for variable in ["GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"] {
        for trap in ["traps/link", "sticky/open", "sticky/pipe"] {
            let mut hwm = stage.hwm(User::Root, &["ci-check", "--record=private/record.json"]);
            let output = hwm.env(variable, trap).output().expect("runs");
            assert_eq!(output.status.code(), Some(2), "{variable} {trap}");
        }
    }
    for file in [target, open] {
        assert_eq!(fs::read_to_string(file).expect("read"), "keep\n");
    }
}

#[test]
fn a_foreign_file_survives_a_lack_of_inodes() {
    let Some(stage) = Stage::set() else { return };
    stage.directory("full", User::Root, 0o755);
    // Two inodes: those of the directory and of the file.
    let script = "mount -t tmpfs -o nr_inodes=2,mode=1777 none full || exit 77
        printf keep > full/x.json && chown 54321 full/x.json && chmod 666 full/x.json
        ./hwm run -q --json=full/x.json -- touch ran
        echo $? && cat full/x.json";
    let mut unshare = Command::new("unshare");
    let output = unshare.args(["--mount", "sh", "-c", script]).current_dir(stage.path(".")).output();
    let output = output.expect("unshare runs");
    let printed = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(77) || printed.contains("unshare:") {
        eprintln!("skipped: no file system can be mounted here: {printed}");
        return;
    }
    assert_eq!(String::from_utf8_lossy(&output.stdout), "125\nkeep", "{printed}");
    assert!(
        printed.contains("no file can be created in its directory: No space left on device"),
        "{printed}"
    );
    assert!(!stage.path("ran").exists());
}
