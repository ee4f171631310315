//! Signals to the job's processes, and ending those who fork faster than they can be looked at: who is seen has forked and
//! gone when a signal for it is sent.
//!
//! Each orphan of the job falls to us (`subreaper.rs`). So a process that forks and exits leaves its child among our own
//! children, and so does each one that we kill. A process with a SIGKILL forks no more (`copy_process`, kernel/fork.c, asks
//! `fatal_signal_pending` under the lock that sending it takes), so killing our children until no new one appears ends
//! all of the job, whatever its tree. One sweep has a bound; others follow until one finds nobody. On few processors this
//! takes the privilege to run before all those others; without it they may come to their own end first.

use std::{
    collections::HashSet,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{
    Pid, PidfdFlags, Signal, getpriority_process, kill_process, pidfd_open, pidfd_send_signal,
    setpriority_process,
};

use super::{descendants::read_stat, members::Members, thread_cpu};
use crate::{
    job::{
        events::{Event, Moment},
        news::News,
        unix::wait::{self, Waited},
        used::Used,
    },
    process::linux::stat::Stat,
};

/// So often in a row nobody new must be seen: who was killed leaves its children to us only when it has ended.
const QUIET: u32 = 8;
/// Between two looks that show nobody new.
const PAUSE: Duration = Duration::from_micros(100);
/// Those alive are the newest, which are last in the list. Before them thousands may stand that have ended and were not
/// waited for yet.
const NEWEST: usize = 256;
/// The most that one sweep takes, of processor time and by the clock; another one comes after the next look.
const MOST_CPU: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_millis(500);

impl Members {
    /// Sends `signal` to every member but the command itself, each made sure of by its start time, or by its parent.
    pub(super) fn signal_descendants(&mut self, signal: Signal) {
        for member in self.list.iter().filter(|member| member.pid != self.root) {
            let Some(pid) = i32::try_from(member.pid).ok().and_then(Pid::from_raw) else {
                continue;
            };
            let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else {
                continue;
            };
            // The pidfd holds whoever has the pid now; the start time says whether that is our member.
            let (by_pid, own_pid) = (&self.by_pid, self.own_pid);
            let is_member = |stat: Stat| match member.start_ticks {
                Some(ticks) => stat.start_ticks == ticks,
                // Told of and not read yet.
                None => stat.ppid == own_pid || by_pid.contains_key(&stat.ppid),
            };
            if read_stat(&self.roots, member.pid, &mut self.text).is_some_and(is_member) {
                // Gone meanwhile, or not ours to signal (setuid): nothing more can be done.
                let _ = pidfd_send_signal(&pidfd, signal);
            }
        }
    }

    /// Where the tree is to be killed, does so before a look goes on that has begun already: it may take long, and meanwhile
    /// the job forks on. Half of the time is left to the look.
    pub(super) fn hurry(&mut self, news: &mut News) {
        if (self.is_ending || self.control.is_killed())
            && self.next_sweep.is_none_or(|due| Instant::now() >= due)
        {
            self.sweep(news);
        }
    }

    /// Kills all orphans of the job, and their descendants as they fall to us in turn. Only where all our children are the
    /// job's. Whether there was anybody.
    pub(super) fn sweep(&mut self, news: &mut News) -> bool {
        if !self.sole_owner {
            return false;
        }
        self.is_ending = true;
        let mut anybody = false;
        let _first = First::among_equals();
        let (began, cpu) = (Instant::now(), thread_cpu());
        let (mut killed, mut found, mut quiet) = (HashSet::new(), Vec::new(), 0);
        while quiet < QUIET && began.elapsed() < LONGEST && thread_cpu().saturating_sub(cpu) < MOST_CPU {
            self.descendants.begin();
            self.descendants.children(self.own_pid, &mut found);
            found.retain(|pid| !self.not_ours.contains(pid));
            let reach = if quiet == 0 { NEWEST } else { usize::MAX };
            quiet += 1;
            // Their pids are their own until we wait for them.
            for &pid in found.iter().rev().take(reach) {
                if killed.insert(pid) {
                    (quiet, anybody) = (0, true);
                    kill(pid);
                }
            }
            for pid in found.drain(..).take(NEWEST) {
                if self.bury_unknown(pid, news) {
                    killed.remove(&pid);
                }
            }
            if quiet > 0 {
                thread::sleep(PAUSE);
            }
        }
        self.next_sweep = Some(Instant::now() + began.elapsed());
        anybody
    }

    /// Waits for a child that has ended before it was seen: the longer the list of our children, the longer a look at it.
    fn bury_unknown(&mut self, pid: u32, news: &mut News) -> bool {
        if self.by_pid.contains_key(&pid) || self.to_wait.iter().any(|ended| ended.pid == pid) {
            return false;
        }
        if self.told.is_listening() {
            // Its birth and its end are told soon, and what it used belongs to them.
            let Some(waited) = wait::try_wait(pid).waited() else { return false };
            self.waited_early.entry(pid).or_default().push_back(waited);
            return true;
        }
        let moment = Moment::exactly(self.told.now());
        let Some(waited) = self.reap_unknown(pid, None, moment, news).waited() else {
            return false;
        };
        if self.zombies.remove(&pid).is_none() {
            news.push(moment, Event::SeenDead);
        }
        self.note_max(waited.max_rss_bytes, moment, news);
        true
    }
}

impl Members {
    /// What was waited for early, once its end is told.
    pub(super) fn waited_early(&mut self, pid: u32) -> Option<Waited> {
        let queue = self.waited_early.get_mut(&pid)?;
        let waited = queue.pop_front();
        if queue.is_empty() {
            self.waited_early.remove(&pid);
        }
        waited
    }

    /// At the end: what was waited for early, and no end of it was told.
    pub(super) fn tell_of_the_untold(&mut self, news: &mut News) {
        let moment = Moment::exactly(self.at);
        for waited in std::mem::take(&mut self.waited_early).into_values().flatten() {
            let used = Box::new(Used { cpu: Some(waited.cpu), io: None });
            news.push(moment, Event::Reaped { id: None, used });
            self.note_max(waited.max_rss_bytes, moment, news);
        }
    }
}

fn kill(pid: u32) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // Not ours to signal (setuid): nothing more can be done.
        let _ = kill_process(pid, Signal::KILL);
    }
}

/// While it lives this thread runs before those that it is to end, if it may (`CAP_SYS_NICE`, setpriority(2)): they are
/// many, and it would get one share among theirs.
struct First {
    before: Option<i32>,
}

impl First {
    fn among_equals() -> Self {
        let before = getpriority_process(None).ok();
        let raised = before.is_some() && setpriority_process(None, -20).is_ok();
        Self { before: before.filter(|_| raised) }
    }
}

impl Drop for First {
    fn drop(&mut self) {
        if let Some(before) = self.before {
            // Going back is never refused.
            let _ = setpriority_process(None, before);
        }
    }
}
