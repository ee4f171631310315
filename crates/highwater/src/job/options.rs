//! How a job is to be followed, and what it must find as it was.

use std::time::Duration;

/// Where the births, execs and ends of processes are learned from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum LineageFrom {
    /// The best that works here: perf events, else the proc connector, else sampling.
    #[default]
    Auto,
    /// perf events (`perf_event_open(2)`), else sampling.
    Perf,
    /// The proc connector (`linux/cn_proc.h`), else sampling.
    ProcConnector,
    /// Looking at intervals alone. What lives and ends between two of them is not seen.
    Sampling,
}

/// True if the job gets a cgroup of its own, of which the kernel keeps the peak (`Peaks::cgroup`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum CgroupUse {
    /// Where one can be made: cgroup v2 with the memory controller delegated to us; v1 as root.
    #[default]
    Auto,
    /// Also with cgroup v1 as an ordinary user; the reason stands in the record if none can be made.
    Always,
    /// No.
    Never,
}

/// How often to sample.
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
        /// Sample quickly during the first quarter of a second.
        burst: bool,
    },
}

/// What the caller's own start changed in its process, to be undone in the job so that the job finds
/// everything as if it had been started without us. The default: nothing to undo but what Rust's runtime does
/// to SIGPIPE; the job finds SIGPIPE and SIGXFSZ at their default unless `ignored_signals` names them.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Inherited {
    /// Signals that the job must find ignored (bit n-1 = signal n) although this process may have changed them
    /// since it started: SIGPIPE, which Rust's runtime ignores always and the job finds ignored only if it stands
    /// here, as SIGXFSZ; SIGCHLD, which must not be ignored here to learn how the job ends; 33, to which glibc gives a handler
    /// with the first thread.
    pub ignored_signals: u64,
    /// The signal mask the job gets (bit n-1 = signal n); `None`: that of the calling thread.
    pub signal_mask: Option<u64>,
    /// Which of descriptors 0, 1, 2 were closed before Rust's runtime opened `/dev/null` there.
    pub closed_stdio: [bool; 3],
    /// Soft limit of open files (`RLIMIT_NOFILE`) before it was raised.
    pub open_files_soft_limit: Option<u64>,
}
