//! Reads the memory of one process on Linux. Each kernel file's parser has its own file.

pub(crate) mod abandonable;
pub(crate) mod batch;
pub(crate) mod children;
pub(crate) mod cmdline;
pub(crate) mod decimal;
mod directory;
pub(crate) mod facts;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz_entry;
pub(crate) mod io;
#[cfg(feature = "job")]
pub(crate) mod smaps;
pub(crate) mod smaps_rollup;
pub(crate) mod stat;
pub(crate) mod statm;
pub(crate) mod status;

use rustix::{
    fs::{CWD, Mode, OFlags, openat},
    io::{Errno, read},
};

use self::{directory::ProcDirectory, smaps_rollup::SmapsRollup, stat::Stat, statm::Statm, status::Status};
use super::{Primary, ProcessId, ProcessMemory};
use crate::{Error, Roots, Unavailable, bounded::MAX_COMMAND_LINE_BYTES, roots::OWN_STATM};

pub(super) const PRIMARY: Primary = Primary::Rss;

/// Returns the identity of a process; `None` is the calling process.
pub(super) fn id(roots: &Roots, pid: Option<u32>) -> Result<ProcessId, Error> {
    let process = ProcDirectory::open(roots, pid)?;
    let id = identify(&process)?;
    // A recorded tree may lack it.
    if let Ok(status) = parsed(&process, "status", Status::parse) {
        no_thread(id, &status)?;
    }
    Ok(id)
}

/// Refuses the id of a thread, and a process that is gone.
///
/// `/proc/TID` exists for each thread, though it is not listed (proc(5)), and shows the memory that all of them share.
fn no_thread(id: ProcessId, status: &Status) -> Result<(), Error> {
    match status.tgid {
        // Its parent reaps it at this moment: it has no ids any more (`__unhash_process` in kernel/exit.c).
        Some(0) => Err(Error::NoSuchProcess { pid: id.pid }),
        Some(pid) if pid != id.pid => Err(Error::Thread { tid: id.pid, pid }),
        _ => Ok(()),
    }
}

/// Reads the status of all threads together, as long as one of them has memory.
fn status(process: &ProcDirectory) -> Result<Status, Error> {
    let status = parsed(process, "status", Status::parse)?;
    if status.vm_rss_bytes.is_some() || status.threads == Some(1) {
        return Ok(status);
    }
    // Without mm it is a zombie, a kernel thread, or only the main thread has exited. Threads come and go.
    let with_memory = |thread: ProcDirectory| {
        parsed(&thread, "status", Status::parse).ok().filter(|status| status.vm_rss_bytes.is_some())
    };
    Ok(process.threads().ok().and_then(|mut threads| threads.find_map(with_memory)).unwrap_or(status))
}

pub(super) fn memory(roots: &Roots, pid: Option<u32>) -> Result<ProcessMemory, Error> {
    let process = ProcDirectory::open(roots, pid)?;
    let id = identify(&process)?;
    let status = parsed(&process, "status", Status::parse)?;
    no_thread(id, &status)?;
    if status.vm_rss_bytes.is_some() {
        return Ok(with_rollup(id, &process, &status));
    }
    // Without mm it is a zombie, a kernel thread, or only the main thread has exited.
    if status.threads.is_none_or(|threads| threads > 1) {
        for thread in process.threads()? {
            match parsed(&thread, "status", Status::parse) {
                Ok(status) if status.vm_rss_bytes.is_some() => return Ok(with_rollup(id, &thread, &status)),
                // Threads come and go.
                _ => {}
            }
        }
    }
    // Figures of other systems stay `NotProvided` here, too.
    let absent = || Err(Unavailable::NoMemoryMap);
    Ok(ProcessMemory {
        rss_bytes: absent(),
        pss_bytes: absent(),
        uss_bytes: absent(),
        swap_bytes: absent(),
        swap_pss_bytes: absent(),
        peak_rss_bytes: absent(),
        ..ProcessMemory::unknown(id, &Unavailable::NotProvided)
    })
}

pub(super) fn rss(roots: &Roots, pid: Option<u32>) -> Result<u64, Error> {
    let process = ProcDirectory::open(roots, pid)?;
    let mut statm = parsed(&process, "statm", Statm::parse)?;
    if statm.has_no_memory() {
        let alive = |thread: ProcDirectory| {
            parsed(&thread, "statm", Statm::parse).ok().filter(|statm| !statm.has_no_memory())
        };
        statm = process.threads()?.find_map(alive).ok_or_else(|| Error::Read {
            path: process.path("statm"),
            source: std::io::Error::other(Unavailable::NoMemoryMap),
        })?;
    }
    Ok(bytes(&statm))
}

fn bytes(statm: &Statm) -> u64 {
    statm.resident_pages.saturating_mul(rustix::param::page_size() as u64)
}

/// Reads the common case: one file is opened and read once, without allocation.
pub(super) fn own_rss() -> Result<u64, Error> {
    let mut text = [0; 128];
    let length = openat(CWD, OWN_STATM, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .and_then(|statm| read(statm, &mut text));
    match length.ok().and_then(|length| Statm::parse(text.get(..length)?)) {
        Some(statm) if !statm.has_no_memory() => Ok(bytes(&statm)),
        // The slow way finds the reason, or a thread with memory.
        _ => rss(&Roots::default(), None),
    }
}

/// Returns the pid of the caller in the namespace of that procfs, to which `self` points; a recorded tree has
/// none.
pub(super) fn own_pid(roots: &Roots) -> u32 {
    let link = std::fs::read_link(roots.proc.join("self"));
    link.ok().and_then(|pid| pid.to_str()?.parse().ok()).unwrap_or_else(std::process::id)
}

fn of_arguments(process: &ProcDirectory) -> Option<String> {
    let (start, extent) = process.read_start("cmdline", MAX_COMMAND_LINE_BYTES).ok()?;
    cmdline::name_at_start(&start, extent)
}

fn identify(process: &ProcDirectory) -> Result<ProcessId, Error> {
    let stat = parsed(process, "stat", Stat::parse)?;
    Ok(ProcessId { pid: stat.pid, start_ticks: stat.start_ticks })
}

fn parsed<T>(
    directory: &ProcDirectory,
    file: &'static str,
    parse: impl Fn(&[u8]) -> Option<T>,
) -> Result<T, Error> {
    let text = directory.read(file).map_err(|errno| directory.error(file, errno))?;
    parse(&text).ok_or_else(|| Error::Unexpected {
        path: directory.path(file),
        found: text[..text.len().min(80)].escape_ascii().to_string(),
    })
}

/// Reads `smaps_rollup` in `directory`, that of the process or of one of its threads, which share the mm.
fn with_rollup(id: ProcessId, directory: &ProcDirectory, status: &Status) -> ProcessMemory {
    let rollup = rollup(directory);
    let of_status = |value: Option<u64>| value.ok_or(Unavailable::NotProvided);
    let of_rollup = |field: fn(&SmapsRollup) -> Option<u64>| match &rollup {
        Ok(rollup) => field(rollup).ok_or(Unavailable::NotProvided),
        Err(reason) => Err(reason.clone()),
    };
    ProcessMemory {
        rss_bytes: of_status(status.vm_rss_bytes),
        pss_bytes: of_rollup(|rollup| rollup.pss_bytes),
        uss_bytes: of_rollup(|rollup| rollup.uss_bytes),
        swap_bytes: of_status(status.vm_swap_bytes),
        swap_pss_bytes: of_rollup(|rollup| rollup.swap_pss_bytes),
        peak_rss_bytes: of_status(status.vm_hwm_bytes),
        ..ProcessMemory::unknown(id, &Unavailable::NotProvided)
    }
}

fn rollup(directory: &ProcDirectory) -> Result<SmapsRollup, Unavailable> {
    match directory.read("smaps_rollup") {
        Ok(text) => SmapsRollup::parse(&text)
            .ok_or_else(|| Unavailable::Failed("smaps_rollup has none of its sums".into())),
        Err(Errno::ACCESS | Errno::PERM) => Err(Unavailable::PermissionDenied),
        Err(Errno::NOENT | Errno::SRCH) if !directory.is_alive() => Err(Unavailable::Vanished),
        Err(Errno::NOENT) => Err(Unavailable::NotProvided),
        // It was opened, but the mm is gone (smaps_rollup_open in fs/proc/task_mmu.c).
        Err(Errno::SRCH) => Err(Unavailable::NoMemoryMap),
        Err(errno) => Err(Unavailable::Failed(std::io::Error::from(errno).to_string())),
    }
}

#[cfg(test)]
mod tests;
