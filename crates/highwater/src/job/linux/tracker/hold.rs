//! A task that was held at its exec or exit.

use std::time::Duration;

use super::Tracker;
use crate::{
    job::{
        event_batch::EventBatch,
        events::{JobEvent, LastMark},
        linux::{
            exec_hold::{HeldTask, HoldPoint},
            image::{ImageOrigin, ProcessImage},
            member::{Member, MemberNameState},
        },
        moment::Moment,
    },
    record::{PeakSource, ProcessExit},
};

/// Time within which most children exec after their fork. It is shorter than the ledger's `MAX_FORK_TO_UNSEEN_EXEC`, as it
/// only dates the fork of a child that is known to have exec'ed.
const FORK_TO_FIRST_HOLD: Duration = Duration::from_millis(5);

impl Tracker {
    /// Applies the hold of a task at its exec or exit.
    pub(super) fn held(&mut self, at: Duration, task: &HeldTask, batch: &mut EventBatch) {
        let pid = task.pid;
        let reports = self.coverage.reports_lifetimes();
        let is_replaced =
            !reports && self.roster.get(pid).is_some_and(|member| member.is_other_process(task.start_ticks));
        if is_replaced {
            self.depart(pid, Moment::between(self.window.previous, at), at);
        }
        if !self.roster.contains(pid) {
            self.add_held(at, task, batch);
        }
        // The command may have exec'ed several times before it was adopted: this may be one of those.
        let is_early_root = pid == self.roster.root() && self.early_root_exec.is_some();
        let Some(member) = self.roster.get_mut(pid) else { return };
        let is_older = at <= member.known_until;
        let may_be_of_another_image = task.image.is_none() || task.image != member.image.identity;
        // It was reported before the member was adopted. An exit cannot be: an exited process is never adopted.
        let is_known = is_older && !is_early_root && may_be_of_another_image;
        let is_of_fork = task.forked && !member.image.is_forked();
        if task.point == HoldPoint::Exec && (is_known || is_of_fork) {
            return;
        }
        let name = (!task.comm.is_empty()).then(|| self.names.of_comm(task.comm.clone()));
        if is_early_root && is_older && name.is_some() {
            self.early_root_exec.clone_from(&name);
        }
        let id = member.id;
        if let Some(shares) = task.shares_map.filter(|_| member.image.is_forked()) {
            member.image.set_shares_map(shares);
            batch.push(Moment::exactly(at), JobEvent::SharesMemoryMap { id, shares });
        }
        if !reports {
            self.compare_image(at, task, batch);
        }
        let Some(member) = self.roster.get_mut(pid) else { return };
        if let Some(name) = name.filter(|_| !member.name.is_known() && !member.image.is_forked()) {
            member.name = MemberNameState::Known;
            batch.push(Moment::exactly(at), JobEvent::Named { id, name });
        }
        // Other threads in the same map run on while the task is held. A child that has not exec'ed may run in its
        // parent's map.
        let is_alone =
            task.threads == Some(1) && (!member.image.is_forked() || task.shares_map == Some(false));
        let mark = task.mark.filter(|_| !member.image.shares_map()).map(|bytes| LastMark {
            bytes,
            source: PeakSource::ExitNotify,
            is_final: is_alone,
        });
        member.image.held_mark = mark;
        match task.point {
            HoldPoint::Exec => member.image.held_at = Some(at),
            HoldPoint::ExitGroup { code } => {
                member.phase.hold_at_exit(at);
                let exit = ProcessExit { code: Some(code), signal: None };
                batch.push(Moment::exactly(at), JobEvent::Exit { id, exit });
                if let Some(mark) = mark {
                    batch.push(Moment::exactly(at), JobEvent::FinalMark { id, mark });
                }
            }
        }
    }

    /// Adds a process that was held before it was known: the filter is inherited, so it belongs to the job.
    fn add_held(&mut self, at: Duration, task: &HeldTask, batch: &mut EventBatch) {
        let reports = self.coverage.reports_lifetimes();
        if reports {
            self.coverage.record_miss();
        }
        self.awaited_holds.reported(task.pid, task.start_ticks);
        let id = self.roster.new_id();
        let origin = if task.forked { ImageOrigin::Forked } else { ImageOrigin::Executed };
        let mut member = Member::new(id, task.pid, ProcessImage::new(origin), Duration::ZERO);
        member.image.identity = task.image;
        member.start_ticks = (!reports).then_some(task.start_ticks);
        member.parent = self.roster.id_of(task.ppid);
        self.roster.add(member);
        let is_named = !task.forked && !task.comm.is_empty();
        let name = is_named.then(|| self.names.of_comm(task.comm.clone()));
        // It was held at an exec before it was ever seen: it was forked a moment ago.
        let previous = self.window.previous;
        let earliest = match task.point {
            HoldPoint::Exec => at.saturating_sub(FORK_TO_FIRST_HOLD).max(previous),
            HoldPoint::ExitGroup { .. } => previous,
        };
        let started = JobEvent::Started { id, pid: task.pid, ppid: task.ppid, name, forked: task.forked };
        batch.push(Moment::between(earliest, at), started);
    }

    /// Compares memory maps where execs are not reported: a process that is held with another map than before has
    /// exec'ed since.
    fn compare_image(&mut self, at: Duration, task: &HeldTask, batch: &mut EventBatch) {
        let name = self.names.of_comm(task.comm.clone());
        let previous = self.window.previous;
        let Some(member) = self.roster.get_mut(task.pid) else { return };
        // It exec'ed right after its last hold.
        let moment = member.image.held_at.map_or(Moment::between(previous, at), Moment::exactly);
        let has_exec = member.image.differs_from(task.image) || (member.image.is_forked() && !task.forked);
        if has_exec {
            Self::exec_between(member, task.image, name, moment, batch);
        } else {
            member.image.identity = task.image.or(member.image.identity);
        }
    }
}
