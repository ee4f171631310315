//! The conduct of `hwm run` towards its job and its caller: exit codes, the state that the job finds, signals, failing
//! outputs.
#![cfg(target_os = "linux")]

#[path = "../programs/default_signals.rs"]
mod default_signals;
mod exits;
mod outputs;
mod same;
mod signals;
mod size;

use std::{
    fs,
    path::Path,
    process::{Child, Command, ExitStatus, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use default_signals::with_default_signals;

/// A time far longer than any step here takes, so that a failure ends.
const FAILURE_TIMEOUT: Duration = Duration::from_secs(600);

/// Returns `hwm run OPTIONS -- sh -c SCRIPT`.
fn hwm(options: &[&str], script: &str) -> Command {
    let mut hwm = Command::new(env!("CARGO_BIN_EXE_hwm"));
    hwm.arg("run").args(options).args(["--", "sh", "-c", script]).stdin(Stdio::null());
    with_default_signals(&mut hwm);
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
        assert!(start.elapsed() < FAILURE_TIMEOUT, "never: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

fn wait(child: &mut Child) -> ExitStatus {
    let mut status = None;
    until("hwm ends", || {
        status = child.try_wait().expect("it is a child of this process");
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
