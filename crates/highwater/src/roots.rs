//! The mount points of the kernel's file systems. No other file has absolute paths.

use std::path::PathBuf;

use crate::bounded::{self, MAX_VALUE_BYTES};

/// Device nodes of this machine.
#[cfg(all(feature = "drm", target_os = "linux"))]
pub(crate) const DEV: &str = "/dev";
/// Names of PCI devices, as the packages `pciutils` or `hwdata` install them.
#[cfg(all(feature = "drm", target_os = "linux"))]
pub(crate) const PCI_IDS: [&str; 2] = ["/usr/share/misc/pci.ids", "/usr/share/hwdata/pci.ids"];
/// The file that is read often enough to save building its path.
#[cfg(target_os = "linux")]
pub(crate) const OWN_STATM: &str = "/proc/self/statm";
/// The threads of this process, whose states tell waiting from running.
#[cfg(target_os = "linux")]
pub(crate) const OWN_THREADS: &str = "/proc/self/task";

/// The mount points of all that is read. It is a value, never a global, so that tests can use other trees.
///
/// ```
/// use highwater::{ProcessMemory, Roots};
///
/// // The host's procfs, as a container may see it.
/// let host = Roots { proc: "/host/proc".into(), ..Roots::default() };
/// match ProcessMemory::read(&host, 1) {
///     Ok(memory) => println!("{:?}", memory.rss_bytes),
///     Err(error) => println!("{error}"),
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roots {
    /// procfs, usually `/proc`.
    pub proc: PathBuf,
    /// sysfs, usually `/sys`.
    pub sys: PathBuf,
    /// The cgroup hierarchies, usually `/sys/fs/cgroup`.
    pub cgroup: PathBuf,
}

impl Roots {
    /// Returns whether these are files of this machine, so that its drivers may be queried too. They are so at the
    /// usual mount points, and at others with the boot id of this kernel.
    #[must_use]
    pub fn is_this_machine(&self) -> bool {
        let own = Self::default();
        if self.proc == own.proc && self.sys == own.sys {
            return true;
        }
        let boot_id =
            |roots: &Self| bounded::read(&roots.proc.join("sys/kernel/random/boot_id"), MAX_VALUE_BYTES).ok();
        boot_id(self).is_some_and(|id| !id.is_empty() && boot_id(&own) == Some(id))
    }
}

impl Default for Roots {
    fn default() -> Self {
        Self { proc: "/proc".into(), sys: "/sys".into(), cgroup: "/sys/fs/cgroup".into() }
    }
}
