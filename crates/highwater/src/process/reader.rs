//! Reads many processes without waiting for a blocked one.

use std::{collections::HashMap, time::Instant};

use super::{ProcessFacts, os};
use crate::{Error, Roots};

/// Reads many processes, repeatedly.
///
/// A process may hold the lock of its memory map for any time, and reading its arguments waits for that lock. On Linux
/// an `mmap` of a file on FUSE or NFS holds it until the server answers. So a thread reads, and is abandoned if a
/// process does not answer within a second. The time shrinks the more of them do not answer. Such a process gets the
/// kernel's name. In an `execve(2)` that closes a file on such a server, nothing of the process may be readable. Its
/// facts are then an [`Error::Read`] of the kind [`TimedOut`](std::io::ErrorKind::TimedOut).
///
/// ```
/// use highwater::{Roots, process::{Arguments, ProcessReader}};
///
/// let mut reader = ProcessReader::new(Roots::default());
/// for process in reader.read(&[std::process::id()]) {
///     println!("{:?}", process.facts?.name);
///     assert_eq!(process.arguments, Arguments::Asked);
/// }
/// # Ok::<(), highwater::Error>(())
/// ```
#[derive(Debug)]
pub struct ProcessReader {
    roots: Roots,
    #[cfg(target_os = "linux")]
    batches: os::batch::Batches,
}

/// One process, as it was read.
#[derive(Debug)]
#[non_exhaustive]
pub struct ReadProcess {
    /// The pid that was asked for.
    pub pid: u32,
    /// The moment.
    pub at: Instant,
    /// The result, as from [`ProcessFacts::read`].
    pub facts: Result<ProcessFacts, Error>,
    /// The outcome of reading its arguments.
    pub arguments: Arguments,
}

/// The outcome of reading the arguments of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Arguments {
    /// They were read, if there are any and this user may read them.
    Asked,
    /// The process did not answer in time.
    Late,
    /// They were not read, since too many other processes had not answered.
    NotAsked,
}

impl ProcessReader {
    /// Makes a reader of the procfs that `roots` names.
    #[must_use]
    pub fn new(roots: Roots) -> Self {
        Self {
            roots,
            #[cfg(target_os = "linux")]
            batches: os::batch::Batches::default(),
        }
    }

    /// Reads these processes, in this order.
    pub fn read(&mut self, pids: &[u32]) -> Vec<ReadProcess> {
        #[cfg(target_os = "linux")]
        return self.batches.read(&self.roots, pids);
        #[cfg(not(target_os = "linux"))]
        pids.iter()
            .map(|&pid| ReadProcess {
                pid,
                facts: os::facts::of(&self.roots, pid),
                at: Instant::now(),
                arguments: Arguments::Asked,
            })
            .collect()
    }

    /// Reads the names of these processes: the kernel's, or the whole one if the command line contains it.
    pub(crate) fn names(&mut self, pids: &[u32]) -> HashMap<u32, String> {
        #[cfg(target_os = "linux")]
        return self
            .read(pids)
            .into_iter()
            .filter_map(|read| Some((read.pid, read.facts.ok()?.name.ok()?)))
            .collect();
        #[cfg(not(target_os = "linux"))]
        pids.iter().filter_map(|&pid| Some((pid, os::name(&self.roots, pid)?))).collect()
    }
}
