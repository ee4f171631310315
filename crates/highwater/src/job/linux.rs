//! Following a job on Linux: launching it, finding its members, reading their memory, ending them.

pub(crate) mod cgroup;
pub(crate) mod descendants;
mod discovery;
mod ended;
mod keeper;
pub(crate) mod launch;
mod lifetimes;
mod member;
pub(crate) mod members;
pub(crate) mod pss;
pub(crate) mod quiet_thread;
pub(crate) mod sources;
pub(crate) mod subreaper;
mod taskstats;
pub(crate) mod told;
pub(crate) mod wait;

pub(crate) use cgroup::JobGroup;
pub(crate) use lifetimes::connector::Connector;
pub(crate) use taskstats::Taskstats;
