//! Kept records, in the home directory of another user.

use std::fs;

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::stage::{Stage, User, owner_and_mode};

#[test]
fn the_home_of_another_user_is_refused_before_the_job() {
    let Some(stage) = Stage::set() else { return };
    let home = stage.directory("home", User::Attacker, 0o755);
    let mut hwm = stage.hwm(User::Root, &["run", "--save", "--", "touch", "sticky/ran"]);
    let output = hwm.env("HOME", &home).output().expect("runs");
    let printed = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(125), "{printed}");
    assert!(printed.contains("belongs to another user"), "{printed}");
    assert_eq!(fs::read_dir(&home).expect("read").count(), 0);
    assert!(!stage.path("sticky/ran").exists());
}

#[test]
fn a_link_of_another_user_on_the_way_is_refused() {
    let Some(stage) = Stage::set() else { return };
    let home = stage.directory("home", User::Attacker, 0o755);
    for directory in ["home/.local", "home/.local/share"] {
        stage.directory(directory, User::Attacker, 0o755);
    }
    stage.link("home/.local/share/highwater", User::Attacker, &stage.path("private"));
    let mut hwm = stage.hwm(User::Root, &["run", "--save", "--", "true"]);
    assert_eq!(hwm.env("HOME", &home).output().expect("runs").status.code(), Some(125));
    assert_eq!(fs::read_dir(stage.path("private")).expect("read").count(), 0);
}

#[test]
fn records_of_another_user_are_listed_and_not_touched() {
    let Some(stage) = Stage::set() else { return };
    let home = stage.directory("home", User::Victim, 0o755);
    let save = |user| {
        let mut hwm = stage.hwm(user, &["run", "-q", "--save=base", "--", "true"]);
        hwm.env("HOME", &home).output().expect("runs").status.code()
    };
    assert_eq!(save(User::Victim), Some(0));
    let kept = home.join(".local/share/highwater/records");
    let set = fs::read_dir(&kept).expect("read").next().expect("one").expect("read").path();
    assert_eq!(owner_and_mode(&kept), (User::Victim.id(), 0o700));
    assert_eq!(owner_and_mode(&set.join("1.json")), (User::Victim.id(), 0o600));
    // A pipe in the place of a record, or of the index, would wait for a writer.
    for pipe in [set.join("2.json"), kept.join("index.json")] {
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, 0o666.into()).expect("made");
    }
    let list = |args: &[&str]| stage.hwm(User::Root, args).env("HOME", &home).output().expect("runs");
    let listed = list(&["list"]);
    assert_eq!(listed.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&listed.stdout).contains("base"));
    assert_eq!(list(&["list", "--remove", "base"]).status.code(), Some(1));
    assert!(set.join("1.json").is_file());
}

/// Its lines are made from the records instead.
#[test]
fn an_index_of_another_user_says_nothing() {
    let Some(stage) = Stage::set() else { return };
    let home = stage.directory("home", User::Victim, 0o755);
    let mut hwm = stage.hwm(User::Victim, &["run", "-q", "--save=base", "--", "true"]);
    assert!(hwm.env("HOME", &home).status().expect("runs").success());
    // The victim's own list writes the index.
    let list = |user| {
        let output = stage.hwm(user, &["list"]).env("HOME", &home).output().expect("runs");
        String::from_utf8(output.stdout).expect("text")
    };
    assert!(list(User::Victim).contains("true"));
    let index = home.join(".local/share/highwater/records/index.json");
    let text = fs::read_to_string(&index).expect("an index").replace("\"true\"", "\"forged\"");
    fs::write(&index, text).expect("written");
    assert!(list(User::Victim).contains("forged"), "the index is read");
    let listed = list(User::Root);
    assert!(listed.contains("true") && !listed.contains("forged"), "{listed}");
}

#[test]
fn a_directory_that_is_swapped_after_the_check_loses_nothing() {
    let Some(stage) = Stage::set() else { return };
    // Root's records below a directory of the attacker, and the victim's under the same names.
    stage.directory("data", User::Attacker, 0o755);
    let set = |owner, highwater: &str| {
        stage.directory(highwater, owner, 0o755);
        let records = stage.directory(&format!("{highwater}/records"), owner, 0o700);
        for number in 0..500 {
            let name = format!("{highwater}/records/2026-11-21T14-09-00.{number:03}Z-1@x");
            stage.directory(&name, owner, 0o700);
            stage.file(&format!("{name}/1.json"), owner, 0o600, "{}");
        }
        records
    };
    set(User::Root, "data/highwater");
    let victims = set(User::Victim, "victims");
    stage.link("data/trap", User::Attacker, &stage.path("victims"));
    let mut hwm = stage.hwm(User::Root, &["list", "--keep=0"]);
    let mut hwm = hwm.env("XDG_DATA_HOME", stage.path("data")).spawn().expect("starts");
    // The newest goes first.
    let first = stage.path("data/highwater/records/2026-11-21T14-09-00.499Z-1@x");
    while first.exists() && hwm.try_wait().expect("a child").is_none() {}
    let (highwater, trap) = (stage.path("data/highwater"), stage.path("data/trap"));
    renameat_with(CWD, &highwater, CWD, &trap, RenameFlags::EXCHANGE).expect("swapped");
    assert!(hwm.wait().expect("a child").success());
    assert_eq!(fs::read_dir(victims).expect("read").count(), 500);
    assert_eq!(fs::read_dir(trap.join("records")).expect("read").count(), 0);
}
