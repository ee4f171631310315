//! Places in `/proc` to search for new members: pids used since the last poll, or the whole tree.

use std::{collections::HashSet, ops::RangeInclusive};

use super::{descendants::Descendants, tracker::SearchReason};
use crate::job::event_batch::Changes;

/// Number of pids used since the last poll up to which each is asked; beyond it, the tree is walked.
const MAX_PROBED_PIDS: u64 = 64;
/// Number of polls after which the tree is walked however quiet it is; it is fewer where the job is small. A program that
/// sets `ns_last_pid` (CRIU) moves the cursor back.
const MAX_POLLS_WITHOUT_WALK: usize = 100;
/// Number of polls between two walks that check the kernel's reports.
const POLLS_BETWEEN_CHECKS: usize = 200;

/// The places to search in this poll.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Search {
    /// No process can have been forked since the last poll.
    Nowhere,
    /// At these pids, at a price that follows the forks.
    Pids(RangeInclusive<u64>),
    /// In the whole tree of the job. `forks_seen`: some process was forked, and another may be about to appear.
    Tree { forks_seen: bool },
}

/// The schedule of searches, and what they found that was not reported yet.
#[derive(Debug, Default)]
pub(super) struct Discovery {
    /// The pid that was used last, at the last poll.
    last_cursor: Option<u64>,
    /// Polls until the tree is walked, however few processes were forked.
    polls_until_walk: usize,
    /// Pids that were used before their process could be seen.
    unborn: Vec<u32>,
    /// A member came or went during the last poll: the next one searches though no pid was used.
    is_unsettled: bool,
    /// The tree was walked in this poll because processes were forked.
    walked_after_forks: bool,
    /// Polls since the reports were last checked.
    polls_since_check: usize,
    /// Processes that the last check found and no event has reported yet.
    unannounced: HashSet<u32>,
    /// The unannounced processes of the check before.
    suspects: HashSet<u32>,
}

impl Discovery {
    /// Returns the schedule of a job that has just begun.
    pub(super) fn new() -> Self {
        Self { is_unsettled: true, ..Self::default() }
    }

    /// Returns whether a member came or went during the last poll.
    pub(super) fn is_unsettled(&self) -> bool {
        self.is_unsettled
    }

    /// Ends a poll.
    pub(super) fn settle(&mut self, changes: Changes) {
        let walked = std::mem::take(&mut self.walked_after_forks);
        self.is_unsettled = walked || changes.births + changes.ends > 0;
    }

    /// Chooses the places to search. `cursor`: the pid that was used last.
    pub(super) fn next_search(&mut self, cursor: Option<u64>) -> Search {
        let before = std::mem::replace(&mut self.last_cursor, cursor);
        let is_still = cursor.is_some() && cursor == before;
        self.polls_until_walk = self.polls_until_walk.saturating_sub(1);
        let walk_is_due = self.polls_until_walk == 0;
        if is_still && !walk_is_due && !self.is_unsettled && self.unborn.is_empty() {
            return Search::Nowhere;
        }
        match before.zip(cursor) {
            Some((before, cursor))
                if cursor >= before && cursor - before <= MAX_PROBED_PIDS && !walk_is_due =>
            {
                Search::Pids(before + 1..=cursor)
            }
            _ => Search::Tree { forks_seen: !is_still },
        }
    }

    /// Returns the processes among `pids`, and among those that could not be seen before. A pid is used some microseconds
    /// before its process can be seen (`copy_process`, kernel/fork.c): such a one is asked once more.
    pub(super) fn probe(&mut self, pids: RangeInclusive<u64>, descendants: &mut Descendants) -> Vec<u32> {
        let mut found = std::mem::take(&mut self.unborn);
        let old = found.len();
        found.extend(pids.filter_map(|pid| u32::try_from(pid).ok()));
        self.unborn = found[old..].iter().copied().filter(|&pid| !descendants.is_visible(pid)).collect();
        found.retain(|&pid| descendants.is_process(pid));
        found
    }

    /// Starts a walk over the tree of so many members.
    pub(super) fn begin_walk(&mut self, members: usize, forks_seen: bool) {
        self.polls_until_walk = members.min(MAX_POLLS_WITHOUT_WALK);
        self.unborn.clear();
        self.walked_after_forks = forks_seen;
    }

    /// Asks for a walk at the next poll.
    pub(super) fn walk_next(&mut self) {
        self.polls_until_walk = 0;
    }

    /// Counts a poll that does not search. Returns whether a check of the reports is due; `is_requested`: whatever the count.
    pub(super) fn takes_check(&mut self, is_requested: bool) -> bool {
        self.polls_since_check += 1;
        let is_due = is_requested || self.polls_since_check >= POLLS_BETWEEN_CHECKS;
        if is_due {
            self.polls_since_check = 0;
        }
        is_due
    }

    /// Starts a check of the reports.
    pub(super) fn begin_check(&mut self) {
        self.suspects = std::mem::take(&mut self.unannounced);
    }

    /// Returns whether the check found a process that no event has reported yet.
    pub(super) fn has_unannounced(&self) -> bool {
        !self.unannounced.is_empty()
    }

    /// Records that an event reported this process.
    pub(super) fn announce(&mut self, pid: u32) {
        self.unannounced.remove(&pid);
    }

    /// Returns whether an unknown process that was found is to be considered now. In a check its event may be outstanding: then it
    /// is remembered, and considered if the next check finds it again.
    pub(super) fn admit(&mut self, pid: u32, reason: SearchReason) -> bool {
        let admits = reason != SearchReason::Check || self.suspects.contains(&pid);
        if !admits {
            self.unannounced.insert(pid);
        }
        admits
    }
}

#[cfg(test)]
mod tests;
