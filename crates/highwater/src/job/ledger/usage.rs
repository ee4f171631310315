//! Usage of the job beside memory.
//!
//! The job's total has two parts. One is the usage of its living members, each with the descendants that it has waited
//! for. The other is the usage that the waits of this process reported. A process that was too short to be read is
//! counted in its parent, which waited for it.

use std::time::Duration;

use super::{
    member::LedgerMember,
    usage_account::UsageAccount,
    usage_figures::{certainty, cpu_time, faults, io_of, knows_faults},
};
use crate::{
    job::resource_use::{Completeness, CpuUse, ResourceUse, UsageWanted},
    record::{Downgrade, Usage, UsageSource},
};

/// Sum of the members' usage.
#[derive(Debug, Default)]
pub(super) struct UsageFold {
    wanted: UsageWanted,
    /// Usage that this process's waits reported, and usage of exited members that no process of the job waited for.
    reaped: ResourceUse,
    /// Usage of members before they were attached to.
    before: ResourceUse,
    /// Sum over the exited members, each by itself.
    rows: ResourceUse,
    /// Amounts that are incomplete for some exited member.
    partial: Completeness,
    highest: ResourceUse,
    waited: bool,
    has_survivors: bool,
    /// Usage of the whole job as the system itself counts it; true if nothing can be added.
    kept: Option<(ResourceUse, bool)>,
    /// True if the bytes read and written of a child could not be read before this process waited for it.
    unread: bool,
}

impl UsageFold {
    pub(super) fn new(wanted: UsageWanted) -> Self {
        Self { wanted, ..Self::default() }
    }

    pub(super) fn wanted(&self) -> UsageWanted {
        self.wanted
    }

    /// Adds usage of a member from before it was attached to.
    pub(super) fn count_before(&mut self, used: Option<ResourceUse>) {
        if let Some(used) = used {
            self.before = self.before.plus(used);
        }
    }

    pub(super) fn reaped(&mut self, used: ResourceUse) {
        self.unread |= used.io.is_none();
        self.waited = true;
        self.reaped = self.reaped.plus(used);
    }

    pub(super) fn kept(&mut self, used: ResourceUse, is_final: bool) {
        self.kept = Some((used, is_final));
    }

    /// Counts an exited member. `is_waited_for`: by this process, or by a member whose figures include it from now on.
    pub(super) fn close(&mut self, account: &UsageAccount, is_waited_for: bool) {
        if !is_waited_for {
            self.reaped = self.reaped.plus(account.with_waited);
        }
        self.rows = self.rows.plus(account.own());
        let whole = account.last.map_or(Completeness::default(), |(_, whole)| whole);
        self.partial.cpu |= !whole.cpu;
        self.partial.faults |= !whole.faults;
        self.partial.io |= !whole.io;
    }

    /// Counts a member that lives on after the measurement.
    pub(super) fn survived(&mut self, account: &UsageAccount) {
        self.reaped = self.reaped.plus(account.with_waited);
        self.rows = self.rows.plus(account.own());
        self.has_survivors = true;
    }

    /// Returns the job's total so far. It never falls, although a process is in no figure between its exit and its
    /// parent's wait.
    pub(super) fn now<'a>(&mut self, living: impl Iterator<Item = &'a LedgerMember> + Clone) -> ResourceUse {
        // On macOS a parent does not inherit the I/O of its children, so the members' own sum is higher there.
        let own = living.clone().map(|member| member.used().own()).fold(self.rows, ResourceUse::plus);
        let total = self.total(living);
        self.highest = self.highest.or_more(total).or_more(ResourceUse { cpu: None, ..own });
        let ResourceUse { cpu, io } = self.highest;
        ResourceUse { cpu: cpu.filter(|_| self.wanted.cpu), io: io.filter(|_| self.wanted.io) }
    }

    fn total<'a>(&self, living: impl Iterator<Item = &'a LedgerMember>) -> ResourceUse {
        let living =
            living.map(|member| member.used().with_waited).fold(ResourceUse::default(), ResourceUse::plus);
        let sum = self.reaped.plus(living);
        let sum = if self.before == ResourceUse::default() { sum } else { sum.since(self.before) };
        let kept = self.kept.map(|(kept, _)| kept).unwrap_or_default();
        ResourceUse { cpu: kept.cpu.or(sum.cpu), io: kept.io.or(sum.io) }
    }

    /// Returns why bytes read and written are unknown although they were asked for.
    pub(super) fn io_downgrade(&self) -> Option<Downgrade> {
        self.wanted.io.then(|| Downgrade {
            wanted: "bytes read and written".to_owned(),
            reason:
                "no process could be read: only root can read other users' processes, and some kernels do not count"
                    .to_owned(),
        })
    }

    /// Returns why CPU time is unknown although it was asked for.
    pub(super) fn cpu_downgrade(&self) -> Option<Downgrade> {
        self.wanted.cpu.then(|| Downgrade {
            wanted: "CPU time and page faults".to_owned(),
            reason: "no process could be read, or this system does not count them (such as Wine)".to_owned(),
        })
    }

    /// Returns the figures of the record. `all_seen`: no process was missed.
    pub(super) fn usage<'a>(
        &self,
        living: impl Iterator<Item = &'a LedgerMember> + Clone,
        elapsed: Duration,
        seen: u64,
        all_seen: bool,
    ) -> Usage {
        let all_have_exited = !self.has_survivors && living.clone().next().is_none();
        let rows = living.clone().map(|member| member.used().own()).fold(self.rows, ResourceUse::plus);
        let waited = self.total(living);
        // Page faults, which no clock tick rounds, show whether the waits miss a process that was read. It then had no
        // parent that waited for it (SIGCHLD was ignored).
        let more = |rows: Option<u64>, waited: Option<u64>| {
            rows.zip(waited).is_some_and(|(rows, waited)| rows > waited)
        };
        let missing = |waited: CpuUse, rows: CpuUse| {
            more(rows.minor_faults, waited.minor_faults)
                || more(rows.major_faults, waited.major_faults)
                || more(rows.mixed_faults, waited.mixed_faults)
        };
        let is_missing = waited.cpu.zip(rows.cpu).is_some_and(|(waited, rows)| missing(waited, rows));
        let all_ended = all_have_exited && waited.cpu.is_some() && !is_missing;
        let used = if all_ended {
            ResourceUse { io: waited.or_more(rows).io, ..waited }
        } else {
            waited.or_more(rows).or_more(self.highest)
        };
        let is_whole = all_seen && all_have_exited && self.before == ResourceUse::default();
        let all_waited_for = match (waited.cpu, rows.cpu) {
            // No other process can be missing in the result of the wait.
            _ if seen == 1 => self.waited,
            (Some(waited), Some(rows)) if self.wanted.cpu && !self.partial.faults => {
                let all = |cpu: CpuUse| (cpu.faults(), cpu.minor_faults, cpu.major_faults);
                waited.faults().is_some() && all(waited) == all(rows)
            }
            _ => false,
        };
        let summed = if self.waited { UsageSource::Waited } else { UsageSource::Sampled };
        let (kept, is_final) = self.kept.unwrap_or_default();
        let (cpu_kept, io_kept) = (kept.cpu.is_some(), kept.io.is_some());
        let source = |is_kept| if is_kept { UsageSource::JobObject } else { summed };
        let cpu_is_whole =
            cpu_kept && is_final || is_whole && (all_waited_for || (self.wanted.cpu && !self.partial.cpu));
        let all_moved_is_known = all_waited_for && !self.unread || !self.partial.io;
        let io_is_whole = io_kept && is_final || is_whole && self.wanted.io && all_moved_is_known;
        Usage {
            cpu: used.cpu.map(|cpu| cpu_time(cpu, elapsed, source(cpu_kept), certainty(cpu_is_whole))),
            io: used
                .io
                .filter(|_| self.wanted.io)
                .map(|io| io_of(io, source(io_kept), certainty(io_is_whole))),
            faults: used
                .cpu
                .filter(knows_faults)
                .map(|cpu| faults(cpu, source(cpu_kept), certainty(cpu_is_whole))),
            pressure: None,
        }
    }
}
