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
        super::{Mechanism, of_driver, used},
        child, gpu, processes,
    };

    pub(in crate::doctor) const MECHANISMS: &[Mechanism] = &[
        used("footprint", "memory of processes", processes::footprint),
        used("lifetime maximum", "peaks between two samples", processes::mark),
        used("resident size", "resident memory beside the footprint", processes::resident),
        used("task info", "--with-cpu: page faults", processes::faults),
        used("processes of others", "memory of other users' processes", processes::others),
        used("parent numbers", "daemons and orphans stay in the job", child::parents),
        used("kqueue", "every fork, exec and end, at once", child::news),
        used("exit status", "how processes other than hwm's children ended", child::exit),
        used("remains", "exact peaks of processes that have ended", child::remains),
        used("graphics ledger", "what each process holds on the GPU", gpu::ledger),
        of_driver("metal devices", "GPUs, and how much of them to use", gpu::devices),
        of_driver("i/o kit statistics", "GPU memory in use on the whole device", gpu::statistics),
    ];
}

#[cfg(target_os = "macos")]
pub(super) use self::table::MECHANISMS;
