//! Waiting for one process, with the usage of it and its waited-for descendants.

use std::time::Duration;

use crate::{
    job::resource_use::CpuUse,
    record::{Exit, ExitCause, ProcessExit},
};

/// Bytes in a unit of `ru_maxrss`, getrusage(2): KiB, and bytes on macOS.
const UNIT_OF_MAX_RSS: u64 = if cfg!(target_os = "macos") { 1 } else { 1024 };

/// A child that was waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Waited {
    pub(crate) exit: ProcessExit,
    /// `ru_maxrss` in bytes: the highest peak of this process, of the image before its exec, and of all descendants
    /// that were waited for (getrusage(2)). It is not this process's own peak.
    pub(crate) max_rss_bytes: u64,
    /// CPU time and page faults of it and of all descendants that were waited for.
    pub(crate) cpu: CpuUse,
}

/// The state of a child that may have exited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WaitResult {
    /// It has exited, and this call waited for it.
    Ended(Waited),
    /// It is a child of this process and has not exited.
    NotYet,
    /// It is not a child of this process, or was waited for elsewhere.
    NotAChild,
}

impl WaitResult {
    pub(crate) fn waited(self) -> Option<Waited> {
        match self {
            Self::Ended(waited) => Some(waited),
            Self::NotYet | Self::NotAChild => None,
        }
    }
}

/// Waits for the child `pid` if it has exited.
pub(crate) fn try_wait(pid: u32) -> WaitResult {
    let Ok(pid) = i32::try_from(pid) else { return WaitResult::NotAChild };
    let mut status = 0;
    // SAFETY: an all-zero rusage is a valid value of this plain C struct.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live locals of the right types.
    let waited = unsafe { libc::wait4(pid, &raw mut status, libc::WNOHANG, &raw mut usage) };
    if waited != pid {
        return if waited == 0 { WaitResult::NotYet } else { WaitResult::NotAChild };
    }
    let exit = process_exit(status);
    let max_rss_bytes = u64::try_from(usage.ru_maxrss).unwrap_or(0) * UNIT_OF_MAX_RSS;
    WaitResult::Ended(Waited { exit, max_rss_bytes, cpu: cpu_of(&usage) })
}

/// Returns the usage of `getrusage(2)`.
fn cpu_of(usage: &libc::rusage) -> CpuUse {
    let time = |time: libc::timeval| {
        let (seconds, micros) = (u64::try_from(time.tv_sec), u64::try_from(time.tv_usec));
        Duration::from_secs(seconds.unwrap_or_default()) + Duration::from_micros(micros.unwrap_or_default())
    };
    CpuUse {
        user: time(usage.ru_utime),
        system: time(usage.ru_stime),
        minor_faults: u64::try_from(usage.ru_minflt).ok(),
        major_faults: u64::try_from(usage.ru_majflt).ok(),
        mixed_faults: None,
    }
}

/// Returns the exit status in a wait status, wait(2).
pub(crate) fn process_exit(status: i32) -> ProcessExit {
    if libc::WIFSIGNALED(status) {
        ProcessExit { code: None, signal: Some(libc::WTERMSIG(status)) }
    } else {
        ProcessExit { code: Some(libc::WEXITSTATUS(status)), signal: None }
    }
}

/// Returns the exit of the command in the form of the record.
pub(crate) fn exit(waited: ProcessExit, sent_sigkill: bool, over_limit: bool) -> Exit {
    Exit {
        code: waited.code,
        signal: waited.signal,
        signal_name: waited.signal.map(signal_name),
        cause: match waited.signal {
            _ if over_limit => ExitCause::Limit,
            Some(libc::SIGKILL) if sent_sigkill => ExitCause::Killed,
            Some(_) => ExitCause::Signaled,
            None => ExitCause::Exited,
        },
    }
}

/// Returns the name of a signal, signal(7).
fn signal_name(number: i32) -> String {
    let name = match number {
        libc::SIGHUP => "SIGHUP",
        libc::SIGINT => "SIGINT",
        libc::SIGQUIT => "SIGQUIT",
        libc::SIGILL => "SIGILL",
        libc::SIGTRAP => "SIGTRAP",
        libc::SIGABRT => "SIGABRT",
        libc::SIGBUS => "SIGBUS",
        libc::SIGFPE => "SIGFPE",
        libc::SIGKILL => "SIGKILL",
        libc::SIGUSR1 => "SIGUSR1",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGUSR2 => "SIGUSR2",
        libc::SIGPIPE => "SIGPIPE",
        libc::SIGALRM => "SIGALRM",
        libc::SIGTERM => "SIGTERM",
        #[cfg(target_os = "linux")]
        libc::SIGSTKFLT => "SIGSTKFLT",
        libc::SIGXCPU => "SIGXCPU",
        libc::SIGXFSZ => "SIGXFSZ",
        libc::SIGVTALRM => "SIGVTALRM",
        libc::SIGPROF => "SIGPROF",
        libc::SIGIO => "SIGIO",
        #[cfg(target_os = "linux")]
        libc::SIGPWR => "SIGPWR",
        libc::SIGSYS => "SIGSYS",
        #[cfg(target_os = "macos")]
        libc::SIGEMT => "SIGEMT",
        #[cfg(target_os = "macos")]
        libc::SIGINFO => "SIGINFO",
        other => return format!("signal {other}"),
    };
    name.to_owned()
}
