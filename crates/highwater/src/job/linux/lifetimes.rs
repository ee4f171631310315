//! Births, execs and ends as the kernel itself tells them, with its own times: no process is too short to be seen.

use std::time::Duration;

/// Something in the life of a task (a process's thread), as the kernel told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lifetime {
    /// `CLOCK_MONOTONIC`.
    pub(crate) at: Duration,
    pub(crate) what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    /// A task of process `parent` made `tid`: a new process where `tid == pid`, else a thread more of `pid`.
    Fork { pid: u32, tid: u32, parent: u32 },
    /// Process `pid` runs another program now; `comm` is its name, where the source tells it.
    Exec { pid: u32, comm: Option<String> },
    /// The task has ended and let go of its memory map; with its last task, the process has. `status` as wait4(2)
    /// gives it, where the source tells it.
    Exit { pid: u32, tid: u32, status: Option<i32> },
}

pub(crate) mod connector;
pub(crate) mod perf;
