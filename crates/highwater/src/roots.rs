//! Where the kernel's file systems are mounted: the only place with absolute paths.

use std::path::PathBuf;

/// The mount points that everything is read from. A value, never a global, so that tests can point elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roots {
    /// procfs, usually `/proc`.
    pub proc: PathBuf,
    /// sysfs, usually `/sys`.
    pub sys: PathBuf,
    /// The cgroup hierarchies, usually `/sys/fs/cgroup`.
    pub cgroup: PathBuf,
}

impl Default for Roots {
    fn default() -> Self {
        Self { proc: "/proc".into(), sys: "/sys".into(), cgroup: "/sys/fs/cgroup".into() }
    }
}
