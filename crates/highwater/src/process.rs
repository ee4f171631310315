//! Memory of one process, read once.
//!
//! ```
//! use highwater::ProcessMemory;
//!
//! let memory = ProcessMemory::of_self()?;
//! match memory.pss_bytes {
//!     Ok(bytes) => println!("{bytes} bytes PSS"),
//!     Err(reason) => println!("PSS unknown: {reason}"),
//! }
//! # Ok::<(), highwater::Error>(())
//! ```

#[cfg(any(windows, test))]
pub(crate) mod counters;
mod facts;
#[cfg(target_os = "linux")]
#[cfg_attr(not(feature = "job"), allow(dead_code))] // The job reads more files of a process than this module.
pub(crate) mod linux;
#[cfg(any(target_os = "macos", all(test, unix)))]
#[cfg_attr(not(all(target_os = "macos", feature = "job")), allow(dead_code))]
// Linux tests the interpretation of the answers.
pub(crate) mod macos;
#[cfg(any(windows, test))]
pub(crate) mod opening;
mod reader;
#[cfg(windows)]
pub(crate) mod windows;

pub use self::facts::{ProcessFacts, all_processes, cpu_step};
#[cfg(target_os = "linux")]
use self::linux as os;
#[cfg(target_os = "macos")]
use self::macos as os;
pub use self::reader::{Arguments, ProcessReader, ReadProcess};
#[cfg(windows)]
use self::windows as os;
use crate::{Error, Roots, Unavailable};

/// The identity of a process. The kernel reuses a pid once its process is gone, so the start time belongs to
/// the identity.
///
/// ```
/// use highwater::ProcessId;
///
/// let own = ProcessId::of(std::process::id())?;
/// // Later: still the same process, or another one that got its pid?
/// assert_eq!(ProcessId::of(own.pid)?, own);
/// # Ok::<(), highwater::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub struct ProcessId {
    /// The process id, in the pid namespace of the mounted procfs.
    pub pid: u32,
    /// The start of the process, as the system counts it. Linux: in clock ticks since boot (field 22 of
    /// `/proc/PID/stat`, usually 10 ms a tick). Windows: in 100 ns since 1601. macOS: the number that the
    /// kernel gives each process once, in the order of forks (`p_uniqueid`).
    pub start_ticks: u64,
}

impl ProcessId {
    /// Returns the identity of the process that has `pid` now.
    ///
    /// # Errors
    /// [`Error::NoSuchProcess`]; [`Error::Thread`] if it is the id of a thread. [`Error::Read`] if procfs
    /// hides the process (`hidepid`) or is not mounted; [`Error::Process`] if Windows protects it.
    pub fn of(pid: u32) -> Result<Self, Error> {
        os::id(&Roots::default(), Some(pid))
    }
}

/// The memory of one process. A figure that could not be read says why; none turns into 0.
///
/// ```
/// let memory = highwater::ProcessMemory::of(std::process::id())?;
/// assert!(memory.rss_bytes.is_ok_and(|bytes| bytes > 0));
/// # Ok::<(), highwater::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::struct_field_names)] // The unit belongs to the name.
#[non_exhaustive]
pub struct ProcessMemory {
    /// The identity of the process.
    pub id: ProcessId,
    /// Resident set size in bytes: pages in RAM. A page shared by n processes counts in full in each of them.
    /// Source: `VmRSS` of `/proc/PID/status`.
    #[doc(alias = "VmRSS")]
    #[doc(alias = "RES")]
    #[doc(alias = "resident set size")]
    pub rss_bytes: Result<u64, Unavailable>,
    /// Proportional set size in bytes: a page shared by n processes counts 1/n, so sums count it once.
    /// Source: `Pss` of `/proc/PID/smaps_rollup` (Linux 4.14), which is refused for other users' processes.
    #[doc(alias = "Pss")]
    #[doc(alias = "smaps_rollup")]
    #[doc(alias = "proportional set size")]
    pub pss_bytes: Result<u64, Unavailable>,
    /// Unique set size in bytes: pages that no other process maps, and that its exit would free. Source:
    /// `Private_Clean` + `Private_Dirty` of `smaps_rollup`.
    #[doc(alias = "Private_Dirty")]
    #[doc(alias = "unique set size")]
    pub uss_bytes: Result<u64, Unavailable>,
    /// Swapped-out anonymous memory in bytes, without swapped shared memory. Source: `VmSwap` of
    /// `/proc/PID/status`.
    #[doc(alias = "VmSwap")]
    pub swap_bytes: Result<u64, Unavailable>,
    /// Proportional share of swap in bytes, shared memory included. Source: `SwapPss` of `smaps_rollup`.
    #[doc(alias = "SwapPss")]
    pub swap_pss_bytes: Result<u64, Unavailable>,
    /// The highest resident set since the process's last exec, in bytes. A forked process starts with its parent's
    /// size. It may read some 100 KiB low (the kernel counts in batches). Source: `VmHWM` of `/proc/PID/status`.
    #[doc(alias = "VmHWM")]
    #[doc(alias = "ru_maxrss")]
    #[doc(alias = "maxrss")]
    #[doc(alias = "peak rss")]
    #[doc(alias = "high water mark")]
    pub peak_rss_bytes: Result<u64, Unavailable>,
    /// Working set in bytes (Windows): its pages in RAM that it can reach without a fault, shared ones
    /// included. Trimming moves pages out of it that stay in RAM, so it is no RSS. Source: `WorkingSetSize`
    /// of `GetProcessMemoryInfo`.
    #[doc(alias = "WorkingSetSize")]
    pub working_set_bytes: Result<u64, Unavailable>,
    /// The highest working set, in bytes (Windows). Source: `PeakWorkingSetSize`.
    #[doc(alias = "PeakWorkingSetSize")]
    pub peak_working_set_bytes: Result<u64, Unavailable>,
    /// Private bytes (Windows): committed memory that no other process shares, in RAM or not. Source:
    /// `PrivateUsage`.
    #[doc(alias = "PrivateUsage")]
    pub private_bytes: Result<u64, Unavailable>,
    /// Commit charge in bytes (Windows): its claim on RAM and page files. Source: `PagefileUsage`.
    #[doc(alias = "PagefileUsage")]
    pub commit_bytes: Result<u64, Unavailable>,
    /// The highest commit charge, in bytes (Windows). Source: `PeakPagefileUsage`.
    #[doc(alias = "PeakPagefileUsage")]
    pub peak_commit_bytes: Result<u64, Unavailable>,
    /// Physical footprint in bytes (macOS): its own dirty memory, also compressed or swapped out, and memory
    /// that the graphics driver holds for it. Source: `ri_phys_footprint` of `proc_pid_rusage`, which only
    /// root may read for other users' processes.
    #[doc(alias = "ri_phys_footprint")]
    #[doc(alias = "phys_footprint")]
    pub phys_footprint_bytes: Result<u64, Unavailable>,
    /// The highest footprint since the process's last exec, in bytes (macOS); also readable for a zombie.
    /// Source: `ri_lifetime_max_phys_footprint`.
    #[doc(alias = "ri_lifetime_max_phys_footprint")]
    #[doc(alias = "peak memory footprint")]
    pub peak_phys_footprint_bytes: Result<u64, Unavailable>,
}

impl ProcessMemory {
    /// Makes a result in which every figure is unknown for one reason.
    pub(crate) fn unknown(id: ProcessId, why: &Unavailable) -> Self {
        let why = || Err(why.clone());
        Self {
            id,
            rss_bytes: why(),
            pss_bytes: why(),
            uss_bytes: why(),
            swap_bytes: why(),
            swap_pss_bytes: why(),
            peak_rss_bytes: why(),
            working_set_bytes: why(),
            peak_working_set_bytes: why(),
            private_bytes: why(),
            commit_bytes: why(),
            peak_commit_bytes: why(),
            phys_footprint_bytes: why(),
            peak_phys_footprint_bytes: why(),
        }
    }
}

/// The figure that stands for a process's memory on this system, if there is room for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Primary {
    /// [`ProcessMemory::rss_bytes`] (Linux).
    Rss,
    /// [`ProcessMemory::working_set_bytes`] (Windows).
    WorkingSet,
    /// [`ProcessMemory::phys_footprint_bytes`] (macOS).
    PhysFootprint,
}

/// The primary figure of this system: [`process_rss`], [`rss_of`] and [`ProcessFacts::rss_bytes`] return it.
pub const PRIMARY: Primary = os::PRIMARY;

impl Primary {
    /// Returns its name in messages.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Rss => "RSS",
            Self::WorkingSet => "working set",
            Self::PhysFootprint => "footprint",
        }
    }
}

impl ProcessMemory {
    /// Reads the memory of the process `pid` of any user.
    ///
    /// If the main thread has exited and others run, it is read through one of those. A zombie and a kernel
    /// thread have no memory: every figure is then [`Unavailable::NoMemoryMap`].
    ///
    /// # Errors
    /// As [`ProcessId::of`].
    pub fn of(pid: u32) -> Result<Self, Error> {
        Self::read(&Roots::default(), pid)
    }

    /// Reads the memory of the calling process.
    ///
    /// # Errors
    /// [`Error::Read`] if procfs is not mounted (Linux); [`Error::Process`] or [`Error::System`] if the system refuses
    /// (macOS, Windows).
    pub fn of_self() -> Result<Self, Error> {
        os::memory(&Roots::default(), None)
    }

    /// As [`of`](Self::of), with the procfs of `roots`.
    ///
    /// # Errors
    /// As [`ProcessId::of`].
    pub fn read(roots: &Roots, pid: u32) -> Result<Self, Error> {
        os::memory(roots, Some(pid))
    }
}

/// Returns the resident set size of the calling process in bytes, from one small file, `/proc/self/statm`. On
/// Windows it is the working set, on macOS the physical footprint ([`PRIMARY`]).
///
/// ```
/// assert!(highwater::process_rss()? > 0);
/// # Ok::<(), highwater::Error>(())
/// ```
///
/// # Errors
/// [`Error::Ram`] with the reason, such as a procfs that is not mounted.
#[doc(alias = "VmRSS")]
#[doc(alias = "statm")]
#[doc(alias = "current rss")]
pub fn process_rss() -> Result<u64, Error> {
    os::own_rss().map_err(|error| Error::Ram(error.to_string()))
}

/// Returns the resident set size of the process `pid` in bytes, at the lowest cost (`/proc/PID/statm`). That
/// file also accepts the id of a thread, which shares the memory of its process. Other systems return the
/// figure of [`process_rss`].
///
/// # Errors
/// As [`ProcessId::of`], but for threads. A zombie and a kernel thread have no resident set: [`Error::Read`]
/// with [`Unavailable::NoMemoryMap`] inside (macOS: [`Error::Process`]).
pub fn rss_of(pid: u32) -> Result<u64, Error> {
    os::rss(&Roots::default(), Some(pid))
}

/// The link `/proc/PID/ns/pid` of each process in the first pid namespace, on every machine (`PROC_PID_INIT_INO`,
/// `include/linux/proc_ns.h`).
#[cfg(any(
    all(target_os = "linux", any(feature = "job", feature = "drm")),
    all(any(target_os = "linux", test), any(feature = "nvml", feature = "nvidia-smi-fallback"))
))]
pub(crate) const INITIAL_PID_NAMESPACE: &str = "pid:[4026531836]";

/// Returns the pid of the calling process in that procfs, which may be that of another pid namespace.
pub(crate) fn own_pid(roots: &Roots) -> u32 {
    os::own_pid(roots)
}
