//! `hwm`, `ps`, `watch` and `fits` from end to end, on trees of files and on this machine.
#![cfg(target_os = "linux")]

#[path = "programs/default_signals.rs"]
mod default_signals;
mod tree;

use std::{
    io::{BufRead, BufReader, Read},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use default_signals::with_default_signals;
use serde_json::Value;
use tree::Tree;

fn hwm(args: &[&str]) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin("hwm"));
    command.args(args);
    command
}

fn output(args: &[&str]) -> Output {
    hwm(args).output().expect("runs")
}

fn stdout(output: &Output) -> &str {
    str::from_utf8(&output.stdout).expect("text")
}

fn stderr(output: &Output) -> &str {
    str::from_utf8(&output.stderr).expect("text")
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).expect("JSON and nothing else")
}

#[test]
fn a_machine_without_gpus_is_reported_as_such() {
    let tree = Tree::new();
    let output = tree.hwm(&[]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("no GPU and no GPU driver was found"), "{}", stdout(&output));
    assert!(
        stdout(&output).contains("RAM   10.0 GiB used, 6.00 GiB available, 16.0 GiB total"),
        "{}",
        stdout(&output)
    );
    assert!(stderr(&output).contains("hwm --help"), "{}", stderr(&output));

    let document = json(&tree.hwm(&["--json"]).output().unwrap());
    assert_eq!(document["schema"]["name"], "highwater.devices");
    assert_eq!((&document["devices"], &document["complete"]), (&Value::Array(vec![]), &true.into()));
    assert_eq!(document["ram"]["used_bytes"], 10_u64 << 30);

    let output = tree.hwm(&["ps"]).output().unwrap();
    assert_eq!((output.status.code(), stdout(&output)), (Some(1), ""), "{}", stderr(&output));
    assert_eq!(stderr(&output).lines().count(), 1);
    assert!(
        stderr(&output).starts_with("hwm: 0 processes hold GPU memory; complete: no GPU"),
        "{}",
        stderr(&output)
    );
    let document = json(&tree.hwm(&["ps", "--json"]).output().unwrap());
    assert_eq!((&document["processes"], &document["complete"]), (&Value::Array(vec![]), &true.into()));

    let output = tree.hwm(&["fits", "8G"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).starts_with("no: no GPU and no GPU driver was found"), "{}", stdout(&output));
}

#[test]
fn all_processes_of_a_tree_by_ram() {
    let mut tree = Tree::new();
    tree.process(10, "small", 1 << 20).process(11, "large", 1 << 30).kernel_thread(2, "kthreadd");
    let output = tree.hwm(&["ps", "--all"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let lines: Vec<Vec<&str>> =
        stdout(&output).lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["PID", "USER", "NAME", "RSS", "S"]);
    assert_eq!(
        lines[1],
        ["11", "1000", "large", "1.00", "GiB", "S"],
        "the names of users are not this machine's in a tree"
    );
    assert_eq!(lines[2][..3], ["10", "1000", "small"]);
    assert_eq!(lines[3], ["2", "0", "[kthreadd]", "-", "S"]);
    assert!(stderr(&output).contains("hwm: 3 processes; complete"), "{}", stderr(&output));

    let output =
        tree.hwm(&["ps", "--all", "--min", "512MiB", "--filter", "^l", "--sort", "name"]).output().unwrap();
    assert_eq!(stdout(&output).lines().count(), 2, "{}", stdout(&output));
    assert!(stderr(&output).contains("1 process matching min=512MiB filter=^l"), "{}", stderr(&output));
}

#[test]
fn an_unreadable_process_is_unknown() {
    let mut tree = Tree::new();
    tree.process(7, "small", 1 << 20).kernel_thread(8, "kworker");
    for pid in [20, 21] {
        tree.write(&format!("proc/{pid}/stat"), "no fields\n");
    }
    // Nothing but the memory of this one is unknown.
    tree.process(22, "unsized", 1 << 20);
    std::fs::remove_file(tree.proc().join("22/status")).unwrap();

    let listed = |options: &[&str]| {
        let document = json(&tree.hwm(&[&["ps", "--all", "--json"], options].concat()).output().unwrap());
        let rows = document["processes"].as_array().expect("a list");
        let mut pids: Vec<u64> = rows.iter().map(|row| row["pid"].as_u64().expect("a pid")).collect();
        pids.sort_unstable();
        (pids, document)
    };
    assert_eq!(listed(&["--min=500M"]).0, [20, 21, 22]);

    let (pids, document) = listed(&["--filter=small"]);
    assert_eq!((&pids[..], &document["complete"]), (&[7][..], &false.into()));
    let why = document["gaps"][0]["why"].as_str().expect("a reason");
    assert!(why.starts_with("the names of 2 processes could not be read"), "{document}");
}

#[test]
fn no_escape_reaches_the_terminal() {
    let mut tree = Tree::new();
    tree.process(7, "\x1b]0;owned\x07\x1b[2J\nPID", 1 << 30);
    for args in [&["ps", "--all"][..], &["ps", "--all", "--json"], &["ps", "--all", "--filter", "\x1b"]] {
        let output = tree.hwm(args).output().unwrap();
        let raw = |byte: &u8| byte.is_ascii_control() && *byte != b'\n';
        assert!(!output.stdout.iter().any(raw), "{}", stdout(&output).escape_debug());
        assert!(!output.stderr.iter().any(raw), "{}", stderr(&output).escape_debug());
        assert!(stdout(&output).contains("owned"), "{}", stdout(&output));
    }
    let output = tree.hwm(&["ps", "--all"]).output().unwrap();
    assert_eq!(stdout(&output).lines().count(), 2, "a name makes no row of its own");
}

#[test]
fn a_pid_that_is_not_there_is_reported() {
    let output = output(&["ps", "--pid", "999999999", "--json"]);
    assert_eq!(json(&output)["missing"], serde_json::json!([999_999_999]));
    let mut tree = Tree::new();
    tree.process(5, "x", 4096);
    let output = tree.hwm(&["ps", "--all", "--pid", "999999", "--pid", "5"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(stderr(&output).starts_with("hwm: no process has pid 999999\n"), "{}", stderr(&output));
    let output = tree.hwm(&["ps", "--pid", "999999"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("hwm: 0 processes hold GPU memory matching pid=999999"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_device_that_is_not_there_is_an_error() {
    let tree = Tree::new();
    for verb in [&["ps"][..], &["watch"], &["fits", "1G"]] {
        let output = tree.hwm(&[verb, &["--device", "7"]].concat()).output().unwrap();
        assert_eq!((output.status.code(), stdout(&output)), (Some(2), ""), "{}", stderr(&output));
        assert!(stderr(&output).contains("no GPU"), "{}", stderr(&output));
    }
    let output = tree.hwm(&["ps", "--device", "7", "--json"]).output().unwrap();
    assert_eq!(json(&output)["complete"], false, "JSON in every case");
}

#[test]
fn a_procfs_that_cannot_be_read() {
    let tree = Tree::new();
    let output = output(&["ps", "--procfs", "/no/such/dir"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--procfs"), "{}", stderr(&output));
    // The tree is there, but has no process.
    let output = tree.hwm(&["ps", "--all"]).output().unwrap();
    assert_eq!((output.status.code(), stdout(&output)), (Some(1), ""), "{}", stderr(&output));
    std::fs::remove_file(tree.proc().join("meminfo")).unwrap();
    let output = tree.hwm(&[]).output().unwrap();
    assert!(stdout(&output).contains("RAM   unknown: cannot read"), "{}", stdout(&output));
    let document = json(&tree.hwm(&["--json"]).output().unwrap());
    assert_eq!((&document["ram"]["total_bytes"], &document["complete"]), (&Value::Null, &false.into()));
    assert!(document["ram"]["unknown"]["total_bytes"].is_string());
}

#[test]
fn roots_before_or_behind_the_verb() {
    let mut tree = Tree::new();
    tree.process(7, "here", 1 << 20);
    let proc = tree.proc();
    let proc = proc.to_str().unwrap();
    for args in [["--procfs", proc, "ps", "--all"], ["ps", "--all", "--procfs", proc]] {
        let output = output(&args);
        assert!(stdout(&output).contains("here"), "{}", stderr(&output));
    }
    for args in [&["--procfs", proc, "run", "--", "true"][..], &["run", "--sysfs", proc, "--", "true"]] {
        let output = output(args);
        assert_eq!(output.status.code(), Some(125), "{}", stderr(&output));
        assert!(stderr(&output).contains("hwm run works on this machine"), "{}", stderr(&output));
    }
    // Arguments of the job stay the job's.
    let output = output(&["run", "-q", "--", "echo", "--procfs", proc]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

#[test]
fn own_process_with_rates() {
    let own = std::process::id();
    let document = json(&output(&["ps", "--all", "--json", "--pid", &own.to_string()]));
    let row = &document["processes"][0];
    assert_eq!(row["pid"], own);
    assert!(row["rss_bytes"].as_u64().is_some_and(|bytes| bytes > 0), "{row}");
    assert!(row["cpu_percent"].is_number() && row["cpu_step_percent"].is_number(), "{row}");
    assert!(row["user"].is_string() && row["state"].is_string(), "{row}");
    let at_once = json(&output(&["ps", "--all", "--no-wait", "--json", "--pid", &own.to_string()]));
    assert_eq!(at_once["processes"][0]["cpu_percent"], Value::Null);
}

#[test]
fn a_reader_that_leaves_ends_it_quietly() {
    for args in [&["ps", "--all"][..], &["ps", "--all", "--json"], &["watch", "--all", "--interval", "1h"]] {
        let mut child = hwm(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
        let mut first = String::new();
        BufReader::with_capacity(1, child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        let begun = Instant::now();
        let status = child.wait().unwrap();
        let mut printed = String::new();
        child.stderr.take().unwrap().read_to_string(&mut printed).unwrap();
        assert!(begun.elapsed() < Duration::from_secs(30), "{args:?} does not wait");
        assert!(!printed.contains("panicked") && !printed.contains("Broken pipe"), "{args:?}: {printed}");
        assert!(status.code().is_some_and(|code| code <= 2), "{args:?}: {status}");
    }
}

#[test]
fn watch_samples_and_sums_up() {
    let own = std::process::id().to_string();
    let args = ["watch", "--all", "--pid", &own, "--interval", "50ms", "--duration", "220ms"];
    let output = output(&args);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let lines: Vec<Value> = stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["event"], "start");
    assert_eq!(
        (&lines[0]["schema"]["name"], &lines[0]["selection"]),
        (&"highwater.watch".into(), &format!("pid={own}").into())
    );
    let samples: Vec<&Value> = lines.iter().filter(|line| line["event"] == "sample").collect();
    assert!((2..=5).contains(&samples.len()), "{samples:?}");
    assert!(samples.iter().all(|sample| sample["processes"][0]["rss_bytes"].is_u64()), "{samples:?}");
    let summary = lines.last().unwrap();
    assert_eq!((&summary["event"], &summary["ended_by"]), (&"summary".into(), &"duration".into()));
    assert_eq!(summary["samples"], samples.len());
    let highest = samples.iter().map(|sample| sample["processes"][0]["rss_bytes"].as_u64()).max().unwrap();
    assert_eq!(summary["peaks"][0]["max_rss_bytes"].as_u64(), highest);
    assert_eq!(summary["peaks"][0]["max_vram_bytes"], Value::Null, "unknown is never 0");
    assert_eq!((&lines[0]["schema"]["minor"], &summary["peaks_left_out"]), (&1.into(), &0.into()));
}

#[test]
fn watch_ends_with_a_summary_when_asked_to() {
    for signal in [rustix::process::Signal::INT, rustix::process::Signal::TERM] {
        // Any other process of the machine may be late, which would make the list incomplete.
        let mut hwm = hwm(&["watch", "--all", "--pid", &std::process::id().to_string(), "--interval", "1h"]);
        let mut child = with_default_signals(&mut hwm).stdout(Stdio::piped()).spawn().expect("starts");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        for event in ["start", "sample"] {
            assert!(lines.next().unwrap().unwrap().contains(&format!("\"event\":\"{event}\"")));
        }
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), signal).unwrap();
        let summary = lines.next().unwrap().unwrap();
        assert!(summary.contains("\"ended_by\":\"signal\""), "{summary}");
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn watch_ends_with_the_processes_it_follows() {
    let mut sleep = Command::new("sleep").arg("0.3").spawn().unwrap();
    let reaped = std::thread::spawn({
        let pid = sleep.id().to_string();
        move || output(&["watch", "--all", "--interval", "50ms", "--duration", "60s", "--pid", &pid])
    });
    sleep.wait().unwrap();
    let output = reaped.join().unwrap();
    let summary: Value = serde_json::from_str(stdout(&output).lines().last().unwrap()).unwrap();
    assert_eq!(summary["ended_by"], "processes_ended", "{summary}");
}
