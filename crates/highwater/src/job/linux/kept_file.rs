//! Files that are kept open as long as enough descriptors are free.

use std::{fs::File, os::fd::AsRawFd};

use rustix::process::{Resource, getrlimit};

use super::proc_dir::{ProcDir, ProcPath};

/// Number of descriptors that stay free for files that are opened and closed again.
const SPARE_DESCRIPTORS: u64 = 24;

/// Opens a file to be kept, unless descriptors run short: the kernel gives out the lowest free number.
pub(super) fn open_to_keep(proc: &ProcDir, path: ProcPath) -> Option<File> {
    let file = proc.open_file(path).ok()?;
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let number = u64::try_from(file.as_raw_fd()).unwrap_or(u64::MAX);
    (number.saturating_add(SPARE_DESCRIPTORS) < limit).then_some(file)
}
