//! A job that wants another verdict of `hwm ci-check` than it deserves.

use std::fs;

use crate::stage::{Stage, User};

#[test]
fn a_record_that_the_job_replaces_is_not_judged() {
    let Some(stage) = Stage::set() else { return };
    let record = |name: &str, job: &[&str]| {
        let json = format!("--json=sticky/{name}");
        assert_eq!(stage.run(User::Victim, &[&["run", "-q", &json, "--"], job].concat()).0, Some(0));
    };
    record("base.json", &["true"]);
    // A process that the job leaves behind replaces the record as soon as it is there, again and again until a file
    // stops it, or the directory is gone.
    let forge = "(until [ -e stop ] || [ ! -e base.json ]; do [ -s mem.json ] && cp base.json forged && mv forged mem.json; done) \
                 </dev/null >/dev/null 2>&1 & head -c 100M /dev/zero | tail -c 100M >/dev/null";
    let args =
        ["ci-check", "--baseline=base.json", "--floor=10M", "--json=mem.json", "--", "sh", "-c", forge];
    let mut hwm = stage.hwm(User::Victim, &args);
    let output = hwm.current_dir(stage.path("sticky")).output().expect("runs");
    fs::write(stage.path("sticky/stop"), "").expect("written");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{printed}");
    assert!(printed.contains("Regression"), "{printed}");
}

#[test]
fn a_baseline_that_the_job_replaces_is_not_compared_with() {
    let Some(stage) = Stage::set() else { return };
    stage.directory("work", User::Victim, 0o755);
    let large = "head -c 100M /dev/zero | tail -c 100M >/dev/null";
    let record = |name: &str, job: &str| {
        let json = format!("--json=work/{name}");
        assert_eq!(stage.run(User::Victim, &["run", "-q", &json, "--", "sh", "-c", job]).0, Some(0));
    };
    record("base.json", "true");
    record("large.json", large);
    // With a record as large as its own, the job would pass.
    let forge = format!("cp large.json base.json; {large}");
    let args = ["ci-check", "--baseline=base.json", "--floor=10M", "--", "sh", "-c", &forge];
    let mut hwm = stage.hwm(User::Victim, &args);
    let output = hwm.current_dir(stage.path("work")).output().expect("runs");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{printed}");
    let read = |name: &str| fs::read(stage.path("work").join(name)).expect("read");
    assert!(read("base.json") == read("large.json"), "the job has replaced it");
}

#[test]
fn a_baseline_is_kept_of_a_record_that_nothing_can_read_back() {
    let Some(stage) = Stage::set() else { return };
    stage.directory("work", User::Victim, 0o755);
    let args =
        ["ci-check", "--json=/dev/null", "--baseline=work/new.json", "--update-baseline", "--", "true"];
    let (code, printed) = stage.run(User::Victim, &args);
    assert_eq!(code, Some(0), "{printed}");
    let kept = fs::read_to_string(stage.path("work/new.json")).expect("kept");
    assert!(kept.contains("\"true\""), "{kept}");
}

#[test]
fn no_file_shows_the_job_where_its_record_will_be() {
    let Some(stage) = Stage::set() else { return };
    let temporary = stage.directory("temporary", User::Victim, 0o700);
    let mut hwm = stage.hwm(User::Victim, &["ci-check", "--", "sh", "-c", "ls -A \"$TMPDIR\""]);
    let output = hwm.env("TMPDIR", &temporary).output().expect("runs");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(!printed.contains(".tmp"), "{printed}");
    assert_eq!(fs::read_dir(temporary).expect("read").count(), 0);
}

#[test]
fn a_record_is_judged_that_nothing_can_read_back() {
    let Some(stage) = Stage::set() else { return };
    let (code, printed) = stage.run(User::Victim, &["ci-check", "--json=/dev/null", "--", "true"]);
    assert_eq!(code, Some(0), "{printed}");
}
