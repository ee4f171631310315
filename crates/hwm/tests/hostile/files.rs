//! Output files in directories that others can write to.

use std::{
    fs,
    os::unix::process::CommandExt,
    process::{Command, Stdio},
    thread,
};

use crate::stage::{Stage, User, owner_and_mode};

/// The options of `hwm run` that name a file.
const OUTPUTS: [&str; 5] = ["--json", "--csv", "--group-csv", "--html", "--timeline"];

/// Arguments of a run that writes one file.
fn run_with<'a>(option: &'a str, file: &'a str) -> Vec<String> {
    vec!["run".into(), "-q".into(), format!("{option}={file}"), "--".into(), "true".into()]
}

fn run(stage: &Stage, user: User, option: &str, file: &str) -> (Option<i32>, String) {
    let args = run_with(option, file);
    stage.run(user, &args.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Returns whether this `hwm` has the page that `--html` writes.
fn has_page(stage: &Stage) -> bool {
    stage.run(User::Root, &["run", "-q", "--html=/dev/null", "--", "true"]).0 == Some(0)
}

fn outputs(stage: &Stage) -> impl Iterator<Item = &'static str> + use<> {
    let has_page = has_page(stage);
    OUTPUTS.into_iter().filter(move |option| *option != "--html" || has_page)
}

#[test]
fn a_set_user_id_bit_is_not_taken_over() {
    let Some(stage) = Stage::set() else { return };
    for option in outputs(&stage) {
        let name = format!("sticky/trap{option}");
        let trap = stage.file(&name, User::Attacker, 0o4777, "{}");
        assert_eq!(run(&stage, User::Root, option, &name), (Some(0), String::new()), "{option}");
        assert_eq!(owner_and_mode(&trap), (0, 0o600), "{option}");
    }
}

#[test]
fn a_set_user_id_bit_is_not_taken_over_between_users() {
    let Some(stage) = Stage::set() else { return };
    // A project's directory: every member of the group may replace files in it.
    let project = stage.directory("project", User::Attacker, 0o2777);
    let trap = stage.file("project/x.json", User::Attacker, 0o4777, "{}");
    assert_eq!(run(&stage, User::Victim, "--json", "project/x.json").0, Some(0));
    assert_eq!(owner_and_mode(&trap), (User::Victim.id(), 0o600));
    assert_eq!(fs::read_dir(project).expect("read").count(), 1);
}

#[test]
fn the_mode_of_another_users_file_is_not_taken_over() {
    let Some(stage) = Stage::set() else { return };
    let open = stage.file("sticky/open.json", User::Attacker, 0o666, "{}");
    assert_eq!(run(&stage, User::Root, "--json", "sticky/open.json").0, Some(0));
    assert_eq!(owner_and_mode(&open), (0, 0o600));
}

#[test]
fn a_movable_file_does_not_pass_on_its_mode() {
    let Some(stage) = Stage::set() else { return };
    let home = stage.directory("home", User::Attacker, 0o755);
    for (directory, user) in [("home", User::Root), ("sticky", User::Root), ("sticky", User::Victim)] {
        // A file that was left in the home is brought under the name of the report (rename(2)).
        let moved = home.join("moved");
        stage.file("home/left.json", user, 0o666, "{}");
        fs::rename(home.join("left.json"), &moved).expect("moved");
        let name = format!("{directory}/{}.json", user.id());
        fs::rename(moved, stage.path(&name)).expect("moved");
        assert_eq!(run(&stage, user, "--json", &name).0, Some(0), "{name}");
        assert_eq!(owner_and_mode(&stage.path(&name)), (user.id(), 0o600), "{name}");
    }
}

#[test]
fn links_of_others_in_sticky_directories_are_refused() {
    let Some(stage) = Stage::set() else { return };
    for (user, place) in [(User::Root, "private"), (User::Victim, "victims")] {
        if user == User::Victim {
            stage.directory(place, user, 0o700);
        }
        for option in outputs(&stage) {
            let target = stage.file(&format!("{place}/target"), user, 0o600, "keep");
            let link = stage.link(&format!("sticky/link{place}{option}"), User::Attacker, &target);
            let (code, printed) = run(&stage, user, option, link.to_str().expect("text"));
            assert_eq!(code, Some(125), "{option}: {printed}");
            assert!(printed.contains("symbolic link of another user"), "{printed}");
            assert_eq!(fs::read_to_string(&target).expect("read"), "keep", "{option}");
        }
    }
}

#[test]
fn a_directory_behind_a_link_of_others_is_refused() {
    let Some(stage) = Stage::set() else { return };
    stage.link("sticky/way", User::Attacker, &stage.path("private"));
    for option in outputs(&stage) {
        let (code, printed) = run(&stage, User::Root, option, "sticky/way/x");
        assert_eq!(code, Some(125), "{option}: {printed}");
    }
    assert_eq!(fs::read_dir(stage.path("private")).expect("read").count(), 0);
}

#[test]
fn root_follows_no_file_link_of_others_anywhere() {
    let Some(stage) = Stage::set() else { return };
    stage.directory("home", User::Attacker, 0o755);
    let target = stage.file("private/target", User::Root, 0o600, "keep");
    stage.link("home/x.json", User::Attacker, &target);
    assert_eq!(run(&stage, User::Root, "--json", "home/x.json").0, Some(125));
    assert_eq!(fs::read_to_string(&target).expect("read"), "keep");
}

#[test]
fn root_follows_no_directory_link_of_others_anywhere() {
    let Some(stage) = Stage::set() else { return };
    stage.directory("home", User::Attacker, 0o755);
    let target = stage.file("private/x.json", User::Root, 0o600, "keep");
    stage.link("home/way", User::Attacker, &stage.path("private"));
    assert_eq!(run(&stage, User::Root, "--json", "home/way/x.json").0, Some(125));
    assert_eq!(fs::read_to_string(&target).expect("read"), "keep");
}

#[test]
fn root_follows_no_link_of_another_users_process() {
    let Some(stage) = Stage::set() else { return };
    let home = stage.directory("home", User::Attacker, 0o755);
    let id = User::Attacker.id();
    // It ends when its standard input is closed: also if the test fails.
    let mut cat = Command::new("cat");
    cat.uid(id).gid(id).current_dir(home).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut process = cat.spawn().expect("starts");
    let (way, home) = (format!("/proc/{}", process.id()), stage.path("home"));
    for name in [format!("{way}/cwd/x.json"), format!("{way}/root{}/x.json", home.display())] {
        let (code, printed) = run(&stage, User::Root, "--json", &name);
        assert_eq!(code, Some(125), "{name}: {printed}");
    }
    drop(process.stdin.take());
    process.wait().expect("waited");
    assert_eq!(fs::read_dir(home).expect("read").count(), 0);
}

#[test]
fn a_baseline_does_not_pass_on_the_mode_of_another_users_file() {
    let Some(stage) = Stage::set() else { return };
    assert_eq!(run(&stage, User::Root, "--json", "private/record.json").0, Some(0));
    // A whole record, so that it is compared with and then replaced.
    let record = fs::read_to_string(stage.path("private/record.json")).expect("read");
    let trap = stage.file("sticky/base.json", User::Attacker, 0o4777, &record);
    let check =
        ["ci-check", "--record=private/record.json", "--update-baseline", "--baseline=sticky/base.json"];
    let (code, printed) = stage.run(User::Root, &check);
    assert_eq!(code, Some(0), "{printed}");
    assert_eq!(owner_and_mode(&trap), (0, 0o600));
}

#[test]
fn the_mode_of_a_file_with_a_second_name_is_not_taken_over() {
    let Some(stage) = Stage::set() else { return };
    let open = stage.file("open", User::Root, 0o666, "{}");
    let trap = stage.path("sticky/x.json");
    fs::hard_link(open, &trap).expect("linked");
    assert_eq!(run(&stage, User::Root, "--json", "sticky/x.json").0, Some(0));
    assert_eq!(owner_and_mode(&trap), (0, 0o600));
}

#[test]
fn man_pages_and_completions_go_through_no_link() {
    let Some(stage) = Stage::set() else { return };
    let target = stage.file("private/target", User::Root, 0o600, "keep");
    for (verb, name) in [("man", "hwm.1"), ("completions", "hwm.bash")] {
        stage.link(&format!("sticky/{name}"), User::Attacker, &target);
        let (code, printed) = stage.run(User::Root, &[verb, "--dir", "sticky"]);
        assert_eq!(code, Some(1), "{verb}: {printed}");
        assert_eq!(fs::read_to_string(&target).expect("read"), "keep", "{verb}");
    }
}

#[test]
#[cfg(feature = "parquet")]
fn no_directory_is_made_behind_a_link_of_others() {
    let Some(stage) = Stage::set() else { return };
    assert_eq!(run(&stage, User::Root, "--json", "record.json").0, Some(0));
    stage.link("sticky/way", User::Attacker, &stage.path("private"));
    let args = ["export", "record.json", "--format=parquet", "--output=sticky/way/new"];
    let (code, printed) = stage.run(User::Root, &args);
    assert_eq!(code, Some(1), "{printed}");
    assert_eq!(fs::read_dir(stage.path("private")).expect("read").count(), 0);
}

#[test]
fn own_links_are_followed() {
    let Some(stage) = Stage::set() else { return };
    let target = stage.file("private/target", User::Root, 0o600, "old");
    stage.link("sticky/own", User::Root, &target);
    assert_eq!(run(&stage, User::Root, "--json", "sticky/own"), (Some(0), String::new()));
    assert!(fs::read_to_string(&target).expect("read").starts_with('{'));
}

#[test]
fn a_link_made_during_the_job_is_not_followed() {
    let Some(stage) = Stage::set() else { return };
    let target = stage.file("private/target", User::Root, 0o600, "keep");
    for option in outputs(&stage) {
        let file = stage.path(&format!("sticky/late{option}"));
        let file = file.to_str().expect("text");
        let script = format!("ln -sf '{}' '{file}'", target.display());
        let given = format!("{option}={file}");
        assert_eq!(stage.run(User::Root, &["run", "-q", &given, "--", "sh", "-c", &script]).0, Some(0));
        assert_eq!(fs::read_to_string(&target).expect("read"), "keep", "{option}");
    }
}

#[test]
fn a_directory_swapped_during_the_job_is_not_entered() {
    let Some(stage) = Stage::set() else { return };
    for option in outputs(&stage) {
        let directory = stage.directory("outputs", User::Attacker, 0o755);
        let script = "mv outputs moved; ln -s private outputs";
        let given = format!("{option}={}/x", directory.display());
        assert_eq!(stage.run(User::Root, &["run", "-q", &given, "--", "sh", "-c", script]).0, Some(0));
        assert_eq!(fs::read_dir(stage.path("private")).expect("read").count(), 0, "{option}");
        assert!(stage.path("moved/x").is_file(), "{option}");
        fs::remove_dir_all(stage.path("moved")).expect("removed");
        fs::remove_file(directory).expect("removed");
    }
}

#[test]
fn a_sticky_refusal_comes_before_the_job() {
    let Some(stage) = Stage::set() else { return };
    stage.file("sticky/taken.json", User::Attacker, 0o666, "{}");
    let args = ["run", "-q", "--json=sticky/taken.json", "--", "touch", "sticky/ran"];
    let (code, printed) = stage.run(User::Victim, &args);
    assert_eq!(code, Some(125), "{printed}");
    assert!(printed.contains("belongs to another user"), "{printed}");
    assert!(!stage.path("sticky/ran").exists());
}

#[test]
fn output_files_are_private_and_the_umask_counts() {
    let Some(stage) = Stage::set() else { return };
    for option in outputs(&stage) {
        let name = format!("sticky/new{option}");
        assert_eq!(run(&stage, User::Victim, option, &name).0, Some(0));
        assert_eq!(owner_and_mode(&stage.path(&name)), (User::Victim.id(), 0o600), "{option}");
    }
    let args = ["run", "-q", "--json=sticky/wide.json", "--output-mode=640", "--", "true"];
    assert_eq!(stage.run(User::Victim, &args).0, Some(0));
    assert_eq!(owner_and_mode(&stage.path("sticky/wide.json")), (User::Victim.id(), 0o640));
}

#[test]
fn other_verbs_write_by_the_same_rules() {
    let Some(stage) = Stage::set() else { return };
    assert_eq!(run(&stage, User::Root, "--json", "private/record.json").0, Some(0));
    let target = stage.file("private/target", User::Root, 0o600, "keep");
    stage.link("sticky/link", User::Attacker, &target);
    let trap = stage.file("sticky/trap", User::Attacker, 0o4777, "{}");
    let export = ["export", "private/record.json", "--format=csv", "--output"];
    let check = ["ci-check", "--record=private/record.json"];
    let reports = ["--markdown", "--junit", "--env-file", "--benchmark-json", "--bencher-json"];
    let mut calls = vec![export.to_vec()];
    calls.extend(reports.map(|option| [&check[..], &[option]].concat()));
    calls.push([&check[..], &["--update-baseline", "--baseline"]].concat());
    if has_page(&stage) {
        calls.push(vec!["view", "private/record.json", "--html"]);
    }
    for call in calls {
        let (code, printed) = stage.run(User::Root, &[&call[..], &["sticky/link"]].concat());
        assert_ne!(code, Some(0), "{call:?}: {printed}");
        assert_eq!(fs::read_to_string(&target).expect("read"), "keep", "{call:?}");
        if call.contains(&"--baseline") {
            // The trap is no record, so there is no baseline to compare with.
            continue;
        }
        let (code, printed) = stage.run(User::Root, &[&call[..], &["sticky/trap"]].concat());
        assert_eq!(code, Some(0), "{call:?}: {printed}");
        let (owner, mode) = owner_and_mode(&trap);
        assert_eq!((owner, mode & 0o7022), (0, 0), "{call:?}");
        stage.file("sticky/trap", User::Attacker, 0o4777, "{}");
    }
}

#[test]
fn files_of_the_ci_are_appended_to_by_the_same_rules() {
    let Some(stage) = Stage::set() else { return };
    assert_eq!(run(&stage, User::Root, "--json", "private/record.json").0, Some(0));
    let target = stage.file("private/target", User::Root, 0o600, "keep\n");
    stage.link("sticky/link", User::Attacker, &target);
    for variable in ["GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"] {
        let mut hwm = stage.hwm(User::Root, &["ci-check", "--record=private/record.json"]);
        let output = hwm.env(variable, "sticky/link").output().expect("runs");
        assert_eq!(output.status.code(), Some(2), "{variable}");
        assert_eq!(fs::read_to_string(&target).expect("read"), "keep\n");
    }
}

#[test]
fn named_pipes_do_not_stop_a_report_for_ever() {
    let Some(stage) = Stage::set() else { return };
    let calls: [&[&str]; 3] =
        [&["run", "-q", "--json=pipe", "--", "true"], &["view", "pipe"], &["compare", "pipe", "pipe"]];
    thread::scope(|scope| {
        for (number, args) in calls.into_iter().enumerate() {
            // Each has a pipe of its own, since one could be the reader of another.
            let directory = stage.directory(&format!("pipe{number}"), User::Root, 0o755);
            rustix::fs::mkfifoat(rustix::fs::CWD, directory.join("pipe"), 0o666.into()).expect("made");
            let mut hwm = stage.hwm(User::Root, args);
            scope.spawn(move || {
                let output = hwm.current_dir(directory).output().expect("runs");
                let printed = String::from_utf8_lossy(&output.stderr);
                assert!(printed.contains("no program has"), "{args:?}: {printed}");
            });
        }
    });
}
