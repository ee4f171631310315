//! Interprets the answer of `proc_pid_rusage` for one process.

use std::io;

use crate::{
    Unavailable,
    process::{ProcessId, ProcessMemory},
};

/// The fields of `struct rusage_info_v4` (sys/resource.h) that are used here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rusage {
    /// `ri_resident_size`: pages in its map, shared ones in full.
    pub(crate) resident_bytes: u64,
    /// `ri_phys_footprint`: the memory charged to it; see [`ProcessMemory::phys_footprint_bytes`].
    pub(crate) footprint_bytes: u64,
    /// `ri_lifetime_max_phys_footprint` of its present image, since an exec makes a new task with a new
    /// ledger (`task_create_internal` in `osfmk/kern/task.c`).
    pub(crate) max_footprint_bytes: u64,
    /// Its own usage, with the programs before its exec (`task_rollup_accounting_info` in
    /// `osfmk/kern/task.c`).
    pub(crate) own: RusageSpent,
    /// The usage of children that it waited for, each with those of its own (`update_rusage_info_child` in
    /// `bsd/kern/kern_resource.c`).
    pub(crate) waited: RusageSpent,
    /// `ri_diskio_bytesread` and `ri_diskio_byteswritten`: bytes that its threads read from devices and wrote
    /// to them (`spec_strategy` in `bsd/miscfs/specfs/spec_vnops.c`). Those of its children are summed up
    /// nowhere.
    pub(crate) storage_read_bytes: u64,
    pub(crate) storage_written_bytes: u64,
    /// True if `ri_proc_exit_abstime` is set: it has ended. The figures are those of its exit, kept until its
    /// parent waits for it (`proc_prepareexit` in `bsd/kern/kern_exit.c`).
    pub(crate) has_ended: bool,
}

/// A process's usage beside memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct RusageSpent {
    /// CPU time in ticks of `mach_absolute_time` (`fill_task_rusage` in `osfmk/kern/bsd_kern.c`).
    pub(crate) user_ticks: u64,
    pub(crate) system_ticks: u64,
    /// Page faults that had to read from storage.
    pub(crate) pageins: u64,
}

/// Page faults of a living process, from `struct proc_taskinfo` (`bsd/sys/proc_info.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TaskFaults {
    /// `pti_faults`: all faults.
    pub(crate) all: i32,
    /// `pti_pageins`.
    pub(crate) pageins: i32,
}

impl TaskFaults {
    /// Returns the faults without I/O, as `calcru` in `bsd/kern/kern_resource.c` counts them for
    /// getrusage(2). The kernel's counts stop at the highest number of 32 bits (`fill_taskprocinfo` in
    /// `osfmk/kern/bsd_kern.c`): then it is unknown.
    pub(crate) fn minor(self) -> Option<u64> {
        if self.all == i32::MAX || self.pageins == i32::MAX {
            return None;
        }
        u64::try_from(self.all.checked_sub(self.pageins)?).ok()
    }
}

impl Rusage {
    pub(crate) fn cpu_ticks(&self) -> u64 {
        self.own.user_ticks.saturating_add(self.own.system_ticks)
    }

    pub(crate) fn resident(&self) -> Result<u64, Unavailable> {
        if self.has_ended { Err(Unavailable::NoMemoryMap) } else { Ok(self.resident_bytes) }
    }

    pub(crate) fn footprint(&self) -> Result<u64, Unavailable> {
        if self.has_ended { Err(Unavailable::NoMemoryMap) } else { Ok(self.footprint_bytes) }
    }

    /// Returns its peak footprint. A ledger that never took part in a footprint reads 0, which no program
    /// has.
    pub(crate) fn max_footprint(&self) -> Result<u64, Unavailable> {
        match self.max_footprint_bytes {
            0 => Err(Unavailable::NotProvided),
            // The kernel raises the peak when it settles the ledger; the balance may be ahead of it.
            bytes if self.has_ended => Ok(bytes),
            bytes => Ok(bytes.max(self.footprint_bytes)),
        }
    }
}

/// Returns the figures of a process: all known, or all missing for one reason.
pub(crate) fn memory(id: ProcessId, answer: &Result<Rusage, Unavailable>) -> ProcessMemory {
    let figure =
        |what: fn(&Rusage) -> Result<u64, Unavailable>| answer.as_ref().map_err(Clone::clone).and_then(what);
    ProcessMemory {
        id,
        rss_bytes: figure(Rusage::resident),
        phys_footprint_bytes: figure(Rusage::footprint),
        peak_phys_footprint_bytes: figure(Rusage::max_footprint),
        // macOS neither divides shared pages among processes nor counts them by mapping. Swapped and
        // compressed memory is in the footprint.
        ..ProcessMemory::unknown(id, &Unavailable::NotProvided)
    }
}

/// Returns why the kernel did not answer.
pub(crate) fn why(error: &io::Error) -> Unavailable {
    match error.kind() {
        io::ErrorKind::PermissionDenied => Unavailable::PermissionDenied,
        _ if error.raw_os_error() == Some(libc::ESRCH) => Unavailable::Vanished,
        _ => Unavailable::Failed(error.to_string()),
    }
}

/// Returns the letter of ps for the kernel's state of a process (`SIDL` to `SZOMB`, sys/proc.h). It does not
/// distinguish a running process from a sleeping one: threads' states are not in it.
pub(crate) fn state(status: u32) -> char {
    match status {
        1 => 'I',
        2 => 'R',
        3 => 'S',
        4 => 'T',
        5 => 'Z',
        _ => '?',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: ProcessId = ProcessId { pid: 7, start_ticks: 4711 };
    const LIVING: Rusage = Rusage {
        resident_bytes: 3 << 20,
        footprint_bytes: 2 << 20,
        max_footprint_bytes: 5 << 20,
        own: RusageSpent { user_ticks: 18_000_000, system_ticks: 6_000_000, pageins: 3 },
        waited: RusageSpent { user_ticks: 0, system_ticks: 0, pageins: 0 },
        storage_read_bytes: 4096,
        storage_written_bytes: 0,
        has_ended: false,
    };

    #[test]
    fn a_footprint_is_never_called_rss() {
        let memory = memory(ID, &Ok(LIVING));
        assert_eq!((memory.rss_bytes, memory.phys_footprint_bytes), (Ok(3 << 20), Ok(2 << 20)));
        assert_eq!(memory.peak_phys_footprint_bytes, Ok(5 << 20));
        assert_eq!(memory.peak_rss_bytes, Err(Unavailable::NotProvided), "the kernel keeps no mark of that");
    }

    #[test]
    fn of_an_ended_process_its_mark_is_left() {
        let memory = memory(ID, &Ok(Rusage { has_ended: true, ..LIVING }));
        assert_eq!(
            (memory.rss_bytes, memory.phys_footprint_bytes),
            (Err(Unavailable::NoMemoryMap), Err(Unavailable::NoMemoryMap))
        );
        assert_eq!(memory.peak_phys_footprint_bytes, Ok(5 << 20));
    }

    #[test]
    fn a_mark_is_not_below_the_present_size() {
        let behind = Rusage { footprint_bytes: 6 << 20, ..LIVING };
        assert_eq!(behind.max_footprint(), Ok(6 << 20));
        assert_eq!(
            Rusage { max_footprint_bytes: 0, ..LIVING }.max_footprint(),
            Err(Unavailable::NotProvided)
        );
    }

    #[test]
    fn another_users_process_is_unknown_and_not_empty() {
        let refused = why(&io::Error::from_raw_os_error(libc::EPERM));
        assert_eq!(refused, Unavailable::PermissionDenied);
        let memory = memory(ID, &Err(refused));
        assert_eq!(memory.phys_footprint_bytes, Err(Unavailable::PermissionDenied));
        assert_eq!(why(&io::Error::from_raw_os_error(libc::ESRCH)), Unavailable::Vanished);
    }

    #[test]
    fn faults_without_io_are_those_that_are_left() {
        assert_eq!(TaskFaults { all: 1210, pageins: 10 }.minor(), Some(1200));
        assert_eq!(
            TaskFaults { all: i32::MAX, pageins: 10 }.minor(),
            None,
            "the kernel stops counting there"
        );
        assert_eq!(TaskFaults { all: 3, pageins: 4 }.minor(), None, "less than none");
    }

    #[test]
    fn time_is_that_in_programs_and_in_the_kernel() {
        assert_eq!(LIVING.cpu_ticks(), 24_000_000);
    }
}
