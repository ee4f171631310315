//! `hwm`, `ps`, `watch` and `fits` on trees of files with two GPUs.
#![cfg(target_os = "linux")]
#![allow(clippy::needless_raw_string_hashes)] // snapbox writes its snapshots with them

mod tree;

use std::{
    process::Output,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use snapbox::{assert_data_eq, str};
use tree::{Client, Tree};

const MIB: u64 = 1 << 20;

fn stdout(output: &Output) -> &str {
    str::from_utf8(&output.stdout).expect("text")
}

fn stderr(output: &Output) -> &str {
    str::from_utf8(&output.stderr).expect("text")
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).expect("JSON and nothing else")
}

/// Returns two cards, a compositor whose client a shell inherited, and a program on both cards.
fn machine() -> Tree {
    let mut tree = Tree::new();
    tree.amdgpu(0, "0000:03:00.0", "Radeon RX 7900 XTX", 24576 * MIB, 4096 * MIB);
    tree.amdgpu(1, "0000:0a:00.0", "Radeon RX 6400", 4096 * MIB, 512 * MIB);
    tree.process(1, "init", 8 * MIB)
        .process(100, "gnome-shell", 300 * MIB)
        .process(101, "sh", 4 * MIB)
        .process(102, "train", 900 * MIB);
    tree.process(103, "bystander", 2048 * MIB);
    let shared = Client { gtt: 32 * MIB, ..Client::new(7, 0, "0000:03:00.0", 256 * MIB) };
    tree.client(100, 5, &shared).client(101, 3, &shared);
    let large = Client { gtt: 64 * MIB, ..Client::new(8, 0, "0000:03:00.0", 3000 * MIB) };
    tree.client(102, 4, &large).client(102, 9, &large);
    tree.client(102, 6, &Client::new(9, 1, "0000:0a:00.0", 100 * MIB));
    tree
}

#[test]
fn devices() {
    let output = machine().hwm(&[]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_data_eq!(
        stdout(&output),
        str![[r#"
GPU 0  Radeon RX 7900 XTX  4.00 GiB used  20.0 GiB free  24.0 GiB total; 256 MiB of RAM mapped for it
GPU 1  Radeon RX 6400       512 MiB used  3.50 GiB free  4.00 GiB total; 256 MiB of RAM mapped for it
RAM    10.0 GiB used, 6.00 GiB available, 16.0 GiB total

"#]]
    );
}

#[test]
fn processes() {
    let output = machine().hwm(&["ps"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_data_eq!(
        stdout(&output),
        str![[r#"
PID  USER  NAME             VRAM       GTT       RSS  S  DEVICE
102  1000  train        2.93 GiB  64.0 MiB   900 MiB  S  0 Radeon RX 7900 XTX
100  1000  gnome-shell   256 MiB  32.0 MiB   300 MiB  S  0 Radeon RX 7900 XTX
101  1000  sh            256 MiB  32.0 MiB  4.00 MiB  S  0 Radeon RX 7900 XTX
102  1000  train         100 MiB       0 B   900 MiB  S  1 Radeon RX 6400

"#]]
    );
    assert_data_eq!(
        stderr(&output),
        str![[r#"
hwm: pids 100, 101 share a client; its memory is in the row of each
hwm: 3 processes hold GPU memory; complete

"#]]
    );
}

#[test]
fn documents() {
    let document = json(&machine().hwm(&["ps", "--json"]).output().unwrap());
    assert_eq!(
        (&document["schema"]["name"], &document["complete"]),
        (&"highwater.processes".into(), &true.into())
    );
    let rows = document["processes"].as_array().unwrap();
    let row = |pid: u64, device: u64| {
        rows.iter().find(|row| row["pid"] == pid && row["device"]["index"] == device).expect("a row")
    };
    assert_eq!(rows.len(), 4, "a client held twice counts once: {document:#}");
    assert_eq!(row(102, 0)["vram_bytes"], 3000 * MIB);
    assert_eq!(row(102, 1)["device"]["pci"], "0000:0a:00.0");
    assert_eq!(row(100, 0)["shared_with"], serde_json::json!([101]));
    assert_eq!(row(101, 0)["shared_with"], serde_json::json!([100]));
    assert_eq!((&row(100, 0)["source"], &row(100, 0)["gtt_bytes"]), (&"fdinfo".into(), &(32 * MIB).into()));
    assert_eq!(row(100, 0)["rss_bytes"], 300 * MIB);
    assert_eq!(row(100, 0)["cpu_percent"], Value::Null, "a tree stands still");
}

#[test]
fn filters() {
    let tree = machine();
    let pids = |args: &[&str]| {
        let output = tree.hwm(&[&["ps"], args].concat()).output().unwrap();
        let pids =
            stdout(&output).lines().skip(1).filter_map(|line| line.split_whitespace().next()?.parse().ok());
        (output.status.code(), pids.collect::<Vec<u32>>())
    };
    assert_eq!(pids(&["--device", "1"]), (Some(0), vec![102]));
    assert_eq!(pids(&["--min", "200MiB"]), (Some(0), vec![102, 100, 101]));
    assert_eq!(pids(&["--filter", "^gnome"]), (Some(0), vec![100]));
    assert_eq!(pids(&["--pid", "101", "--pid", "102", "--sort", "pid"]), (Some(0), vec![101, 102, 102]));
    assert_eq!(pids(&["--pid", "103"]), (Some(1), vec![]));
    assert_eq!(pids(&["--all", "--sort", "rss"]).1, [103, 102, 102, 100, 1, 101]);
}

#[test]
fn a_device_that_is_not_there() {
    for verb in [&["ps"][..], &["watch"], &["fits", "1G"]] {
        let output = machine().hwm(&[verb, &["--device", "7"]].concat()).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert_eq!(stderr(&output), "hwm: there is no GPU 7: this machine has 2, numbered from 0 to 1\n");
    }
}

#[test]
fn whether_it_fits() {
    let tree = machine();
    let answer = |args: &[&str]| {
        let output = tree.hwm(&[&["fits"], args].concat()).output().unwrap();
        assert!(stderr(&output).is_empty(), "{}", stderr(&output));
        format!("{} {}", output.status.code().unwrap(), stdout(&output))
    };
    let answers = [
        answer(&["8G"]),
        answer(&["8G", "--device", "1"]),
        answer(&["100GB"]),
        answer(&["3584M", "--device", "1"]),
    ];
    assert_data_eq!(
        answers.concat(),
        str![[r#"
0 yes: 8.00 GiB fits on GPU 0 (Radeon RX 7900 XTX): 20.0 GiB free of 24.0 GiB
1 no: 8.00 GiB does not fit on GPU 1 (Radeon RX 6400): 3.50 GiB free of 4.00 GiB
1 no: 93.1 GiB does not fit on any GPU; most is free on GPU 0 (Radeon RX 7900 XTX): 20.0 GiB free of 24.0 GiB
0 yes: 3.50 GiB fits on GPU 1 (Radeon RX 6400): 3.50 GiB free of 4.00 GiB

"#]]
    );
}

#[test]
fn the_highest_values_of_a_watch() {
    let output = machine().hwm(&["watch", "--interval", "20ms", "--duration", "50ms"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let summary: Value = serde_json::from_str(stdout(&output).lines().last().unwrap()).unwrap();
    let peaks = summary["peaks"].as_array().unwrap();
    assert_eq!(peaks.len(), 4, "{summary:#}");
    assert_eq!(
        (&peaks[2]["max_vram_bytes"], &peaks[2]["max_vram_certainty"]),
        (&(3000 * MIB).into(), &"at_least".into())
    );
    assert_eq!(summary["devices"][0]["max_used_bytes"], 4096 * MIB);
}

#[test]
fn what_clients_share_makes_bounds() {
    let mut tree = machine();
    tree.process(104, "viewer", MIB);
    tree.client(104, 3, &Client { shared: 64 * MIB, ..Client::new(11, 0, "0000:03:00.0", 100 * MIB) });
    let output = tree.hwm(&["ps", "--json", "--pid", "104"]).output().unwrap();
    let row = &json(&output)["processes"][0];
    assert!(row["vram_lower_bytes"].as_u64().is_none_or(|lower| lower >= 36 * MIB), "{row:#}");
    assert_eq!(row["vram_bytes"], 100 * MIB, "{row:#}");
}

#[test]
fn client_names_are_text_of_strangers() {
    let mut tree = machine();
    tree.process(104, "x", MIB);
    let name = "\u{9b}31m\x1b[2Jdrm-client-name: \u{202e}";
    tree.client(104, 3, &Client { name, ..Client::new(11, 0, "0000:03:00.0", MIB) });
    let output = tree.hwm(&["ps", "--json", "--pid", "104"]).output().unwrap();
    assert_eq!(json(&output)["processes"][0]["client_names"][0], name);
    assert!(!stdout(&output).contains(['\x1b', '\u{9b}', '\u{202e}']), "{}", stdout(&output).escape_debug());
}

#[test]
fn a_protected_process_is_counted() {
    let tree = machine();
    tree.lock(102);
    let Some(output) = tree.as_other_user(&["ps"]) else { return };
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    let printed = "hwm: 2 processes hold GPU memory; incomplete: 1 protected (run as root to look into it)\n";
    assert!(stderr(&output).ends_with(printed), "{}", stderr(&output));
    let document = json(&tree.as_other_user(&["ps", "--json"]).unwrap());
    assert_eq!((&document["refused"], &document["complete"]), (&serde_json::json!([102]), &false.into()));
    // If only other processes are asked for, nothing is missing.
    assert_eq!(tree.as_other_user(&["ps", "--pid", "100"]).unwrap().status.code(), Some(0));
    let all = tree.as_other_user(&["ps", "--all", "--pid", "102", "--json"]).unwrap();
    let row = &json(&all)["processes"][0];
    assert_eq!((&row["vram_bytes"], &row["unknown"]["vram"]), (&Value::Null, &"permission denied".into()));
}

/// A tree with this kernel's boot id counts as this machine, so time passes in it.
#[test]
fn engines_between_two_looks() {
    let tree = machine();
    tree.is_this_machine();
    let document = thread::scope(|scope| {
        let mut hwm = tree.hwm(&["ps", "--json", "--pid", "102"]);
        let runner = scope.spawn(move || hwm.output().unwrap());
        // The engine works half of the time, as far as the scheduler allows.
        let begun = Instant::now();
        while !runner.is_finished() {
            tree.engine_time(102, 6, begun.elapsed() / 2);
            thread::sleep(Duration::from_millis(5));
        }
        json(&runner.join().unwrap())
    });
    let rows = document["processes"].as_array().unwrap();
    let engines = |pci| &rows.iter().find(|row| row["device"]["pci"] == pci).expect("a row")["engines"][0];
    assert_eq!(engines("0000:03:00.0")["percent"], 0.0, "{document:#}");
    let busy = engines("0000:0a:00.0");
    assert_eq!(busy["name"], "gfx");
    assert!(busy["percent"].as_f64().is_some_and(|percent| percent > 1.0 && percent <= 100.0), "{busy}");
    assert_eq!(rows[0]["cpu_percent"], 0.0);
}

/// Root may stand in a directory of another user, and `PATH` may lead there.
#[test]
fn no_nvidia_smi_of_the_current_directory_is_run() {
    use std::{fs, os::unix::fs::PermissionsExt, process::Command};

    let dir = tempfile::tempdir().expect("a directory");
    // If NVML cannot be loaded, nvidia-smi is used.
    fs::write(dir.path().join("libnvidia-ml.so.1"), "This is no library.").expect("written");
    let smi = dir.path().join("nvidia-smi");
    fs::write(&smi, "#!/bin/sh\n/bin/echo ran > \"${0%/*}/ran\"\n").expect("written");
    fs::set_permissions(&smi, fs::Permissions::from_mode(0o755)).expect("set");
    let hwm = |verb: &[&str], path: &str| {
        let mut hwm = Command::new(env!("CARGO_BIN_EXE_hwm"));
        hwm.args(verb).current_dir(dir.path()).env("PATH", path).env("LD_LIBRARY_PATH", dir.path());
        hwm
    };
    for verb in [&[][..], &["ps", "--all"], &["doctor"]] {
        for path in [".", "", ":/usr/bin", "./", "../../../../../../../proc/self/cwd"] {
            hwm(verb, path).output().expect("hwm starts");
            assert!(!dir.path().join("ran").exists(), "{verb:?} with PATH={path}");
        }
    }
    hwm(&["doctor"], "").env("HWM_NVIDIA_SMI", &smi).output().expect("hwm starts");
    assert!(dir.path().join("ran").exists(), "the variable names it");
    let output =
        hwm(&["doctor", "--raw"], "").env("HWM_NVIDIA_SMI", "nvidia-smi").output().expect("hwm starts");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(printed.contains("HWM_NVIDIA_SMI must be an absolute path"), "{printed}");
}
