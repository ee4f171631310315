//! Following a job on macOS: launching it, finding its members, reading their memory, ending them.
//!
//! There is no subreaper here, as launchd adopts all orphans, and no kernel file that lists a job. But the kernel
//! numbers each process once and keeps the number of its original parent, even after adoption (`p_puniqueid` in
//! `bsd/sys/proc_internal.h`). And kqueue(2) reports at once when a member forks, execs or exits. The conclusions are
//! drawn in `members.rs`, which knows no system call and is tested on a made-up kernel.

#[cfg(target_os = "macos")]
mod launch;
#[cfg(target_os = "macos")]
mod mac_job;
mod members;
#[cfg(target_os = "macos")]
mod queue;
#[cfg(target_os = "macos")]
mod system;
mod used;
#[cfg(target_os = "macos")]
mod wake;

#[cfg(target_os = "macos")]
mod of_the_system {
    use crate::Roots;

    /// Devices that drivers' libraries have opened: Mach ports, which no child inherits.
    #[derive(Debug)]
    pub(crate) struct OpenDevices;

    impl OpenDevices {
        pub(crate) fn now(_: &Roots) -> Self {
            Self
        }

        /// Does nothing: no child inherits a Mach port.
        #[allow(clippy::unused_self)] // Linux needs the list.
        pub(crate) fn keep_later_ones_from_the_job(&self, _: &Roots) {}
    }
}

#[cfg(target_os = "macos")]
pub(crate) use self::{
    mac_job::MacJob as OsJob, members::KqueueReport, of_the_system::OpenDevices, queue::Queue, wake::Wake,
};
#[cfg(target_os = "macos")]
pub(crate) use super::unix::thread_cpu;
#[cfg(target_os = "macos")]
pub(crate) use crate::thread_with_signals_blocked;
