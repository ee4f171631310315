//! What flows from the readers into the ledger: events and samples, as plain values with a monotonic time.

use std::{sync::Arc, time::Duration};

use super::{
    identity::{MemberId, Name},
    moment::Moment,
    used::{Completeness, Used, UsedBy},
};
use crate::record::{PeakSource, ProcessExit, UsageSource};

/// An event and its moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TimedEvent {
    pub(crate) moment: Moment,
    pub(crate) event: Event,
}

/// Something that happened to a member. Small, for thousands may wait at once: what is large hangs on a pointer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(not(target_os = "linux"), allow(dead_code))] // Not every system tells of each.
pub(crate) enum Event {
    /// It was seen for the first time.
    Started {
        id: MemberId,
        pid: u32,
        ppid: u32,
        /// `None`: its parent's.
        name: Option<Arc<Name>>,
        /// It has forked and not yet exec'ed: it shares its parent's pages and started with its size.
        forked: bool,
    },
    /// What its present image is called was read.
    Named { id: MemberId, name: Arc<Name> },
    /// True if it runs in its parent's memory map (vfork) until it execs.
    SharesMemoryMap { id: MemberId, shares: bool },
    /// It runs another program now; its mark has started anew. `None`: its name is not known.
    Exec { id: MemberId, name: Option<Arc<Name>> },
    /// What its present image reached, learned right before that image's end.
    FinalMark { id: MemberId, mark: LastMark },
    /// It is gone. Until `freed` it may still have held its memory.
    Ended { id: MemberId, freed: Duration },
    /// How it ended.
    Exit { id: MemberId, exit: ProcessExit },
    /// It was waited for by us: its `ru_maxrss` in bytes is at least its own peak, maybe more.
    MaxRss { id: MemberId, bytes: u64 },
    /// The highest that its commit charge has been, in bytes; `is_final` where nothing can be added any more (Windows).
    #[cfg_attr(not(windows), allow(dead_code))] // Other systems keep no such mark.
    Commit { id: MemberId, bytes: u64, is_final: bool },
    /// It ran before it was attached to; its mark at that moment.
    AttachedTo { id: MemberId, mark: Option<u64> },
    /// What it had used when it could use no more.
    FinalUsage { id: MemberId, used: Box<Used>, source: UsageSource, whole: Completeness },
    /// We waited for a child: what it and all its waited-for descendants had used.
    Reaped { id: Option<MemberId>, used: Box<Used> },
    /// What all of the job has used so far, as the system itself counts it, with those that have ended; `is_final` once
    /// nobody is left (Windows).
    #[cfg_attr(not(windows), allow(dead_code))] // Other systems keep no such count.
    UsedByJob { used: Box<Used>, is_final: bool },
    /// A process was seen only after its end, so nothing of its memory could be read.
    MissedProcess,
    /// Our own `wait4` on the command or an orphan reported this `ru_maxrss`: some process of the job reached it,
    /// unless it is what the command inherited from us.
    ReapedMaxRss { bytes: u64, may_be_inherited: bool },
}

const _: () = assert!(size_of::<TimedEvent>() <= 64);

/// A mark read when its image was about to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LastMark {
    pub(crate) bytes: u64,
    pub(crate) source: PeakSource,
    /// Nothing could be added to it any more.
    pub(crate) is_final: bool,
}

/// Memory of one member at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) id: MemberId,
    /// Resident set size in bytes.
    pub(crate) rss: u64,
    /// `VmHWM` in bytes, in samples that read the marks.
    pub(crate) mark: Option<u64>,
    /// `VmSwap` in bytes, where the mark was read.
    pub(crate) swap: Option<u64>,
    /// It shares its memory map with its parent (vfork, not yet exec'ed): counted there, not here.
    pub(crate) shares_map: bool,
}

/// The whole job at one moment, readings in the order of their ids.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample<'a> {
    pub(crate) at: Duration,
    pub(crate) readings: &'a [Reading],
    /// What members have used, where that was read, in the order of their ids.
    pub(crate) uses: &'a [UsedBy],
    /// True if this sample was to read every member's mark.
    pub(crate) marks: bool,
    /// Everything that happened up to this moment has been told.
    pub(crate) complete_until: Duration,
}

/// Returns whether the same members held about the same in two looks. What moves between them makes a sum that was read
/// meanwhile, process by process, wrong by as much at the most.
pub(crate) fn stood_still(before: &[Reading], after: &[Reading]) -> bool {
    let total: u64 = before.iter().map(|reading| reading.rss).sum();
    let moved: u64 = before.iter().zip(after).map(|(before, after)| before.rss.abs_diff(after.rss)).sum();
    before.len() == after.len() && moved <= tolerance(total)
}

/// How much of `total` bytes may move while it counts as standing still.
pub(crate) fn tolerance(total: u64) -> u64 {
    total / 48 + (256 << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn memory_that_changes_hands_is_not_still() {
        let reading =
            |id, mib| Reading { id: MemberId(id), rss: mib * MIB, mark: None, swap: None, shares_map: false };
        let before = [reading(0, 100), reading(1, 1)];
        assert!(stood_still(&before, &before));
        assert!(!stood_still(&before, &[reading(0, 1), reading(1, 100)]));
        assert!(!stood_still(&before, &before[..1]));
    }
}
