//! Observing a job that ran before it was attached to.

use std::time::Duration;

use super::Observation;
use crate::job::{
    event_batch::EventBatch,
    linux::{
        coverage::Mechanisms,
        tracker::{FoundIn, SearchReason},
    },
};

/// Memory of the members when they were attached to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AttachedMembers {
    pub(crate) count: u64,
    /// Sum of their high-water marks in bytes; `None` if one is not known.
    pub(crate) hwm_bytes: Option<u64>,
}

impl Observation {
    /// Adds a process that runs already, and all its descendants, as they are now. A process that has exited is not
    /// found. One that is forked meanwhile is reported, or found at the next poll.
    pub(crate) fn attach(
        &mut self,
        root: u32,
        epoch: Duration,
        mechanisms: Mechanisms,
        batch: &mut EventBatch,
    ) -> AttachedMembers {
        self.begin(root, epoch, mechanisms);
        // If this process descends from it, as from a shell, it is no part of the job.
        let own = self.tracker.roster.own_children_mut();
        own.foreign.insert(own.own_pid);
        self.adopt(root, FoundIn::Elsewhere, SearchReason::Attach, batch);
        self.walk(SearchReason::Attach, false, batch);
        self.tracker.mark_attached(&mut self.proc, batch);
        let members = self.tracker.roster.iter().filter(|member| !member.image.shares_map());
        AttachedMembers {
            count: self.tracker.roster.len() as u64,
            hwm_bytes: members.map(|member| member.image.hwm_before_attach).sum(),
        }
    }
}
