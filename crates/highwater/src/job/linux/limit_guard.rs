//! A second judge of a job's limits, for the time in which the thread that follows the job waits for a process.
//!
//! A process holds `exec_update_lock` (`include/linux/sched/signal.h`) while it execs, and so as long as FUSE or NFS
//! takes to flush the files that its exec closes. A reader of its `stat`, `exe` or maps, or a comparison of its memory map
//! (kcmp(2)), waits for that lock, and only SIGKILL ends the wait. The thread of this file reads nothing of a process that
//! takes such a lock: `children`, `statm`, `status` (seen on Linux 6.18), and the cgroup of the job.

use std::{
    collections::HashSet,
    fs::File,
    io,
    os::fd::OwnedFd,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::{
    cgroup::anon_and_shared_bytes,
    descendants::Descendants,
    proc_dir::{ProcDir, ProcPath},
};
use crate::{
    job::limits::{KILL_AT_ONCE_SHARE, LimitCulprit, Limits, OnLimit, Stall, StallReadings},
    process::linux::{decimal, statm::Statm},
    record::Lineage,
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
}

/// The processes of the job, as they are found without its follower.
#[derive(Debug)]
pub(super) struct GuardedJob {
    pub(super) proc: ProcDir,
    /// The command, and a descriptor of it.
    pub(super) root: u32,
    pub(super) root_pidfd: OwnedFd,
    /// Children of this process that do not belong to the job, if all others do.
    pub(super) foreign_children: Option<HashSet<u32>>,
    /// `memory.stat` of the group in which the job is alone.
    pub(super) group_stat: Option<File>,
}

#[derive(Debug, Default)]
struct GuardShared {
    state: Mutex<GuardState>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct GuardState {
    /// Time since which the follower is at work; `None` while it pauses.
    at_work_since: Option<Instant>,
    found: Option<Stall>,
    has_ended: bool,
}

/// The state of the thread.
struct Judge {
    job: GuardedJob,
    limits: Limits,
    descendants: Descendants,
    /// Time at which the job was asked to end.
    asked_to_end: Option<Instant>,
    text: Vec<u8>,
}

/// A process of the job and its parent.
#[derive(Debug, Clone, Copy)]
struct TreeEntry {
    pid: u32,
    parent: u32,
}

impl LimitGuard {
    /// Starts the guard of a job whose limits end it; `None` if there is nothing to guard.
    ///
    /// # Errors
    /// The thread cannot be started, or the kernel lists no children of processes (`CONFIG_PROC_CHILDREN`).
    pub(super) fn start(limits: &Limits, job: GuardedJob) -> io::Result<Option<Self>> {
        if limits.on_limit != OnLimit::Kill || !limits.are_sampled() {
            return Ok(None);
        }
        let descendants = Descendants::new(&job.proc);
        if descendants.lineage() != Lineage::Children {
            return Err(io::Error::other("this kernel does not list the children of a process"));
        }
        let mut judge =
            Judge { job, limits: limits.clone(), descendants, asked_to_end: None, text: Vec::new() };
        let shared = Arc::<GuardShared>::default();
        let of_thread = Arc::clone(&shared);
        thread_with_signals_blocked::start("hw-limits", GUARD_STACK_BYTES, move || {
            of_thread.run(&mut judge);
        })?;
        Ok(Some(Self { shared }))
    }

    /// Records that the follower begins to work.
    pub(super) fn at_work(&self) {
        self.shared.lock().at_work_since = Some(Instant::now());
    }

    /// Records that the follower pauses.
    pub(super) fn at_rest(&self) {
        self.shared.lock().at_work_since = None;
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
                drop(state);
                if let Some(stall) = judge.judge() {
                    let killed = stall.readings.killed;
                    self.lock().found.get_or_insert(stall).readings.killed |= killed;
                    judge.end_job(killed);
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

impl Judge {
    /// Reads the job. Returns the readings if they exceed a limit.
    fn judge(&mut self) -> Option<Stall> {
        let at = Instant::now();
        let mut readings = StallReadings::default();
        let mut largest = None;
        for entry in self.tree() {
            let Some(statm) = self.statm(entry.pid) else { continue };
            if self.runs_in_memory_of_parent(entry, statm) {
                continue;
            }
            let rss = statm.resident_pages.saturating_mul(rustix::param::page_size() as u64);
            readings.total_rss = readings.total_rss.saturating_add(rss);
            if rss > readings.largest_rss {
                (readings.largest_rss, largest) = (rss, Some(entry.pid));
            }
        }
        let of_group =
            self.job.group_stat.as_ref().and_then(|stat| anon_and_shared_bytes(stat, &mut self.text));
        readings.memory_at_least =
            of_group.map_or(readings.largest_rss, |bytes| bytes.max(readings.largest_rss));
        let is_far_over = readings.exceed(&self.limits, KILL_AT_ONCE_SHARE);
        let is_grace_over = self.asked_to_end.is_some_and(|since| since.elapsed() >= self.limits.grace);
        readings.killed = is_far_over || is_grace_over;
        readings.exceed(&self.limits, (1, 1)).then(|| Stall {
            at,
            readings,
            culprit: largest.and_then(|pid| self.culprit(pid)),
        })
    }

    /// Kills all processes of the job that are found, or asks them to end, once. One that was forked meanwhile is found by the
    /// next reading.
    fn end_job(&mut self, kills: bool) {
        let signal = match (kills, self.asked_to_end) {
            (true, _) => Signal::KILL,
            (false, None) => Signal::TERM,
            (false, Some(_)) => return,
        };
        self.asked_to_end.get_or_insert_with(Instant::now);
        let (own_pid, tree) = (std::process::id(), self.tree());
        // It may have exited, or run as another user by now. So may the others.
        let _ = pidfd_send_signal(&self.job.root_pidfd, signal);
        for TreeEntry { pid, parent } in tree {
            let Some(raw) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { continue };
            let Ok(pidfd) = pidfd_open(raw, PidfdFlags::empty()) else { continue };
            // Its pid may have gone to another process before it was opened. Orphans of the job become children of this process.
            if pid != self.job.root && self.parent_of(pid).is_some_and(|now| now == parent || now == own_pid)
            {
                let _ = pidfd_send_signal(&pidfd, signal);
            }
        }
    }

    /// Lists the processes of the job, parents first.
    fn tree(&mut self) -> Vec<TreeEntry> {
        let own_pid = std::process::id();
        let mut seen = HashSet::from([own_pid]);
        let mut tree = Vec::new();
        let mut found = Vec::new();
        if let Some(foreign) = &self.job.foreign_children {
            self.descendants.children(own_pid, &mut found);
            found.retain(|pid| !foreign.contains(pid));
        } else {
            found.push(self.job.root);
        }
        tree.extend(
            found.drain(..).filter(|&pid| seen.insert(pid)).map(|pid| TreeEntry { pid, parent: own_pid }),
        );
        let mut next = 0;
        while let Some(&TreeEntry { pid: parent, .. }) = tree.get(next) {
            self.descendants.children(parent, &mut found);
            tree.extend(found.drain(..).filter(|&pid| seen.insert(pid)).map(|pid| TreeEntry { pid, parent }));
            next += 1;
        }
        tree
    }

    fn culprit(&mut self, pid: u32) -> Option<LimitCulprit> {
        let is_read = self.job.proc.read_into(ProcPath::of(pid, "comm"), &mut self.text);
        let command = String::from_utf8_lossy(self.text.trim_ascii_end()).into_owned();
        is_read.then_some(LimitCulprit { pid, command })
    }

    fn statm(&mut self, pid: u32) -> Option<Statm> {
        self.job
            .proc
            .read_into(ProcPath::of(pid, "statm"), &mut self.text)
            .then(|| Statm::parse(&self.text))?
    }

    /// Returns whether this looks like a child of vfork(2), whose parent waits until it execs.
    fn runs_in_memory_of_parent(&mut self, entry: TreeEntry, statm: Statm) -> bool {
        let is_alike = self.statm(entry.parent).is_some_and(|parent| {
            (parent.size_pages, parent.text_pages) == (statm.size_pages, statm.text_pages)
        });
        is_alike && self.status_field(entry.parent, b"State:\t").is_some_and(|state| state.starts_with(b"D"))
    }

    fn parent_of(&mut self, pid: u32) -> Option<u32> {
        let (parent, _) = decimal::leading(self.status_field(pid, b"PPid:\t")?)?;
        u32::try_from(parent).ok()
    }

    fn status_field(&mut self, pid: u32, key: &[u8]) -> Option<&[u8]> {
        if !self.job.proc.read_into(ProcPath::of(pid, "status"), &mut self.text) {
            return None;
        }
        self.text.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(key))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        os::unix::process::ExitStatusExt as _,
        process::{Child, Command},
    };

    use super::*;

    /// Starts a shell that waits.
    fn job(script: &str) -> (Child, GuardedJob) {
        let child = Command::new("sh").args(["-c", script]).spawn().unwrap();
        let pid = Pid::from_raw(child.id().try_into().unwrap()).unwrap();
        let job = GuardedJob {
            proc: ProcDir::of_this_machine(),
            root: child.id(),
            root_pidfd: pidfd_open(pid, PidfdFlags::empty()).unwrap(),
            foreign_children: None,
            group_stat: None,
        };
        (child, job)
    }

    fn judge(job: GuardedJob, limits: Limits) -> Judge {
        let descendants = Descendants::new(&job.proc);
        Judge { job, limits, descendants, asked_to_end: None, text: Vec::new() }
    }

    #[test]
    fn a_job_over_its_limit_ends_while_its_follower_waits() {
        for limits in [
            Limits { total_rss_bytes: Some(1), ..Limits::default() },
            Limits { process_rss_bytes: Some(1), ..Limits::default() },
            Limits { memory_bytes: Some(1), ..Limits::default() },
        ] {
            let (mut child, job) = job("exec sleep 1000");
            let guard = LimitGuard::start(&limits, job).unwrap().unwrap();
            guard.at_work();
            assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGKILL), "{limits:?}");
            let Stall { readings, culprit, .. } = guard.take_stall().unwrap();
            assert!(readings.total_rss > 0 && readings.total_rss == readings.largest_rss, "{readings:?}");
            assert_eq!(culprit.unwrap().pid, child.id());
        }
    }

    #[test]
    fn a_limit_that_is_kept_or_only_warns_ends_nothing() {
        let (mut child, job) = job("exec sleep 1000");
        let mut judge = judge(job, Limits { total_rss_bytes: Some(1 << 40), ..Limits::default() });
        assert!(judge.judge().is_none());
        let warns = Limits { total_rss_bytes: Some(1), on_limit: OnLimit::Warn, ..Limits::default() };
        assert!(LimitGuard::start(&warns, judge.job).unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_follower_that_pauses_is_not_stalled() {
        let long_ago = Instant::now().checked_sub(MAX_TIME_AT_WORK);
        let mut state = GuardState { at_work_since: long_ago, ..GuardState::default() };
        assert!(state.is_stalled());
        state.at_work_since = None;
        assert!(!state.is_stalled());
    }

    #[test]
    fn the_tree_of_a_process_has_its_descendants_with_their_parents() {
        let (mut child, job) = job("sleep 1000 & wait");
        let mut judge = judge(job, Limits::default());
        let tree = loop {
            let tree = judge.tree();
            if tree.len() == 2 {
                break tree;
            }
            std::thread::yield_now();
        };
        assert_eq!((tree[0].pid, tree[1].parent), (child.id(), child.id()));
        assert_eq!(judge.parent_of(tree[1].pid), Some(child.id()));
        judge.end_job(true);
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGKILL));
        let left = |pid| std::fs::read_to_string(format!("/proc/{pid}/stat"));
        // Its parent is gone, and init may not have waited for it yet.
        while left(tree[1].pid).is_ok_and(|stat| !stat.contains(") Z ")) {
            std::thread::yield_now();
        }
    }
}
