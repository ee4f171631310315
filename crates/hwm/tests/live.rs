//! `--live`: how the job stands while it runs, and nothing in the way of the job's own output.
#![cfg(target_os = "linux")]

mod programs;

use std::{
    fs::File,
    io::Read,
    os::fd::{FromRawFd, OwnedFd},
    process::{Command, Stdio},
};

fn hwm(options: &[&str], script: &str) -> Command {
    let mut hwm = Command::new(programs::HWM);
    hwm.args(["run", "-q"]).args(options).args(["--", "sh", "-c", script]);
    hwm.env("W", programs::workload().expect("built"));
    hwm
}

#[test]
fn in_a_log_it_is_a_line_now_and_then() {
    let output = hwm(&["--live=100ms", "--max-total-rss", "1G"], "echo out; $W hold 40 1500; printf end")
        .output()
        .expect("hwm starts");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "out\nend");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains('\x1b'), "{said:?}");
    let lines: Vec<&str> = said.lines().collect();
    assert!((1..=16).contains(&lines.len()), "{said}");
    assert!(lines.iter().all(|line| line.starts_with("hwm: ") && line.contains(" peak, ")), "{said}");
    let full = lines.last().unwrap();
    assert!(
        full.contains("most in workload (pid ") && full.contains(" % of the limit of 1.00 GiB"),
        "{said}"
    );
}

#[test]
fn without_a_pace_a_short_job_s_log_stays_clean() {
    let output = hwm(&["--live"], "sleep 0.3").output().expect("hwm starts");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn on_a_terminal_it_stands_below_and_is_gone_at_the_end() {
    let said = on_a_terminal("xterm", &["--live=50ms"], "$W hold 40 600; printf partial");
    // Down, back up, save, one line down; the text; back to where the job writes.
    assert!(said.contains("\x1bD\x1b[A\x1b7\x1b[B\r\x1b[K0 s, "), "{said:?}");
    assert!(said.contains("most in workload"), "{said:?}");
    assert!(said.ends_with("\x1b[J"), "{said:?}");
    assert!(!said.contains('\n'), "a line would move what the job writes: {said:?}");
}

#[test]
fn a_dumb_terminal_is_a_log() {
    let said = on_a_terminal("dumb", &["--live=100ms"], "sleep 0.5");
    assert!(said.contains("hwm: 0 s, ") && !said.contains('\x1b'), "{said:?}");
}

/// What is shown on a terminal of this kind, by a run that succeeds.
fn on_a_terminal(term: &str, options: &[&str], script: &str) -> String {
    let (master, slave) = terminal();
    let mut hwm = hwm(options, script);
    hwm.env("TERM", term).stdin(Stdio::null()).stdout(Stdio::null()).stderr(slave);
    let mut child = hwm.spawn().expect("hwm starts");
    // It holds the other end of the terminal.
    drop(hwm);
    assert!(child.wait().expect("waited").success());
    let mut said = Vec::new();
    // A terminal whose other end is closed ends with EIO.
    let _ = File::from(master).read_to_end(&mut said);
    String::from_utf8_lossy(&said).into_owned()
}

/// A terminal: the end that a person would see, and the one for a program.
fn terminal() -> (OwnedFd, OwnedFd) {
    let (mut master, mut slave) = (-1, -1);
    let size = libc::winsize { ws_row: 24, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: openpty writes two new descriptors, which nobody else owns; name and settings are not wanted (openpty(3)).
    let made = unsafe {
        libc::openpty(
            &raw mut master,
            &raw mut slave,
            std::ptr::null_mut(),
            std::ptr::null(),
            &raw const size,
        )
    };
    assert_eq!(made, 0, "{}", std::io::Error::last_os_error());
    // SAFETY: both are open and ours.
    unsafe { (OwnedFd::from_raw_fd(master), OwnedFd::from_raw_fd(slave)) }
}
