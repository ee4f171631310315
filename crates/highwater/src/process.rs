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
// Linux tests what the answers mean.
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

/// Which process: the kernel gives a pid to another process once its owner is gone, so the start belongs to it.
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
    /// When it started, as the system counts it. Linux: in clock ticks since boot (field 22 of `/proc/PID/stat`, 10 ms a
    /// tick as a rule). Windows: in 100 ns since 1601. macOS: no time, but
    /// the number that its kernel gives to each process once, in the order of births (`p_uniqueid`).
    pub start_ticks: u64,
}

impl ProcessId {
    /// The process that has `pid` now.
    ///
    /// # Errors
    /// [`Error::NoSuchProcess`]; [`Error::Thread`] where it is the id of a thread; [`Error::Read`] where procfs hides the process from us (`hidepid`) or is not
    /// mounted; [`Error::Process`] where Windows protects it from us.
    pub fn of(pid: u32) -> Result<Self, Error> {
        os::id(&Roots::default(), Some(pid))
    }
}

/// What one process uses. Each figure that could not be had says why; none of them turns into 0.
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
    /// Whose memory this is.
    pub id: ProcessId,
    /// Resident set size in bytes: pages in RAM; one shared by n processes counts in full in each of them.
    /// Source: `VmRSS` of `/proc/PID/status`.
    #[doc(alias = "VmRSS")]
    #[doc(alias = "RES")]
    #[doc(alias = "resident set size")]
    pub rss_bytes: Result<u64, Unavailable>,
    /// Proportional set size in bytes: a page shared by n processes counts 1/n, so sums count it once.
    /// Source: `Pss` of `/proc/PID/smaps_rollup` (Linux 4.14), which other users' processes refuse.
    #[doc(alias = "Pss")]
    #[doc(alias = "smaps_rollup")]
    #[doc(alias = "proportional set size")]
    pub pss_bytes: Result<u64, Unavailable>,
    /// Unique set size in bytes: pages no other process maps; what its end would free.
    /// Source: `Private_Clean` + `Private_Dirty` of `smaps_rollup`.
    #[doc(alias = "Private_Dirty")]
    #[doc(alias = "unique set size")]
    pub uss_bytes: Result<u64, Unavailable>,
    /// Swapped-out anonymous memory in bytes; swapped shared memory is not in it.
    /// Source: `VmSwap` of `/proc/PID/status`.
    #[doc(alias = "VmSwap")]
    pub swap_bytes: Result<u64, Unavailable>,
    /// Proportional share of swap in bytes, shared memory included. Source: `SwapPss` of `smaps_rollup`.
    #[doc(alias = "SwapPss")]
    pub swap_pss_bytes: Result<u64, Unavailable>,
    /// The highest the resident set has been since the process's last exec, in bytes; a forked process starts
    /// with its parent's size. May read some 100 KiB low (the kernel counts in batches).
    /// Source: `VmHWM` of `/proc/PID/status`.
    #[doc(alias = "VmHWM")]
    #[doc(alias = "ru_maxrss")]
    #[doc(alias = "maxrss")]
    #[doc(alias = "peak rss")]
    #[doc(alias = "high water mark")]
    pub peak_rss_bytes: Result<u64, Unavailable>,
    /// Working set in bytes (Windows): pages of it in RAM that it can reach without a fault, shared ones included.
    /// Trimming moves pages out of it that stay in RAM, so it is no RSS.
    /// Source: `WorkingSetSize` of `GetProcessMemoryInfo`.
    #[doc(alias = "WorkingSetSize")]
    pub working_set_bytes: Result<u64, Unavailable>,
    /// The highest its working set has been, in bytes (Windows). Source: `PeakWorkingSetSize`.
    #[doc(alias = "PeakWorkingSetSize")]
    pub peak_working_set_bytes: Result<u64, Unavailable>,
    /// Private bytes (Windows): memory it has committed that it shares with nobody, in RAM or not.
    /// Source: `PrivateUsage`.
    #[doc(alias = "PrivateUsage")]
    pub private_bytes: Result<u64, Unavailable>,
    /// Its commit charge in bytes (Windows): what it may fill of RAM and page files. Source: `PagefileUsage`.
    #[doc(alias = "PagefileUsage")]
    pub commit_bytes: Result<u64, Unavailable>,
    /// The highest its commit charge has been, in bytes (Windows). Source: `PeakPagefileUsage`.
    #[doc(alias = "PeakPagefileUsage")]
    pub peak_commit_bytes: Result<u64, Unavailable>,
    /// Physical footprint in bytes (macOS): dirty memory of its own, compressed or swapped out or not, and what the
    /// graphics driver holds for it. Source: `ri_phys_footprint` of `proc_pid_rusage`, which tells of other users'
    /// processes to root only.
    #[doc(alias = "ri_phys_footprint")]
    #[doc(alias = "phys_footprint")]
    pub phys_footprint_bytes: Result<u64, Unavailable>,
    /// The highest its footprint has been since its last exec, in bytes (macOS); also of a process that has ended and was
    /// not waited for yet. Source: `ri_lifetime_max_phys_footprint`.
    #[doc(alias = "ri_lifetime_max_phys_footprint")]
    #[doc(alias = "peak memory footprint")]
    pub peak_phys_footprint_bytes: Result<u64, Unavailable>,
}

impl ProcessMemory {
    /// A process of which nothing is known, and why.
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

/// The figure that stands for a process's memory on this system, where there is room for one.
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

/// That of this system: what [`process_rss`], [`rss_of`] and [`ProcessFacts::rss_bytes`] hold here.
pub const PRIMARY: Primary = os::PRIMARY;

impl Primary {
    /// What to call it to people.
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
    /// Memory of the process `pid`, which may be anybody's.
    ///
    /// A process whose main thread is gone while others run is read through one of those. A zombie and a kernel
    /// thread have no memory: every figure is then [`Unavailable::NoMemoryMap`].
    ///
    /// # Errors
    /// As [`ProcessId::of`].
    pub fn of(pid: u32) -> Result<Self, Error> {
        Self::read(&Roots::default(), pid)
    }

    /// Memory of the calling process.
    ///
    /// # Errors
    /// [`Error::Read`] if procfs is not mounted (Linux); [`Error::Process`] or [`Error::System`] if the system refuses
    /// (macOS, Windows).
    pub fn of_self() -> Result<Self, Error> {
        os::memory(&Roots::default(), None)
    }

    /// As [`of`](Self::of), with procfs where `roots` says.
    ///
    /// # Errors
    /// As [`ProcessId::of`].
    pub fn read(roots: &Roots, pid: u32) -> Result<Self, Error> {
        os::memory(roots, Some(pid))
    }
}

/// Resident set size of the calling process in bytes: one small file, `/proc/self/statm`. On Windows its working set, on
/// macOS its physical footprint ([`PRIMARY`]).
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

/// Resident set size of the process `pid` in bytes, the cheapest way (`/proc/PID/statm`, which answers to the id of a thread
/// too: it shares the memory of its process). Elsewhere as [`process_rss`].
///
/// # Errors
/// As [`ProcessId::of`], but for threads; and [`Error::Read`] with [`Unavailable::NoMemoryMap`] inside (macOS: [`Error::Process`]) for a
/// zombie and a kernel thread, which have no resident set.
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

/// What a process is called: the kernel's name for it, whole where its command line has it.
pub(crate) fn name(roots: &Roots, pid: u32) -> Option<String> {
    os::name(roots, pid)
}

/// The pid of the calling process as the procfs there has it, which may be that of another pid namespace.
pub(crate) fn own_pid(roots: &Roots) -> u32 {
    os::own_pid(roots)
}
