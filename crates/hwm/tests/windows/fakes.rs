//! Drivers that play what Windows was seen to report; they have to be put into System32 first (`.ci/windows`).

use std::process::Command;

use serde_json::Value;

use super::{HWM, text};

const GIB: u64 = 1 << 30;

/// Runs `hwm ps --json`, while NVML plays `scenario`.
fn ps(scenario: &str) -> Value {
    let output =
        Command::new(HWM).args(["ps", "--json"]).env("FAKE_NVML", scenario).output().expect("hwm starts");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&output.stderr)))
}

/// Returns the row of `hwm doctor` about a mechanism, while NVML plays.
fn examined(mechanism: &str) -> Value {
    let output =
        Command::new(HWM).args(["doctor", "--json"]).env("FAKE_NVML", "normal").output().expect("hwm starts");
    let printed: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", text(&output.stderr)));
    let row = printed.as_array().and_then(|rows| rows.iter().find(|row| row["mechanism"] == mechanism));
    row.unwrap_or_else(|| panic!("{printed}")).clone()
}

fn rows(listing: &Value, pid: u64) -> Vec<Value> {
    let rows = listing["processes"].as_array().unwrap_or_else(|| panic!("{listing}"));
    rows.iter().filter(|row| row["pid"] == pid).cloned().collect()
}

#[test]
#[ignore = "needs the fakes in System32"]
fn drivers_nvml() {
    let listing = ps("normal");
    let row = &rows(&listing, 4_184_242)[0];
    assert_eq!(
        (row["vram_bytes"].as_u64(), &row["vram_certainty"]),
        (Some(2 * GIB), &"exact".into()),
        "{row}"
    );
    let listing = ps("not_available");
    let row = &rows(&listing, 4_184_242)[0];
    assert!(row["vram_bytes"].is_null(), "what NVML does not know is not 0: {row}");
}

#[test]
#[ignore = "needs the fakes in System32"]
fn drivers_performance_counters() {
    let listing = ps("normal");
    // Two linked cards are one adapter.
    let row = &rows(&listing, 4711)[0];
    assert_eq!(row["vram_bytes"].as_u64(), Some(4 * GIB), "{row}");
    // Committed: it may be more than the card has.
    let row = &rows(&listing, 4712)[0];
    assert_eq!(row["vram_bytes"].as_u64(), Some(90 * GIB), "{row}");
    assert!(row.to_string().contains("committed"), "{row}");
    for pid in [4713, 4714, 4715] {
        assert_eq!(rows(&listing, pid), Vec::<Value>::new());
    }
    let devices = Command::new(HWM).arg("--json").output().expect("hwm starts");
    let devices: Value = serde_json::from_slice(&devices.stdout).expect("JSON");
    let of_dxgi = devices["devices"].as_array().and_then(|devices| {
        devices.iter().find(|device| device["id"].as_str().is_some_and(|id| id.starts_with("luid-")))
    });
    assert_eq!(of_dxgi.and_then(|device| device["used_bytes"].as_u64()), Some(5 * GIB), "{devices}");
}

#[test]
#[ignore = "needs the fakes in System32"]
fn drivers_examined() {
    for asked_by_itself in ["dxgi", "nvml"] {
        let row = examined(asked_by_itself);
        assert_eq!(row["state"], "works", "{row}");
    }
    // 4711 on two cards, 4712, and 4715 on a card that DXGI does not show; 4713 holds nothing.
    assert_eq!(examined("gpu counters")["detail"], "3 hold some now");
}

#[test]
#[ignore = "needs the fakes in System32"]
fn program_is_not_the_library() {
    let row = examined("nvml");
    assert_eq!(row["state"], "missing", "nvidia-smi alone reports devices: {row}");
    assert_eq!(examined("gpu devices")["state"], "works");
}

#[test]
#[ignore = "needs the fakes in System32"]
fn program_nvidia_smi() {
    let listing = ps("normal");
    let row = &rows(&listing, 4_184_242)[0];
    // The figure is in whole MiB, rounded in an undocumented way.
    let bytes = row["vram_bytes"].as_u64().expect("bounds");
    assert!(bytes.abs_diff(2 * GIB) <= 1 << 20 && row["vram_certainty"] != "exact", "{row}");
    let row = &rows(&listing, 4_184_300)[0];
    assert!(row["vram_bytes"].is_null(), "{row}");
}
