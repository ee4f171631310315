//! Memory of one process on macOS: not yet.

use super::{Primary, ProcessId, ProcessMemory};
use crate::{Error, Roots};

pub(super) const PRIMARY: Primary = Primary::PhysFootprint;

pub(super) fn id(_: &Roots, _: Option<u32>) -> Result<ProcessId, Error> {
    Err(Error::Unsupported { what: "identifying a process" })
}

pub(super) fn memory(_: &Roots, _: Option<u32>) -> Result<ProcessMemory, Error> {
    Err(Error::Unsupported { what: "reading a process's memory" })
}

pub(super) fn rss(_: &Roots, _: Option<u32>) -> Result<u64, Error> {
    Err(Error::Unsupported { what: "reading a process's memory" })
}

pub(super) fn own_rss() -> Result<u64, Error> {
    Err(Error::Unsupported { what: "reading a process's memory" })
}

pub(super) fn own_pid(_: &Roots) -> u32 {
    std::process::id()
}

pub(super) fn name(_: &Roots, _: u32) -> Option<String> {
    None
}

pub(super) mod facts {
    use crate::{Error, Roots, process::ProcessFacts};

    pub(crate) fn of(_: &Roots, _: u32) -> Result<ProcessFacts, Error> {
        Err(Error::Unsupported { what: "reading about a process" })
    }

    pub(crate) fn all(_: &Roots) -> Result<Vec<u32>, Error> {
        Err(Error::Unsupported { what: "listing processes" })
    }

    pub(crate) fn ticks_per_second() -> u64 {
        100
    }
}
