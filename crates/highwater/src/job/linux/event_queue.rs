//! Kernel events in the order in which they happened, each released once everything before it has arrived.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use super::{
    clock::{JobClock, monotonic},
    kernel_event::{KernelEvent, TimedKernelEvent},
    taskstats::TaskEnd,
};

/// An event is written within this time after the time that it bears.
const EVENT_ORDERING_DELAY: Duration = Duration::from_micros(200);

/// A source of kernel events.
pub(super) trait EventFeed {
    /// Appends what came since the last call. Hands exit records over one by one.
    fn drain(&mut self, events: &mut Vec<TimedKernelEvent>, exit_record: impl FnMut(TaskEnd));
    /// Returns the number of events dropped so far; in the last round, with those that the kernel has not reported yet.
    fn lost(&self, round: Round) -> u64;
}

/// The kind of a round over a job's events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Round {
    /// More will come.
    Regular,
    /// The job is over: no further events will come.
    Last,
}

/// Completeness of the events of one round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Collected {
    /// No event was dropped since the round before.
    Whole,
    /// Events were dropped since the round before.
    WithLosses,
}

/// Events on their way from the sources to the tracker.
#[derive(Debug, Default)]
pub(super) struct EventQueue {
    clock: JobClock,
    /// In the order of their times.
    pending: VecDeque<TimedKernelEvent>,
    /// Buffer for [`EventFeed::drain`].
    arrived: Vec<TimedKernelEvent>,
    /// Exit records whose exit has not been released yet, by pid and tid, with the time by which they had come.
    exit_records: HashMap<(u32, u32), (Box<TaskEnd>, Duration)>,
    /// Events up to this time of `CLOCK_MONOTONIC` have all arrived.
    horizon: Duration,
    lost: u64,
}

impl EventQueue {
    /// Starts with the clock of the job.
    pub(super) fn begin(&mut self, clock: JobClock) {
        self.clock = clock;
    }

    /// Takes in what came since the last round. `is_ordered`: events of several processors have to be put in order.
    ///
    /// Each processor has its own buffer, and they are emptied one after another. An event that came after the first
    /// was emptied may have a cause that is not here yet. So events younger than the horizon wait for the next round.
    pub(super) fn collect(&mut self, feed: &mut impl EventFeed, is_ordered: bool, round: Round) -> Collected {
        let waits = is_ordered && round == Round::Regular;
        self.horizon = if waits { monotonic().saturating_sub(EVENT_ORDERING_DELAY) } else { Duration::MAX };
        let records = &mut self.exit_records;
        feed.drain(&mut self.arrived, |record: TaskEnd| {
            records.insert((record.pid, record.tid), (Box::new(record), monotonic()));
        });
        self.pending.extend(self.arrived.drain(..));
        self.pending.make_contiguous().sort_by_key(|event| event.at);
        let lost = feed.lost(round);
        if lost <= self.lost {
            return Collected::Whole;
        }
        self.lost = lost;
        Collected::WithLosses
    }

    /// Releases the next event, with its time since the start of the job. An exit comes with its exit record.
    pub(super) fn next_due(&mut self) -> Option<(Duration, KernelEvent)> {
        if self.pending.front()?.at > self.horizon {
            return None;
        }
        let TimedKernelEvent { at, mut event } = self.pending.pop_front()?;
        if let KernelEvent::TaskExited { pid, tid, record, .. } = &mut event {
            *record = self.exit_records.remove(&(*pid, *tid)).map(|(record, _)| record);
        }
        Some((self.clock.since_start(at), event))
    }

    /// Drops exit records of processes outside the job. Those that came after the horizon stay: the fork of a member may wait
    /// for a later round.
    pub(super) fn forget_records_of_others(&mut self, is_member: impl Fn(u32) -> bool) {
        let horizon = self.horizon;
        self.exit_records.retain(|&(pid, _), &mut (_, came)| came > horizon || is_member(pid));
    }

    /// Returns the time since the start of the job up to which all events have arrived.
    pub(super) fn complete_until(&self) -> Duration {
        self.clock.since_start(self.horizon)
    }
}

#[cfg(test)]
mod tests;
