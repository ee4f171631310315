//! An event in the life of a task of the job, as the kernel or the exec hold reports it.

use std::time::Duration;

use super::{exec_hold::HeldTask, taskstats::TaskEnd};

/// A kernel event with its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TimedKernelEvent {
    /// Time of the event, on `CLOCK_MONOTONIC`.
    pub(crate) at: Duration,
    pub(crate) event: KernelEvent,
}

/// An event in the life of a task. A task is a thread of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KernelEvent {
    /// A task of process `parent` forked process `pid`.
    Fork { pid: u32, parent: u32 },
    /// A task of process `pid` created the thread `tid`.
    ThreadCreated { pid: u32, tid: u32 },
    /// Process `pid` runs another program now; `comm` is its name, if the source reports it.
    Exec { pid: u32, comm: Option<String> },
    /// The task has exited and released its memory map. With its last task the process has exited.
    TaskExited {
        pid: u32,
        tid: u32,
        /// Wait status as wait4(2) returns it, if the source reports it.
        status: Option<i32>,
        /// Exit record of the task, once it is matched.
        record: Option<Box<TaskEnd>>,
    },
    /// The task was held at its exec or exit.
    Held(HeldTask),
}

impl KernelEvent {
    /// Returns the event of a new task `tid`, created by a task of `parent`. The first task of a process has its number.
    pub(crate) fn task_created(pid: u32, tid: u32, parent: u32) -> Self {
        if pid == tid { Self::Fork { pid, parent } } else { Self::ThreadCreated { pid, tid } }
    }

    /// Returns the event of a task's exit, without its exit record.
    pub(crate) fn task_exited(pid: u32, tid: u32, status: Option<i32>) -> Self {
        Self::TaskExited { pid, tid, status, record: None }
    }
}
