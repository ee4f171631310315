//! Following a job on macOS: launching it, finding its members, reading what they hold, ending them.
//!
//! There is no reaper of orphans here, as launchd adopts them, and no kernel file that lists a job. But the kernel gives
//! each process a number once, keeps the number of whoever made it, adopted or not (`p_puniqueid` in
//! `bsd/sys/proc_internal.h`), and kqueue(2) tells at once when a member forks, execs or ends. What is made of that is in
//! `members.rs`, which knows no system call and is tested on a made-up kernel.

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

    /// Devices that drivers' libraries have opened: ports of Mach, which no child inherits.
    #[derive(Debug)]
    pub(crate) struct OpenDevices;

    impl OpenDevices {
        pub(crate) fn now(_: &Roots) -> Self {
            Self
        }

        /// What was opened since must not reach the job.
        #[allow(clippy::unused_self)] // Linux looks at what was open before.
        pub(crate) fn keep_later_ones_from_the_job(&self, _: &Roots) {}
    }
}

#[cfg(target_os = "macos")]
pub(crate) use self::{
    mac_job::MacJob as OsJob, members::Told, of_the_system::OpenDevices, queue::Queue, wake::Wake,
};
#[cfg(target_os = "macos")]
pub(crate) use super::unix::thread_cpu;
#[cfg(target_os = "macos")]
pub(crate) use crate::quiet_thread;
