//! The end of a task that the kernel told of, made into events.

use std::time::Duration;

use super::SHORTEST_PROGRAM;
use crate::{
    job::{
        events::{Event, LastMark, Moment},
        ledger::Whole,
        linux::{
            descendants::{read_into, read_stat},
            members::Members,
        },
        news::News,
        unix::wait,
        used::Used,
    },
    process::linux::statm::Statm,
    record::{PeakSource, UsageSource},
};

impl Members {
    pub(super) fn exit_told(
        &mut self,
        at: Duration,
        pid: u32,
        tid: u32,
        status: Option<i32>,
        news: &mut News,
    ) {
        let end = self.told.ends.remove(&(pid, tid)).map(|(end, _)| end);
        let Some(member) = self.member(pid) else { return };
        if at <= member.known_until && !member.was_dead {
            // Older news; unless the command itself has gained privileges before the first look.
            if self.told.of_job_only && pid == self.root && pid == tid && self.lives_on(pid) {
                self.drop_out_of_sight(pid);
            }
            return;
        }
        if let Some(bytes) = end.as_ref().and_then(|end| end.peak_bytes) {
            member.task_peak = member.task_peak.max(Some(bytes));
        }
        member.tasks_used.get_or_insert_default().add(end.as_deref());
        let id = member.id;
        // A process is called as its first thread; others may have names of their own (PR_SET_NAME in prctl(2)).
        let unnamed = tid == pid && !member.named && !member.forked;
        member.threads = member.threads.saturating_sub(1);
        let is_over = member.threads == 0;
        if let Some(end) = end.as_ref().filter(|_| unnamed) {
            let name = self.told.name_of(end.comm.clone());
            news.push(Moment::exactly(at), Event::Named { id, name });
        }
        if !is_over {
            return;
        }
        // Of the last task: a leader that left before says nothing of how its process ended.
        if let Some(status) = status.or(end.as_ref().map(|end| end.status)) {
            let exit = wait::process_exit(status);
            if pid == self.root {
                self.root_told = Some(exit);
            }
            news.push(Moment::exactly(at), Event::Exit { id, exit });
        }
        let Some(member) = self.member(pid) else { return };
        let tasks = member.tasks_used.as_deref().copied().unwrap_or_default();
        let too_short = member.last_exec.is_some_and(|exec| at.saturating_sub(exec) < SHORTEST_PROGRAM);
        // A child that never exec'ed may have run in its parent's map: then the peak is the parent's.
        let is_own = !member.forked || (member.is_open && !member.shares_map);
        if let Some(bytes) = member.task_peak.filter(|&bytes| !member.is_new(bytes)) {
            // Reached before we came: since then it cannot have been more.
            news.push(Moment::exactly(at), Event::MaxRss { id, bytes });
        } else if let Some(bytes) = member.task_peak.filter(|_| !member.shares_map) {
            let is_final = is_own && end.as_ref().is_some_and(|end| end.peak_bytes.is_some());
            let mark = LastMark { bytes, source: PeakSource::Taskstats, is_final };
            news.push(Moment::exactly(at), Event::Last { id, mark });
        }
        if tasks.used != Used::default() {
            // A record is made before the task lets go of its memory (`taskstats_exit` before `exit_mm` in `do_exit`,
            // kernel/exit.c): the time that takes is not in it. And its bytes are cut to whole KiB.
            let whole = Whole { cpu: false, faults: !tasks.has_gaps, io: false };
            let (used, source) = (Box::new(tasks.used), UsageSource::Taskstats);
            news.push(Moment::exactly(at), Event::UsedInAll { id, used, source, whole });
        }
        // The kernel stops telling of a program that gains privileges by its exec, and of all that it starts, and says
        // that it has ended (`perf_event_exit_task` in `begin_new_exec`, fs/exec.c).
        self.told.gaps |= self.told.of_job_only && too_short;
        if self.told.of_job_only && self.lives_on(pid) {
            self.drop_out_of_sight(pid);
            return;
        }
        let freed = if self.told.of_job_only { at + self.time_to_free(pid) } else { at };
        self.end_of(pid, Moment::exactly(at), freed, news);
    }

    /// Of this member, and of all that it starts, nothing will be told any more: it is looked for.
    fn drop_out_of_sight(&mut self, pid: u32) {
        (self.told.blind, self.told.gaps) = (true, true);
        if let Some(member) = self.member(pid) {
            (member.told, member.threads) = (false, 1);
        }
    }

    /// How long the kernel may take to free a process's memory: perf tells of its end before (`do_exit` of
    /// kernel/exit.c, since "perf: Fix sample vs `do_exit()`"). 1 GiB took 70 ms.
    fn time_to_free(&mut self, pid: u32) -> Duration {
        const START: Duration = Duration::from_micros(200);
        let Some(member) = self.member(pid) else { return START };
        let held = member.held.map_or(0, |held| held.bytes);
        let mib = member.mark.max(held).max(member.task_peak.unwrap_or(0)) >> 20;
        START + Duration::from_micros(100).saturating_mul(u32::try_from(mib).unwrap_or(u32::MAX))
    }

    /// Whether a process that is told to have ended still has memory.
    fn lives_on(&mut self, pid: u32) -> bool {
        let path = self.roots.proc.join(format!("{pid}/statm"));
        let has_memory = read_into(&path, &mut self.text)
            && Statm::parse(&self.text).is_some_and(|statm| !statm.has_no_memory());
        has_memory
            && read_stat(&self.roots, pid, &mut self.text).is_some_and(|stat| {
                let known = self.member(pid).and_then(|member| member.start_ticks);
                !stat.is_exiting()
                    && !matches!(stat.state, b'Z' | b'X')
                    && known.is_none_or(|ticks| ticks == stat.start_ticks)
            })
    }
}
