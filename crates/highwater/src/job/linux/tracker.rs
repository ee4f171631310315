//! The state machine of a job: applies kernel events, and what `/proc` shows, to the roster.
//!
//! It knows the system only through [`ProcView`], so every rule of order is tested over a made-up kernel.

mod adoption;
mod awaited_holds;
mod exec;
mod exit;
mod hold;

use std::{sync::Arc, time::Duration};

use self::awaited_holds::AwaitedHolds;
pub(super) use self::{
    adoption::{Adoption, FoundIn, SearchReason},
    exec::{ExecShown, FirstReading},
    exit::ExitShown,
};
use super::{
    coverage::EventCoverage,
    image::{ImageOrigin, ProcessImage},
    kernel_event::KernelEvent,
    member::{LifetimeSource, Member},
    name_cache::NameCache,
    proc_view::ProcView,
    roster::{Departed, Roster},
};
use crate::{
    job::{event_batch::EventBatch, events::JobEvent, identity::ProgramName, moment::Moment},
    record::ProcessExit,
};

/// The exit of a process is reported within this time after `/proc` shows it. The kernel does so at once
/// (`proc_exit_connector` after `exit_notify` in `do_exit`, kernel/exit.c). On a busy machine the exiting task may lose its
/// processor in between.
const MAX_EXIT_EVENT_DELAY: Duration = Duration::from_millis(250);
/// The notice of a hold is read within this time after `/proc` shows what came after the hold: it was written before.
const MAX_HOLD_NOTICE_DELAY: Duration = Duration::from_millis(20);

/// Time of this poll and of the one before it, since the start of the job.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct PollWindow {
    pub(super) previous: Duration,
    pub(super) current: Duration,
}

impl PollWindow {
    /// Starts the next poll.
    pub(super) fn advance(&mut self, at: Duration) {
        self.previous = self.current;
        self.current = at;
    }

    /// Returns the time between the two polls.
    pub(super) fn moment(self) -> Moment {
        Moment::between(self.previous, self.current)
    }
}

/// The state of a job's processes.
#[derive(Debug)]
pub(super) struct Tracker {
    pub(super) roster: Roster,
    pub(super) coverage: EventCoverage,
    pub(super) window: PollWindow,
    names: NameCache,
    awaited_holds: AwaitedHolds,
    /// Name of the command at the last of its execs before it was adopted.
    early_root_exec: Option<Arc<ProgramName>>,
    /// The exit of the command, as reported.
    root_exit: Option<ProcessExit>,
    /// Members that left the roster and wait to be reaped.
    departed: Vec<Departed>,
}

impl Tracker {
    /// Returns the state before the command is started.
    pub(super) fn new(roster: Roster) -> Self {
        Self {
            roster,
            coverage: EventCoverage::default(),
            window: PollWindow::default(),
            names: NameCache::default(),
            awaited_holds: AwaitedHolds::default(),
            early_root_exec: None,
            root_exit: None,
            departed: Vec::new(),
        }
    }

    /// Returns how the command exited, if the kernel reported it.
    pub(super) fn reported_root_exit(&self) -> Option<ProcessExit> {
        self.root_exit
    }

    /// Takes the members that left the roster.
    pub(super) fn take_departed(&mut self) -> Vec<Departed> {
        std::mem::take(&mut self.departed)
    }

    /// Starts a round of events: holds that were outstanding in the round before the last will not come.
    pub(super) fn begin_round(&mut self) {
        self.awaited_holds.begin_round();
    }

    /// Ends a round of events: of processes that were found dead before it, no hold will be reported any more.
    pub(super) fn end_round(&mut self, batch: &mut EventBatch) {
        for _ in 0..self.awaited_holds.take_exited() {
            batch.push(Moment::exactly(self.window.current), JobEvent::MissedProcess);
        }
    }

    /// Applies a kernel event of the time `at` since the start of the job.
    pub(super) fn apply(
        &mut self,
        at: Duration,
        event: KernelEvent,
        proc: &mut impl ProcView,
        batch: &mut EventBatch,
    ) {
        match event {
            KernelEvent::Fork { pid, parent } => self.fork(at, pid, parent, batch),
            KernelEvent::ThreadCreated { pid, .. } => self.thread_created(at, pid),
            KernelEvent::Exec { pid, comm } => self.exec(at, pid, comm, batch),
            KernelEvent::TaskExited { pid, tid, status, record } => {
                self.task_exited(at, exit::TaskExit { pid, tid, status, record }, proc, batch);
            }
            KernelEvent::Held(task) => self.held(at, &task, batch),
        }
    }

    fn thread_created(&mut self, at: Duration, pid: u32) {
        if let Some(member) = self.roster.get_mut(pid).filter(|member| at > member.known_until) {
            member.threads += 1;
        }
    }

    fn fork(&mut self, at: Duration, pid: u32, parent: u32, batch: &mut EventBatch) {
        if let Some(member) = self.roster.get_mut(pid) {
            if at <= member.known_until {
                member.source = LifetimeSource::Events;
                return;
            }
            // The pid was used again: the exit of the process that had it before was not reported.
            self.coverage.record_miss();
            self.depart(pid, Moment::between(self.window.previous, at), at);
        }
        // A member may create a child of this process (`CLONE_PARENT`, clone(2)). So may this process itself.
        let own = self.roster.own_children();
        let is_own_child = parent == own.own_pid && !own.foreign.contains(&pid);
        if is_own_child && !own.are_all_of_job() {
            self.coverage.record_loss();
            return;
        }
        if !self.roster.contains(parent) && !self.coverage.reports_job_only() && !is_own_child {
            return;
        }
        let id = self.roster.new_id();
        let mut member = Member::new(id, pid, ProcessImage::new(ImageOrigin::Forked), at);
        member.source = LifetimeSource::Events;
        member.parent = self.roster.id_of(parent);
        self.roster.add(member);
        let started = JobEvent::Started { id, pid, ppid: parent, name: None, forked: true };
        batch.push(Moment::exactly(at), started);
    }

    /// Adds the command although `/proc` does not show it: the kernel will report its exit.
    pub(super) fn add_unseen_root(&mut self, batch: &mut EventBatch) {
        let id = self.roster.new_id();
        let pid = self.roster.root();
        let mut member = Member::new(id, pid, ProcessImage::new(ImageOrigin::Executed), self.window.current);
        member.source = LifetimeSource::Events;
        self.roster.add(member);
        let parent = self.roster.own_children().own_pid;
        let started = JobEvent::Started { id, pid, ppid: parent, name: None, forked: false };
        batch.push(Moment::exactly(self.window.current), started);
    }

    /// Records that an unknown process of the job was found dead. Its hold may be outstanding.
    pub(super) fn found_dead(&mut self, pid: u32, start_ticks: u64, batch: &mut EventBatch) {
        if self.coverage.holds_only() {
            self.awaited_holds.await_exited(pid, start_ticks);
        } else if !self.coverage.reports_lifetimes() {
            batch.push(Moment::exactly(self.window.current), JobEvent::MissedProcess);
        }
    }

    /// Removes the member `pid`, which may have held its memory until `freed`.
    fn depart(&mut self, pid: u32, moment: Moment, freed: Duration) {
        let index = self.roster.id_of(pid).and_then(|id| self.roster.index_of(id));
        if let Some(index) = index {
            self.depart_at(index, moment, freed);
        }
    }

    fn depart_at(&mut self, index: usize, moment: Moment, freed: Duration) {
        let departed = self.roster.depart(index, moment, freed);
        self.departed.extend(departed);
    }
}

#[cfg(test)]
mod tests;
