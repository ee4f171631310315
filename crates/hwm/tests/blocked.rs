//! Outputs that take nothing: a job is ended for its limit all the same, and hwm can be ended by a signal.
#![cfg(target_os = "linux")]

use std::{
    fs::{self, File},
    io::{self, ErrorKind, PipeReader, Read, Write},
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        unix::process::ExitStatusExt,
    },
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

/// A job that exceeds its limit of 50 MiB once it is let, and a record of what it did.
struct BlockedStage {
    dir: tempfile::TempDir,
}

impl BlockedStage {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let alive = dir.path().join("alive");
        assert!(Command::new("mkfifo").arg(alive).status().expect("runs").success());
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Returns `hwm run` of a job that waits for the end of its standard input. Then `tail` keeps 200 MiB of a slow
    /// stream, and a file appears if the whole stream came.
    fn hwm(&self, options: &[&str]) -> Command {
        let script =
            "exec 3>alive; read line; (head -c 30G /dev/zero && touch lived) | tail -c 200M >/dev/null";
        let mut hwm = Command::new(env!("CARGO_BIN_EXE_hwm"));
        hwm.args(["run", "--max-total-rss", "50M"]).args(options).args(["--", "sh", "-c", script]);
        hwm.current_dir(self.dir.path()).env("TERM", "xterm").stdin(Stdio::null());
        hwm
    }

    /// Waits until each process of the job has ended.
    fn job_was_ended(&self) {
        assert!(fs::read(self.path("alive")).expect("read").is_empty());
        assert!(!self.path("lived").exists(), "its limit did not end the job");
    }
}

/// Returns a pipe that takes nothing more.
fn full_pipe() -> (PipeReader, File) {
    let (read, write) = io::pipe().expect("a pipe");
    let mut full = File::from(OwnedFd::from(write));
    rustix::io::ioctl_fionbio(&full, true).expect("set");
    while full.write(&[b'x'; 4096]).is_ok() {}
    assert_eq!(full.write(b"x").map_err(|error| error.kind()), Err(ErrorKind::WouldBlock));
    rustix::io::ioctl_fionbio(&full, false).expect("set");
    (read, full)
}

/// Returns a terminal: the end that a person would see, and the one for programs.
fn terminal() -> (File, OwnedFd) {
    let (mut master, mut slave) = (-1, -1);
    let none = std::ptr::null_mut();
    // SAFETY: openpty writes two new descriptors; name, settings and size are not wanted (openpty(3)).
    let made =
        unsafe { libc::openpty(&raw mut master, &raw mut slave, none, std::ptr::null(), std::ptr::null()) };
    assert_eq!(made, 0, "{}", io::Error::last_os_error());
    // SAFETY: both are open, and no other value owns them.
    unsafe { (File::from_raw_fd(master), OwnedFd::from_raw_fd(slave)) }
}

/// Stops the terminal's output, as Ctrl-S does, or lets it go on.
fn flow(terminal: &OwnedFd, action: i32) {
    // SAFETY: the descriptor is open.
    assert_eq!(unsafe { libc::tcflow(terminal.as_raw_fd(), action) }, 0, "{}", io::Error::last_os_error());
}

fn wait(mut hwm: Child) -> i32 {
    let status = hwm.wait().expect("waited");
    status.code().unwrap_or_else(|| 1000 + status.signal().unwrap_or_default())
}

#[test]
fn a_pipe_of_the_timeline_that_is_not_read() {
    let stage = BlockedStage::new();
    let (read, full) = full_pipe();
    let mut hwm = stage.hwm(&["-q", "--timeline", "/dev/stdout"]);
    let hwm = hwm.stdout(full).stderr(Stdio::null()).spawn().expect("hwm starts");
    stage.job_was_ended();
    // The rest of the timeline has no reader any more.
    drop(read);
    assert_eq!(wait(hwm), 10);
}

#[test]
fn a_named_pipe_of_the_timeline_that_is_not_read() {
    let stage = BlockedStage::new();
    let pipe = stage.path("timeline");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("runs").success());
    // Linux opens it for reading and writing without waiting (fifo(7)).
    let unread = File::options().read(true).write(true).open(&pipe).expect("opened");
    let hwm = stage.hwm(&["-q", "--timeline", "timeline"]).stderr(Stdio::null()).spawn().expect("hwm starts");
    stage.job_was_ended();
    assert_eq!(wait(hwm), 10);
    drop(unread);
}

#[test]
fn a_terminal_of_the_timeline_that_is_stopped() {
    let stage = BlockedStage::new();
    let (mut master, slave) = terminal();
    flow(&slave, libc::TCOOFF);
    let mut hwm = stage.hwm(&["-q", "--timeline", "/dev/stdout"]);
    hwm.stdout(slave.try_clone().expect("cloned")).stderr(Stdio::null());
    let child = hwm.spawn().expect("hwm starts");
    drop(hwm);
    stage.job_was_ended();
    flow(&slave, libc::TCOON);
    drop(slave);
    let mut shown = Vec::new();
    // Reading ends with EIO once the other end is closed.
    let _ = master.read_to_end(&mut shown);
    assert_eq!(wait(child), 10);
    let shown = String::from_utf8_lossy(&shown);
    assert!(shown.starts_with("timestamp,elapsed_seconds,") && shown.lines().count() > 1, "{shown}");
}

#[test]
fn a_line_of_live_on_a_terminal_that_is_stopped() {
    let stage = BlockedStage::new();
    let (mut master, slave) = terminal();
    let mut hwm = stage.hwm(&["-q", "--live=10ms"]);
    hwm.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(slave.try_clone().expect("cloned"));
    let mut child = hwm.spawn().expect("hwm starts");
    drop(hwm);
    let mut shown = String::new();
    while !shown.contains("process") {
        let mut piece = [0; 256];
        let length = master.read(&mut piece).expect("shown");
        shown.push_str(&String::from_utf8_lossy(&piece[..length]));
    }
    flow(&slave, libc::TCOOFF);
    drop(child.stdin.take());
    stage.job_was_ended();
    // The reader is not waited for: the rest of the output is lost.
    assert_eq!(wait(child), 10);
    flow(&slave, libc::TCOON);
}

#[test]
fn a_blocked_report_comes_last_and_ends_by_a_signal() {
    let stage = BlockedStage::new();
    let (read, full) = full_pipe();
    let mut hwm = stage.hwm(&["--live=10ms", "--json=record.json"]);
    let mut child = hwm.stderr(full).spawn().expect("hwm starts");
    stage.job_was_ended();
    let is_whole = || {
        let text = fs::read(stage.path("record.json")).ok()?;
        let record: serde_json::Value = serde_json::from_slice(&text).ok()?;
        record["complete"].as_bool()
    };
    while is_whole() != Some(true) {
        assert!(child.try_wait().expect("asked").is_none(), "it has ended without a record");
        thread::sleep(Duration::from_millis(10));
    }
    // Within the first half second after the job such a signal counts as one that has ended the job.
    let status = loop {
        if let Some(status) = child.try_wait().expect("asked") {
            break status;
        }
        kill_process(Pid::from_child(&child), Signal::TERM).expect("not waited for yet");
        thread::sleep(Duration::from_millis(10));
    };
    assert_eq!(status.code(), Some(128 + libc::SIGTERM));
    drop(read);
}
