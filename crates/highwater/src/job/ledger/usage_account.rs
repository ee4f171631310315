//! Usage of one member beside memory.

use std::time::Duration;

use super::usage_figures::{certainty, cpu_time, faults, io_of, knows_faults};
use crate::{
    job::resource_use::{Completeness, ResourceUse, UsageWanted, UsedBy},
    record::{ProcessUsage, UsageSource},
};

/// Usage of one member.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct UsageAccount {
    /// Usage from before it was attached to, by itself and with the descendants that it had waited for.
    before: Option<UsedBefore>,
    own: ResourceUse,
    pub(super) with_waited: ResourceUse,
    /// Source of the final `own`, and the amounts of it that are final.
    pub(super) last: Option<(UsageSource, Completeness)>,
    /// True if this process waited for it: its part is in the sum of the waits.
    pub(super) reaped: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct UsedBefore {
    own: ResourceUse,
    with_waited: ResourceUse,
    is_known: bool,
}

impl UsageAccount {
    /// Account of a member of which nothing is known.
    pub(super) const EMPTY: Self = Self {
        before: None,
        own: ResourceUse::NOTHING,
        with_waited: ResourceUse::NOTHING,
        last: None,
        reaped: false,
    };

    fn since(&self, own: ResourceUse) -> ResourceUse {
        self.before.map_or(own, |before| own.since(before.own))
    }

    /// Returns the account of a process that ran before the measurement.
    pub(super) fn of_attached() -> Self {
        Self { before: Some(UsedBefore::default()), ..Self::default() }
    }

    /// Returns what it has used by itself, since the measurement began.
    pub(super) fn own(&self) -> ResourceUse {
        self.own
    }

    /// Takes in a reading. Returns what the member had used before it was attached to, once that is known.
    pub(super) fn read(&mut self, reading: &UsedBy) -> Option<ResourceUse> {
        let unknown_before = self.before.as_mut().filter(|before| !before.is_known);
        let used_before = unknown_before.map(|before| {
            *before = UsedBefore { own: reading.own, with_waited: reading.with_waited, is_known: true };
            reading.with_waited
        });
        self.own = self.own.or_more(self.since(reading.own));
        // An amount that was unknown then is in no sum now, as it would include the whole life.
        self.with_waited = self.before.map_or(reading.with_waited, |before| {
            reading.with_waited.since(before.with_waited).plus(before.with_waited)
        });
        used_before
    }

    /// Takes in the usage at its exit.
    pub(super) fn ended(&mut self, used: ResourceUse, source: UsageSource, whole: Completeness) {
        if self.before.is_some_and(|before| !before.is_known) {
            // It includes the whole life, and the part before the attachment was never read.
            return;
        }
        // Two final readings are both lower bounds. An amount is final if one of them is final.
        let known = self.last.map_or(whole, |(_, known)| Completeness {
            cpu: whole.cpu || known.cpu,
            faults: whole.faults || known.faults,
            io: whole.io || known.io,
        });
        self.own = self.own.or_more(self.since(used));
        self.with_waited = self.with_waited.or_more(used);
        let source = match self.last {
            Some((first, before)) if before.cpu || !whole.cpu => first,
            _ => source,
        };
        self.last = Some((source, known));
    }

    /// Returns the figures of its row.
    pub(super) fn usage(&self, wanted: UsageWanted, life: Duration) -> Option<ProcessUsage> {
        if !wanted.any() {
            return None;
        }
        let (source, whole) = self.last.unwrap_or((UsageSource::Sampled, Completeness::default()));
        let cpu = self.own.cpu.filter(|_| wanted.cpu);
        Some(ProcessUsage {
            cpu: cpu.map(|cpu| cpu_time(cpu, life, source, certainty(whole.cpu))),
            io: self.own.io.filter(|_| wanted.io).map(|io| io_of(io, source, certainty(whole.io))),
            faults: cpu.filter(knows_faults).map(|cpu| faults(cpu, source, certainty(whole.faults))),
        })
    }
}
