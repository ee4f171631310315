//! Exits, as the kernel reports them and as `/proc` shows them.

use std::time::Duration;

use super::{MAX_EXIT_EVENT_DELAY, MAX_HOLD_NOTICE_DELAY, Tracker};
use crate::{
    job::{
        event_batch::EventBatch,
        events::{JobEvent, LastMark},
        linux::{
            event_queue::Round,
            member::{LifetimeSource, Member},
            proc_view::ProcView,
            taskstats::TaskEnd,
        },
        moment::Moment,
        resource_use::Completeness,
        resource_use::ResourceUse,
        unix::wait,
    },
    record::{PeakSource, UsageSource},
};

/// Shortest life of a program between exec and exit. One that only exits takes 14 us. An exit that is reported though
/// the program lives on comes within 3 us of its exec.
const SHORTEST_PROGRAM: Duration = Duration::from_micros(10);
/// Time that the kernel may take to free the memory of a small process, and of each MiB beyond. 1 GiB took 70 ms.
const TIME_TO_FREE_PROCESS: Duration = Duration::from_micros(200);
const TIME_TO_FREE_MIB: Duration = Duration::from_micros(100);

/// The exit of one task.
pub(super) struct TaskExit {
    pub(super) pid: u32,
    pub(super) tid: u32,
    /// Wait status, if the source reports it.
    pub(super) status: Option<i32>,
    pub(super) record: Option<Box<TaskEnd>>,
}

/// The consequence of an exit that `/proc` shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::job::linux) enum ExitShown {
    /// The event of it is outstanding: the member stays.
    EventOutstanding,
    /// The member has left the roster.
    Departed,
}

impl Tracker {
    /// Applies the exit of a task.
    pub(super) fn task_exited(
        &mut self,
        at: Duration,
        exit: TaskExit,
        proc: &mut impl ProcView,
        batch: &mut EventBatch,
    ) {
        let TaskExit { pid, tid, status, record } = exit;
        let is_root = pid == self.roster.root();
        let Some(member) = self.roster.get_mut(pid) else { return };
        if at <= member.known_until && !member.was_found_exited {
            // The event is older than what is known; unless the command has gained privileges before the first poll.
            let is_leader_of_root = is_root && pid == tid;
            if self.coverage.reports_job_only() && is_leader_of_root && self.lives_on(pid, proc) {
                self.stop_expecting_events(pid);
            }
            return;
        }
        if let Some(bytes) = record.as_ref().and_then(|record| record.peak_bytes) {
            member.image.task_peak = member.image.task_peak.max(Some(bytes));
        }
        member.tasks_used.get_or_insert_default().add(record.as_deref());
        let id = member.id;
        // A process is named as its first thread; others may have their own names (PR_SET_NAME in prctl(2)).
        let takes_name = tid == pid && !member.name.is_known() && !member.image.is_forked();
        member.threads = member.threads.saturating_sub(1);
        let is_over = member.threads == 0;
        let too_short =
            member.image.executed_at.is_some_and(|exec| at.saturating_sub(exec) < SHORTEST_PROGRAM);
        if let Some(record) = record.as_ref().filter(|_| takes_name) {
            let name = self.names.of_comm(record.comm.clone());
            batch.push(Moment::exactly(at), JobEvent::Named { id, name });
        }
        if !is_over {
            return;
        }
        // The status of the last task counts: a leader that left before says nothing of how its process exited.
        if let Some(status) = status.or(record.as_ref().map(|record| record.status)) {
            let exit = wait::process_exit(status);
            if is_root {
                self.root_exit = Some(exit);
            }
            batch.push(Moment::exactly(at), JobEvent::Exit { id, exit });
        }
        let has_final_peak = record.is_some_and(|record| record.peak_bytes.is_some());
        if let Some(member) = self.roster.get(pid) {
            report_final_figures(member, at, has_final_peak, batch);
        }
        // The kernel stops reporting a program that gains privileges by its exec, and all that it starts, and reports its
        // exit (`perf_event_exit_task` in `begin_new_exec`, fs/exec.c).
        let job_only = self.coverage.reports_job_only();
        if job_only && too_short {
            self.coverage.record_miss();
        }
        if job_only && self.lives_on(pid, proc) {
            self.stop_expecting_events(pid);
            return;
        }
        // perf reports the exit before the memory is freed (`do_exit` of kernel/exit.c, since "perf: Fix sample vs
        // `do_exit()`").
        let freed = if job_only { at + self.time_to_free(pid) } else { at };
        self.depart(pid, Moment::exactly(at), freed);
    }

    /// Records that this member, and all that it starts, is reported no longer: it has to be looked for.
    fn stop_expecting_events(&mut self, pid: u32) {
        self.coverage.record_unseen_subtree();
        if let Some(member) = self.roster.get_mut(pid) {
            member.source = LifetimeSource::Proc;
            member.threads = 1;
        }
    }

    /// Returns how long the kernel may take to free the memory of a process.
    fn time_to_free(&self, pid: u32) -> Duration {
        let Some(member) = self.roster.get(pid) else { return TIME_TO_FREE_PROCESS };
        let held = member.image.held_mark.map_or(0, |mark| mark.bytes);
        let bytes = member.image.hwm_bytes.max(held).max(member.image.task_peak.unwrap_or(0));
        let mib = u32::try_from(bytes >> 20).unwrap_or(u32::MAX);
        TIME_TO_FREE_PROCESS + TIME_TO_FREE_MIB.saturating_mul(mib)
    }

    /// Returns whether a process that is reported to have exited still has memory.
    fn lives_on(&self, pid: u32, proc: &mut impl ProcView) -> bool {
        proc.has_memory(pid)
            && proc.stat(pid).is_some_and(|stat| {
                let is_other = self.roster.get(pid).is_some_and(|m| m.is_other_process(stat.start_ticks));
                !stat.is_exiting() && !stat.is_zombie() && !is_other
            })
    }

    /// Records that `/proc` shows the exit of the member at `index`.
    pub(in crate::job::linux) fn see_exit(&mut self, index: usize, round: Round) -> ExitShown {
        let now = self.window.current;
        let Some(member) = self.roster.at_mut(index) else { return ExitShown::Departed };
        let reports = self.coverage.reports_lifetimes();
        let is_expected = if reports {
            member.is_reported()
        } else {
            // A process that was killed exits without having been held.
            self.coverage.holds_tasks() && member.phase.exit_hold().is_none()
        };
        let is_outstanding = is_expected && round == Round::Regular && {
            let since = member.phase.see_exit(now);
            let longest = if reports { MAX_EXIT_EVENT_DELAY } else { MAX_HOLD_NOTICE_DELAY };
            now.saturating_sub(since) <= longest
        };
        if is_outstanding {
            return ExitShown::EventOutstanding;
        }
        let held_at = member.phase.exit_hold().filter(|_| !member.is_reported());
        let moment = held_at.map_or(self.window.moment(), Moment::exactly);
        if is_expected && reports {
            self.coverage.record_miss();
        }
        self.depart_at(index, moment, moment.latest);
        ExitShown::Departed
    }

    /// Returns whether the member at `index`, which was held at its exit, is gone by now.
    pub(in crate::job::linux) fn has_left(&self, index: usize, proc: &mut impl ProcView) -> bool {
        self.roster.at(index).is_none_or(|member| {
            proc.stat(member.pid)
                .is_none_or(|stat| stat.has_exited() || member.is_other_process(stat.start_ticks))
        })
    }
}

/// Reports the figures in the exit records of a process. `has_final_peak`: that of its last task has a peak.
fn report_final_figures(member: &Member, at: Duration, has_final_peak: bool, batch: &mut EventBatch) {
    let id = member.id;
    let image = &member.image;
    // A child that never exec'ed may have run in its parent's map: then the peak is its parent's.
    let is_own = !image.is_forked() || (member.files.are_open() && !image.shares_map());
    if let Some(bytes) = image.task_peak.filter(|&bytes| !image.is_since_attach(bytes)) {
        // It was reached before the member was attached to: since then it cannot have been more.
        batch.push(Moment::exactly(at), JobEvent::MaxRss { id, bytes });
    } else if let Some(bytes) = image.task_peak.filter(|_| !image.shares_map()) {
        let is_final = is_own && has_final_peak;
        let mark = LastMark { bytes, source: PeakSource::Taskstats, is_final };
        batch.push(Moment::exactly(at), JobEvent::FinalMark { id, mark });
    }
    let tasks = member.tasks_used.as_deref().copied().unwrap_or_default();
    if tasks.used != ResourceUse::default() {
        // A record is made before the task releases its memory (`taskstats_exit` before `exit_mm` in `do_exit`,
        // kernel/exit.c): the time that takes is not in it. And its bytes are cut to whole KiB.
        let whole = Completeness { cpu: false, faults: !tasks.has_gaps, io: false };
        let used = Box::new(tasks.used);
        batch.push(
            Moment::exactly(at),
            JobEvent::FinalUsage { id, used, source: UsageSource::Taskstats, whole },
        );
    }
}
