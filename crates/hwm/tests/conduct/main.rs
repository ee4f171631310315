//! How `hwm run` behaves towards its job and its caller: exit codes, what the job finds, signals, failing outputs.
#![cfg(target_os = "linux")]

mod exits;
mod outputs;
mod same;
mod signals;
mod size;

use std::{
    fs,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, ExitStatus, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Far longer than anything here takes; only so that a failure ends.
const PATIENCE: Duration = Duration::from_secs(30);

/// `hwm run OPTIONS -- sh -c SCRIPT`.
fn hwm(options: &[&str], script: &str) -> Command {
    let mut hwm = Command::new(env!("CARGO_BIN_EXE_hwm"));
    hwm.arg("run").args(options).args(["--", "sh", "-c", script]).stdin(Stdio::null());
    // The test itself may run under nohup, and what is ignored is inherited.
    let default_signals = || {
        for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM] {
            // SAFETY: signal(2) with a default is async-signal-safe and runs no code of ours.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
        Ok(())
    };
    // SAFETY: the closure only calls signal(2), which signal-safety(7) allows between fork and exec.
    unsafe { hwm.pre_exec(default_signals) };
    hwm
}

fn output(command: &mut Command) -> Output {
    command.output().expect("it starts")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Waits until `condition` holds.
fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "never: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

fn wait(child: &mut Child) -> ExitStatus {
    let mut status = None;
    until("hwm ends", || {
        status = child.try_wait().expect("it is our child");
        status.is_some()
    });
    status.expect("just seen")
}

fn lines(path: &Path) -> usize {
    fs::read_to_string(path).unwrap_or_default().lines().count()
}

fn record(path: &Path) -> serde_json::Value {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}"))
}
