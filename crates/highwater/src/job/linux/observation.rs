//! One job as this process observes it: the order of one poll.
//!
//! A poll applies the events that have arrived, looks for members that no event reported, reaps what has exited, and reads
//! what is left. Each of these steps is a type of its own.

mod attach;
mod search;

use std::time::Duration;

use super::{
    clock::JobClock,
    command_lines::CommandLines,
    coverage::Mechanisms,
    discovery::Discovery,
    dying::is_dying,
    event_queue::{Collected, EventFeed, EventQueue, Round},
    kernel_event::KernelEvent,
    member::Member,
    orphan_killer::OrphanKiller,
    proc_dir::ProcDir,
    proc_view::Proc,
    reaper::Reaper,
    roster::{OwnChildren, Roster, UnknownChildren},
    sampler::{SampleDepth, Sampled, Sampler},
    signals,
    tracker::{Adoption, FoundIn, SearchReason, Tracker},
};
use crate::{
    job::{
        Job,
        event_batch::{EventBatch, Polled},
        events::{JobEvent, MemoryReading},
        identity::MemberId,
        moment::Moment,
        resource_use::UsedBy,
        unix::wait::Waited,
    },
    record::{Downgrade, Lineage, ProcessExit},
};

/// Rounds of events in one poll after the first, if `/proc` is ahead of the events. Some processes exec all the time.
const MAX_EXTRA_ROUNDS: usize = 2;

/// All that is needed to follow the members of one job.
#[derive(Debug)]
pub(crate) struct Observation {
    queue: EventQueue,
    tracker: Tracker,
    discovery: Discovery,
    sampler: Sampler,
    reaper: Reaper,
    killer: OrphanKiller,
    proc: Proc,
    /// `/proc` is ahead of the events: what was written before has to be applied first.
    is_deferred: bool,
    /// The last sweep found an orphan though no member was left.
    found_orphans: bool,
}

impl Observation {
    /// Returns the state before the command is started. `own_hwm_bytes`: high-water mark of this process when the command
    /// is forked.
    pub(crate) fn new(proc: &ProcDir, owns_all_children: bool, own_hwm_bytes: u64, wanted: &Job) -> Self {
        let own_children = OwnChildren {
            own_pid: std::process::id(),
            unknown: if owns_all_children { UnknownChildren::JobOrphans } else { UnknownChildren::AnyOrigin },
            foreign: std::collections::HashSet::new(),
        };
        let lines = CommandLines::new(wanted);
        Self {
            queue: EventQueue::default(),
            tracker: Tracker::new(Roster::new(own_children)),
            discovery: Discovery::new(),
            sampler: Sampler::new(proc, wanted.usage),
            reaper: Reaper::new(proc, wanted.usage, own_hwm_bytes),
            killer: OrphanKiller::new(wanted.control()),
            proc: Proc::new(proc, lines),
            is_deferred: false,
            found_orphans: false,
        }
    }

    /// Returns the children of this process that do not belong to the job, if all others do.
    pub(crate) fn foreign_children(&self) -> Option<std::collections::HashSet<u32>> {
        let own = self.tracker.roster.own_children();
        own.are_all_of_job().then(|| own.foreign.clone())
    }

    /// Notes the children of this process from before the command is started: `make & exec hwm run` leaves it those of the
    /// shell. They are not waited for, so their pids stay theirs. But what descends from them may become its child, too.
    pub(crate) fn note_foreign_children(&mut self, helpers: &[u32]) {
        let own = self.tracker.roster.own_children_mut();
        own.foreign.extend(helpers);
        if own.are_all_of_job() {
            let mut found = Vec::new();
            self.proc.descendants.begin();
            self.proc.descendants.children(own.own_pid, &mut found);
            found.retain(|pid| !helpers.contains(pid));
            if !found.is_empty() {
                own.unknown = UnknownChildren::OrphansBesideForeign;
            }
            own.foreign.extend(found);
        }
    }

    /// Notes a child of this process that was started beside the command, and is not part of the job.
    pub(crate) fn note_helpers(&mut self, helpers: impl Iterator<Item = u32>) {
        self.tracker.roster.own_children_mut().foreign.extend(helpers);
    }

    /// Adds the command as the first member. `epoch`: `CLOCK_MONOTONIC` at the start of the job.
    pub(crate) fn start(
        &mut self,
        root: u32,
        epoch: Duration,
        mechanisms: Mechanisms,
        batch: &mut EventBatch,
    ) {
        self.begin(root, epoch, mechanisms);
        let adoption = self.adopt(root, FoundIn::Elsewhere, SearchReason::Poll, batch);
        let is_unseen = matches!(adoption, Adoption::Refused | Adoption::Deferred);
        if is_unseen && self.tracker.coverage.reports_lifetimes() {
            self.tracker.add_unseen_root(batch);
        }
    }

    fn begin(&mut self, root: u32, epoch: Duration, mechanisms: Mechanisms) {
        let clock = JobClock::starting_at(epoch);
        self.queue.begin(clock);
        self.proc.begin(clock);
        self.tracker.coverage.begin(mechanisms);
        self.tracker.roster.set_root(root);
        self.tracker.window.current = clock.now();
    }

    /// Records what is in use once the command has been exec'ed: holding its tasks may have been refused.
    pub(crate) fn started(&mut self, mechanisms: Mechanisms) {
        self.tracker.coverage.begin(mechanisms);
    }

    /// Returns how members are found in `/proc`.
    pub(crate) fn lineage(&self) -> Lineage {
        self.proc.lineage()
    }

    /// Returns whether events report new members, so that no poll has to look for them.
    pub(crate) fn finds_members_by_events(&self) -> bool {
        !self.tracker.coverage.must_poll()
    }

    /// Returns whether every fork, exec and exit was reported.
    pub(crate) fn all_reported(&self) -> bool {
        self.tracker.coverage.is_complete()
    }

    /// Returns how the command exited, if the kernel reported it.
    pub(crate) fn reported_root_exit(&self) -> Option<ProcessExit> {
        self.tracker.reported_root_exit()
    }

    /// Returns how the command exited, once it has been waited for.
    pub(crate) fn root_exit(&self) -> Option<Waited> {
        self.reaper.root_exit()
    }

    /// Returns whether the command was not waited for yet.
    pub(crate) fn root_lives(&self) -> bool {
        self.reaper.root_lives()
    }

    /// Returns whether the command has exited, but the event of it is outstanding: it is a moment away.
    pub(crate) fn is_root_exit_outstanding(&self) -> bool {
        let roster = &self.tracker.roster;
        let is_seen = |root| roster.get(root).is_some_and(|member| member.phase.is_exit_outstanding());
        is_seen(roster.root()) || self.reaper.is_pending(roster.root())
    }

    /// Returns whether an exit was seen whose event is outstanding.
    pub(crate) fn awaits_exit_event(&self) -> bool {
        self.reaper.has_pending()
            || self.tracker.roster.iter().any(|member| member.phase.is_exit_outstanding())
    }

    /// Returns whether the event of any exit is outstanding, or an exit itself that is certain.
    pub(crate) fn expects_exits(&self) -> bool {
        self.awaits_exit_event() || self.dying().next().is_some()
    }

    /// Returns whether the next poll must search `/proc` for what no event reported.
    pub(crate) fn must_walk(&self) -> bool {
        self.tracker.coverage.must_walk()
    }

    /// Returns the members of the last poll whose end is certain.
    fn dying(&self) -> impl Iterator<Item = MemberId> + '_ {
        let mut text = Vec::new();
        let members = self.tracker.roster.iter();
        let dying = members.filter(move |member| is_dying(self.proc.directory(), member, &mut text));
        dying.map(|member| member.id)
    }

    /// Iterates over the members alive at the last poll.
    pub(crate) fn pids_and_ids(&self) -> impl Iterator<Item = (u32, MemberId)> + '_ {
        self.tracker.roster.iter().map(|member| (member.pid, member.id))
    }

    /// Iterates over the pids of the members alive at the last poll.
    pub(crate) fn pids(&self) -> impl Iterator<Item = u32> + '_ {
        self.tracker.roster.iter().map(|member| member.pid)
    }

    /// Returns the time up to which all events have arrived, in a poll begun `at`.
    pub(crate) fn complete_until(&self, at: Duration) -> Duration {
        if self.tracker.coverage.reports_lifetimes() { self.queue.complete_until().min(at) } else { at }
    }

    /// Returns the processor time of threads that read command lines.
    pub(crate) fn reader_cpu(&self) -> Duration {
        self.proc.lines.reader_cpu()
    }

    /// Lists what could not be read of members' command lines and memory maps.
    pub(crate) fn downgrades(&self) -> impl Iterator<Item = Downgrade> {
        self.proc.lines.unread().chain(self.proc.unknown_sharing())
    }

    /// Returns what the last poll read, in the order of ids.
    pub(crate) fn readings(&self) -> &[MemoryReading] {
        self.sampler.readings()
    }

    /// Returns what the last poll read beside memory, in the order of ids; nothing if it did not.
    pub(crate) fn uses(&self) -> &[UsedBy] {
        self.sampler.uses()
    }

    /// Iterates over the members with a memory map of their own, with the RSS of the last poll.
    pub(super) fn maps(&self) -> impl Iterator<Item = (&Member, u64)> + Clone + '_ {
        self.readings().iter().filter(|reading| !reading.shares_map).filter_map(|reading| {
            let index = self.tracker.roster.index_of(reading.id)?;
            Some((self.tracker.roster.at(index)?, reading.rss))
        })
    }

    /// Returns the RSS of a member in the last poll, if it still runs this image in a memory map of its own.
    pub(super) fn rss_of_image(&self, id: MemberId, image: u32) -> Option<u64> {
        let readings = self.readings();
        let reading = &readings[readings.binary_search_by_key(&id, |reading| reading.id).ok()?];
        let member = self.tracker.roster.at(self.tracker.roster.index_of(id)?)?;
        (!reading.shares_map && member.image.number == image).then_some(reading.rss)
    }

    /// Returns whether no member is left, nor is exiting: a killed process holds its memory until it has given it back.
    pub(crate) fn is_empty(&self) -> bool {
        self.tracker.roster.is_empty()
            && !self.found_orphans
            && !self.is_deferred
            && !self.reaper.has_pending()
    }

    /// Polls the whole job, at `at`: which members came and went, and what each holds. High-water marks are read as `depth`
    /// says, and whenever members come and go: the bounds depend on which ones lived together.
    pub(crate) fn poll(
        &mut self,
        at: Duration,
        depth: SampleDepth,
        feed: &mut impl EventFeed,
        batch: &mut EventBatch,
    ) -> Polled {
        self.poll_round(at, depth, Round::Regular, feed, batch)
    }

    /// Applies what has arrived between two polls: buffers are of limited size.
    pub(crate) fn listen(&mut self, feed: &mut impl EventFeed, batch: &mut EventBatch) {
        self.apply_events(Round::Regular, feed, batch);
    }

    /// Polls for the last time: every event that was reported is applied.
    pub(crate) fn last_poll(&mut self, at: Duration, feed: &mut impl EventFeed, batch: &mut EventBatch) {
        let depth = SampleDepth { marks: true, usage: true };
        self.poll_round(at, depth, Round::Last, feed, batch);
        self.reaper.flush_unmatched_waits(at, batch);
        self.tracker.end_round(batch);
        // They have taken too long to exit, but are not left running.
        for id in self.dying() {
            batch.push(Moment::exactly(at), JobEvent::Ended { id, freed: at });
        }
    }

    fn poll_round(
        &mut self,
        at: Duration,
        depth: SampleDepth,
        round: Round,
        feed: &mut impl EventFeed,
        batch: &mut EventBatch,
    ) -> Polled {
        self.tracker.window.advance(at);
        self.is_deferred = false;
        let collected = self.apply_events(round, feed, batch);
        if self.tracker.coverage.must_poll() {
            self.search(batch);
        } else {
            self.check_reports(collected, batch);
        }
        let root = self.tracker.roster.root();
        self.reaper.retry(root, batch);
        self.tracker.roster.unshare_memory_maps(&batch.events);
        let marks = depth.marks || self.discovery.is_unsettled() || batch.changes.births > 0;
        let depth = SampleDepth { marks, usage: depth.usage };
        self.sample(depth, round, batch);
        for _ in 0..MAX_EXTRA_ROUNDS {
            if !std::mem::take(&mut self.is_deferred) {
                break;
            }
            let before = batch.events.len();
            self.apply_events(round, feed, batch);
            if self.tracker.coverage.holds_only() {
                self.search(batch);
            }
            self.tracker.roster.unshare_memory_maps(&batch.events[before..]);
            self.sample(depth, round, batch);
        }
        if self.root_lives() && !self.tracker.roster.contains(root) && !self.reaper.is_pending(root) {
            self.reaper.reap_unreadable_root(root, Moment::exactly(at), batch);
        }
        // Orphans whose events are outstanding may be left.
        self.found_orphans =
            self.killer.is_killing() && self.tracker.roster.is_empty() && self.kill_orphans(batch);
        let changes = batch.changes;
        self.discovery.settle(changes);
        Polled { changes, marks }
    }

    /// Applies the events that have arrived, in their order.
    fn apply_events(&mut self, round: Round, feed: &mut impl EventFeed, batch: &mut EventBatch) -> Collected {
        if !self.tracker.coverage.reports_anything() {
            return Collected::Whole;
        }
        self.tracker.begin_round();
        let collected = self.queue.collect(feed, self.tracker.coverage.reports_lifetimes(), round);
        if collected == Collected::WithLosses {
            self.tracker.coverage.record_loss();
        }
        while let Some((at, event)) = self.queue.next_due() {
            self.killer.kill_if_due(&mut self.tracker, &mut self.reaper, &mut self.proc, batch);
            if let KernelEvent::Fork { pid, .. } = event {
                self.discovery.announce(pid);
            }
            self.tracker.apply(at, event, &mut self.proc, batch);
            self.reap_departed(batch);
        }
        self.tracker.end_round(batch);
        let roster = &self.tracker.roster;
        self.queue.forget_records_of_others(|pid| roster.contains(pid));
        collected
    }

    fn sample(&mut self, depth: SampleDepth, round: Round, batch: &mut EventBatch) {
        let before = batch.events.len();
        let sampled = self.sampler.read_all(depth, round, &mut self.tracker, &mut self.proc, batch);
        self.is_deferred |= sampled == Sampled::Deferred;
        self.reap_departed(batch);
        // If nothing else reports execs and exits, the sample itself shows them: its readings must agree with them.
        self.tracker.roster.unshare_memory_maps(&batch.events[before..]);
        self.sampler.update_sharing(&self.tracker.roster);
    }

    fn reap_departed(&mut self, batch: &mut EventBatch) {
        for departed in self.tracker.take_departed() {
            self.reaper.reap_and_report(departed, self.tracker.roster.root(), batch);
        }
    }

    /// Sends `signal` to every member but the command.
    pub(crate) fn signal_descendants(&mut self, signal: rustix::process::Signal) {
        signals::signal_descendants(&self.tracker.roster, &mut self.proc, signal);
    }

    /// Kills all orphans of the job; returns whether there was one.
    pub(crate) fn kill_orphans(&mut self, batch: &mut EventBatch) -> bool {
        self.killer.kill_orphans(&mut self.tracker, &mut self.reaper, &mut self.proc, batch)
    }
}

#[cfg(test)]
mod tests;
