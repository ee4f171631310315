//! Ending a job that forks faster than it can be polled. A process that is seen has forked and exited before a signal
//! for it is sent.
//!
//! Each orphan of the job becomes a child of this process (`subreaper.rs`). So a process that forks and exits leaves
//! its child here, and so does each one that is killed. A process with a SIGKILL forks no more (`copy_process`,
//! kernel/fork.c, asks `fatal_signal_pending` under the lock that sending it takes). Killing these children until no
//! new one appears thus ends all of the job, whatever its tree. One sweep has a bound; others follow until one finds no
//! process. On few processors this takes the privilege to run before the job. Without it the job may come to its own
//! end first.

use std::{
    collections::HashSet,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use super::{
    precedence::Precedence,
    proc_view::{Proc, ProcView as _},
    reaper::Reaper,
    tracker::Tracker,
};
use crate::job::{Control, event_batch::EventBatch, events::JobEvent, moment::Moment, unix::thread_cpu};

/// Passes in a row that must find no new child: a killed process leaves its children here only when it has exited.
const QUIET_PASSES: u32 = 8;
/// Pause between two passes that find no new child.
const QUIET_PAUSE: Duration = Duration::from_micros(100);
/// Number of children at the end of the list that one pass looks at. The live ones are the newest, which are last.
/// Thousands may stand before them that have exited and were not waited for yet.
const NEWEST_CHILDREN: usize = 256;
/// Processor time that one sweep takes at most; another one comes after the next poll.
const MAX_SWEEP_CPU: Duration = Duration::from_millis(20);
/// Time that one sweep takes at most.
const MAX_SWEEP_TIME: Duration = Duration::from_millis(500);

/// Kills the children of this process that belong to the job.
#[derive(Debug)]
pub(super) struct OrphanKiller {
    /// For orders that cannot wait until a poll is over.
    control: Control,
    state: KillState,
}

/// True if the job is to be ended.
#[derive(Debug, Clone, Copy)]
enum KillState {
    Idle,
    /// It is being killed; the next sweep is due at that time.
    Killing {
        next_sweep: Instant,
    },
}

impl OrphanKiller {
    /// Returns a killer that obeys `control`.
    pub(super) fn new(control: Control) -> Self {
        Self { control, state: KillState::Idle }
    }

    /// Returns whether the job is being killed.
    pub(super) fn is_killing(&self) -> bool {
        matches!(self.state, KillState::Killing { .. })
    }

    /// Sweeps if the job is to be killed and a sweep is due. A poll that has begun may take long, and the job forks on
    /// in that time. Half of the time is left to the poll.
    pub(super) fn kill_if_due(
        &mut self,
        tracker: &mut Tracker,
        reaper: &mut Reaper,
        proc: &mut Proc,
        batch: &mut EventBatch,
    ) {
        let is_due = match self.state {
            KillState::Idle => self.control.is_killed(),
            KillState::Killing { next_sweep } => Instant::now() >= next_sweep,
        };
        if is_due {
            self.kill_orphans(tracker, reaper, proc, batch);
        }
    }

    /// Kills all orphans of the job, and their descendants as they become children of this process in turn. Does so only
    /// if all its children are the job's. Returns whether there was one.
    pub(super) fn kill_orphans(
        &mut self,
        tracker: &mut Tracker,
        reaper: &mut Reaper,
        proc: &mut Proc,
        batch: &mut EventBatch,
    ) -> bool {
        if !tracker.roster.own_children().are_all_of_job() {
            return false;
        }
        let _precedence = Precedence::take();
        let began = Instant::now();
        let cpu = thread_cpu();
        let mut killed = HashSet::new();
        let mut found = Vec::new();
        let mut found_any = false;
        let mut quiet = 0;
        while quiet < QUIET_PASSES
            && began.elapsed() < MAX_SWEEP_TIME
            && thread_cpu().saturating_sub(cpu) < MAX_SWEEP_CPU
        {
            let own = tracker.roster.own_children();
            proc.descendants.begin();
            proc.descendants.children(own.own_pid, &mut found);
            found.retain(|pid| !own.foreign.contains(pid));
            let reach = if quiet == 0 { NEWEST_CHILDREN } else { usize::MAX };
            quiet += 1;
            // No other process can have their pids until they are waited for.
            for &pid in found.iter().rev().take(reach) {
                if killed.insert(pid) {
                    quiet = 0;
                    found_any = true;
                    kill(pid);
                }
            }
            for pid in found.drain(..).take(NEWEST_CHILDREN) {
                if reap_unknown_child(pid, tracker, reaper, proc, batch) {
                    killed.remove(&pid);
                }
            }
            if quiet > 0 {
                thread::sleep(QUIET_PAUSE);
            }
        }
        self.state = KillState::Killing { next_sweep: Instant::now() + began.elapsed() };
        found_any
    }
}

/// Waits for a child that exited before it was seen: the longer the list of children, the longer a pass over it. Returns
/// whether it was waited for.
fn reap_unknown_child(
    pid: u32,
    tracker: &mut Tracker,
    reaper: &mut Reaper,
    proc: &Proc,
    batch: &mut EventBatch,
) -> bool {
    if tracker.roster.contains(pid) || reaper.is_pending(pid) {
        return false;
    }
    if tracker.coverage.reports_lifetimes() {
        return reaper.reap_early(pid);
    }
    let moment = Moment::exactly(proc.now());
    let Some(waited) = reaper.reap_unknown(pid, None, moment, batch).waited() else { return false };
    if !tracker.roster.forget_zombie(pid) {
        batch.push(moment, JobEvent::MissedProcess);
    }
    reaper.report_max_rss(waited.max_rss_bytes, moment, batch);
    true
}

fn kill(pid: u32) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // A setuid program may not be signalled: nothing more can be done.
        let _ = kill_process(pid, Signal::KILL);
    }
}
