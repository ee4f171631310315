//! Following a job on Linux: launching it, finding its members, reading their memory, ending them.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

mod cgroup;
mod descendants;
mod discovery;
mod ended;
mod keeper;
mod launch;
mod lifetimes;
mod member;
mod members;
mod open_devices;
mod pss;
pub(crate) mod quiet_thread;
mod sources;
mod subreaper;
mod taskstats;
mod told;
mod tree;
mod used;
mod wait;
mod wake;

pub(crate) use cgroup::JobGroup;
pub(crate) use lifetimes::connector::Connector;
pub(crate) use open_devices::OpenDevices;
pub(crate) use taskstats::Taskstats;
pub(crate) use tree::Tree;
pub(crate) use wake::Wake;

/// CPU time of this thread.
pub(crate) fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}
