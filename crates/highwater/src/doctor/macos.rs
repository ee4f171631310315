//! The mechanisms of macOS. `verdict.rs` interprets an attempt's answers, without system calls.

#[cfg(target_os = "macos")]
mod child;
#[cfg(target_os = "macos")]
mod gpu;
#[cfg(target_os = "macos")]
mod processes;
mod verdict;

#[cfg(target_os = "macos")]
mod table {
    use super::{
        super::{
            Mechanism, of_driver,
            prospect::{MechanismUse, Wish},
            used,
        },
        child, gpu, processes,
    };

    pub(in crate::doctor) const MECHANISMS: &[Mechanism] = &[
        used("footprint", "memory of processes", processes::footprint),
        used("lifetime maximum", "peaks between two samples", processes::mark),
        used("resident size", "resident memory beside the footprint", processes::resident),
        used("task info", "--with-cpu: page faults", processes::faults),
        used("processes of others", "memory of other users' processes", processes::others),
        used("parent numbers", "daemons and orphans stay in the job", child::parents),
        used("kqueue", "every fork, exec and end, at once", child::fork_and_exit),
        used("exit status", "how processes other than hwm's children ended", child::exit),
        used("remains", "exact peaks of processes that have ended", child::remains),
        used("graphics ledger", "what each process holds on the GPU", gpu::ledger),
        of_driver("metal devices", "GPUs, and how much of them to use", gpu::devices),
        of_driver("i/o kit statistics", "GPU memory in use on the whole device", gpu::statistics),
    ];

    /// Results that users look for first.
    pub(in crate::doctor) const WISHES: &[Wish] = &[
        Wish {
            name: "the memory of a job",
            ways: &[
                MechanismUse {
                    mechanism: "footprint",
                    gives: "the highest sum of the footprints of a job's processes",
                    option: None,
                },
                MechanismUse {
                    mechanism: "resident size",
                    gives: "the highest sum of the resident sizes of a job's processes",
                    option: None,
                },
            ],
        },
        Wish {
            name: "every process of a job",
            ways: &[
                MechanismUse {
                    mechanism: "kqueue",
                    gives: "every process, however short it lives",
                    option: None,
                },
                MechanismUse {
                    mechanism: "parent numbers",
                    gives: "processes that live for some milliseconds",
                    option: None,
                },
            ],
        },
        Wish {
            name: "exact peaks of processes",
            ways: &[
                MechanismUse { mechanism: "remains", gives: "exact peaks of processes", option: None },
                MechanismUse {
                    mechanism: "lifetime maximum",
                    gives: "peaks of processes, those of short ones as estimates",
                    option: None,
                },
            ],
        },
        Wish {
            name: "GPU memory",
            ways: &[
                MechanismUse {
                    mechanism: "graphics ledger",
                    gives: "GPU memory of each process",
                    option: None,
                },
                MechanismUse {
                    mechanism: "i/o kit statistics",
                    gives: "GPU memory in use on the whole device",
                    option: None,
                },
            ],
        },
    ];
}

#[cfg(target_os = "macos")]
pub(super) use self::table::{MECHANISMS, WISHES};
