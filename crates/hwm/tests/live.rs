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
    let printed = String::from_utf8_lossy(&output.stderr);
    assert!(!printed.contains('\x1b'), "{printed:?}");
    let lines: Vec<&str> = printed.lines().collect();
    assert!((1..=16).contains(&lines.len()), "{printed}");
    assert!(lines.iter().all(|line| line.starts_with("hwm: ") && line.contains(" peak, ")), "{printed}");
    // The last line may be written after the job's last process has ended: it then names none.
    assert!(
        lines.iter().any(|line| {
            line.contains("most in workload (pid ") && line.contains(" % of the limit of 1.00 GiB")
        }),
        "{printed}"
    );
}

#[test]
fn without_a_pace_a_short_job_s_log_stays_clean() {
    let output = hwm(&["--live"], "sleep 0.3").output().expect("hwm starts");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn on_a_terminal_it_stands_below_and_is_gone_at_the_end() {
    let printed = on_a_terminal("xterm", &["--live=50ms"], "$W hold 40 600; printf partial");
    // Down, back up, save, one line down; the text; back to where the job writes.
    assert!(printed.contains("\x1bD\x1b[A\x1b7\x1b[B\r\x1b[K0 s, "), "{printed:?}");
    assert!(printed.contains("most in workload"), "{printed:?}");
    assert!(printed.ends_with("\x1b[J"), "{printed:?}");
    assert!(!printed.contains('\n'), "a line would move what the job writes: {printed:?}");
}

#[test]
fn a_dumb_terminal_is_a_log() {
    let printed = on_a_terminal("dumb", &["--live=100ms"], "sleep 0.5");
    assert!(printed.contains("hwm: 0 s, ") && !printed.contains('\x1b'), "{printed:?}");
}

/// Returns the text on a terminal of this kind, by a run that succeeds.
fn on_a_terminal(term: &str, options: &[&str], script: &str) -> String {
    let (master, slave) = terminal();
    let mut hwm = hwm(options, script);
    hwm.env("TERM", term).stdin(Stdio::null()).stdout(Stdio::null()).stderr(slave);
    let mut child = hwm.spawn().expect("hwm starts");
    // The command holds the other end of the terminal.
    drop(hwm);
    assert!(child.wait().expect("waited").success());
    let mut printed = Vec::new();
    // A terminal whose other end is closed ends with EIO.
    let _ = File::from(master).read_to_end(&mut printed);
    String::from_utf8_lossy(&printed).into_owned()
}

/// Returns a terminal: the end that a person would see, and the end for a program.
fn terminal() -> (OwnedFd, OwnedFd) {
    let (mut master, mut slave) = (-1, -1);
    let size = libc::winsize { ws_row: 24, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: openpty writes two new descriptors, which nothing else owns; name and settings are not wanted
    // (openpty(3)).
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
    // SAFETY: both are open, and owned here.
    unsafe { (OwnedFd::from_raw_fd(master), OwnedFd::from_raw_fd(slave)) }
}
