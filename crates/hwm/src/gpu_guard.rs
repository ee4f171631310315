//! The libraries of GPU drivers run inside this program: a crash in one ends it, and a hang in one stops it. This
//! process cannot prevent either, but it reports both.

use std::{
    io,
    process::{Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use crate::console::complain;

/// The time after which a wait for a driver is explained. A sleeping driver takes up to seconds to wake.
const SLOW_DRIVER_AFTER: Duration = Duration::from_secs(3);
/// The longest time that `hwm doctor` waits for a driver.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);

/// A guard that prints a message if it lives for long. The caller drops it when the driver has answered.
#[derive(Debug)]
pub(crate) struct DriverWait(#[allow(dead_code)] Option<mpsc::Sender<()>>);

impl DriverWait {
    pub(crate) fn begin() -> Self {
        let (over, is_over) = mpsc::channel::<()>();
        let wait = move || {
            if is_over.recv_timeout(SLOW_DRIVER_AFTER) == Err(RecvTimeoutError::Timeout) {
                complain("still waiting for a GPU driver; Ctrl-C ends that");
            }
        };
        // Without a thread only the message is lost.
        let started = thread::Builder::new().name("patience".to_owned()).spawn(wait);
        Self(started.is_ok().then_some(over))
    }
}

/// Makes a crash of this program print an explanation. A signal that was ignored stays ignored.
#[cfg(unix)]
pub(crate) fn report_crashes() {
    const CRASH_MESSAGE: &[u8] =
        b"hwm: crashed, most likely inside the library of a GPU driver; hwm doctor shows what else works, \
and hwm run without --gpu uses none\n";

    extern "C" fn print_crash_message(_: libc::c_int) {
        // SAFETY: write(2) may be called in a handler (signal-safety(7)); the words live for ever. Whatever it returns,
        // the program ends now: the handler is gone (SA_RESETHAND), and what raised the signal does so again.
        unsafe { libc::write(libc::STDERR_FILENO, CRASH_MESSAGE.as_ptr().cast(), CRASH_MESSAGE.len()) };
    }

    for signal in [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGABRT] {
        // SAFETY: both are plain structs that may be zeroed, and live beyond the calls. The handler does nothing but
        // write. What is ignored stays so, for a job inherits that.
        unsafe {
            let mut before: libc::sigaction = std::mem::zeroed();
            if libc::sigaction(signal, std::ptr::null(), &raw mut before) != 0
                || before.sa_sigaction == libc::SIG_IGN
            {
                continue;
            }
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = print_crash_message as extern "C" fn(libc::c_int) as libc::sighandler_t;
            action.sa_flags = libc::SA_RESETHAND | libc::SA_ONSTACK;
            libc::sigaction(signal, &raw const action, std::ptr::null_mut());
        }
    }
}

#[cfg(not(unix))]
pub(crate) fn report_crashes() {}

/// Returns whether the drivers can be asked without harm, tried in a process of its own; else what they did to it.
pub(crate) fn probe_drivers() -> Result<(), String> {
    let attempt = || -> io::Result<Option<String>> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("--json")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let deadline = Instant::now() + PROBE_TIMEOUT;
        loop {
            match child.try_wait()? {
                Some(status) if status.success() => return Ok(None),
                Some(status) => return Ok(Some(format!("asking the GPU drivers ended a process: {status}"))),
                None if Instant::now() > deadline => {
                    child.kill()?;
                    // A process in state D does not end: it is left behind.
                    return Ok(Some(format!(
                        "the GPU drivers did not answer in {} s",
                        PROBE_TIMEOUT.as_secs()
                    )));
                }
                None => thread::sleep(Duration::from_millis(2)),
            }
        }
    };
    // A driver that cannot be tried in a process of its own is asked at once.
    attempt().ok().flatten().map_or(Ok(()), Err)
}
