//! A second judge of a job's limits, for the time in which the thread that follows the job waits for a process.
//!
//! A process holds `exec_update_lock` (`include/linux/sched/signal.h`) while it execs, and so as long as FUSE or NFS
//! takes to flush the files that its exec closes. A reader of its `stat`, `exe` or maps, or a comparison of its memory map
//! (kcmp(2)), waits for that lock, and only SIGKILL ends the wait. The thread of this file reads nothing of a process that
//! takes such a lock: `children`, `statm`, `status` (seen on Linux 6.18), and the cgroup of the job.

mod judge;
mod map_questions;

use std::{
    collections::HashSet,
    fs::File,
    io,
    os::fd::OwnedFd,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use self::judge::Judge;
use super::{descendants::Descendants, proc_dir::ProcDir};
use crate::{
    job::limits::{Limits, OnLimit, Stall},
    record::{Downgrade, Lineage},
    thread_with_signals_blocked,
};

/// Time that the other thread may take between two pauses before this one judges in its place.
const MAX_TIME_AT_WORK: Duration = Duration::from_millis(500);
/// Pause between two looks at the other thread.
const LOOK_PAUSE: Duration = Duration::from_millis(250);
/// Pause between two readings while this thread judges.
const JUDGE_PAUSE: Duration = Duration::from_millis(20);
/// The thread's stack: it keeps little there.
const GUARD_STACK_BYTES: usize = 128 << 10;

/// The guard of one job's limits. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct LimitGuard {
    shared: Arc<GuardShared>,
    wants_members: bool,
}

/// The processes of the job, as they are found without its follower.
#[derive(Debug)]
pub(super) struct GuardedJob {
    pub(super) proc: ProcDir,
    /// The command, and a descriptor of it.
    pub(super) root: u32,
    pub(super) root_pidfd: OwnedFd,
    pub(super) own_children: GuardedChildren,
    /// `memory.stat` of the group in which the job is alone.
    pub(super) group_stat: Option<File>,
}

/// The children of this process that belong to the job.
#[derive(Debug)]
pub(super) enum GuardedChildren {
    /// All but these.
    AllBut(HashSet<u32>),
    /// The members of the job when the follower paused last. Any other child may be an orphan of another job.
    KnownMembers,
}

#[derive(Debug)]
struct GuardShared {
    state: Mutex<GuardState>,
    ended: Condvar,
}

#[derive(Debug)]
struct GuardState {
    /// Time since which the follower is at work; `None` while it pauses.
    at_work_since: Option<Instant>,
    /// Pids of the job's processes when the follower paused last, if they are wanted.
    members: Vec<u32>,
    found: Option<Stall>,
    has_ended: bool,
}

impl LimitGuard {
    /// Starts the guard of a job whose limits end it; `None` if there is nothing to guard. The follower is at work then.
    ///
    /// # Errors
    /// The thread cannot be started, or the kernel lists no children of processes (`CONFIG_PROC_CHILDREN`).
    fn start(limits: &Limits, job: GuardedJob) -> io::Result<Option<Self>> {
        if limits.on_limit != OnLimit::Kill || !limits.are_sampled() {
            return Ok(None);
        }
        let descendants = Descendants::new(&job.proc);
        if descendants.lineage() != Lineage::Children {
            return Err(io::Error::other("this kernel does not list the children of a process"));
        }
        let wants_members = matches!(job.own_children, GuardedChildren::KnownMembers);
        let mut judge = Judge::new(job, limits.clone(), descendants);
        let state = GuardState {
            at_work_since: Some(Instant::now()),
            members: Vec::new(),
            found: None,
            has_ended: false,
        };
        let shared = Arc::new(GuardShared { state: Mutex::new(state), ended: Condvar::new() });
        let of_thread = Arc::clone(&shared);
        thread_with_signals_blocked::start("hw-limits", GUARD_STACK_BYTES, move || {
            of_thread.run(&mut judge);
        })?;
        Ok(Some(Self { shared, wants_members }))
    }

    /// Starts the guard of a job, or adds to `downgrades` why limits may be judged late.
    pub(super) fn start_or_report(
        limits: &Limits,
        downgrades: &mut Vec<Downgrade>,
        job: impl FnOnce() -> io::Result<GuardedJob>,
    ) -> Option<Self> {
        let started = job().and_then(|job| Self::start(limits, job));
        started.unwrap_or_else(|error| {
            downgrades.push(Downgrade {
                wanted: "limits while a process delays this program".to_owned(),
                reason: format!("no second thread can judge them: {error}"),
            });
            None
        })
    }

    /// Records that the follower begins to work.
    pub(super) fn at_work(&self) {
        self.shared.lock().at_work_since = Some(Instant::now());
    }

    /// Records that the follower pauses. `members`: pids of the job's processes.
    pub(super) fn at_rest(&self, members: impl Iterator<Item = u32>) {
        let mut state = self.shared.lock();
        state.at_work_since = None;
        if self.wants_members {
            state.members.clear();
            state.members.extend(members);
        }
    }

    /// Returns whether the job was ended, for a reason that was not taken yet.
    pub(super) fn has_judged(&self) -> bool {
        self.shared.lock().found.is_some()
    }

    /// Takes the reason for which the job was ended meanwhile.
    pub(super) fn take_stall(&self) -> Option<Stall> {
        self.shared.lock().found.take()
    }
}

impl Drop for LimitGuard {
    fn drop(&mut self) {
        self.shared.lock().has_ended = true;
        self.shared.ended.notify_all();
    }
}

impl GuardShared {
    fn lock(&self) -> MutexGuard<'_, GuardState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, judge: &mut Judge) {
        let mut state = self.lock();
        while !state.has_ended {
            let pause = if state.is_stalled() {
                let members = state.members.clone();
                drop(state);
                if let Some(stall) = judge.judge(&members) {
                    let killed = stall.readings.killed;
                    self.lock().found.get_or_insert(stall).readings.killed |= killed;
                    judge.end_job(killed, &members);
                }
                state = self.lock();
                JUDGE_PAUSE
            } else {
                LOOK_PAUSE
            };
            if !state.has_ended {
                (state, _) = self.ended.wait_timeout(state, pause).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

impl GuardState {
    fn is_stalled(&self) -> bool {
        self.at_work_since.is_some_and(|since| since.elapsed() >= MAX_TIME_AT_WORK)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::{judge::tests::job, *};
    use crate::job::limits::Limits;

    #[test]
    fn a_job_over_its_limit_ends_while_its_follower_waits() {
        for limits in [
            Limits { total_rss_bytes: Some(1), ..Limits::default() },
            Limits { process_rss_bytes: Some(1), ..Limits::default() },
            Limits { memory_bytes: Some(1), ..Limits::default() },
        ] {
            let (mut child, job) = job("exec sleep 1000");
            // The follower is at work from the start.
            let guard = LimitGuard::start(&limits, job).unwrap().unwrap();
            assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGKILL), "{limits:?}");
            let Stall { readings, culprit, .. } = guard.take_stall().unwrap();
            assert!(readings.total_rss > 0 && readings.total_rss == readings.largest_rss, "{readings:?}");
            assert_eq!(culprit.unwrap().pid, child.id());
        }
    }

    #[test]
    fn limits_that_only_warn_need_no_guard() {
        let (mut child, job) = job("exec sleep 1000");
        let warns = Limits { total_rss_bytes: Some(1), on_limit: OnLimit::Warn, ..Limits::default() };
        assert!(LimitGuard::start(&warns, job).unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_follower_that_pauses_is_not_stalled() {
        let long_ago = Instant::now().checked_sub(MAX_TIME_AT_WORK);
        let mut state =
            GuardState { at_work_since: long_ago, members: Vec::new(), found: None, has_ended: false };
        assert!(state.is_stalled());
        state.at_work_since = None;
        assert!(!state.is_stalled());
    }
}
