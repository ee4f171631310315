//! The list of processes, and a device of DXGI's.

use highwater::{ProcessMemory, Unavailable, gpu};
use serde_json::Value;

use super::{MIB, hwm, text};

fn json(args: &[&str]) -> Value {
    let output = hwm(args);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&output.stderr)))
}

#[test]
fn processes_by_their_working_set() {
    let output = hwm(&["ps", "--all"]);
    let printed = text(&output.stdout);
    let header: Vec<_> = printed.lines().next().expect("a header").split_whitespace().collect();
    assert!(printed.contains("WORKING SET") && !header.contains(&"RSS"), "{printed}");
    assert!(printed.contains("hwm.exe"), "{printed}");
    assert!(!printed.contains('\u{1b}'), "no colour into a pipe");
}

/// Each pid that is listed is a row, or has ended since: no process is left out for being protected.
#[test]
fn every_process_is_a_row() {
    let printed = json(&["ps", "--all", "--json", "--no-wait"]);
    let rows = printed["processes"].as_array().expect("rows");
    assert!(rows.len() > 3, "Wine's own programs at least: {printed}");
    for row in rows {
        let is_explained = row["name"].is_string() || row["unknown"]["name"].is_string();
        let has_user = row["user"].is_string() || row["unknown"]["user"].is_string();
        assert!(has_user || row["unknown"]["name"].is_string(), "{row}");
        assert!(is_explained && (row["pid"] != 4 || row["name"] == "[kernel]"), "{row}");
    }
}

#[test]
fn users_are_named() {
    let printed = json(&["ps", "--all", "--json", "--no-wait"]);
    let own = std::process::id();
    let rows = printed["processes"].as_array().expect("rows");
    let row = rows
        .iter()
        .find(|row| row["pid"] == own)
        .unwrap_or_else(|| panic!("no row of this process: {printed}"));
    let (user, name) = (row["user"].as_str().expect("this user's"), std::env::var("USERNAME").expect("set"));
    assert!(user.to_lowercase().ends_with(&format!("\\{}", name.to_lowercase())), "{row}");
    // In the table without the domain.
    let shown = text(&hwm(&["ps", "--all"]).stdout);
    assert!(shown.to_lowercase().contains(&name.to_lowercase()) && !shown.contains(user), "{shown}");
}

#[test]
fn this_process() {
    let block = vec![1_u8; 30 << 20];
    let memory = ProcessMemory::of_self().expect("it lives");
    assert!(memory.working_set_bytes.as_ref().is_ok_and(|&bytes| bytes > 30 * MIB), "{memory:?}");
    assert!(memory.peak_working_set_bytes.is_ok() && memory.commit_bytes.is_ok(), "{memory:?}");
    assert_eq!(memory.rss_bytes, Err(Unavailable::NotProvided));
    // The figure is known, or reported as impossible: never 0.
    assert!(memory.private_bytes.as_ref().map_or(true, |&bytes| bytes > 30 * MIB), "{memory:?}");
    assert!(highwater::process_rss().is_ok_and(|bytes| bytes > 30 * MIB));
    std::hint::black_box(block);
}

#[test]
fn adapters_of_dxgi() {
    let devices = gpu::Monitor::new().devices();
    let device = devices.iter().find(|device| device.total.source == gpu::FigureSource::Dxgi);
    let device = device.unwrap_or_else(|| panic!("run with a display: {devices:?}"));
    assert!(device.total.bytes().is_some_and(|bytes| bytes > 0) && device.unified.is_some(), "{device:?}");
    // A system that makes up an adapter counts nothing on it, and may report nothing then.
    let used = device.used.reading.known();
    assert!(used.is_none() || device.used.source == gpu::FigureSource::Pdh, "{device:?}");
    let said = json(&["--json"]);
    assert!(said["devices"].as_array().is_some_and(|devices| !devices.is_empty()), "{said}");
    assert!(said["ram"]["total_bytes"].as_u64().is_some_and(|bytes| bytes > 0));
}
