//! The identity and the activity of a process: what a row about it shows beside its memory.

use std::time::Duration;

use super::{ProcessId, os};
use crate::{Error, Roots, Unavailable};

/// One process, read once.
///
/// ```
/// # #[cfg(target_os = "linux")] {
/// use highwater::{Roots, process::ProcessFacts};
///
/// let own = ProcessFacts::read(&Roots::default(), std::process::id())?;
/// println!("{} has used {:?} of CPU time", own.name.unwrap_or_else(|why| format!("? ({why})")), own.cpu_time);
/// # }
/// # Ok::<(), highwater::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProcessFacts {
    /// The identity of the process.
    pub id: ProcessId,
    /// The program's name: the base name of its first argument, else the kernel's 15 bytes. The process chose
    /// this text: it may contain anything, even terminal escapes. Windows: the name of its file, which an
    /// exiting process lacks.
    pub name: Result<String, Unavailable>,
    /// True if it is a kernel thread, which has no memory of its own.
    pub is_kernel_thread: bool,
    /// One letter, as in ps: `R` runs, `S` sleeps, `D` waits for a device, `T` is stopped, `Z` is a zombie. It is `?`
    /// if the system does not report it (Windows).
    pub state: char,
    /// The real user id, in the numbering of this user namespace; `None` if unreadable.
    pub uid: Option<u32>,
    /// The account of the process, as `DOMAIN\user` (Windows, which has no numbers); elsewhere
    /// [`Unavailable::NotProvided`].
    pub account: Result<String, Unavailable>,
    /// Resident set size in bytes, as [`ProcessMemory::rss_bytes`](super::ProcessMemory::rss_bytes). Systems
    /// other than Linux have the figure of [`PRIMARY`](super::PRIMARY).
    pub rss_bytes: Result<u64, Unavailable>,
    /// CPU time of all its threads since it started, in steps of [`cpu_step`], without that of children.
    /// `None` if the kernel does not report it (macOS: another user's process, except to root; Wine).
    pub cpu_time: Option<Duration>,
}

impl ProcessFacts {
    /// Reads the facts about the process `pid` of the procfs that `roots` names.
    ///
    /// # Errors
    /// As [`ProcessId::of`].
    pub fn read(roots: &Roots, pid: u32) -> Result<Self, Error> {
        os::facts::of(roots, pid)
    }
}

/// Returns the current pids, in order, as procfs or the kernel (macOS) lists them. Those that it hides from
/// this user (`hidepid`) are missing.
///
/// # Errors
/// [`Error::Read`] or [`Error::System`] if they cannot be listed.
///
/// ```
/// let pids = highwater::process::all_processes(&highwater::Roots::default())?;
/// assert!(pids.contains(&std::process::id()));
/// # Ok::<(), highwater::Error>(())
/// ```
pub fn all_processes(roots: &Roots) -> Result<Vec<u32>, Error> {
    os::facts::all(roots)
}

/// Returns the step in which the kernel counts CPU time: usually 10 ms, a nanosecond on macOS.
pub fn cpu_step() -> Duration {
    Duration::from_secs(1) / u32::try_from(os::facts::ticks_per_second()).unwrap_or(100).max(1)
}
