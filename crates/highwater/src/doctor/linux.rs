//! The mechanisms of Linux, in the order in which the report lists them.

use super::{
    Mechanism, gpu, of_driver,
    prospect::{MechanismUse, Wish},
    used,
};

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

/// Results that users look for first.
pub(super) const WISHES: &[Wish] = &[
    Wish {
        name: "the kernel's own count of a job's memory",
        ways: &[
            MechanismUse {
                mechanism: "cgroup",
                gives: "the peak memory of a job, each page counted once, as the kernel counts it",
                option: None,
            },
            MechanismUse {
                mechanism: "pss",
                gives: "a good estimate of a job's peak memory, each page counted once",
                option: None,
            },
            MechanismUse {
                mechanism: "rss",
                gives: "the highest sum of the memory of a job's processes, where shared pages count several times",
                option: None,
            },
        ],
    },
    Wish {
        name: "every process, however short it lives",
        ways: &[
            MechanismUse {
                mechanism: "perf events",
                gives: "every process, however short it lives",
                option: None,
            },
            MechanismUse {
                mechanism: "proc connector",
                gives: "every process, however short it lives",
                option: None,
            },
            MechanismUse {
                mechanism: "children files",
                gives: "processes that live for some milliseconds",
                option: None,
            },
        ],
    },
    Wish {
        name: "exact peaks of processes",
        ways: &[
            MechanismUse { mechanism: "taskstats", gives: "exact peaks of processes", option: None },
            MechanismUse {
                mechanism: "seccomp notification",
                gives: "exact peaks of processes",
                option: Some("--exact"),
            },
            MechanismUse {
                mechanism: "high-water marks",
                gives: "peaks of processes, those of short ones as estimates",
                option: None,
            },
        ],
    },
    gpu::MEMORY_WISH,
];
