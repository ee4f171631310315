//! Records that are kept: `hwm run --save`, `hwm list`, and names in place of files.

use std::{fs, path::PathBuf, process::Command, thread};

use serde_json::{Value, json};
use snapbox::{assert_data_eq, str};

use crate::Place;

const RECORDS_DIRECTORY: &str = "data/highwater/records";

impl Place {
    fn save(&self, options: &[&str], script: &str) {
        let (_, printed) = self.prints(0, &[&["run", "-q"], options, &["--", "sh", "-c", script]].concat());
        assert_eq!(printed, "");
    }

    fn list(&self) -> Value {
        serde_json::from_str(&self.prints(0, &["list", "--json"]).0).expect("JSON")
    }

    /// Returns the names in `hwm list`, and the number of runs of each.
    fn listed(&self) -> Vec<(String, usize)> {
        let list = self.list();
        let records = list["records"].as_array().expect("a list").iter();
        let entry = |record: &Value| {
            let name = record["reference"].as_str().expect("text").to_owned();
            (name, record["runs"].as_array().expect("a list").len())
        };
        records.map(entry).collect()
    }

    fn kept(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path().join(RECORDS_DIRECTORY)).expect("read");
        let mut dirs: Vec<_> =
            entries.map(|entry| entry.expect("read").path()).filter(|path| path.is_dir()).collect();
        dirs.sort();
        dirs
    }
}

fn names(listed: &[(String, usize)]) -> Vec<&str> {
    listed.iter().map(|(name, _)| name.as_str()).collect()
}

#[test]
fn names_and_places() {
    let place = Place::new();
    place.save(&["--save"], "true");
    place.save(&["--save=base", "--repeat=3"], ":");
    place.save(&["--save=base"], "exit 0");
    let listed = place.listed();
    assert_eq!(listed, [("base".into(), 1), ("base~1".into(), 3), ("@last~2".into(), 1)]);
    for (name, command) in
        [("@last", "exit 0"), ("base", "exit 0"), ("@base~1#2", ":"), ("@last~1#3", ":"), ("@last~2", "true")]
    {
        let (printed, _) = place.prints(0, &["compare", "--json", "base", name]);
        let printed: Value = serde_json::from_str(&printed).expect("JSON");
        assert_eq!(printed["candidate"], json!([name]));
        let warned = printed["comparison"]["warnings"].to_string().contains("sh -c");
        assert_eq!(warned, command != "exit 0", "{name}: {printed}");
    }
    // All its runs, by their names.
    let (printed, _) = place.prints(0, &["compare", "base~1", "base"]);
    assert!(printed.contains("Base:      base~1#1, base~1#2, base~1#3 (sh -c :)"), "{printed}");
    place.prints(2, &["leaks", "base"]);
    place.prints(0, &["ci-check", "--record", "base", "--baseline", "@last~2"]);
    // Several runs are a baseline, too.
    let (printed, _) = place.prints(0, &["ci-check", "--record", "base", "--baseline", "base~1"]);
    assert!(!printed.contains("single run"), "{printed}");
}

#[test]
fn as_a_table() {
    let place = Place::new();
    assert_data_eq!(
        place.complains(0, &["list"]),
        str![[r#"
hwm: no record is kept in [..]/data/highwater/records; hwm run --save keeps one

"#]]
    );
    place.save(&["--save=base", "--repeat=2"], ":");
    place.prints(3, &["run", "-q", "--save", "--", "sh", "-c", "exit 3"]);
    let output = place.command(&["list"]).env("NO_COLOR", "1").output().expect("runs");
    let table = String::from_utf8(output.stdout).expect("text");
    // Two spaces or more stand between columns.
    let cells = |line: &str| -> Vec<String> {
        line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).map(str::to_owned).collect()
    };
    let rows: Vec<Vec<String>> = table.lines().map(cells).collect();
    let [titles, last, base] = &rows[..] else { panic!("{table}") };
    assert_eq!(titles.join("|"), "RECORD|TIME (UTC)|RUNS|PEAK|DURATION|EXIT|COMMAND");
    assert_eq!([&last[0], &last[2], &last[5]], ["@last", "1", "3"], "{table}");
    assert_eq!([&base[0], &base[2], &base[5]], ["base", "2", "0"], "{table}");
    assert!(table.ends_with("  sh -c :\n") && !table.contains('\x1b'), "{table}");
    assert_eq!(place.prints(0, &["list", "base"]).0.lines().count(), 2);
}

#[test]
fn its_name_is_printed_once() {
    let place = Place::new();
    let (_, printed) = place.prints(0, &["run", "--save", "--", "true"]);
    assert!(printed.ends_with("hwm: kept as @last: hwm view @last, hwm list\n"), "{printed}");
    let (_, printed) = place.prints(0, &["run", "--save=x", "--repeat=2", "--", "true"]);
    assert_eq!(printed.matches("kept as x").count(), 1, "{printed}");
}

#[test]
fn removing() {
    let place = Place::new();
    place.save(&["--save=a"], ":");
    place.save(&["--save=b", "--repeat=2"], ":");
    place.save(&["--save=a"], ":");
    assert_data_eq!(
        place.complains(1, &["list", "--remove", "b", "--remove", "c"]),
        str![[r#"
hwm: c: no such record is kept; nothing was removed

"#]]
    );
    assert_eq!(place.listed().len(), 3);
    let (printed, _) = place.prints(0, &["list", "--remove", "a", "--remove", "a~1"]);
    assert!(printed.starts_with("removed a (1 run of 20") && printed.contains("\nremoved a~1 "), "{printed}");
    place.prints(0, &["list", "--remove", "b#1"]);
    assert_eq!(place.listed(), [("b".into(), 1)]);
    place.save(&["--save=c"], ":");
    assert_eq!(place.prints(0, &["list", "--keep", "1"]).0, "removed 1, kept 1\n");
    assert_eq!(names(&place.listed()), ["c"]);
    assert_eq!(place.prints(0, &["list", "--keep", "9"]).0, "removed 0, kept 1\n");
}

#[test]
fn many_at_once() {
    let place = Place::new();
    thread::scope(|scope| {
        for worker in 0..8 {
            let place = &place;
            scope.spawn(move || {
                place.save(&["--save=x"], ":");
                if worker % 2 == 0 {
                    place.prints(0, &["list"]);
                }
            });
        }
    });
    let listed = place.listed();
    assert_eq!((listed.len(), names(&listed)[0], names(&listed)[7]), (8, "x", "x~7"));
    assert!(place.list().to_string().matches("\"error\"").count() == 0);
}

#[test]
fn the_index_is_made_again_from_the_files() {
    let place = Place::new();
    place.save(&["--save=a"], ":");
    place.save(&["--save=b"], ":");
    let before = place.list();
    let index = place.path().join(RECORDS_DIRECTORY).join("index.json");
    assert!(index.is_file());
    for broken in ["", "{", "[]", "{\"version\": 99, \"entries\": {}}"] {
        fs::write(&index, broken).expect("written");
        assert_eq!(place.list(), before, "{broken}");
    }
    fs::remove_file(&index).expect("removed");
    assert_eq!(place.list(), before);
    // Names need no index.
    fs::write(&index, "broken").expect("written");
    place.prints(0, &["compare", "a", "b"]);
    // A record that changed is read again.
    let file = place.kept()[0].join("1.json");
    fs::write(&file, "{").expect("written");
    let record = &place.list()["records"][1]["runs"][0];
    assert!(record["error"].as_str().is_some_and(|error| error.contains("cut short")), "{record}");
    assert!(place.prints(0, &["list"]).0.contains("(not a complete JSON document"));
}

#[test]
fn foreign_things_are_passed_over() {
    let place = Place::new();
    place.save(&["--save=a"], ":");
    let (root, set) = (place.path().join(RECORDS_DIRECTORY), place.kept().remove(0));
    fs::create_dir(root.join("notes")).expect("made");
    fs::create_dir(root.join("2026-11-21T14-09-00.123Z-1@empty")).expect("made");
    fs::write(root.join("2026-11-21T14-09-00.123Z-2"), "a file").expect("written");
    std::os::unix::fs::symlink(&set, root.join("2026-11-21T14-09-00.123Z-3@link")).expect("made");
    fs::write(set.join(".hwm-abc.tmp"), "half").expect("written");
    assert_eq!(names(&place.listed()), ["a"]);
}

#[test]
fn no_other_user_may_read_them() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    place.save(&["--save"], ":");
    let mode = fs::metadata(place.path().join(RECORDS_DIRECTORY)).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn no_place_to_keep_it_is_reported_before_the_job() {
    let place = Place::new();
    let call = |home: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hwm"));
        command.current_dir(place.path()).env("XDG_DATA_HOME", home);
        let output = command.args(["run", "--save", "--", "touch", "ran"]).output().expect("runs");
        (output.status.code(), String::from_utf8(output.stderr).expect("text"))
    };
    let (code, printed) = call("/proc/none");
    assert_eq!(code, Some(125));
    assert!(printed.contains("hwm: --save: /proc/none/highwater/records: "), "{printed}");
    fs::write(place.path().join("file"), "").expect("written");
    let (code, printed) = call(place.path().join("file").to_str().expect("text"));
    assert!(code == Some(125) && printed.contains("hwm: --save: "), "{printed}");
    assert!(!place.path().join("ran").exists());
}

#[test]
fn a_relative_home_is_no_place() {
    let place = Place::new();
    let call = |args: &[&str], variable: &str| {
        let mut command = place.command(args);
        command.env_remove("XDG_DATA_HOME").env(variable, "relative");
        let output = command.output().expect("runs");
        (output.status.code(), String::from_utf8(output.stderr).expect("text"))
    };
    let (code, printed) = call(&["run", "--save", "--", "touch", "ran"], "HOME");
    assert_eq!(code, Some(125), "{printed}");
    assert!(
        printed.contains("relative/.local/share/, a relative path; set HOME to an absolute one"),
        "{printed}"
    );
    assert_eq!(call(&["list"], "HOME").0, Some(1));
    let (code, printed) = call(&["view", "@last"], "HOME");
    assert!(code == Some(1) && printed.contains("a relative path"), "{printed}");
    assert_eq!(fs::read_dir(place.path()).expect("read").count(), 0);
    // The XDG Base Directory Specification: "consider the path invalid and ignore it".
    for args in [&["run", "-q", "--save", "--", "true"][..], &["list"]] {
        let (code, printed) = call(args, "XDG_DATA_HOME");
        assert_eq!(code, Some(0), "{printed}");
        assert!(printed.contains("XDG_DATA_HOME is ignored"), "{printed}");
    }
    assert!(place.path().join(".local/share/highwater/records").is_dir());
    assert!(!place.path().join("relative").exists());
}

#[test]
fn what_is_kept_can_be_read_whatever_the_umask_is() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let script = format!("umask 0777; exec {} run -q --save -- true", env!("CARGO_BIN_EXE_hwm"));
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).env("HOME", place.path()).env("XDG_DATA_HOME", place.path().join("data"));
    assert!(shell.status().expect("runs").success());
    let mode = |path: &std::path::Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    let set = place.kept().pop().expect("kept");
    for directory in set.ancestors().take_while(|directory| *directory != place.path()) {
        assert_eq!(mode(directory), 0o700, "{}", directory.display());
    }
    assert_eq!(mode(&set.join("1.json")), 0o600);
}

#[test]
fn a_file_goes_before_a_name() {
    let place = Place::new();
    place.save(&["--save=mem"], ":");
    place.prints(0, &["run", "-q", "--json=mem", "--", "true"]);
    let compare = |name: &str| place.prints(0, &["compare", "@mem", name]).0;
    assert!(compare("mem").contains("Candidate: mem (true)"));
    assert!(compare("@mem").contains("Candidate: @mem (sh -c :)"));
}

#[test]
fn mistakes() {
    let place = Place::new();
    place.save(&["--save=base", "--repeat=2"], ":");
    let run = |option: &str| place.complains(125, &["run", option, "--", "true"]);
    assert_data_eq!(
        run("--save=a/b"),
        str![[r#"
hwm: invalid value 'a/b' for '--save[=<NAME>]': give a name of up to 64 letters, digits, '.', '_' and '-', as in --save=base (see hwm run --help)

"#]]
    );
    assert_data_eq!(
        run("--save=last"),
        str![[r#"
hwm: invalid value 'last' for '--save[=<NAME>]': @last is always the newest; give another name (see hwm run --help)

"#]]
    );
    assert_data_eq!(
        run("--save=mem.json"),
        str![[r#"
hwm: invalid value 'mem.json' for '--save[=<NAME>]': this is a name, not a file; to write a file use --json=mem.json (see hwm run --help)

"#]]
    );
    assert_data_eq!(
        place.complains(2, &["compare", "base", "@missing"]),
        str![[r#"
hwm: @missing: no such record is kept; hwm list shows those that are, hwm run --save keeps one

"#]]
    );
    assert_data_eq!(
        place.complains(2, &["compare", "base", "missing"]),
        str![[r#"
hwm: missing: No such file or directory (os error 2); nor is a record kept by this name (hwm list shows those that are)

"#]]
    );
    assert_data_eq!(
        place.complains(2, &["compare", "base", "@last~7"]),
        str![[r#"
hwm: @last~7: no such record is kept; hwm list shows those that are, hwm run --save keeps one

"#]]
    );
    assert_data_eq!(
        place.complains(2, &["compare", "base", "@a/b"]),
        str![[r#"
hwm: @a/b: no name of a record; there are @last, @last~1, @NAME and @NAME#1 (hwm list shows them)

"#]]
    );
    assert_data_eq!(
        place.complains(2, &["compare", "base", "base#3"]),
        str![[r#"
hwm: base#3: there is no run of this number

"#]]
    );
    assert_data_eq!(
        place.complains(2, &["ci-check", "--record", "base"]),
        str![[r#"
hwm: --record base: these are 2 runs; name one of them, as in base#1

"#]]
    );
    assert_data_eq!(
        place.complains(2, &["ci-check", "--record", "base#1", "--baseline", "base#2", "--update-baseline"]),
        str![[r#"
hwm: --update-baseline needs a file; base#2 is a kept record, which stays as it is

"#]]
    );
    assert_data_eq!(
        place.complains(2, &["list", "--remove", "a/b"]),
        str![[r#"
hwm: invalid value 'a/b' for '--remove <RECORD>': give the name of a kept record, such as base, base~1 or @last~3 (see hwm list --help)

"#]]
    );
    assert_data_eq!(
        place.complains(2, &["list", "--keep", "some"]),
        str![[r#"
hwm: invalid value 'some' for '--keep <N>': give a whole number (see hwm list --help)

"#]]
    );
    assert_data_eq!(
        place.complains(2, &["list", "--keep", "1", "--json"]),
        str![[r#"
hwm: the argument '--keep <N>' cannot be used with '--json' (see hwm list --help)

"#]]
    );
}
