//! The libraries of GPU drivers run inside this program: one that crashes ends it, and one that hangs stops it. Nothing
//! in the same process can help that, but both are said.

use std::{
    io,
    process::{Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use crate::console::complain;

/// Waking a driver up takes up to seconds; who waits longer is told what for.
const SLOW_DRIVER_AFTER: Duration = Duration::from_secs(3);
/// The doctor waits no longer than this.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);

/// Says so where what it is held for takes long. To be dropped afterwards.
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
        // Without a thread nothing is said, and nothing else is lost.
        let started = thread::Builder::new().name("patience".to_owned()).spawn(wait);
        Self(started.is_ok().then_some(over))
    }
}

/// From here on a crash of this program is told of in words, unless somebody wanted it ignored.
#[cfg(unix)]
pub(crate) fn report_crashes() {
    const CRASH_MESSAGE: &[u8] =
        b"hwm: crashed, most likely inside the library of a GPU driver; hwm doctor tells what else works, \
and hwm run without --gpu uses none\n";

    extern "C" fn tell(_: libc::c_int) {
        // SAFETY: write(2) may be called in a handler (signal-safety(7)); the words live for ever. Whatever it returns,
        // the program ends now: the handler is gone (SA_RESETHAND), and what raised the signal does so again.
        unsafe { libc::write(libc::STDERR_FILENO, CRASH_MESSAGE.as_ptr().cast(), CRASH_MESSAGE.len()) };
    }

    for signal in [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGABRT] {
        // SAFETY: both are plain structs that may be zeroed, and live beyond the calls; the handler does nothing but
        // write. What is ignored stays so, for a job inherits that.
        unsafe {
            let mut before: libc::sigaction = std::mem::zeroed();
            if libc::sigaction(signal, std::ptr::null(), &raw mut before) != 0
                || before.sa_sigaction == libc::SIG_IGN
            {
                continue;
            }
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = tell as extern "C" fn(libc::c_int) as libc::sighandler_t;
            action.sa_flags = libc::SA_RESETHAND | libc::SA_ONSTACK;
            libc::sigaction(signal, &raw const action, std::ptr::null_mut());
        }
    }
}

#[cfg(not(unix))]
pub(crate) fn report_crashes() {}

/// Whether the drivers can be asked without harm, tried in a process of its own; else what they did to it.
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
                    // One that the kernel holds (state D) does not end: it is left behind.
                    return Ok(Some(format!(
                        "the GPU drivers did not answer in {} s",
                        PROBE_TIMEOUT.as_secs()
                    )));
                }
                None => thread::sleep(Duration::from_millis(2)),
            }
        }
    };
    // What cannot be tried is asked at once.
    attempt().ok().flatten().map_or(Ok(()), Err)
}
