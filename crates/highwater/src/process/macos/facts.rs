//! The identity of a process, and its usage.

use super::{
    calls,
    read::{failed, figure, name},
    rusage::{Rusage, state},
};
use crate::{
    Error, Roots, Unavailable,
    process::{ProcessFacts, ProcessId},
};

pub(crate) fn of(roots: &Roots, pid: u32) -> Result<ProcessFacts, Error> {
    let unique = calls::unique_ids(pid).map_err(|source| failed(pid, &source))?;
    let short = calls::short_info(pid).map_err(|source| failed(pid, &source))?;
    let usage = calls::rusage(pid).map_err(|source| failed(pid, &source));
    Ok(ProcessFacts {
        id: ProcessId { pid, start_ticks: unique.own },
        // Every living process has at least the kernel's name.
        name: name(roots, pid).ok_or(Unavailable::Vanished),
        // The kernel's one process is 0, "kernel_task"; its threads have no pids.
        is_kernel_thread: pid == 0,
        state: state(short.pbsi_status),
        account: Err(Unavailable::NotProvided),
        uid: Some(short.pbsi_ruid),
        cpu_time: usage.as_ref().ok().and_then(|usage| Some(calls::timebase()?.time(usage.cpu_ticks()))),
        rss_bytes: figure(
            usage.and_then(|usage: Rusage| usage.footprint().map_err(|why| Error::Process { pid, why })),
        ),
    })
}

pub(crate) fn all(_: &Roots) -> Result<Vec<u32>, Error> {
    let listed = calls::all();
    let mut pids =
        listed.map_err(|source| Error::System { doing: "listing processes (proc_listallpids)", source })?;
    pids.sort_unstable();
    Ok(pids)
}

/// Returns the ticks of CPU time, which the processor's own clock counts.
pub(crate) fn ticks_per_second() -> u64 {
    1_000_000_000
}
