//! Execs, as the kernel reports them and as `/proc` shows them. The same exec must not count twice.

use std::{sync::Arc, time::Duration};

use super::{MAX_HOLD_NOTICE_DELAY, Tracker};
use crate::{
    job::{
        event_batch::EventBatch,
        events::{JobEvent, LastMark},
        identity::ProgramName,
        linux::{
            member::{Member, MemberNameState},
            proc_view::ProcView,
        },
        moment::Moment,
    },
    record::PeakSource,
};

/// The answer of `/proc` about a member that may run another program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::job::linux) enum ExecShown {
    /// It runs the same program.
    Same,
    /// It runs the same program as far as is known; events of the time before may be outstanding.
    SameSoFar,
    /// It runs another program.
    Replaced,
    /// It runs another program, but the report of its hold at that exec, with the final mark, may be outstanding.
    Deferred,
}

/// The state of a member that is known from events alone, before its first reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::job::linux) enum FirstReading {
    /// Its files may be opened.
    Ready,
    /// It has exec'ed, and the event of that is outstanding: what could be read is of the next image.
    AwaitsExec,
    /// It has exec'ed, and the report of its hold at that exec, with the final mark, may be outstanding.
    Deferred,
    /// It is gone.
    Gone,
}

impl Tracker {
    /// Applies an exec of the process `pid`.
    pub(super) fn exec(&mut self, at: Duration, pid: u32, comm: Option<String>, batch: &mut EventBatch) {
        let name = comm.map(|comm| self.names.of_comm(comm));
        let is_root = pid == self.roster.root();
        let Some(member) = self.roster.get_mut(pid) else { return };
        if at <= member.known_until {
            if is_root {
                self.replay_early_root_exec(at, name, batch);
            }
            return;
        }
        let moment = Moment::exactly(at);
        let id = member.id;
        // What was read at the hold is what the image had reached: this exec is the one it was held for. An exit record
        // of one of its threads is older.
        let of_task = member.image.task_peak.map(|bytes| LastMark {
            bytes,
            source: PeakSource::Taskstats,
            is_final: false,
        });
        let mark = member.image.held_mark.or(of_task);
        let mark = mark.filter(|mark| member.image.is_since_attach(mark.bytes));
        let had_own_map = !member.image.shares_map();
        member.exec();
        member.threads = 1;
        member.image.executed_at = Some(at);
        member.name = MemberNameState::Unread { polls: 0, reported: name.clone() };
        if let Some(mark) = mark.filter(|_| had_own_map) {
            batch.push(moment, JobEvent::FinalMark { id, mark });
        }
        batch.push(moment, JobEvent::Exec { id, name });
    }

    /// Applies an exec of the command from before it was adopted: it may run its second program by then, or its third.
    fn replay_early_root_exec(
        &mut self,
        at: Duration,
        name: Option<Arc<ProgramName>>,
        batch: &mut EventBatch,
    ) {
        let before = self.early_root_exec.replace(name.clone().unwrap_or_else(ProgramName::unknown));
        let Some(member) = self.roster.get_mut(self.roster.root()) else { return };
        let id = member.id;
        let moment = Moment::exactly(at);
        let mark = member.image.held_mark.take();
        // The first one is the program that it was started for.
        let Some(before) = before else { return };
        member.name = MemberNameState::UNREAD;
        batch.push(moment, JobEvent::Named { id, name: before });
        if let Some(mark) = mark {
            batch.push(moment, JobEvent::FinalMark { id, mark });
        }
        batch.push(moment, JobEvent::Exec { id, name });
    }

    /// Records that a member was found to run another program.
    pub(super) fn exec_between(
        member: &mut Member,
        identity: Option<u64>,
        name: Arc<ProgramName>,
        moment: Moment,
        batch: &mut EventBatch,
    ) {
        if let Some(mark) = member.image.held_mark {
            batch.push(moment, JobEvent::FinalMark { id: member.id, mark });
        }
        member.exec();
        member.image.identity = identity;
        member.name = MemberNameState::Known;
        batch.push(moment, JobEvent::Exec { id: member.id, name: Some(name) });
    }

    /// Asks `/proc` whether the member at `index` runs another program. `has_changed`: its memory looks so.
    pub(in crate::job::linux) fn ask_for_exec(
        &mut self,
        index: usize,
        has_changed: bool,
        proc: &mut impl ProcView,
        batch: &mut EventBatch,
    ) -> ExecShown {
        let Some(member) = self.roster.at_mut(index) else { return ExecShown::Same };
        let Some(stat) = proc.stat(member.pid) else { return ExecShown::Same };
        let is_other_process = Some(stat.start_ticks) != member.start_ticks;
        let has_not_exec = member.image.is_forked() && stat.has_not_exec();
        // The same memory map is the same program, whatever its text looks like.
        let is_known = member.image.identity.is_some() && stat.image.is_some();
        let is_same = is_known && member.image.identity == stat.image && !member.image.is_forked();
        if is_other_process || has_not_exec || is_same {
            return ExecShown::Same;
        }
        let holds = self.coverage.holds_tasks();
        let is_first = !(member.image.is_forked() || has_changed || member.image.differs_from(stat.image));
        if is_first && (stat.image.is_none() || !holds) {
            return ExecShown::Same;
        }
        if holds && !member.image.show(stat.image) {
            return if is_first { ExecShown::SameSoFar } else { ExecShown::Deferred };
        }
        if is_first {
            // No event came that was before this one.
            member.image.identity = stat.image;
            return ExecShown::Same;
        }
        let (name, is_complete) = self.names.of_arguments(proc.arguments(member.pid), stat.comm);
        Self::exec_between(member, stat.image, name, self.window.moment(), batch);
        member.name = MemberNameState::read(is_complete);
        ExecShown::Replaced
    }

    /// Prepares the first reading of the member at `index`, of which only events are known so far.
    pub(in crate::job::linux) fn prepare_first_reading(
        &mut self,
        index: usize,
        proc: &mut impl ProcView,
        batch: &mut EventBatch,
    ) -> FirstReading {
        let Some(member) = self.roster.at_mut(index) else { return FirstReading::Gone };
        let pid = member.pid;
        let Some(mut stat) = proc.stat(pid) else { return FirstReading::Gone };
        if member.is_other_process(stat.start_ticks) || stat.is_reapable() {
            return FirstReading::Gone;
        }
        let has_exec =
            member.image.is_forked() && !stat.has_not_exec() || member.image.differs_from(stat.image);
        if has_exec && self.is_exec_outstanding(index) {
            return FirstReading::AwaitsExec;
        }
        if has_exec {
            let Some((_, settled)) = self.stat_now(pid, proc) else { return FirstReading::Gone };
            stat = settled;
            let Some(member) = self.roster.at_mut(index) else { return FirstReading::Gone };
            if self.coverage.holds_tasks() && !member.image.show(stat.image) {
                return FirstReading::Deferred;
            }
            let (name, is_complete) = self.names.of_arguments(proc.arguments(pid), stat.comm.clone());
            let moment = member.image.held_at.map_or(self.window.moment(), Moment::exactly);
            Self::exec_between(member, stat.image, name, moment, batch);
            member.name = MemberNameState::read(is_complete);
        }
        let Some(member) = self.roster.at_mut(index) else { return FirstReading::Gone };
        member.start_ticks = Some(stat.start_ticks);
        // In the midst of an exec there is none.
        member.image.identity = stat.image.or(member.image.identity);
        self.ask_for_memory_map(index, stat.ppid, proc, batch);
        FirstReading::Ready
    }

    /// Returns whether the event of an exec that `/proc` shows is outstanding. What a task had when it was held for the exec was
    /// written before, and so comes with the next round.
    fn is_exec_outstanding(&self, index: usize) -> bool {
        let Some(member) = self.roster.at(index) else { return false };
        let held_for = member.image.held_at.map(|held_at| self.window.current.saturating_sub(held_at));
        self.coverage.reports_lifetimes()
            && (member.is_reported() || held_for.is_some_and(|time| time <= MAX_HOLD_NOTICE_DELAY))
    }

    /// Reads the name of the member at `index`.
    pub(in crate::job::linux) fn read_name(
        &mut self,
        index: usize,
        proc: &mut impl ProcView,
        batch: &mut EventBatch,
    ) {
        let Some(member) = self.roster.at_mut(index) else { return };
        let arguments = proc.arguments(member.pid);
        // Read last: if `comm` still agrees with the event of its exec, so do the arguments.
        let Some(stat) = proc.stat(member.pid) else { return };
        if !member.name.agrees_with(&stat.comm) {
            // It has renamed itself, or runs another program, of which the next round will bring the event.
            return;
        }
        let (name, is_complete) = self.names.of_arguments(arguments, stat.comm);
        // Between fork and exec it has its parent's name, and will have another.
        member.name.accept(is_complete);
        batch.push(Moment::exactly(self.window.current), JobEvent::Named { id: member.id, name });
    }
}
