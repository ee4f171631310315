//! Reading many processes without waiting for one of them.

use std::time::Instant;

use super::{ProcessFacts, os};
use crate::{Error, Roots};

/// Reads many processes, again and again.
///
/// A process may hold its memory map locked for as long as it likes (Linux: an `mmap` of a file on FUSE or NFS waits for
/// the server), and reading its arguments waits for that. So a thread reads, and is left behind where a process does not
/// answer: within a second at first, and in less the more of them do not. The kernel's name stands for its name then.
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
    /// As of [`ProcessFacts::read`].
    pub facts: Result<ProcessFacts, Error>,
    /// Whether its name comes from its arguments.
    pub arguments: Arguments,
}

/// How reading the arguments of a process went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Arguments {
    /// They were read, as far as there are any and this user may.
    Asked,
    /// The process did not answer in time.
    Late,
    /// Too many others had not answered.
    NotAsked,
}

impl ProcessReader {
    /// Reads where `roots` says.
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
}
