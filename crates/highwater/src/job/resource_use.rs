//! Usage of members beside memory: amounts that only grow.

use std::{
    ops::{Add, Sub},
    time::Duration,
};

use super::identity::MemberId;

/// CPU time and page faults. The reported kinds of faults, and whether they are counted apart, differ between systems.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct CpuUse {
    pub(crate) user: Duration,
    pub(crate) system: Duration,
    pub(crate) minor_faults: Option<u64>,
    pub(crate) major_faults: Option<u64>,
    /// Faults of both kinds, on systems that do not count them apart.
    pub(crate) mixed_faults: Option<u64>,
}

impl CpuUse {
    pub(crate) fn time(self) -> Duration {
        self.user + self.system
    }

    /// Returns the faults of all kinds.
    pub(crate) fn faults(self) -> Option<u64> {
        self.mixed_faults.or_else(|| Some(self.minor_faults?.saturating_add(self.major_faults?)))
    }

    /// Returns the larger amounts. User and system time are taken together, as the kernel's split of their sum varies
    /// between sources.
    fn or_more(self, other: Self) -> Self {
        let longer = if other.time() > self.time() { other } else { self };
        Self { user: longer.user, system: longer.system, ..self.faults_with(other, u64::max) }
    }

    /// Combines the faults of both, amount by amount, without any time.
    fn faults_with(self, other: Self, both: fn(u64, u64) -> u64) -> Self {
        Self {
            minor_faults: join(self.minor_faults, other.minor_faults, both),
            major_faults: join(self.major_faults, other.major_faults, both),
            mixed_faults: join(self.mixed_faults, other.mixed_faults, both),
            ..Self::default()
        }
    }
}

impl Add for CpuUse {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            user: self.user + other.user,
            system: self.system + other.system,
            ..self.faults_with(other, u64::saturating_add)
        }
    }
}

impl CpuUse {
    /// Drops the faults that `other` does not know.
    fn known_in(self, other: Self) -> Self {
        Self {
            minor_faults: other.minor_faults.and(self.minor_faults),
            major_faults: other.major_faults.and(self.major_faults),
            mixed_faults: other.mixed_faults.and(self.mixed_faults),
            ..self
        }
    }
}

/// The usage since an earlier reading. The kernel's split of time into user and system may move back by a tick.
impl Sub for CpuUse {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            user: self.user.saturating_sub(before.user),
            system: self.system.saturating_sub(before.system),
            minor_faults: since(self.minor_faults, before.minor_faults),
            major_faults: since(self.major_faults, before.major_faults),
            mixed_faults: since(self.mixed_faults, before.mixed_faults),
        }
    }
}

/// Bytes read and written by a job or a process, each `None` if it was not asked for or the system does not report it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct IoBytes {
    /// Bytes read through calls such as read(2), from the page cache or not.
    pub read: Option<u64>,
    /// Bytes written through calls such as write(2).
    pub written: Option<u64>,
    /// Bytes read from storage.
    pub storage_read: Option<u64>,
    /// Bytes written to storage.
    pub storage_written: Option<u64>,
}

impl IoBytes {
    /// Returns the amounts in the order of the record's `Io`.
    #[cfg(test)]
    pub(crate) fn amounts(self) -> [Option<u64>; 4] {
        [self.read, self.written, self.storage_read, self.storage_written]
    }

    fn with(self, other: Self, both: fn(Option<u64>, Option<u64>) -> Option<u64>) -> Self {
        Self {
            read: both(self.read, other.read),
            written: both(self.written, other.written),
            storage_read: both(self.storage_read, other.storage_read),
            storage_written: both(self.storage_written, other.storage_written),
        }
    }

    fn or_more(self, other: Self) -> Self {
        self.with(other, |one, two| join(one, two, u64::max))
    }

    /// Drops the amounts that `other` does not know.
    fn known_in(self, other: Self) -> Self {
        self.with(other, |one, two| two.and(one))
    }
}

impl Add for IoBytes {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        self.with(other, |one, two| join(one, two, u64::saturating_add))
    }
}

impl Sub for IoBytes {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        self.with(before, since)
    }
}

/// CPU and I/O, each if it could be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ResourceUse {
    pub(crate) cpu: Option<CpuUse>,
    pub(crate) io: Option<IoBytes>,
}

impl ResourceUse {
    /// No usage is known.
    pub(crate) const NOTHING: Self = Self { cpu: None, io: None };

    /// Adds both; an amount that only one of them knows is a part of the sum.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self { cpu: join(self.cpu, other.cpu, CpuUse::add), io: join(self.io, other.io, IoBytes::add) }
    }

    /// Returns the usage since `before`; an amount that was unknown then stays unknown.
    pub(crate) fn since(self, before: Self) -> Self {
        let cpu = self.cpu.zip(before.cpu).map(|(cpu, before)| cpu.known_in(before) - before);
        let io = self.io.zip(before.io).map(|(io, before)| io.known_in(before) - before);
        Self { cpu, io }
    }

    /// Returns the higher one of two lower bounds, amount by amount.
    pub(crate) fn or_more(self, other: Self) -> Self {
        Self {
            cpu: join(self.cpu, other.cpu, CpuUse::or_more),
            io: join(self.io, other.io, IoBytes::or_more),
        }
    }
}

/// Subtracts an earlier amount; an unknown one counts as 0.
fn since(now: Option<u64>, before: Option<u64>) -> Option<u64> {
    now.map(|now| now.saturating_sub(before.unwrap_or_default()))
}

fn join<T>(one: Option<T>, two: Option<T>, both: impl FnOnce(T, T) -> T) -> Option<T> {
    match (one, two) {
        (Some(one), Some(two)) => Some(both(one, two)),
        (one, two) => one.or(two),
    }
}

/// Usage of one member when it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UsedBy {
    pub(crate) id: MemberId,
    /// Its own usage, all its threads together.
    pub(crate) own: ResourceUse,
    /// Usage with its exited descendants, each waited for by its parent.
    pub(crate) with_waited: ResourceUse,
}

/// Amounts to read.
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

/// Amounts that are final: nothing can be added to them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Completeness {
    pub(crate) cpu: bool,
    pub(crate) faults: bool,
    pub(crate) io: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_amounts_stay_unknown_and_known_ones_add_up() {
        let storage = |bytes| IoBytes { storage_read: Some(bytes), ..IoBytes::default() };
        assert_eq!((storage(5) + storage(7)).amounts(), [None, None, Some(12), None]);
        assert_eq!((storage(5) - IoBytes::default()).amounts(), [None, None, Some(5), None]);
        assert_eq!((IoBytes::default() - storage(5)).amounts(), [None; 4], "no bytes, and not 0 of them");
        assert_eq!(storage(5).or_more(storage(7)), storage(7));
    }

    #[test]
    fn faults_that_are_not_counted_apart_are_not_minor_ones() {
        let mixed = CpuUse { mixed_faults: Some(9), ..CpuUse::default() };
        let sum = mixed + mixed;
        assert_eq!((sum.minor_faults, sum.major_faults, sum.faults()), (None, None, Some(18)));
        let apart = CpuUse { minor_faults: Some(3), major_faults: Some(1), ..CpuUse::default() };
        assert_eq!((apart + apart).faults(), Some(8));
        assert_eq!(CpuUse { minor_faults: Some(3), ..CpuUse::default() }.faults(), None, "a part is not all");
    }
}
