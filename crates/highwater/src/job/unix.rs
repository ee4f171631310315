//! Parts that Linux and macOS share: how a program is started and how it exits.

mod program;
mod start;
pub(crate) mod wait;

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

pub(crate) use program::{Arrays, PreparedProgram, errno};
#[cfg(target_os = "linux")]
pub(crate) use start::wait_for;
pub(crate) use start::{ExecReport, Gate, open_files_limit};

/// Returns the CPU time of this thread.
pub(crate) fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}
