//! Following a job on Linux: launching it, finding its members, reading their memory, ending them.

mod attached;
mod cgroup;
mod command_lines;
mod descendants;
mod discovery;
mod ended;
mod execs;
mod keeper;
mod launch;
mod lifetimes;
mod map_reader;
mod member;
mod members;
mod open_devices;
mod pss;
mod shortage;
mod sources;
mod subreaper;
mod sweep;
mod taskstats;
mod told;
mod tree;
mod used;
mod wake;

pub(crate) use super::unix::{quiet_thread, thread_cpu};
pub(crate) use cgroup::JobGroup;
pub(crate) use lifetimes::connector::Connector;
pub(crate) use open_devices::OpenDevices;
pub(crate) use taskstats::Taskstats;
pub(crate) use tree::Tree;
pub(crate) use wake::Wake;
