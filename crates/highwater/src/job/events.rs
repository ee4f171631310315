//! What flows from the readers into the ledger: events and samples, as plain values with a monotonic time.

use std::time::Duration;

use crate::record::ProcessExit;

/// A member of the job: one process, from the moment it was first seen. Numbers grow in that order and are
/// never used twice, so two processes with the same pid are two members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct MemberId(pub(crate) u32);

/// What a program image is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    /// Base name of `argv[0]` where it could be read, else `comm`.
    pub(crate) command: String,
    /// The kernel's name for it.
    pub(crate) comm: String,
    /// Path of the executable, where it could be read.
    pub(crate) exe: Option<String>,
}

/// Something that happened to a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// It was seen for the first time.
    Born {
        id: MemberId,
        pid: u32,
        ppid: u32,
        name: Name,
        /// It has forked and not yet exec'ed: it shares its parent's pages and started with its mark.
        forked: bool,
        /// It shares its parent's memory map.
        shares_map: bool,
    },
    /// It runs another program now; its mark has started anew.
    Exec { id: MemberId, name: Name },
    /// It is gone.
    Gone { id: MemberId },
    /// It was waited for.
    Reaped {
        id: MemberId,
        exit: ProcessExit,
        /// Its `ru_maxrss` in bytes: at least its own peak, maybe more.
        max_rss: u64,
    },
    /// A process was seen only after its end, so nothing of its memory could be read.
    SeenDead,
    /// Our own `wait4` on the command or an orphan reported this `ru_maxrss`: some process of the job reached it,
    /// unless it is what the command inherited from us.
    WaitedMax { bytes: u64, may_be_ours: bool },
}

/// Memory of one member at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) id: MemberId,
    /// Resident set size in bytes.
    pub(crate) rss: u64,
    /// `VmHWM` in bytes, in samples that read the marks.
    pub(crate) mark: Option<u64>,
    /// It shares its memory map with its parent (vfork, not yet exec'ed): counted there, not here.
    pub(crate) shares_map: bool,
}

/// The whole job at one moment, readings in the order of their ids.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample<'a> {
    pub(crate) at: Duration,
    pub(crate) readings: &'a [Reading],
    /// Whether this sample read every member's mark.
    pub(crate) marks: bool,
}
