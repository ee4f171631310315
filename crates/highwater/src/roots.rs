//! Where the kernel's file systems are mounted: the only place with absolute paths.

use std::path::PathBuf;

use crate::bounded::{self, MAX_VALUE_BYTES};

/// Device nodes of this machine.
#[cfg(all(feature = "drm", target_os = "linux"))]
pub(crate) const DEV: &str = "/dev";
/// Names of PCI devices, where the packages `pciutils` or `hwdata` put them.
#[cfg(all(feature = "drm", target_os = "linux"))]
pub(crate) const PCI_IDS: [&str; 2] = ["/usr/share/misc/pci.ids", "/usr/share/hwdata/pci.ids"];
/// The one file that is read often enough to spare it a path that is put together.
#[cfg(target_os = "linux")]
pub(crate) const OWN_STATM: &str = "/proc/self/statm";

/// The mount points that everything is read from. A value, never a global, so that tests can point elsewhere.
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
    /// Whether these are the files of the machine that we run on, so that its drivers may be asked as well: the
    /// usual mount points, or others with the boot id of this kernel.
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
