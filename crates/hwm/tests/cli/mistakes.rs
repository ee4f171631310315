//! Mistakes that people make: one line with the fault and its remedy.

use std::fs;

use snapbox::{assert_data_eq, str};

use crate::complaint;

#[test]
fn sizes_and_times_that_are_none() {
    assert_data_eq!(
        complaint(2, &["fits", "8X"]),
        str![[r#"
hwm: invalid value '8X' for '<SIZE>': give a size such as 8G, 512M or 1.5GiB (1024-based), 8GB (1000-based), or bytes (see hwm fits --help)

"#]]
    );
    assert_data_eq!(
        complaint(2, &["fits"]),
        str![[r#"
hwm: no size; name one, as in: hwm fits 8G

"#]]
    );
    assert_data_eq!(
        complaint(2, &["ps", "--min", "lots"]),
        str![[r#"
hwm: invalid value 'lots' for '--min <SIZE>': give a size such as 8G, 512M or 1.5GiB (1024-based), 8GB (1000-based), or bytes (see hwm ps --help)

"#]]
    );
    assert_data_eq!(
        complaint(2, &["watch", "--interval", "1ms"]),
        str![[r#"
hwm: invalid value '1ms' for '--interval <TIME>': give 10ms or more (see hwm watch --help)

"#]]
    );
    assert_data_eq!(
        complaint(2, &["watch", "--duration", "0s"]),
        str![[r#"
hwm: invalid value '0s' for '--duration <TIME>': give a time above zero and below a year (see hwm watch --help)

"#]]
    );
}

#[test]
fn options_of_ps_that_are_none() {
    assert_data_eq!(
        complaint(2, &["ps", "--sort", "ram"]),
        str![[r#"
hwm: invalid value 'ram' for '--sort <COLUMN>'; [possible values: vram, gtt, rss, cpu, pid, name]; a similar value exists: 'vram' (see hwm ps --help)

"#]]
    );
    assert_data_eq!(
        complaint(2, &["ps", "--pid", "init"]),
        str![[r#"
hwm: invalid value 'init' for '--pid <N>': give a whole number (see hwm ps --help)

"#]]
    );
    assert_data_eq!(
        complaint(2, &["ps", "--device", "all"]),
        str![[r#"
hwm: invalid value 'all' for '--device <N>': give a whole number (see hwm ps --help)

"#]]
    );
    assert_data_eq!(
        complaint(2, &["ps", "--filter", "a("]),
        str![[r#"
hwm: invalid value 'a(' for '--filter <REGEX>': found open group without closing ')'; put a backslash before each of . + * ? ( ) | [ ] { } ^ $ that is meant literally (see hwm ps --help)

"#]]
    );
}

#[test]
fn what_stands_before_the_wrong_verb() {
    assert_data_eq!(
        complaint(2, &["--json", "ps"]),
        str![[r#"
hwm: --json belongs behind the verb, as in: hwm ps --json

"#]]
    );
    assert_data_eq!(
        complaint(2, &["--procfs", "/no/such", "ps", "--bogus"]),
        str![[r#"
hwm: unexpected argument '--bogus' found (see hwm ps --help)

"#]]
    );
    assert_data_eq!(
        complaint(125, &["--procfs", "/proc", "run", "--", "true"]),
        str![[r#"
hwm: --procfs and --sysfs are for hwm, hwm ps, hwm watch and hwm fits; hwm run works on this machine

"#]]
    );
    assert_data_eq!(
        complaint(2, &["--sysfs", "/sys", "doctor"]),
        str![[r#"
hwm: --procfs and --sysfs are for hwm, hwm ps, hwm watch and hwm fits; hwm doctor works on this machine

"#]]
    );
}

#[test]
fn intervals_that_are_none() {
    assert_data_eq!(
        complaint(125, &["run", "-i", "0", "--", "true"]),
        str![[r#"
hwm: invalid value '0' for '--interval <MS>': give 1 to 86400000 milliseconds, as in -i 200 (see hwm run --help)

"#]]
    );
    assert_data_eq!(
        complaint(125, &["run", "-i", "abc", "--", "true"]),
        str![[r#"
hwm: invalid value 'abc' for '--interval <MS>': give a whole number of milliseconds, as in -i 200 (see hwm run --help)

"#]]
    );
    assert_data_eq!(
        complaint(125, &["run", "--interval=-5", "--", "true"]),
        str![[r#"
hwm: invalid value '-5' for '--interval <MS>': give a whole number of milliseconds, as in -i 200 (see hwm run --help)

"#]]
    );
}

#[test]
fn burst_alone() {
    assert_data_eq!(
        complaint(125, &["run", "--burst", "--", "true"]),
        str![[r#"
hwm: --burst needs --interval, as in -i 200 --burst; without them sampling adapts

"#]]
    );
}

#[test]
fn no_command() {
    assert_data_eq!(
        complaint(125, &["run"]),
        str![[r#"
hwm: no command to run; name it after the options, as in: hwm run -- cargo build

"#]]
    );
    assert_data_eq!(
        complaint(125, &["run", "-q", "--"]),
        str![[r#"
hwm: no command to run; name it after the options, as in: hwm run -- cargo build

"#]]
    );
    assert_data_eq!(
        complaint(125, &["run", "--", ""]),
        str![[r#"
hwm: the command is empty; name one, as in: hwm run -- cargo build

"#]]
    );
}

#[test]
fn unknown_option() {
    assert_data_eq!(
        complaint(125, &["run", "--jsn", "--", "true"]),
        str![[r#"
hwm: unexpected argument '--jsn' found; a similar argument exists: '--json'; to pass '--jsn' as a value, use '-- --jsn' (see hwm run --help)

"#]]
    );
    assert_data_eq!(
        complaint(2, &["completions", "--bogus"]),
        str![[r#"
hwm: unexpected argument '--bogus' found; to pass '--bogus' as a value, use '-- --bogus' (see hwm completions --help)

"#]]
    );
    assert_data_eq!(
        complaint(2, &["rnu"]),
        str![[r#"
hwm: unrecognized subcommand 'rnu' (see hwm --help)

"#]]
    );
}

#[test]
fn invalid_pattern() {
    assert_data_eq!(
        complaint(125, &["run", "--include", "a(", "--", "true"]),
        str![[r#"
hwm: invalid value 'a(' for '--include <REGEX>': found open group without closing ')'; put a backslash before each of . + * ? ( ) | [ ] { } ^ $ that is meant literally (see hwm run --help)

"#]]
    );
}

#[test]
fn output_paths_are_checked_first() {
    assert_data_eq!(
        complaint(125, &["run", "--json=/", "--", "true"]),
        str![[r#"
hwm: --json /: / is a directory; name a file in it

"#]]
    );
    assert_data_eq!(
        complaint(125, &["run", "--csv", "/no/such/x.csv", "--", "true"]),
        str![[r#"
hwm: --csv /no/such/x.csv: the directory /no/such cannot be used; create it first: No such file or directory (os error 2)

"#]]
    );
    assert_data_eq!(
        complaint(125, &["run", "--csv", "-", "--", "true"]),
        str![[r#"
hwm: --csv needs a file; standard output is --csv /dev/stdout

"#]]
    );
    assert_data_eq!(
        complaint(125, &["run", "--json={user}.json", "--", "true"]),
        str![[r#"
hwm: --json {user}.json: {user} is unknown in a file name; there are {pid}, {host}, {rank}, and of hwm run {n}

"#]]
    );
    assert_data_eq!(
        complaint(125, &["run", "--json=", "--", "true"]),
        str![[r#"
hwm: a value is required for '--json[=<FILE>]' but none was supplied (see hwm run --help)

"#]]
    );
}

#[test]
fn two_outputs_in_one_file() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("out");
    fs::write(&path, "kept").expect("written");
    let name = path.to_str().expect("text");
    let text = complaint(125, &["run", "--csv", name, "--timeline", name, "--", "true"]);
    assert!(text.starts_with("hwm: --csv and --timeline both write to "), "{text}");
    assert_eq!(fs::read_to_string(&path).expect("read"), "kept");
}

#[test]
fn group_keys_that_are_none() {
    assert_data_eq!(
        complaint(125, &["run", "--group-by", "title", "--", "true"]),
        str![[r#"
hwm: invalid value 'title' for '--group-by <KEY>': use command, name, exe, ppid, tree or cmdline-regex=REGEX (see hwm run --help)

"#]]
    );
    assert_data_eq!(
        complaint(125, &["run", "--group-by", "cmdline-regex", "--", "true"]),
        str![[r#"
hwm: invalid value 'cmdline-regex' for '--group-by <KEY>': give a pattern, as in cmdline-regex='--type=(/w+)' (see hwm run --help)

"#]]
    );
    assert_data_eq!(
        complaint(125, &["run", "--group-by", "cmdline-regex=(", "--", "true"]),
        str![[r#"
hwm: invalid value 'cmdline-regex=(' for '--group-by <KEY>': found open group without closing ')'; put a backslash before each of . + * ? ( ) | [ ] { } ^ $ that is meant literally (see hwm run --help)

"#]]
    );
}

#[test]
fn pids_that_are_none() {
    assert_data_eq!(
        complaint(2, &["attach", "init"]),
        str![[r#"
hwm: invalid value 'init' for '<PID>': give a process id, as pgrep NAME prints it (see hwm attach --help)

"#]]
    );
    assert_data_eq!(
        complaint(2, &["attach", "0"]),
        str![[r#"
hwm: invalid value '0' for '<PID>': give a process id, as pgrep NAME prints it (see hwm attach --help)

"#]]
    );
    assert_data_eq!(
        complaint(2, &["attach"]),
        str![[r#"
hwm: the following required arguments were not provided: <PID> (see hwm attach --help)

"#]]
    );
    assert_data_eq!(
        complaint(1, &["attach", "4194999"]),
        str![[r#"
hwm: no process with pid 4194999

"#]]
    );
}
