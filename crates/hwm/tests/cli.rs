//! What the built command prints and how it exits, where no job is run.
#![allow(clippy::needless_raw_string_hashes)] // snapbox writes its snapshots with them

use std::{fs, process::Output};

use assert_cmd::Command;
use snapbox::{assert_data_eq, str};

fn hwm(args: &[&str]) -> Output {
    // Help is wrapped to the terminal's width.
    Command::cargo_bin("hwm").expect("built").env("COLUMNS", "100").args(args).output().expect("runs")
}

fn stdout(args: &[&str]) -> String {
    let output = hwm(args);
    assert_eq!(output.status.code(), Some(0));
    String::from_utf8(output.stdout).expect("text")
}

/// Standard error of a call that must fail with `code`, in one line.
fn complaint(code: i32, args: &[&str]) -> String {
    let output = hwm(args);
    let text = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert_eq!(output.stdout, b"", "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

#[test]
fn help() {
    assert_data_eq!(
        stdout(&["--help"]),
        str![[r#"
How much memory does this job use, and how high did it rise?

Runs a command, follows all its descendants, and says how much memory they used together. Every
figure says what it counts and how sure it is.

Usage: hwm <COMMAND>

Commands:
  run          Run a command and measure it with all its descendants
  compare      Say what grew from one record to another: the job's total, and group by group
  ci-check     Run a command, or take a record, compare it with a baseline, and tell the CI
  doctor       Say what can be measured on this machine, and what would make the rest possible
  man          Print the man page, or write all of them into a directory
  completions  Print the completions for a shell, or write those of all shells into a directory
  help         Print this message or the help of the given subcommand(s)

Options:
  -h, --help
          Print help (see a summary with '-h')

  -V, --version
          Print version

Examples:
  hwm run -- cargo build --release        how much memory does this build need?
  hwm run --json=mem.json -- make -j8     keep the record for scripts
  hwm run --json -- cargo test > mem.json
  hwm compare base.json mem.json          what grew since then?
  hwm run --help                          all options of the main verb
  hwm completions bash                    completions for the shell

"#]]
    );
}

#[test]
fn help_of_run() {
    assert_data_eq!(
        stdout(&["run", "--help"]),
        str![[r#"
Run a command and measure it with all its descendants.

The summary goes to standard error when the job ends; the job's exit code is passed through.

Usage: hwm run [OPTIONS] [--] CMD [ARGS...]

Arguments:
  <CMD> [ARGS]...
          The command and its arguments; options after CMD belong to CMD

Options:
  -i, --interval <MS>
          Sample every MS milliseconds [default: adaptive, quick while things change, slow when
          still]

      --burst
          With --interval: sample quickly during the first quarter of a second all the same

      --json[=<FILE>]
          Write the record as JSON to FILE; without FILE to standard output, and the job's own
          standard output then goes to standard error

      --csv <FILE>
          Write one row a process as CSV

      --timeline <FILE>
          Write one row a sample as CSV while the job runs

  -q, --quiet
          Print no summary

      --top <N>
          List at most N processes and N groups in the summary
          
          [default: 10]

      --include <REGEX>
          List only processes and groups whose command matches (in summary and CSV; the JSON stays
          complete, and totals always count all). May be given several times

      --exclude <REGEX>
          Leave out of the lists what matches, as with --include

      --wait
          Wait also for descendants that outlive the command; without it they are left alone and
          named as still running

      --exact
          Hold each process for some microseconds at its exec and exit to read its peak: exact peaks
          without privilege, also in containers. Setuid programs in the job (sudo, ping) do not gain
          their privileges then

      --cgroup
          Give the job a cgroup of its own and report the kernel's peak of it; without this option
          it gets one where that costs little (cgroup v2, or as root)

      --no-cgroup
          Give the job no cgroup of its own

      --gpu
          Also measure GPU memory: what the job's processes hold on each device, over time and at
          the peak. The drivers are opened before the job starts
          
          [alias: --with-gpu]

      --lineage <SOURCE>
          Where births and ends of processes are learned from [default: the best that works here]

          Possible values:
          - auto:           The best that works here: perf, else the proc connector, else sampling
          - perf:           The kernel's perf events
          - proc-connector: The kernel's proc connector
          - sampling:       Looking at intervals alone

  -h, --help
          Print help (see a summary with '-h')

Examples:
  hwm run -- cargo build --release          a summary on standard error when the build ends
  hwm run -i 200 -- ./program --arg foo     sample every 200 ms
  hwm run --json -- cargo test > mem.json   the record on stdout, the tests' output on stderr
  hwm run -q --json=mem.json -- make -j8    the record in a file, no summary
  hwm run --csv procs.csv --timeline time.csv -- ./train.py
  hwm run --include '^rustc$' -- cargo build
  hwm run --exact -- make -j8               the exact peak of every process, however short
  hwm run --gpu -- python train.py          GPU memory beside RAM
  srun -n 16 hwm run --json='mem-{host}-{rank}.json' -- ./solve

Output files: {pid} (of hwm), {host} and {rank} (Slurm, OpenMPI, PMI, torchrun) in their names are
filled in. They are checked before the job starts; later trouble with them costs a warning, never
the job's exit code.

--exact runs the job under no_new_privs and a seccomp filter that asks a small process, the
memory-keeper, at each exec and exit. It stays until the job is over, even if hwm is killed. Never
kill it: programs of the job would then fail to start others, and to exit properly. sudo and other
setuid programs of the job run without their privileges, and a program that wants a seccomp listener
of its own (a container runtime, another hwm run --exact) is refused one with EBUSY. A signal that
comes right at an exec may make it fail with EINTR, which execve(2) never does otherwise.

Exit codes: the job's own, or 128+n when signal n ended it; 127 command not found; 126 command
cannot be executed; 125 bad usage or a failure of hwm itself before the job started.

Ctrl-C reaches the job as usual and the summary is printed. TERM, HUP, USR1, USR2 and ALRM sent to
hwm are passed on to the job; a second TERM or HUP, half a second later or more, kills all of it.

"#]]
    );
}

#[test]
fn version_is_one_line() {
    let text = stdout(&["--version"]);
    assert_eq!(text, stdout(&["-V"]));
    assert_eq!(text.lines().count(), 1);
    assert!(text.starts_with(concat!("hwm ", env!("CARGO_PKG_VERSION"), " (")), "{text}");
    assert!(text.contains("built 20") && text.contains(std::env::consts::ARCH), "{text}");
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
hwm: --json {user}.json: {user} is unknown in a file name; there are {pid}, {host} and {rank}

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
fn completions_for_each_shell() {
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let script = stdout(&["completions", shell]);
        assert!(script.contains("timeline"), "{shell}");
    }
}

#[test]
fn pages_and_completions_for_packagers() {
    let dir = tempfile::tempdir().expect("a directory");
    let name = dir.path().to_str().expect("text");
    stdout(&["man", "--dir", name]);
    stdout(&["completions", "--dir", name]);
    for file in ["hwm.1", "hwm-run.1", "hwm-man.1", "hwm.bash", "_hwm", "hwm.fish", "_hwm.ps1"] {
        assert!(dir.path().join(file).is_file(), "{file}");
    }
    let page = fs::read_to_string(dir.path().join("hwm-run.1")).expect("read");
    assert!(page.contains("\\-\\-timeline"), "{page}");
}

#[test]
fn main_page_is_printed() {
    assert!(stdout(&["man"]).contains(".TH hwm 1"));
}
