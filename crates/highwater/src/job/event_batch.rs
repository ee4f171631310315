//! The outcome of a poll of the whole job, on its way from a system's readers to the ledger.

use super::{
    events::{JobEvent, TimedEvent},
    moment::Moment,
};

/// Numbers of changes that a poll of the whole job found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) births: u32,
    pub(crate) ends: u32,
    pub(crate) execs: u32,
}

impl Changes {
    pub(crate) fn any(self) -> bool {
        self != Self::default()
    }
}

/// A finished poll of the whole job.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Polled {
    pub(crate) changes: Changes,
    /// True if every member's mark was read.
    pub(crate) marks: bool,
}

/// Events for the ledger, and their numbers by kind.
#[derive(Debug, Default)]
pub(crate) struct EventBatch {
    pub(crate) events: Vec<TimedEvent>,
    pub(crate) changes: Changes,
}

impl EventBatch {
    pub(crate) fn push(&mut self, moment: Moment, event: JobEvent) {
        match event {
            JobEvent::Started { .. } => self.changes.births += 1,
            JobEvent::Exec { .. } => self.changes.execs += 1,
            JobEvent::Ended { .. } => self.changes.ends += 1,
            _ => {}
        }
        self.events.push(TimedEvent { moment, event });
    }

    /// Drains the events, and starts the numbers anew.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = TimedEvent> + '_ {
        self.changes = Changes::default();
        self.events.drain(..)
    }
}
