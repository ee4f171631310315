//! Adding processes to the job that were found in `/proc`.

use std::time::Duration;

use super::Tracker;
use crate::{
    job::{
        event_batch::EventBatch,
        events::JobEvent,
        linux::{
            image::{ImageOrigin, ProcessImage},
            member::{LifetimeSource, Member, MemberNameState},
            proc_view::ProcView,
        },
        moment::Moment,
    },
    process::linux::stat::Stat,
};

/// The list in which a process was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::job::linux) enum FoundIn {
    /// In the list of children of a member.
    MemberChildren,
    /// Elsewhere: among the children of this process, or among the pids that were used last.
    Elsewhere,
}

/// The reason for a search in `/proc`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::job::linux) enum SearchReason {
    /// A running process is being attached to.
    Attach,
    /// Nothing else reports them.
    Poll,
    /// They are reported, and the reports are checked.
    Check,
    /// Reports were dropped.
    Losses,
}

/// The outcome for a process that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::job::linux) enum Adoption {
    /// It is a member now.
    Added,
    /// It had exited.
    Exited(Stat),
    /// It has exec'ed, and its hold may be outstanding: it is asked again at the next round.
    Deferred,
    /// It has exited, and only this process can reap it. Whether it belonged to the job is not known.
    Unclaimed,
    /// It is gone, or does not belong to the job.
    Refused,
}

impl Tracker {
    /// Makes `pid` a member if it belongs to the job.
    pub(in crate::job::linux) fn adopt(
        &mut self,
        pid: u32,
        found_in: FoundIn,
        reason: SearchReason,
        proc: &mut impl ProcView,
        batch: &mut EventBatch,
    ) -> Adoption {
        let Some((known_until, stat)) = self.stat_now(pid, proc) else { return Adoption::Refused };
        let is_root = self.roster.root() == pid && self.roster.is_new();
        // The pid may have been used again since the list was read: only a child of the job counts. A child of this
        // process may belong to another part of it, unless it was in the list of a member that has exited since.
        let own_pid = self.roster.own_children().own_pid;
        let belongs = is_root
            || self.roster.contains(stat.ppid)
            || (stat.ppid == own_pid && (found_in == FoundIn::MemberChildren || self.may_claim(&stat, proc)));
        if !belongs {
            return if self.is_unclaimed(pid, &stat) { Adoption::Unclaimed } else { Adoption::Refused };
        }
        if stat.is_reapable() && !is_root {
            return Adoption::Exited(stat);
        }
        let forked = stat.has_not_exec();
        let is_held_program = !is_root && !forked && self.coverage.holds_only();
        if is_held_program && self.awaited_holds.await_executed(pid) {
            return Adoption::Deferred;
        }
        let (name, is_complete) = self.names.of_arguments(proc.arguments(pid), stat.comm.clone());
        let origin = if forked { ImageOrigin::Forked } else { ImageOrigin::Executed };
        let id = self.roster.new_id();
        let mut member = Member::new(id, pid, ProcessImage::new(origin), known_until);
        member.parent = self.roster.id_of(stat.ppid);
        member.start_ticks = Some(stat.start_ticks);
        member.image.identity = stat.image;
        member.name = MemberNameState::read(is_complete);
        member.threads = stat.threads.max(1);
        member.source = self.source_of_find(is_root || reason == SearchReason::Attach);
        if is_root && self.coverage.holds_only() {
            // It may have exec'ed more than once since it was started, and each of those will be reported.
            member.image.identity = None;
            member.name = MemberNameState::UNREAD;
            member.known_until = Duration::ZERO;
        }
        member.was_found_exited = stat.has_exited();
        self.roster.add(member);
        let started = JobEvent::Started { id, pid, ppid: stat.ppid, name: Some(name), forked };
        batch.push(self.window.moment(), started);
        self.ask_for_memory_map(self.roster.len() - 1, stat.ppid, proc, batch);
        Adoption::Added
    }

    /// Returns the source of what happens to a process that was found in `/proc`. `is_expected`: it had to be looked for
    /// there; any other should have been reported.
    fn source_of_find(&mut self, is_expected: bool) -> LifetimeSource {
        if !self.coverage.reports_new_finds() {
            LifetimeSource::Proc
        } else if is_expected {
            LifetimeSource::Events
        } else {
            self.coverage.record_miss();
            LifetimeSource::Proc
        }
    }

    /// Returns whether an unknown child of this process is an orphan of the job. If other parts of this process start children,
    /// too, only a process group or session of a member tells them apart.
    fn may_claim(&mut self, stat: &Stat, proc: &mut impl ProcView) -> bool {
        if self.roster.own_children().are_all_of_job() {
            return true;
        }
        let Some(own) = proc.stat(self.roster.own_children().own_pid) else { return false };
        // Outside the pid namespace every group and session has the same unknown number.
        let same = |a: Option<u32>, b: Option<u32>| a.is_some() && a == b;
        self.roster.iter().filter_map(|member| proc.stat(member.pid)).any(|member| {
            (same(member.group, stat.group) && member.group != own.group)
                || (same(member.session, stat.session) && member.session != own.session)
        })
    }

    /// Returns whether an exited process that cannot be claimed would stay as long as this process does. An event that is
    /// outstanding may still make it a member, so it is left alone if there are events.
    fn is_unclaimed(&self, pid: u32, stat: &Stat) -> bool {
        let own = self.roster.own_children();
        let is_orphan = stat.ppid == own.own_pid && own.is_orphan(pid);
        is_orphan && stat.is_reapable() && !self.coverage.reports_anything()
    }

    /// Asks whether the forked member at `index` runs in the memory map of its parent.
    pub(super) fn ask_for_memory_map(
        &mut self,
        index: usize,
        parent: u32,
        proc: &mut impl ProcView,
        batch: &mut EventBatch,
    ) {
        let Some(member) = self.roster.at_mut(index) else { return };
        if !member.image.is_forked() || member.image.shares_map() {
            return;
        }
        let Some(shares) = proc.same_memory_map(parent, member.pid) else { return };
        // It may have exec'ed before the maps were compared.
        if proc.stat(member.pid).is_some_and(|stat| stat.has_not_exec()) {
            member.image.set_shares_map(shares);
            let event = JobEvent::SharesMemoryMap { id: member.id, shares };
            batch.push(Moment::exactly(self.window.current), event);
        }
    }

    /// Reads the `stat` of a process, and a time at which it was so. An event of an exec may be older than that.
    pub(super) fn stat_now(&self, pid: u32, proc: &mut impl ProcView) -> Option<(Duration, Stat)> {
        if self.coverage.reports_anything() {
            return proc.settled_stat(pid);
        }
        let stat = proc.stat(pid)?;
        Some((proc.now(), stat))
    }

    /// Records that all members ran before they were attached to.
    pub(in crate::job::linux) fn mark_attached(&mut self, proc: &mut impl ProcView, batch: &mut EventBatch) {
        for member in self.roster.iter_mut() {
            let hwm = proc.high_water_mark(member.pid);
            member.image.hwm_before_attach = hwm;
            member.image.origin = ImageOrigin::Executed;
            // Of its threads that have exited there are no records.
            member.tasks_used.get_or_insert_default().has_gaps = true;
            let event = JobEvent::AttachedTo { id: member.id, mark: hwm };
            batch.push(Moment::exactly(self.window.current), event);
        }
    }
}
