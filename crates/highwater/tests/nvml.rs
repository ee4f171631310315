//! Tests NVIDIA's backend against an NVML that plays what drivers have done, loaded like the real one.
//! `nvml/scenarios.txt` has the exact expected output of each situation.
#![cfg(all(target_os = "linux", feature = "nvml"))]

#[path = "nvml/child.rs"]
mod child;
#[path = "nvml/fake.rs"]
mod fake;

use std::{collections::BTreeMap, fs, os::unix::process::ExitStatusExt};

use self::fake::FakeLibrary;

/// Returns the expected output, by the name of the situation.
fn expected() -> BTreeMap<&'static str, String> {
    let text = include_str!("nvml/scenarios.txt");
    let normal = text.split("\n== normal:").nth(1).unwrap();
    let devices: Vec<&str> = normal
        .lines()
        .skip(1)
        .take_while(|line| line.starts_with("device ") || line.starts_with(' '))
        .collect();
    let sections =
        text.split("\n== ").skip(1).map(|section| section.split_once('\n').unwrap_or((section, "")));
    sections
        .map(|(head, lines)| {
            let lines = lines.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
            let lines = lines.flat_map(|line| match line {
                "(devices as in normal)" => devices.clone(),
                _ => vec![line],
            });
            (head.split(':').next().unwrap_or(head), lines.map(|line| line.to_owned() + "\n").collect())
        })
        .collect()
}

/// Hides what a container changes: there the driver's pids are the host's. Tests of other subjects ignore
/// that.
fn past_the_container(output: &str) -> String {
    if is_host() {
        return output.to_owned();
    }
    let lines = output.lines().filter(|line| !line.contains("by the pids of the host"));
    lines.map(|line| line.replace("host:", "") + "\n").collect()
}

fn is_host() -> bool {
    fs::read_link("/proc/self/ns/pid").is_ok_and(|link| link.to_str() == Some("pid:[4026531836]"))
}

#[test]
fn every_situation_as_in_the_table() {
    let mut wrong = Vec::new();
    for (name, lines) in expected() {
        // Other tests play these.
        if name.starts_with('(') {
            continue;
        }
        let output = past_the_container(&FakeLibrary::new(name).output_of("list"));
        if output != lines {
            wrong.push(format!("== {name}\n{output}-- but the table has\n{lines}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_container_rejects_pids_of_the_host() {
    let Some(mut fake) = FakeLibrary::new("host_pid").in_a_namespace() else {
        eprintln!("skipped: no new pid namespace can be made here");
        return;
    };
    assert_eq!(fake.output_of("list"), expected()["(host_pid, in a container)"]);
    assert_eq!(fake.output_of("own"), expected()["(host_pid, in a container, itself)"]);
}

#[test]
fn plain_numbers() {
    if is_host() {
        assert_eq!(FakeLibrary::new("normal").output_of("own"), expected()["(normal, itself)"]);
        assert_eq!(FakeLibrary::new("not_available").output_of("own"), expected()["(not_available, itself)"]);
    }
}

#[test]
fn one_session_however_often_it_is_asked() {
    let mut fake = FakeLibrary::new("slow_init");
    let output = fake.output_of("often");
    let log = fake.log();
    assert_eq!(log.matches("init").count(), 2, "one for the process, one for a monitor of its own: {log}");
    assert_eq!(log.matches("shutdown").count(), 1, "that of the monitor: {log}");
    assert_eq!(output, "100 snapshots\n");
}

#[test]
fn a_forked_child_neither_uses_nor_ends_its_parents_session() {
    let mut fake = FakeLibrary::new("normal");
    let output = fake.output_of("fork");
    assert_eq!(output, expected()["(normal, in a forked child)"]);
    let log = fake.log();
    let of = |what: &str| log.lines().filter(|line| line.starts_with(what)).collect::<Vec<_>>();
    let (inits, ends) = (of("init"), of("shutdown"));
    let pid = |line: &str| line.rsplit(' ').next().map(str::to_owned);
    let (parent, child) = (pid(inits[0]), pid(inits[2]));
    assert_ne!(parent, child, "{log}");
    // Each has a monitor, which is dropped, and the shared one.
    assert_eq!(
        inits.iter().map(|line| pid(line)).collect::<Vec<_>>(),
        [&parent, &parent, &child, &child].map(Clone::clone)
    );
    assert_eq!(ends.iter().map(|line| pid(line)).collect::<Vec<_>>(), [child, parent]);
}

#[test]
fn that_there_was_no_driver_is_remembered_until_a_refresh() {
    let output = FakeLibrary::new("normal").output_of("later");
    assert_eq!(output, "not installed: 0, false\ninstalled: 0, false\nafter a refresh: 2, true\n");
}

#[test]
fn what_the_doctor_sees() {
    let output = FakeLibrary::new("stride32").output_of("raw");
    assert!(output.contains("driver 570.133.20"), "{output}");
    assert!(output.contains("Row { pid: 4184242, used: Some(2147483648), instance: None }"), "{output}");
}

/// A driver's library that aborts ends its process: a program that must survive needs a separate process for
/// the query.
#[test]
fn a_crash_in_the_library_ends_the_process() {
    let status = FakeLibrary::new("abort").status("list");
    assert_eq!(status.signal(), Some(6), "{status:?}");
}
