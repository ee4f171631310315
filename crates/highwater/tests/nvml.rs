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
fn past_the_container(told: &str) -> String {
    if is_host() {
        return told.to_owned();
    }
    let lines = told.lines().filter(|line| !line.contains("by the pids of the host"));
    lines.map(|line| line.replace("host:", "") + "\n").collect()
}

fn is_host() -> bool {
    fs::read_link("/proc/self/ns/pid").is_ok_and(|link| link.to_str() == Some("pid:[4026531836]"))
}

#[test]
fn every_situation_is_told_as_the_table_has_it() {
    let mut wrong = Vec::new();
    for (name, lines) in expected() {
        // Other tests play these.
        if name.starts_with('(') {
            continue;
        }
        let told = past_the_container(&FakeLibrary::new(name).tell("list"));
        if told != lines {
            wrong.push(format!("== {name}\n{told}-- but the table has\n{lines}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn in_a_container_no_pid_of_the_host_is_taken_for_ours() {
    let Some(mut fake) = FakeLibrary::new("host_pid").in_a_namespace() else {
        eprintln!("skipped: no new pid namespace can be made here");
        return;
    };
    assert_eq!(fake.tell("list"), expected()["(host_pid, in a container)"]);
    assert_eq!(fake.tell("own"), expected()["(host_pid, in a container, our own)"]);
}

#[test]
fn plain_numbers() {
    if is_host() {
        assert_eq!(FakeLibrary::new("normal").tell("own"), expected()["(normal, our own)"]);
        assert_eq!(FakeLibrary::new("not_available").tell("own"), expected()["(not_available, our own)"]);
    }
}

#[test]
fn one_session_however_often_it_is_asked() {
    let mut fake = FakeLibrary::new("slow_init");
    let told = fake.tell("often");
    let log = fake.log();
    assert_eq!(log.matches("init").count(), 2, "one for the process, one for a monitor of its own: {log}");
    assert_eq!(log.matches("shutdown").count(), 1, "that of the monitor: {log}");
    assert_eq!(told, "100 snapshots\n");
}

#[test]
fn a_forked_child_neither_uses_nor_ends_its_parents_session() {
    let mut fake = FakeLibrary::new("normal");
    let told = fake.tell("fork");
    assert_eq!(told, expected()["(normal, in a forked child)"]);
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
    let told = FakeLibrary::new("normal").tell("later");
    assert_eq!(told, "not installed: 0, false\ninstalled: 0, false\nafter a refresh: 2, true\n");
}

#[test]
fn what_the_doctor_sees() {
    let told = FakeLibrary::new("stride32").tell("raw");
    assert!(told.contains("driver 570.133.20"), "{told}");
    assert!(told.contains("Row { pid: 4242, used: Some(2147483648), instance: None }"), "{told}");
}

/// A driver's library that aborts ends its process: a program that must survive needs a separate process for
/// the query.
#[test]
fn a_crash_in_the_library_ends_the_process() {
    let status = FakeLibrary::new("abort").status("list");
    assert_eq!(status.signal(), Some(6), "{status:?}");
}
