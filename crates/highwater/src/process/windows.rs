//! Memory of one process on Windows: `GetProcessMemoryInfo`, through a handle that may only query.

mod account;
pub(super) mod facts;
mod open;

use std::path::Path;

pub(crate) use self::open::{Opened, are_cycles_counted};
use super::{Primary, ProcessId, ProcessMemory};
use crate::{Error, Roots};

pub(super) const PRIMARY: Primary = Primary::WorkingSet;

/// Returns the identity of a process; `None` is the calling process.
pub(super) fn id(_: &Roots, pid: Option<u32>) -> Result<ProcessId, Error> {
    Opened::of(pid.unwrap_or_else(std::process::id))?.id()
}

pub(super) fn memory(_: &Roots, pid: Option<u32>) -> Result<ProcessMemory, Error> {
    let process = Opened::of(pid.unwrap_or_else(std::process::id))?;
    Ok(process.counters()?.figures(process.id()?))
}

/// Returns the working set.
pub(super) fn rss(roots: &Roots, pid: Option<u32>) -> Result<u64, Error> {
    memory(roots, pid)?.working_set_bytes.map_err(|why| Error::System {
        doing: "reading the working set of a process",
        source: std::io::Error::other(why),
    })
}

pub(super) fn own_rss() -> Result<u64, Error> {
    rss(&Roots::default(), None)
}

pub(super) fn own_pid(_: &Roots) -> u32 {
    std::process::id()
}

pub(super) fn name(_: &Roots, pid: u32) -> Option<String> {
    if pid == facts::SYSTEM_PID {
        return Some(facts::KERNEL_NAME.to_owned());
    }
    Some(file_name(&Opened::of(pid).ok()?.image()?))
}

/// Returns the name of a program: its file's name, with the extension.
pub(crate) fn file_name(image: &Path) -> String {
    image.file_name().unwrap_or(image.as_os_str()).to_string_lossy().into_owned()
}
