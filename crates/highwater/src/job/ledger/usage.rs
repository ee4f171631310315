//! What was used beside memory, by each member and by the job.
//!
//! The job's total is what its living members have used, each with the descendants that it has waited for, and what our own
//! waits reported: so a process that was too short to be read is counted in whoever waited for it.

use std::time::Duration;

use super::member::Member;
use crate::{
    job::{
        timeline::round,
        used::{Cpu, Moved, UsageWanted, Used, UsedBy},
    },
    record::{Certainty, CpuTime, Downgrade, Faults, Io, ProcessUsage, Usage, UsageSource},
};

/// A life shorter than this is a few of the kernel's ticks: dividing by it says nothing.
const SHORTEST_LIFE: Duration = Duration::from_millis(100);

/// Which amounts nothing can be added to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Whole {
    pub(crate) cpu: bool,
    pub(crate) faults: bool,
    pub(crate) io: bool,
}

/// Of one member.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Account {
    /// What it had used before it was attached to, by itself and with whom it had waited for.
    before: Option<UsedBefore>,
    own: Used,
    with_waited: Used,
    /// The last word on `own`.
    last: Option<(UsageSource, Whole)>,
    /// We waited for it: its part stands in [`UsageFold::reaped`].
    pub(super) reaped: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct UsedBefore {
    own: Used,
    with_waited: Used,
    is_known: bool,
}

impl Account {
    /// Of one of which nothing is known.
    pub(super) const EMPTY: Self =
        Self { before: None, own: Used::NOTHING, with_waited: Used::NOTHING, last: None, reaped: false };

    fn since(&self, own: Used) -> Used {
        self.before.map_or(own, |before| own.since(before.own))
    }

    /// Of a process that ran before the measurement.
    pub(super) fn of_attached() -> Self {
        Self { before: Some(UsedBefore::default()), ..Self::default() }
    }

    /// By itself, since the measurement began.
    pub(super) fn own(&self) -> Used {
        self.own
    }

    pub(super) fn read(&mut self, fold: &mut UsageFold, reading: &UsedBy) {
        if let Some(before) = self.before.as_mut().filter(|before| !before.is_known) {
            let (own, with_waited) = (reading.own, reading.with_waited);
            *before = UsedBefore { own, with_waited, is_known: true };
            fold.before = fold.before.plus(reading.with_waited);
        }
        self.own = self.own.or_more(self.since(reading.own));
        // What was unknown then is in no sum now: all of its life would be.
        self.with_waited = self.before.map_or(reading.with_waited, |before| {
            reading.with_waited.since(before.with_waited).plus(before.with_waited)
        });
    }

    pub(super) fn ended(&mut self, used: Used, source: UsageSource, whole: Whole) {
        if self.before.is_some_and(|before| !before.is_known) {
            // All of its life is in it, and what came before it was attached to was never read.
            return;
        }
        // Of two last words both are lower bounds, and what one of them is sure of stands.
        let known = self.last.map_or(whole, |(_, known)| Whole {
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

    /// For its row.
    pub(super) fn usage(&self, wanted: UsageWanted, life: Duration) -> Option<ProcessUsage> {
        if !wanted.any() {
            return None;
        }
        let (source, whole) = self.last.unwrap_or((UsageSource::Sampled, Whole::default()));
        let cpu = self.own.cpu.filter(|_| wanted.cpu);
        Some(ProcessUsage {
            cpu: cpu.map(|cpu| cpu_time(cpu, life, source, certainty(whole.cpu))),
            io: self.own.io.filter(|_| wanted.io).map(|io| io_of(io, source, certainty(whole.io))),
            faults: cpu.filter(tells_faults).map(|cpu| faults(cpu, source, certainty(whole.faults))),
        })
    }
}

/// Of the job.
#[derive(Debug, Default)]
pub(super) struct UsageFold {
    wanted: UsageWanted,
    /// What our waits reported, and what members had that nobody of the job waited for.
    reaped: Used,
    /// What members had used before they were attached to.
    before: Used,
    /// The sum over the members that have ended, each by itself.
    rows: Used,
    /// Amounts of which every ended member's is whole.
    partial: Whole,
    highest: Used,
    waited: bool,
    has_survivors: bool,
    /// What the system itself has counted of the whole job, and whether nothing can be added.
    kept: Option<(Used, bool)>,
    /// Of one that we waited for it could not be read what it had moved.
    unread: bool,
}

impl UsageFold {
    pub(super) fn new(wanted: UsageWanted) -> Self {
        Self { wanted, ..Self::default() }
    }

    pub(super) fn wanted(&self) -> UsageWanted {
        self.wanted
    }

    pub(super) fn reaped(&mut self, used: Used) {
        self.unread |= used.io.is_none();
        self.waited = true;
        self.reaped = self.reaped.plus(used);
    }

    pub(super) fn kept(&mut self, used: Used, is_final: bool) {
        self.kept = Some((used, is_final));
    }

    /// A member has ended. `is_waited_for`: by us or by a member, in whose figures it goes on.
    pub(super) fn close(&mut self, account: &Account, is_waited_for: bool) {
        if !is_waited_for {
            self.reaped = self.reaped.plus(account.with_waited);
        }
        self.rows = self.rows.plus(account.own);
        let whole = account.last.map_or(Whole::default(), |(_, whole)| whole);
        self.partial.cpu |= !whole.cpu;
        self.partial.faults |= !whole.faults;
        self.partial.io |= !whole.io;
    }

    /// A member lives on after the measurement.
    pub(super) fn survived(&mut self, account: &Account) {
        self.reaped = self.reaped.plus(account.with_waited);
        self.rows = self.rows.plus(account.own);
        self.has_survivors = true;
    }

    /// The job's total so far. Never falls: between its end and its parent's wait a process is in no figure.
    pub(super) fn now<'a>(&mut self, living: impl Iterator<Item = &'a Member> + Clone) -> Used {
        // Where nobody hands on what a waited-for child has moved (macOS), the members' own are more.
        let own = living.clone().map(|member| member.used().own).fold(self.rows, Used::plus);
        let total = self.total(living);
        self.highest = self.highest.or_more(total).or_more(Used { cpu: None, ..own });
        let Used { cpu, io } = self.highest;
        Used { cpu: cpu.filter(|_| self.wanted.cpu), io: io.filter(|_| self.wanted.io) }
    }

    fn total<'a>(&self, living: impl Iterator<Item = &'a Member>) -> Used {
        let living = living.map(|member| member.used().with_waited).fold(Used::default(), Used::plus);
        let sum = self.reaped.plus(living);
        let sum = if self.before == Used::default() { sum } else { sum.since(self.before) };
        let kept = self.kept.map(|(kept, _)| kept).unwrap_or_default();
        Used { cpu: kept.cpu.or(sum.cpu), io: kept.io.or(sum.io) }
    }

    /// Why nothing is known of bytes read and written although they were asked for.
    pub(super) fn io_downgrade(&self) -> Option<Downgrade> {
        self.wanted.io.then(|| Downgrade {
            wanted: "bytes read and written".to_owned(),
            reason:
                "no process could be asked: those of others tell only root, and some kernels keep no account"
                    .to_owned(),
        })
    }

    /// Why nothing is known of CPU time although it was asked for.
    pub(super) fn cpu_downgrade(&self) -> Option<Downgrade> {
        self.wanted.cpu.then(|| Downgrade {
            wanted: "CPU time and page faults".to_owned(),
            reason: "no process could be asked, or this system keeps no account of them (as Wine)".to_owned(),
        })
    }

    /// For the record. `all_seen`: no process was missed.
    pub(super) fn usage<'a>(
        &self,
        living: impl Iterator<Item = &'a Member> + Clone,
        elapsed: Duration,
        seen: u64,
        all_seen: bool,
    ) -> Usage {
        let nobody_lives = !self.has_survivors && living.clone().next().is_none();
        let rows = living.clone().map(|member| member.used().own).fold(self.rows, Used::plus);
        let waited = self.total(living);
        // The page faults, which no clock tick rounds, tell whether a process that somebody read is missing in what the
        // waits say: nobody waited for it (SIGCHLD was ignored).
        let more = |rows: Option<u64>, waited: Option<u64>| {
            rows.zip(waited).is_some_and(|(rows, waited)| rows > waited)
        };
        let missing = |waited: Cpu, rows: Cpu| {
            more(rows.minor_faults, waited.minor_faults)
                || more(rows.major_faults, waited.major_faults)
                || more(rows.mixed_faults, waited.mixed_faults)
        };
        let is_missing = waited.cpu.zip(rows.cpu).is_some_and(|(waited, rows)| missing(waited, rows));
        let all_ended = nobody_lives && waited.cpu.is_some() && !is_missing;
        let used = if all_ended {
            Used { io: waited.or_more(rows).io, ..waited }
        } else {
            waited.or_more(rows).or_more(self.highest)
        };
        let is_whole = all_seen && nobody_lives && self.before == Used::default();
        let all_waited_for = match (waited.cpu, rows.cpu) {
            // Nobody else can be missing in what our wait said.
            _ if seen == 1 => self.waited,
            (Some(waited), Some(rows)) if self.wanted.cpu && !self.partial.faults => {
                let all = |cpu: Cpu| (cpu.faults(), cpu.minor_faults, cpu.major_faults);
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
                .filter(tells_faults)
                .map(|cpu| faults(cpu, source(cpu_kept), certainty(cpu_is_whole))),
            pressure: None,
        }
    }
}

fn certainty(is_whole: bool) -> Certainty {
    if is_whole { Certainty::Exact } else { Certainty::AtLeast }
}

fn cpu_time(cpu: Cpu, life: Duration, source: UsageSource, certainty: Certainty) -> CpuTime {
    let processors = cpu.time().as_secs_f64() / life.as_secs_f64();
    CpuTime {
        user_seconds: round(cpu.user.as_secs_f64()),
        system_seconds: round(cpu.system.as_secs_f64()),
        mean_processors: (life >= SHORTEST_LIFE).then(|| (processors * 1000.0).round() / 1000.0),
        source,
        certainty,
    }
}

fn io_of(io: Moved, source: UsageSource, certainty: Certainty) -> Io {
    Io {
        read_bytes: io.read,
        written_bytes: io.written,
        storage_read_bytes: io.storage_read,
        storage_written_bytes: io.storage_written,
        source,
        certainty,
    }
}

/// A part of them is something.
fn tells_faults(cpu: &Cpu) -> bool {
    cpu.minor_faults.or(cpu.major_faults).or(cpu.mixed_faults).is_some()
}

fn faults(cpu: Cpu, source: UsageSource, certainty: Certainty) -> Faults {
    let (minor, major) = (cpu.minor_faults, cpu.major_faults);
    Faults { minor, major, total: cpu.faults(), source, certainty }
}
