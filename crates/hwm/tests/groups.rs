//! Groups by other keys than the command, and the job as a tree.
#![cfg(target_os = "linux")]

mod programs;

use std::{fs, path::Path, process::Command};

use serde_json::Value;

const MIB: u64 = 1 << 20;

/// Runs `hwm run OPTIONS -- sh -c SCRIPT`, where `$W` is the program of known sizes.
fn run(dir: &Path, options: &[&str], script: &str) -> (Value, String) {
    let json = dir.join("record.json");
    let mut hwm = Command::new(programs::HWM);
    hwm.arg("run").arg(format!("--json={}", json.display())).args(options);
    hwm.args(["--", "sh", "-c", script]).env("W", programs::workload().expect("built"));
    let output = hwm.output().expect("hwm starts");
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{printed}");
    (serde_json::from_slice(&fs::read(json).expect("written")).expect("a record"), printed)
}

fn of_kind<'a>(record: &'a Value, by: &str) -> Vec<&'a Value> {
    record["groups"].as_array().unwrap().iter().filter(|group| group["by"] == by).collect()
}

fn group<'a>(record: &'a Value, by: &str, key: &str) -> &'a Value {
    of_kind(record, by).into_iter().find(|group| group["key"] == key).expect(key)
}

fn peak(group: &Value) -> u64 {
    group["peak_bytes"].as_u64().expect("known")
}

/// Two that hold 60 MiB one after the other, and one beside them with 20.
const SCRIPT: &str = "$W hold 20 1000 & $W hold 60 300; $W hold 60 300; wait";

#[test]
fn a_pattern_separates_processes_of_one_program() {
    let dir = tempfile::tempdir().unwrap();
    let csv = dir.path().join("groups.csv");
    let options =
        ["--group-by", "cmdline-regex=hold ([0-9]+)", "--group-csv", csv.to_str().unwrap(), "--top", "5"];
    let (record, printed) = run(dir.path(), &options, SCRIPT);
    let (small, large) = (group(&record, "command_line", "20"), group(&record, "command_line", "60"));
    // The shell's own command line holds the script, and in it first of all "hold 20".
    assert_eq!((&small["processes"], &large["processes"]), (&2.into(), &2.into()));
    assert!((20 * MIB..30 * MIB).contains(&peak(small)), "{small}");
    // The two never live together: one ended before the other began.
    assert!((60 * MIB..70 * MIB).contains(&peak(large)), "{large}");
    let by_command = group(&record, "command", "workload");
    assert!((80 * MIB..95 * MIB).contains(&peak(by_command)), "all three by command: {by_command}");
    assert!(printed.contains("by what was found in the command line"), "{printed}");
    assert!(!printed.contains("Process groups by command"), "{printed}");
    let csv = fs::read_to_string(csv).unwrap();
    assert!(csv.starts_with("by,key,processes,peak_kib,at_seconds,id,parent\n"), "{csv}");
    let line = format!("command_line,60,2,{},", peak(large) / 1024);
    assert!(csv.contains(&line), "{line} in {csv}");
}

#[test]
fn a_tree_has_each_process_with_all_that_descends_from_it() {
    let dir = tempfile::tempdir().unwrap();
    let script = "sh -c '$W hold 40 300; true' & $W hold 30 600; wait";
    let (record, printed) = run(dir.path(), &["--tree"], script);
    let tree = of_kind(&record, "tree");
    let rows = record["processes"].as_array().unwrap();
    assert_eq!(tree.len(), rows.len());
    let root = tree.iter().find(|group| group["parent"].is_null()).expect("the command");
    assert_eq!(root["processes"], rows.len());
    assert!((70 * MIB..85 * MIB).contains(&peak(root)), "{root}");
    let branch = tree
        .iter()
        .find(|group| group["key"] == "sh" && group["parent"] == root["id"])
        .expect("the inner shell");
    assert!((40 * MIB..50 * MIB).contains(&peak(branch)), "{branch}");
    let leaf = tree.iter().find(|group| group["parent"] == branch["id"]).expect("its child");
    assert_eq!((&leaf["key"], &leaf["processes"]), (&"workload".into(), &1.into()));
    let lines: Vec<&str> = printed.lines().skip_while(|line| !line.starts_with("Process tree")).collect();
    assert!(lines[1].starts_with("  sh (4 processes) "), "{printed}");
    assert!(lines.iter().any(|line| line.starts_with("    sh (2 processes) ")), "{printed}");
    assert!(lines.iter().any(|line| line.starts_with("      workload ")), "{printed}");
}

#[test]
fn filters_leave_the_way_to_what_is_listed() {
    let dir = tempfile::tempdir().unwrap();
    let (_, printed) =
        run(dir.path(), &["--tree", "--include", "workload"], "sh -c '$W hold 1 50; true'; sleep 0.05");
    let tree: Vec<&str> = printed.lines().skip_while(|line| !line.starts_with("Process tree")).collect();
    assert!(tree.iter().any(|line| line.contains("workload")), "{printed}");
    assert!(!tree.iter().any(|line| line.contains("sleep")), "{printed}");
}

#[test]
fn executables_and_parents_are_keys_too() {
    let dir = tempfile::tempdir().unwrap();
    let (record, printed) = run(dir.path(), &["--group-by", "exe", "--group-by", "ppid"], SCRIPT);
    let exe = fs::canonicalize(programs::workload().unwrap()).unwrap();
    assert_eq!(group(&record, "exe", exe.to_str().unwrap())["processes"], 3);
    let shell = record["processes"][0]["pid"].to_string();
    assert_eq!(group(&record, "ppid", &shell)["processes"], 3);
    assert!(printed.contains("by executable") && printed.contains("by parent's pid"), "{printed}");
}
