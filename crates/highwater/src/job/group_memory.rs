//! The memory of the job as a whole, as a source beside its processes reports it: each page once.

/// Memory that the kernel charges to the group of a job, read at one moment. All in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct GroupReading {
    /// Anonymous memory.
    pub(crate) anon: u64,
    /// Shared memory: tmpfs, memfd, System V.
    pub(crate) shmem: u64,
    /// Page cache beside shared memory, whether a process maps it or not.
    pub(crate) cache: u64,
    /// Kernel memory: stacks, page tables, slab, socket buffers.
    pub(crate) kernel: u64,
    /// Charge beside all of these. It is pages that processes gave back and the kernel has not freed yet, such as parts of
    /// huge pages, and some pages that each processor was charged for in advance.
    pub(crate) unmapped: u64,
    /// The most memory that the processes can have touched by page faults since the group was made.
    pub(crate) faulted_in: u64,
    /// Bytes by which `faulted_in` may read low.
    pub(crate) faulted_in_late: u64,
    /// Swap; `None` if it is not accounted for.
    pub(crate) swap: Option<u64>,
    /// Number that rises when the kernel takes memory back from the group to stay below a limit.
    pub(crate) reclaims: u64,
    /// Highest charge; `None` if it could not be read.
    pub(crate) mark: Option<ChargeMark>,
}

/// The kernel's high-water mark of a group's charge, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(target_os = "linux"), allow(dead_code))] // Only Linux has such groups.
pub(crate) enum ChargeMark {
    /// Highest charge since the last reading.
    SinceLastReading(u64),
    /// Highest charge since the group was made: this kernel cannot begin it anew.
    SinceStart(u64),
}

impl GroupReading {
    /// Returns the memory of processes in the charge, beside the files that they map.
    pub(crate) fn anon_and_shmem(&self) -> u64 {
        self.anon.saturating_add(self.shmem)
    }

    /// Returns how high anonymous and shared memory may have risen between two readings, if the charge rose to `mark`
    /// meanwhile. Kernel memory seldom shrinks while processes grow; page cache comes and goes.
    pub(crate) fn risen_between(before: &Self, after: &Self, mark: u64) -> u64 {
        let beside = before.cache.min(after.cache).saturating_add(before.kernel.max(after.kernel));
        mark.saturating_sub(beside)
    }
}
