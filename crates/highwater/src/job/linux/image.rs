//! The program image of a member: its memory map from one exec to the next.

use std::time::Duration;

use crate::job::events::LastMark;

/// Longest distance between two questions whether a forked member has exec'ed, in samples.
const MAX_EXEC_CHECK_DISTANCE: u16 = 64;

/// Facts about the image that a member runs.
#[derive(Debug)]
pub(super) struct ProcessImage {
    /// Number of execs before it.
    pub(super) number: u32,
    pub(super) origin: ImageOrigin,
    pub(super) memory_map: MapOwner,
    /// Identity of its memory map (`Stat::image`).
    pub(super) identity: Option<u64>,
    /// Another identity that `/proc` showed, while events of the time before may be outstanding.
    next_shown: Option<ShownImage>,
    /// Pages of program text, at the last sample.
    pub(super) text_pages: u64,
    /// High-water mark at the last sample that read it, in bytes.
    pub(super) hwm_bytes: u64,
    /// High-water mark when the member was attached to: a mark up to this says nothing of the time since.
    pub(super) hwm_before_attach: Option<u64>,
    /// High-water mark that was read while the member was held at an exec. The exec may have failed.
    pub(super) held_mark: Option<LastMark>,
    /// Time at which the member was last held at an exec.
    pub(super) held_at: Option<Duration>,
    /// Time of its last exec, as reported.
    pub(super) executed_at: Option<Duration>,
    /// Highest peak in the exit records of its threads, in bytes.
    pub(super) task_peak: Option<u64>,
    exec_check: ExecCheck,
}

/// The origin of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ImageOrigin {
    /// By fork: a copy of the parent, when it was last asked.
    Forked,
    Executed,
}

/// The memory map that a member runs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MapOwner {
    Own,
    /// Map of its parent, until its own exec (vfork(2)).
    OfParent,
}

/// An image that `/proc` showed; its identity, where it has one.
#[derive(Debug, PartialEq, Eq)]
struct ShownImage {
    identity: Option<u64>,
}

/// When a forked member is asked again whether it has exec'ed: at growing distances, since a worker may never exec.
#[derive(Debug, Default)]
struct ExecCheck {
    samples_left: u16,
    distance: u16,
}

impl ProcessImage {
    /// Returns an image of which nothing was read.
    pub(super) fn new(origin: ImageOrigin) -> Self {
        Self {
            number: 0,
            origin,
            memory_map: MapOwner::Own,
            identity: None,
            next_shown: None,
            text_pages: 0,
            hwm_bytes: 0,
            hwm_before_attach: None,
            held_mark: None,
            held_at: None,
            executed_at: None,
            task_peak: None,
            exec_check: ExecCheck::default(),
        }
    }

    /// Returns the origin that `/proc` or the hold reports.
    pub(super) fn is_forked(&self) -> bool {
        self.origin == ImageOrigin::Forked
    }

    /// Returns whether it runs in the memory map of its parent.
    pub(super) fn shares_map(&self) -> bool {
        self.memory_map == MapOwner::OfParent
    }

    /// Records whether it runs in the memory map of its parent.
    pub(super) fn set_shares_map(&mut self, shares: bool) {
        self.memory_map = if shares { MapOwner::OfParent } else { MapOwner::Own };
    }

    /// Starts anew, as an exec does.
    pub(super) fn exec(&mut self) {
        *self = Self {
            number: self.number.wrapping_add(1),
            identity: self.identity,
            held_at: self.held_at,
            executed_at: self.executed_at,
            exec_check: std::mem::take(&mut self.exec_check),
            ..Self::new(ImageOrigin::Executed)
        };
    }

    /// Returns whether this high-water mark was reached since the member was attached to.
    pub(super) fn is_since_attach(&self, bytes: u64) -> bool {
        self.hwm_before_attach.is_none_or(|before| bytes > before)
    }

    /// Records that `/proc` shows this identity. Returns whether it did before, too: what was outstanding then has arrived.
    pub(super) fn show(&mut self, identity: Option<u64>) -> bool {
        self.next_shown.replace(ShownImage { identity }) == Some(ShownImage { identity })
    }

    /// Returns whether it may have been replaced though its memory looks the same, where members are held at their execs.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.next_shown.is_some() || self.held_mark.is_some() || self.identity.is_none()
    }

    /// Returns whether `identity` is known to be another one.
    pub(super) fn differs_from(&self, identity: Option<u64>) -> bool {
        self.identity.is_some() && identity.is_some() && self.identity != identity
    }

    /// Counts a sample. Returns whether to ask for an exec: with a `sign` of one, or if a forked member's turn has come.
    pub(super) fn takes_exec_check(&mut self, sign: bool) -> bool {
        if !self.is_forked() || sign {
            return sign;
        }
        let ExecCheck { samples_left, distance } = &mut self.exec_check;
        if *samples_left > 0 {
            *samples_left -= 1;
            return false;
        }
        *samples_left = *distance;
        *distance = (*distance * 2).clamp(1, MAX_EXEC_CHECK_DISTANCE);
        true
    }
}
