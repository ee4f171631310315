//! The members that ended last, as one look at the job may find a parent and its child gone, in any order.

use std::{collections::HashSet, time::Duration};

use crate::job::{identity::MemberId, moment::Moment};

/// Members that may have ended after any end that is yet to be reported.
#[derive(Debug, Default)]
pub(super) struct LastEnds {
    members: HashSet<MemberId>,
    /// The latest time at which one of them can have ended.
    until: Duration,
}

impl LastEnds {
    /// Adds the end of a member, and forgets those that have surely ended before it.
    pub(super) fn add(&mut self, id: MemberId, moment: Moment) {
        if moment.earliest > self.until {
            self.members.clear();
        }
        self.until = self.until.max(moment.latest);
        self.members.insert(id);
    }

    /// Returns whether `id` has ended, but maybe after the end that was added last.
    pub(super) fn may_have_ended_later(&self, id: MemberId) -> bool {
        self.members.contains(&id)
    }
}
