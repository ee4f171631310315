//! `hwm run --post-run-cmd`.

use std::{
    collections::BTreeMap,
    fs,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use snapbox::{assert_data_eq, str};

use crate::Place;

/// Returns the variables that the command got.
fn variables(text: &str) -> BTreeMap<&str, &str> {
    text.lines()
        .filter_map(|line| line.split_once('='))
        .filter(|(name, _)| name.starts_with("HWM_"))
        .collect()
}

#[test]
fn its_variables_agree_with_the_record() {
    let place = Place::new();
    let (stdout, _) =
        place.prints(3, &["run", "--json=mem.json", "--post-run-cmd", "env", "--", "sh", "-c", "exit 3"]);
    let set = variables(&stdout);
    let record = place.json("mem.json");
    let file = fs::canonicalize(place.path().join("mem.json")).expect("there");
    assert_eq!(fs::canonicalize(set["HWM_RECORD"]).expect("there"), file);
    assert!(set["HWM_RECORD"].starts_with('/'), "{set:?}");
    assert_eq!((set["HWM_EXIT_CODE"], set["HWM_RUN"], set["HWM_RUNS"]), ("3", "1", "1"));
    let same = |name: &str, value: &Value| assert_eq!(set[name], value.to_string(), "{name}");
    let rss = &record["peak"]["rss"];
    same("HWM_PEAK_BYTES", &rss["bytes"]);
    let memory = &record["peak"]["memory"];
    same("HWM_PEAK_MEMORY_BYTES", &memory["bytes"]);
    same("HWM_PEAK_MEMORY_LOWER_BYTES", &memory["lower_bytes"]);
    same("HWM_PEAK_MEMORY_UPPER_BYTES", &memory["upper_bytes"]);
    same("HWM_PEAK_RSS_BYTES", &rss["bytes"]);
    same("HWM_PEAK_LOWER_BYTES", &rss["lower_bytes"]);
    same("HWM_PEAK_UPPER_BYTES", &rss["upper_bytes"]);
    same("HWM_DURATION_SECONDS", &record["duration_seconds"]);
    same("HWM_PROCESSES", &record["capture"]["processes_seen"]);
    assert_eq!(set["HWM_METRIC"], "rss");
}

const UNKNOWN: [&str; 5] =
    ["HWM_LEAKS", "HWM_PEAK_CGROUP_BYTES", "HWM_EXIT_SIGNAL", "HWM_LIMIT_EXCEEDED", "HWM_PEAK_GPU_7_BYTES"];

#[test]
fn an_unknown_variable_is_not_set_and_not_inherited() {
    let place = Place::new();
    let mut hwm = place.command(&["run", "-q", "--no-cgroup", "--post-run-cmd", "env", "--", "true"]);
    for name in UNKNOWN {
        hwm.env(name, "0");
    }
    let output = hwm.output().expect("runs");
    let stdout = String::from_utf8(output.stdout).expect("text");
    let set = variables(&stdout);
    for name in UNKNOWN {
        assert!(!set.contains_key(name), "{name}: {set:?}");
    }
    // Too short to judge: no leak found means nothing.
    let (stdout, _) =
        place.prints(0, &["run", "-q", "--detect-leaks", "--post-run-cmd", "env", "--", "true"]);
    assert!(!stdout.contains("HWM_LEAKS"), "{stdout}");
}

#[test]
fn how_the_job_ended() {
    let place = Place::new();
    let hook = "echo $HWM_EXIT_CODE $HWM_EXIT_SIGNAL $HWM_LIMIT_EXCEEDED";
    let prints = |code, options: &[&str], script: &str| {
        place
            .prints(
                code,
                &[&["run", "-q", "--post-run-cmd", hook], options, &["--", "sh", "-c", script]].concat(),
            )
            .0
    };
    assert_eq!(prints(137, &[], "kill -9 $$"), "137 SIGKILL\n");
    let ended = prints(10, &["--max-total-rss=1B"], "sleep 5");
    assert!(ended.starts_with("10 SIG") && ended.ends_with(" total_rss\n"), "{ended}");
}

#[test]
fn without_a_file_the_record_is_a_temporary_one() {
    let place = Place::new();
    let hook = r#"echo "$HWM_RECORD"; grep -c '"complete":true' "$HWM_RECORD""#;
    let (stdout, _) = place.prints(0, &["run", "-q", "--post-run-cmd", hook, "--", "true"]);
    let lines: Vec<_> = stdout.lines().collect();
    assert_eq!(lines[1], "1");
    assert!(!fs::exists(lines[0]).expect("known"), "it is gone afterwards");
    assert_eq!(place.names(), [""; 0]);
}

#[test]
fn a_kept_record_is_the_one() {
    let place = Place::new();
    let (stdout, _) =
        place.prints(0, &["run", "-q", "--save=x", "--post-run-cmd", "echo $HWM_RECORD", "--", "true"]);
    assert!(
        stdout.trim_end().ends_with("@x/1.json") && fs::exists(stdout.trim_end()).expect("known"),
        "{stdout}"
    );
}

#[test]
fn after_each_run() {
    let place = Place::new();
    let args = ["run", "-q", "--repeat=3", "--json={n}.json", "--post-run-cmd"];
    let hook = "echo $HWM_RUN of $HWM_RUNS $(basename $HWM_RECORD)";
    let (stdout, _) = place.prints(0, &[&args[..], &[hook, "--", "true"]].concat());
    assert_eq!(stdout, "1 of 3 1.json\n2 of 3 2.json\n3 of 3 3.json\n");
}

#[test]
fn its_failure_is_reported_and_changes_nothing_unless_asked() {
    let place = Place::new();
    let hook = |code, options: &[&str], hook: &str, script: &str| {
        let args = [&["run", "-q", "--post-run-cmd", hook], options, &["--", "sh", "-c", script]].concat();
        place.prints(code, &args).1
    };
    assert_eq!(
        hook(0, &[], "exit 9", ":"),
        "hwm: warning: the command after the run failed (exit status: 9)\n"
    );
    assert_eq!(hook(4, &[], "exit 9", "exit 4").lines().count(), 1);
    hook(9, &["--post-run-fail"], "exit 9", ":");
    hook(4, &["--post-run-fail"], "exit 9", "exit 4");
    hook(0, &["--post-run-fail"], ":", ":");
    hook(137, &["--post-run-fail"], "kill -9 $$", ":");
    assert!(hook(0, &[], "no-such-program-of-the-test", ":").contains("not found"));
    // The shell is not looked for in PATH.
    let output = place
        .command(&["run", "-q", "--post-run-cmd", "echo called", "--", "/bin/true"])
        .env("PATH", "/nowhere")
        .output()
        .expect("runs");
    let printed = String::from_utf8(output.stderr).expect("text");
    assert_eq!((output.status.code(), printed.as_str()), (Some(0), ""));
    assert_eq!(output.stdout, b"called\n");
}

#[test]
fn a_record_on_standard_output_stays_whole() {
    let place = Place::new();
    let (stdout, stderr) =
        place.prints(0, &["run", "-q", "--json", "--post-run-cmd", "echo hooked", "--", "true"]);
    assert!(serde_json::from_str::<Value>(&stdout).is_ok(), "{stdout}");
    assert_eq!(stderr, "hooked\n");
}

/// The command takes 200 MiB, after the measurement.
#[test]
fn its_memory_is_not_the_jobs() {
    let place = Place::new();
    let hog = "head -c 200M /dev/zero | tail -c 200M | wc -c";
    let (stdout, _) = place.prints(0, &["run", "-q", "--json=mem.json", "--post-run-cmd", hog, "--", "true"]);
    assert_eq!(stdout, "209715200\n");
    let peak = place.json("mem.json")["peak"]["rss"]["upper_bytes"].as_u64();
    assert!(peak < Some(50 << 20), "{peak:?}");
}

/// hwm holds signals back while the job runs; the command afterwards must get them.
#[test]
fn it_finds_no_signal_held_back() {
    let (stdout, _) = Place::new()
        .prints(0, &["run", "-q", "--post-run-cmd", "grep SigBlk /proc/self/status", "--", "true"]);
    assert_eq!(stdout, "SigBlk:\t0000000000000000\n");
}

/// A second one, later, ends it.
#[test]
fn it_gets_the_signals_that_are_sent_to_hwm() {
    let deaf = "trap '' TERM; echo > ready; while :; do sleep 0.05; done";
    let ends = "trap 'echo caught; exit 3' TERM; echo > ready; while :; do sleep 0.05; done";
    for (hook, is_deaf, out, why) in
        [(ends, false, "caught\n", "exit status: 3"), (deaf, true, "", "signal: 9")]
    {
        let place = Place::new();
        let mut hwm = Command::new(env!("CARGO_BIN_EXE_hwm"));
        hwm.current_dir(place.path()).args(["run", "-q", "--post-run-cmd", hook, "--", "true"]);
        let mut child = hwm.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("runs");
        let begun = Instant::now();
        let patience = |what: &str| assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
        while !place.path().join("ready").exists() {
            patience("the hook does not begin");
            thread::sleep(Duration::from_millis(10));
        }
        let mut terms = 0;
        while child.try_wait().expect("a child of this process").is_none() {
            patience("the hook does not end");
            if is_deaf || terms == 0 {
                // SAFETY: a plain system call on a child of this process that has not been waited for.
                unsafe { libc::kill(libc::pid_t::try_from(child.id()).expect("a pid"), libc::SIGTERM) };
                terms += 1;
            }
            // The same signal within half a second does not count as a second one.
            thread::sleep(Duration::from_millis(if is_deaf { 1300 } else { 10 }));
        }
        assert!(!is_deaf || terms > 1, "the first one asks");
        let output = child.wait_with_output().expect("ends");
        let printed = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(0), "{printed}");
        assert_eq!(String::from_utf8(output.stdout).expect("text"), out);
        assert!(printed.contains("the command after the run failed") && printed.contains(why), "{printed}");
    }
}

#[test]
fn no_job_no_call() {
    let place = Place::new();
    assert_data_eq!(
        place.complains(127, &["run", "--post-run-cmd", "touch called", "--", "no-such-program"]),
        str![[r#"
hwm: cannot run "no-such-program": No such file or directory (os error 2)

"#]]
    );
    assert_eq!(place.names(), [""; 0]);
}

#[test]
fn mistakes() {
    let place = Place::new();
    let complains = |options: &[&str]| place.complains(125, &[&["run"], options, &["--", "true"]].concat());
    assert_data_eq!(
        complains(&["--post-run-cmd", " "]),
        str![[r#"
hwm: invalid value ' ' for '--post-run-cmd <CMD>': give a command line, as in --post-run-cmd './upload.sh "$HWM_RECORD"' (see hwm run --help)

"#]]
    );
    assert_data_eq!(
        complains(&["--post-run-fail"]),
        str![[r#"
hwm: the following required arguments were not provided: --post-run-cmd <CMD> (see hwm run --help)

"#]]
    );
    assert_data_eq!(
        place.complains(125, &["run", "--post-run-cmd"]),
        str![[r#"
hwm: a value is required for '--post-run-cmd <CMD>' but none was supplied (see hwm run --help)

"#]]
    );
}
