//! Memory of one process on macOS. `calls.rs` calls the kernel; the interpretation is pure and tested
//! everywhere.
//!
//! Every user may read who other users' processes are and what they run. Only root may read their memory
//! (`proc_security_policy` in `bsd/kern/proc_info.c`).

pub(crate) mod arguments;
#[cfg(target_os = "macos")]
pub(crate) mod calls;
#[cfg(target_os = "macos")]
pub(super) mod facts;
pub(crate) mod rusage;
pub(crate) mod timebase;

#[cfg(target_os = "macos")]
mod read {
    use super::{arguments, calls, rusage};
    use crate::{
        Error, Roots, Unavailable,
        process::{Primary, ProcessId, ProcessMemory},
    };

    pub(in crate::process) const PRIMARY: Primary = Primary::PhysFootprint;

    /// Returns the identity of a process; `None` is the calling process.
    pub(in crate::process) fn id(_: &Roots, pid: Option<u32>) -> Result<ProcessId, Error> {
        let pid = pid.unwrap_or_else(std::process::id);
        let unique = calls::unique_ids(pid).map_err(|source| failed(pid, &source))?;
        Ok(ProcessId { pid, start_ticks: unique.own })
    }

    pub(in crate::process) fn memory(roots: &Roots, pid: Option<u32>) -> Result<ProcessMemory, Error> {
        let id = id(roots, pid)?;
        match calls::rusage(id.pid) {
            Err(source) if source.raw_os_error() == Some(libc::ESRCH) => {
                Err(Error::NoSuchProcess { pid: id.pid })
            }
            answer => Ok(rusage::memory(id, &answer.map_err(|error| rusage::why(&error)))),
        }
    }

    /// Returns the footprint.
    pub(in crate::process) fn rss(_: &Roots, pid: Option<u32>) -> Result<u64, Error> {
        let pid = pid.unwrap_or_else(std::process::id);
        let usage = calls::rusage(pid).map_err(|source| failed(pid, &source))?;
        usage.footprint().map_err(|why| Error::Process { pid, why })
    }

    pub(in crate::process) fn own_rss() -> Result<u64, Error> {
        rss(&Roots::default(), None)
    }

    pub(in crate::process) fn own_pid(_: &Roots) -> u32 {
        std::process::id()
    }

    /// Returns the base name of its first argument, else of its executable, else the kernel's 16 bytes.
    pub(in crate::process) fn name(_: &Roots, pid: u32) -> Option<String> {
        let first = calls::arguments(pid).ok().and_then(|text| arguments::first(&text));
        first
            .or_else(|| calls::path(pid).and_then(|path| arguments::base_name(path.as_encoded_bytes())))
            .or_else(|| {
                calls::short_info(pid)
                    .ok()
                    .map(|short| arguments::text(&short.pbsi_comm.map(i8::cast_unsigned)))
            })
    }

    pub(crate) fn failed(pid: u32, source: &std::io::Error) -> Error {
        match source.raw_os_error() {
            Some(libc::ESRCH) => Error::NoSuchProcess { pid },
            _ => Error::Process { pid, why: rusage::why(source) },
        }
    }

    /// Returns why a figure of a living process is missing, for rows.
    pub(super) fn figure(answer: Result<u64, Error>) -> Result<u64, Unavailable> {
        answer.map_err(|error| match error {
            Error::NoSuchProcess { .. } => Unavailable::Vanished,
            Error::Process { why, .. } => why,
            other => Unavailable::Failed(other.to_string()),
        })
    }
}

#[cfg(target_os = "macos")]
pub(super) use self::read::{PRIMARY, id, memory, name, own_pid, own_rss, rss};
