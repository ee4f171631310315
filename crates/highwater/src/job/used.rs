//! What members use beside memory: amounts that only grow.

use std::{
    ops::{Add, Sub},
    time::Duration,
};

use super::events::MemberId;

/// CPU time and page faults.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Cpu {
    pub(crate) user: Duration,
    pub(crate) system: Duration,
    pub(crate) minor_faults: u64,
    pub(crate) major_faults: u64,
}

impl Cpu {
    pub(crate) fn time(self) -> Duration {
        self.user + self.system
    }

    /// User and system time belong together: how the kernel divides their sum varies from source to source.
    fn or_more(self, other: Self) -> Self {
        let longer = if other.time() > self.time() { other } else { self };
        Self {
            minor_faults: self.minor_faults.max(other.minor_faults),
            major_faults: self.major_faults.max(other.major_faults),
            ..longer
        }
    }
}

impl Add for Cpu {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            user: self.user + other.user,
            system: self.system + other.system,
            minor_faults: self.minor_faults + other.minor_faults,
            major_faults: self.major_faults + other.major_faults,
        }
    }
}

/// Since an earlier reading; the kernel's split of time into user and system may move back by a tick.
impl Sub for Cpu {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            user: self.user.saturating_sub(before.user),
            system: self.system.saturating_sub(before.system),
            minor_faults: self.minor_faults.saturating_sub(before.minor_faults),
            major_faults: self.major_faults.saturating_sub(before.major_faults),
        }
    }
}

/// Bytes read and written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Moved {
    pub(crate) read: u64,
    pub(crate) written: u64,
    pub(crate) storage_read: u64,
    pub(crate) storage_written: u64,
}

impl Add for Moved {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            read: self.read + other.read,
            written: self.written + other.written,
            storage_read: self.storage_read + other.storage_read,
            storage_written: self.storage_written + other.storage_written,
        }
    }
}

impl Sub for Moved {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            read: self.read.saturating_sub(before.read),
            written: self.written.saturating_sub(before.written),
            storage_read: self.storage_read.saturating_sub(before.storage_read),
            storage_written: self.storage_written.saturating_sub(before.storage_written),
        }
    }
}

impl Moved {
    fn or_more(self, other: Self) -> Self {
        Self {
            read: self.read.max(other.read),
            written: self.written.max(other.written),
            storage_read: self.storage_read.max(other.storage_read),
            storage_written: self.storage_written.max(other.storage_written),
        }
    }
}

/// Both, each where it could be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Used {
    pub(crate) cpu: Option<Cpu>,
    pub(crate) io: Option<Moved>,
}

impl Used {
    /// What is known of one of the two is a part of what is known of both.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self { cpu: join(self.cpu, other.cpu, Cpu::add), io: join(self.io, other.io, Moved::add) }
    }

    /// What came since `before`; what was not known then counts from nothing.
    pub(crate) fn since(self, before: Self) -> Self {
        let cpu = self.cpu.map(|cpu| cpu - before.cpu.unwrap_or_default());
        let io = self.io.map(|io| io - before.io.unwrap_or_default());
        Self { cpu, io }
    }

    /// Of two lower bounds the higher, amount by amount.
    pub(crate) fn or_more(self, other: Self) -> Self {
        Self { cpu: join(self.cpu, other.cpu, Cpu::or_more), io: join(self.io, other.io, Moved::or_more) }
    }
}

fn join<T>(one: Option<T>, two: Option<T>, both: impl FnOnce(T, T) -> T) -> Option<T> {
    match (one, two) {
        (Some(one), Some(two)) => Some(both(one, two)),
        (one, two) => one.or(two),
    }
}

/// What one member had used when it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UsedBy {
    pub(crate) id: MemberId,
    /// By itself, all its threads together.
    pub(crate) own: Used,
    /// With its descendants that have ended and were waited for, each by its parent.
    pub(crate) with_waited: Used,
}

/// What is to be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct UsageWanted {
    pub(crate) cpu: bool,
    pub(crate) io: bool,
}

impl UsageWanted {
    pub(crate) fn any(self) -> bool {
        self.cpu || self.io
    }
}
