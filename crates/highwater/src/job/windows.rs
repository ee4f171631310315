//! Following a job on Windows. A Job Object holds all descendants of the command, and its completion port reports
//! starts and exits. An open handle still gives a process's peaks after its exit. A process that is attached to is not
//! put into a Job Object: its descendants are found by polling.

mod attach;
mod exit_wait;
mod launch;
mod listing;
mod members;
mod object;
mod port;
pub(crate) mod probe;
pub(crate) mod thread_with_signals_blocked;
mod used;
mod windows_job;

use std::time::Duration;

use windows_sys::Win32::{
    Foundation::FILETIME,
    System::Threading::{GetCurrentThread, GetThreadTimes},
};

pub(crate) use self::{port::Wake, windows_job::WindowsJob as OsJob};
use crate::Roots;

/// Devices that drivers' libraries have opened: a job inherits no handle that is not meant for it.
#[derive(Debug)]
pub(crate) struct OpenDevices;

impl OpenDevices {
    pub(crate) fn now(_: &Roots) -> Self {
        Self
    }

    /// Does nothing: no handle is inherited.
    #[allow(clippy::unused_self)] // Other systems need the list.
    pub(crate) fn keep_later_ones_from_the_job(&self, _: &Roots) {}
}

/// Returns the CPU time of this thread.
pub(crate) fn thread_cpu() -> Duration {
    let mut times = [FILETIME::default(); 4];
    let [creation, exit, kernel, user] = &mut times;
    // SAFETY: the handle stands for this thread, and the four locals are live.
    let succeeded = unsafe { GetThreadTimes(GetCurrentThread(), creation, exit, kernel, user) };
    if succeeded == 0 {
        return Duration::ZERO;
    }
    let hundreds = |time: FILETIME| u64::from(time.dwHighDateTime) << 32 | u64::from(time.dwLowDateTime);
    Duration::from_nanos(hundreds(times[2]).saturating_add(hundreds(times[3])).saturating_mul(100))
}
