//! The mechanisms of Linux, in the order in which the report lists them.

use super::{Mechanism, gpu, of_driver, used};

mod cgroup;
mod child;
mod limits;
mod perf;
mod proc_connector;
mod proc_files;
mod seccomp;
mod syscalls;
mod taskstats;

pub(super) const MECHANISMS: &[Mechanism] = &[
    used("rss", "resident memory of processes", proc_files::rss),
    used("high-water marks", "peaks between two samples", proc_files::marks),
    used("pss", "shared pages counted once", proc_files::pss),
    used("processes of others", "PSS of programs that change their user", proc_files::others),
    used("children files", "descendants, at a cost that follows the job", proc_files::children),
    used("pid cursor", "skips the search while nothing was forked", proc_files::pid_cursor),
    used("child subreaper", "daemons and orphans stay in the job", syscalls::subreaper),
    used("pidfd", "the command's end, and signals that cannot miss", syscalls::pidfd),
    used("kcmp", "vfork children are not counted twice", syscalls::kcmp),
    used("open files", "one kept descriptor or more a process", limits::open_files),
    used("memory limit", "how much this container may use", limits::memory),
    used("perf events", "every process, with exact times of its fork, exec and exit", perf::examine),
    used("proc connector", "the same, where perf events are refused", proc_connector::examine),
    used("seccomp notification", "--exact: exact peaks without privilege", seccomp::examine),
    used("taskstats", "exact peaks of killed processes too", taskstats::examine),
    used("cgroup", "the kernel's own peak of the whole job", cgroup::examine),
    of_driver("gpu devices", "memory of each GPU", gpu::devices),
    of_driver("gpu processes", "what each process holds on GPUs", gpu::processes),
];
