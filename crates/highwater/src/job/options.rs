//! Options for following a job, and the settings that the job must find unchanged.

use std::time::Duration;

/// Source of the forks, execs and exits of processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum LineageFrom {
    /// The best one that works here: perf events, else the proc connector, else sampling.
    #[default]
    Auto,
    /// perf events (`perf_event_open(2)`), else sampling.
    Perf,
    /// The proc connector (`linux/cn_proc.h`), else sampling.
    ProcConnector,
    /// Polling alone. A process that starts and exits between two polls is not seen.
    Sampling,
}

/// The choice of an own cgroup for the job, whose peak the kernel keeps (`Peaks::cgroup`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum CgroupUse {
    /// Own cgroup if one can be made: cgroup v2 with the memory controller delegated to this user, or v1 as root.
    #[default]
    Auto,
    /// Own cgroup, also with cgroup v1 as an ordinary user; the record states the reason if none can be made. If this process
    /// may make none, systemd is asked for a scope, which ends some seconds after the last logout of a user without
    /// lingering.
    Always,
    /// No own cgroup.
    Never,
}

/// The time between samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Pace {
    /// Quick at the start and while things change, slow when still.
    #[default]
    Adaptive,
    /// At a fixed interval; with `burst`, quicker during the first moments.
    Fixed {
        /// The interval.
        interval: Duration,
        /// True to sample quickly during the first quarter of a second.
        burst: bool,
    },
}

/// Settings that the caller's own start changed in its process. They are undone in the job, so that it finds everything
/// as if it had been started directly. By default only the change of SIGPIPE by Rust's runtime is undone. The job finds
/// SIGPIPE and SIGXFSZ at their default unless `ignored_signals` names them.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct InheritedState {
    /// Signals that the job must find ignored (bit n-1 = signal n) although this process may have changed them since it
    /// started. SIGPIPE, which Rust's runtime always ignores, and SIGXFSZ are ignored in the job only if they are named
    /// here. SIGCHLD must not be ignored in this process, which needs the job's exit status. Signal 33 gets a handler
    /// from glibc with the first thread.
    pub ignored_signals: u64,
    /// The signal mask of the job (bit n-1 = signal n); `None`: that of the calling thread.
    pub signal_mask: Option<u64>,
    /// True for each of descriptors 0, 1, 2 that was closed before Rust's runtime opened `/dev/null` there.
    pub closed_stdio: [bool; 3],
    /// Soft limit of open files (`RLIMIT_NOFILE`) before it was raised.
    pub open_files_soft_limit: Option<u64>,
}
