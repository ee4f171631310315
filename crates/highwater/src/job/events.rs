//! The readers' output for the ledger: events and samples, as plain values with a monotonic time.

use std::{sync::Arc, time::Duration};

use super::{
    group_memory::GroupReading,
    identity::{MemberId, ProgramName},
    moment::Moment,
    resource_use::{Completeness, ResourceUse, UsedBy},
};
use crate::record::{PeakSource, ProcessExit, UsageSource};

/// An event and its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TimedEvent {
    pub(crate) moment: Moment,
    pub(crate) event: JobEvent,
}

/// Something that happened to a member. It is small, as thousands may wait at once: large parts are boxed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(not(target_os = "linux"), allow(dead_code))] // Not every system reports each of them.
pub(crate) enum JobEvent {
    /// It was seen for the first time.
    Started {
        id: MemberId,
        pid: u32,
        ppid: u32,
        /// `None`: its parent's name.
        name: Option<Arc<ProgramName>>,
        /// True after a fork and before the first exec: it shares its parent's pages and started with its size.
        forked: bool,
    },
    /// The name of its current image was read.
    Named { id: MemberId, name: Arc<ProgramName> },
    /// True if it runs in its parent's memory map (vfork) until it execs.
    SharesMemoryMap { id: MemberId, shares: bool },
    /// It runs another program now, and its high-water mark has started anew. `None`: the name is not known.
    Exec { id: MemberId, name: Option<Arc<ProgramName>> },
    /// The peak of its current image, read right before the end of that image.
    FinalMark { id: MemberId, mark: LastMark },
    /// It has exited. Until `freed` it may still have held its memory.
    Ended { id: MemberId, freed: Duration },
    /// Its exit status is known.
    Exit { id: MemberId, exit: ProcessExit },
    /// This process waited for it. Its `ru_maxrss` in bytes is at least its own peak, and may be more.
    MaxRss { id: MemberId, bytes: u64 },
    /// Its highest commit charge in bytes; `is_final` if nothing can be added any more (Windows).
    #[cfg_attr(not(windows), allow(dead_code))] // Other systems keep no such mark.
    Commit { id: MemberId, bytes: u64, is_final: bool },
    /// It ran before it was attached to; `mark` is its high-water mark at that moment.
    AttachedTo { id: MemberId, mark: Option<u64> },
    /// Its usage once nothing could be added any more.
    FinalUsage { id: MemberId, used: Box<ResourceUse>, source: UsageSource, whole: Completeness },
    /// This process waited for a child; `used` includes all descendants that were waited for.
    Reaped { id: Option<MemberId>, used: Box<ResourceUse> },
    /// Usage of the whole job so far as the system itself counts it, exited processes included; `is_final` once no
    /// process is left (Windows).
    #[cfg_attr(not(windows), allow(dead_code))] // Other systems keep no such count.
    UsedByJob { used: Box<ResourceUse>, is_final: bool },
    /// A process was seen only after its end, so nothing of its memory could be read.
    MissedProcess,
    /// `wait4` of this process on the command or an orphan reported this `ru_maxrss`. Some process of the job reached
    /// it, unless the command inherited it from this process.
    ReapedMaxRss { bytes: u64, may_be_inherited: bool },
}

const _: () = assert!(size_of::<TimedEvent>() <= 64);

/// A high-water mark read when its image was about to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LastMark {
    pub(crate) bytes: u64,
    pub(crate) source: PeakSource,
    /// True if nothing could be added to it any more.
    pub(crate) is_final: bool,
}

/// Memory of one member at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MemoryReading {
    pub(crate) id: MemberId,
    /// Resident set size in bytes.
    pub(crate) rss: u64,
    /// `VmHWM` in bytes, in samples that read the high-water marks.
    pub(crate) mark: Option<u64>,
    /// `VmSwap` in bytes, read together with the mark.
    pub(crate) swap: Option<u64>,
    /// Files in `rss`, read together with the mark; `None` if the system does not tell them apart.
    pub(crate) file: Option<u64>,
    /// Files and shared memory in `rss`; 0 if the system does not tell them apart.
    pub(crate) shared: u64,
    /// Memory that is not in `rss`.
    pub(crate) beside: BesideRss,
    /// True if it shares its memory map with its parent (vfork, not yet exec'ed): it is counted there, not here.
    pub(crate) shares_map: bool,
}

/// Memory of a member that no RSS counts, in bytes. It is read together with the mark.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct BesideRss {
    /// Pages of hugetlbfs.
    pub(crate) hugetlb: Option<u64>,
    pub(crate) page_tables: Option<u64>,
}

impl MemoryReading {
    /// Returns a reading of RSS alone.
    #[cfg(test)]
    pub(crate) fn of_rss(id: MemberId, rss: u64) -> Self {
        let beside = BesideRss::default();
        Self { id, rss, mark: None, swap: None, file: None, shared: 0, beside, shares_map: false }
    }

    /// Returns whether the mark was read. One from before the attachment says nothing, and is not in the reading.
    pub(crate) fn has_read_mark(&self) -> bool {
        self.mark.is_some() || self.swap.is_some()
    }
}

/// The whole job at one moment, readings in the order of their ids.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample<'a> {
    pub(crate) at: Duration,
    pub(crate) readings: &'a [MemoryReading],
    /// Usage of the members, if it was read, in the order of their ids.
    pub(crate) uses: &'a [UsedBy],
    /// Memory of the job as a whole, if a source beside its processes reports it.
    pub(crate) group: Option<GroupReading>,
    /// True if this sample was to read every member's mark.
    pub(crate) marks: bool,
    /// Time up to which every event has been reported.
    pub(crate) complete_until: Duration,
}

/// Returns whether the same members held about the same in two polls. A sum that was read between them, process by
/// process, is wrong by at most what moved.
pub(crate) fn stood_still(before: &[MemoryReading], after: &[MemoryReading]) -> bool {
    let total: u64 = before.iter().map(|reading| reading.rss).sum();
    let moved: u64 = before.iter().zip(after).map(|(before, after)| before.rss.abs_diff(after.rss)).sum();
    before.len() == after.len() && moved <= pss_pass_tolerance_bytes(total)
}

/// Returns how much of `total` may move between two polls for a PSS pass between them to count. It is wider than
/// `pace_tolerance_bytes`, as a pass that does not count was expensive and in vain.
pub(crate) fn pss_pass_tolerance_bytes(total: u64) -> u64 {
    total / 48 + (256 << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn memory_that_changes_hands_is_not_still() {
        let reading = |id, mib| MemoryReading::of_rss(MemberId(id), mib * MIB);
        let before = [reading(0, 100), reading(1, 1)];
        assert!(stood_still(&before, &before));
        assert!(!stood_still(&before, &[reading(0, 1), reading(1, 100)]));
        assert!(!stood_still(&before, &before[..1]));
    }
}
