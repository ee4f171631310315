//! Looking for members in `/proc`, and considering what was found.

use std::collections::HashMap;

use super::Observation;
use crate::{
    job::{
        event_batch::EventBatch,
        linux::{
            discovery::Search,
            event_queue::Collected,
            proc_view::ProcView as _,
            reaper::Reaper,
            tracker::{Adoption, FoundIn, SearchReason},
        },
        moment::Moment,
    },
    process::linux::stat::Stat,
};

impl Observation {
    /// Looks for new members, if any can have been forked since the last poll.
    pub(super) fn search(&mut self, batch: &mut EventBatch) {
        match self.discovery.next_search(self.proc.descendants.cursor()) {
            Search::Nowhere => {}
            Search::Pids(pids) => {
                let mut zombies = HashMap::new();
                let mut found = self.discovery.probe(pids, &mut self.proc.descendants);
                self.consider(&mut found, FoundIn::Elsewhere, SearchReason::Poll, &mut zombies, batch);
                let own_pid = self.tracker.roster.own_children().own_pid;
                self.proc.descendants.children(own_pid, &mut found);
                self.consider(&mut found, FoundIn::Elsewhere, SearchReason::Poll, &mut zombies, batch);
                for (pid, start_ticks) in zombies {
                    self.tracker.roster.remember_zombie(pid, start_ticks);
                }
            }
            Search::Tree { forks_seen } => self.walk(SearchReason::Poll, forks_seen, batch),
        }
    }

    /// Walks the tree although forks are reported, from time to time, to see whether all were.
    pub(super) fn check_reports(&mut self, collected: Collected, batch: &mut EventBatch) {
        let is_requested =
            self.tracker.coverage.take_walk_request() || self.tracker.roster.has_many_zombies();
        if !self.discovery.takes_check(is_requested) {
            return;
        }
        let reason = match collected {
            Collected::Whole => SearchReason::Check,
            Collected::WithLosses => SearchReason::Losses,
        };
        self.discovery.begin_check();
        self.walk(reason, false, batch);
        if self.discovery.has_unannounced() {
            // If their events do not come, the next check considers them.
            self.tracker.coverage.request_walk();
        }
    }

    /// Walks the whole tree of the job.
    pub(super) fn walk(&mut self, reason: SearchReason, forks_seen: bool, batch: &mut EventBatch) {
        self.discovery.begin_walk(self.tracker.roster.len(), forks_seen);
        self.proc.descendants.begin();
        let mut zombies = HashMap::new();
        let mut found = Vec::new();
        let mut index = 0;
        // This process comes after the members known so far: a child that has lost its parent is its child now. Members
        // that are found on the way are appended, and visited in their turn.
        let mut visited_own = false;
        while index < self.tracker.roster.len() || !visited_own {
            let (pid, found_in) = match self.tracker.roster.at(index) {
                Some(member) => (member.pid, FoundIn::MemberChildren),
                None => (self.tracker.roster.own_children().own_pid, FoundIn::Elsewhere),
            };
            self.proc.descendants.children(pid, &mut found);
            self.consider(&mut found, found_in, reason, &mut zombies, batch);
            match found_in {
                FoundIn::MemberChildren => index += 1,
                FoundIn::Elsewhere => visited_own = true,
            }
        }
        self.tracker.roster.replace_zombies(zombies);
    }

    /// Takes each of the processes `found` for what it is. Exited ones are added to `zombies`.
    fn consider(
        &mut self,
        found: &mut Vec<u32>,
        found_in: FoundIn,
        reason: SearchReason,
        zombies: &mut HashMap<u32, u64>,
        batch: &mut EventBatch,
    ) {
        for pid in found.drain(..) {
            self.killer.kill_if_due(&mut self.tracker, &mut self.reaper, &mut self.proc, batch);
            let roster = &self.tracker.roster;
            let is_known = roster.contains(pid) || roster.own_children().foreign.contains(&pid);
            // A process that is reported to have exited stays in its parent's list while its memory is freed.
            if is_known || self.reaper.is_pending(pid) {
                continue;
            }
            let exited = roster.zombie(pid).or(zombies.get(&pid).copied());
            if let Some(stat) = exited.and_then(|start_ticks| self.still_exited(pid, start_ticks)) {
                zombies.insert(pid, stat.start_ticks);
                self.reap_orphan(pid, &stat, batch);
                continue;
            }
            if !self.discovery.admit(pid, reason) {
                continue;
            }
            match self.adopt(pid, found_in, reason, batch) {
                Adoption::Exited(stat) => {
                    self.tracker.found_dead(pid, stat.start_ticks, batch);
                    zombies.insert(pid, stat.start_ticks);
                    self.reap_orphan(pid, &stat, batch);
                }
                Adoption::Unclaimed => Reaper::discard(pid),
                Adoption::Added | Adoption::Deferred | Adoption::Refused => {}
            }
        }
    }

    /// Makes `pid` a member if it belongs to the job.
    pub(super) fn adopt(
        &mut self,
        pid: u32,
        found_in: FoundIn,
        reason: SearchReason,
        batch: &mut EventBatch,
    ) -> Adoption {
        let adoption = self.tracker.adopt(pid, found_in, reason, &mut self.proc, batch);
        match adoption {
            Adoption::Added => {
                if let Some(member) = self.tracker.roster.get_mut(pid) {
                    self.sampler.open_files(member);
                }
            }
            Adoption::Deferred => {
                self.is_deferred = true;
                // Of its children it is not known yet that they belong to the job.
                self.discovery.walk_next();
            }
            Adoption::Exited(_) | Adoption::Unclaimed | Adoption::Refused => {}
        }
        adoption
    }

    /// Returns the `stat` of `pid` if it is still the exited process that started at `start_ticks`.
    fn still_exited(&mut self, pid: u32, start_ticks: u64) -> Option<Stat> {
        let stat = self.proc.stat(pid).filter(|stat| stat.start_ticks == start_ticks)?;
        // A leader may have left before its other threads.
        let has_exited = stat.is_exiting() && (stat.state != b'Z' || stat.threads <= 1);
        has_exited.then_some(stat)
    }

    /// Waits for an exited process, if it is a child of this process now.
    fn reap_orphan(&mut self, pid: u32, stat: &Stat, batch: &mut EventBatch) {
        if stat.ppid != self.tracker.roster.own_children().own_pid || stat.state != b'Z' {
            return;
        }
        let moment = Moment::exactly(self.tracker.window.current);
        let ending = self.reaper.reap_unknown(pid, Some(stat.start_ticks), moment, batch);
        if let Some(waited) = ending.waited() {
            self.reaper.report_max_rss(waited.max_rss_bytes, moment, batch);
        }
    }
}
