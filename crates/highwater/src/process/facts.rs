//! Who a process is and what it does: what a row about it shows beside its memory.

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
    /// Which process.
    pub id: ProcessId,
    /// The program's name: the base name of its first argument, else the kernel's 15 bytes. Text that the process
    /// chose: it may hold anything, terminal escapes too. Windows: its file's name, which one that is ending has not.
    pub name: Result<String, Unavailable>,
    /// Whether it is a thread of the kernel, which has no memory of its own.
    pub is_kernel_thread: bool,
    /// One letter, as in ps: `R` runs, `S` sleeps, `D` waits for a device, `T` is stopped, `Z` has ended; `?` where the
    /// system does not tell (Windows).
    pub state: char,
    /// The user who started it (the real user id), as this user namespace numbers them; `None` where unreadable.
    pub uid: Option<u32>,
    /// The account in whose name it runs, as `DOMAIN\user` (Windows, where there are no numbers); elsewhere
    /// [`Unavailable::NotProvided`].
    pub account: Result<String, Unavailable>,
    /// Resident set size in bytes, as [`ProcessMemory::rss_bytes`](super::ProcessMemory::rss_bytes). On other systems than
    /// Linux what [`PRIMARY`](super::PRIMARY) says.
    pub rss_bytes: Result<u64, Unavailable>,
    /// CPU time of all its threads since it started, in steps of [`cpu_step`]. That of children is not in it. `None`
    /// where the kernel does not tell (macOS: another user's process, unless we are root; Wine).
    pub cpu_time: Option<Duration>,
}

impl ProcessFacts {
    /// About the process `pid` of the procfs that `roots` names.
    ///
    /// # Errors
    /// As [`ProcessId::of`].
    pub fn read(roots: &Roots, pid: u32) -> Result<Self, Error> {
        os::facts::of(roots, pid)
    }
}

/// The pids that there are now, in order, as procfs or the kernel (macOS) lists them. Those that it hides from us
/// (`hidepid`) are not among them.
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

/// How finely the kernel counts CPU time: 10 ms as a rule, a nanosecond on macOS.
pub fn cpu_step() -> Duration {
    Duration::from_secs(1) / u32::try_from(os::facts::ticks_per_second()).unwrap_or(100).max(1)
}
