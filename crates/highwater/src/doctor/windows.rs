//! The mechanisms of Windows.

use super::{
    Mechanism, gpu, of_driver,
    prospect::{MechanismUse, Wish},
    used,
};

mod graphics;
mod jobs;
mod processes;

pub(super) const MECHANISMS: &[Mechanism] = &[
    used("working set", "memory of processes", processes::working_set),
    used("peak working set", "peaks between two samples", processes::mark),
    used("private bytes", "memory that no other process shares", processes::private),
    used("commit charge", "what was promised to a process, and its peak", processes::commit),
    used("processes of others", "memory, names and users of all processes", processes::others),
    used("process list", "hwm attach: descendants", processes::list),
    used("cpu time", "--with-cpu", processes::cpu),
    used("bytes moved", "--with-io", processes::moved),
    used("job object", "every process that the job starts", jobs::object),
    used("completion port", "births and ends, as they come", jobs::port),
    used("marks after the end", "exact peaks of processes that have ended", jobs::marks),
    used("job accounting", "CPU time and bytes of the whole job", jobs::accounting),
    used("peak commit of a job", "the kernel's own peak of the whole job", jobs::peak),
    used("commit limit", "--max-cgroup: the kernel refuses more", jobs::limit),
    used("console", "Ctrl-C reaches the job, and hwm reports", processes::console),
    of_driver("dxgi", "adapters of every vendor", graphics::dxgi),
    of_driver("gpu counters", "what each process holds on GPUs", graphics::counters),
    of_driver("nvml", "NVIDIA's own account", graphics::nvml),
    of_driver("gpu devices", "memory of each GPU", gpu::devices),
    of_driver("gpu processes", "memory of each process on GPUs, from all sources", gpu::processes),
];

/// Results that users look for first.
pub(super) const WISHES: &[Wish] = &[
    Wish {
        name: "the memory of a job",
        ways: &[MechanismUse {
            mechanism: "working set",
            gives: "the highest sum of the working sets of a job's processes",
            option: None,
        }],
    },
    Wish {
        name: "the peak of a job's commit charge",
        ways: &[MechanismUse {
            mechanism: "peak commit of a job",
            gives: "the kernel's own peak of the job's commit charge",
            option: None,
        }],
    },
    Wish {
        name: "every process of a job",
        ways: &[
            MechanismUse {
                mechanism: "job object",
                gives: "every process, however short it lives",
                option: None,
            },
            MechanismUse {
                mechanism: "process list",
                gives: "processes that live for some milliseconds",
                option: None,
            },
        ],
    },
    Wish {
        name: "exact peaks of processes",
        ways: &[
            MechanismUse {
                mechanism: "marks after the end",
                gives: "exact peaks of processes",
                option: None,
            },
            MechanismUse {
                mechanism: "peak working set",
                gives: "peaks of processes, those of short ones as estimates",
                option: None,
            },
        ],
    },
    gpu::MEMORY_WISH,
];
