//! Sweeps on a thread that may be abandoned.
//!
//! Reading a link of `/proc/PID/fd` waits while the process is in an `execve(2)` (`exec_update_lock`, seen on Linux
//! 6.18). That may take any time, and only SIGKILL ends the wait. The text of `fdinfo` may wait for its driver. One
//! thread reads all processes up to one that is late, and another one goes on behind it. The thread is kept for the
//! next sweep: starting one costs as much as reading some processes, and would look like a fork to samples of a job.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc::{Sender, channel},
    },
    time::{Duration, Instant},
};

use rustix::{
    fd::{AsFd, OwnedFd},
    fs::{CWD, Mode, openat},
};

use super::{
    cards::Cards,
    sweep::{self, DIRECTORY, Findings, FoundClients, ReadLink, Walk},
};
use crate::{
    Roots, Unavailable,
    gpu::{Gap, GpuQuerySource, Listing, backend::PidFilter},
    process::{
        self,
        linux::abandonable::{
            Abandonable, AbandonableEnd, MANY_LATE_THREADS, MAX_LATE_THREADS, MAX_SLOW_TIME, slow_time,
        },
    },
    thread_with_signals_blocked,
};

/// The time that one read may take. Each abandoned thread halves it.
const READ_TIMEOUT: Duration = Duration::from_secs(1);
/// Divisor for the least such time, before many threads were abandoned or slow processes have taken too long.
const LEAST_TIMEOUT_DIVISOR: u32 = 10;
/// The time that one read may take after that.
const LAST_TIMEOUT: Duration = Duration::from_millis(10);
/// The thread's stack, which holds the buffers of a walk.
const SWEEP_STACK_BYTES: usize = 192 << 10;
/// The most pids that a gap names.
const MAX_NAMED_PIDS: usize = 16;

/// A reader of the clients of processes, which remembers processes that have not answered yet.
#[derive(Debug)]
pub(super) struct Sweeper {
    read_link: ReadLink,
    patience: Duration,
    most_slow: Duration,
    /// The thread that waits for a sweep.
    thread: Option<Sender<Arc<Sweep>>>,
    late: Vec<LateSweptProcess>,
}

impl Default for Sweeper {
    fn default() -> Self {
        Self {
            read_link: sweep::read_link,
            patience: READ_TIMEOUT,
            most_slow: MAX_SLOW_TIME,
            thread: None,
            late: Vec::new(),
        }
    }
}

/// A process that an abandoned thread waits for. Its pid is not given to another one meanwhile.
#[derive(Debug)]
struct LateSweptProcess {
    pid: u32,
    sweep: Arc<Sweep>,
}

/// The processes of a sweep.
#[derive(Debug)]
struct AskedSweep {
    proc: OwnedFd,
    cards: Arc<Cards>,
    pids: Vec<u32>,
    read_link: ReadLink,
}

/// The part of a sweep that one thread does.
#[derive(Debug)]
struct Sweep {
    asked: Arc<AskedSweep>,
    progress: Abandonable<SweepProgress>,
    /// The number of reads that were begun.
    reads: AtomicU64,
}

#[derive(Debug)]
struct SweepProgress {
    /// The number of pids that are done.
    done: usize,
    findings: Findings,
    /// The time that slow processes took.
    slow: Duration,
    /// When the present process was begun.
    since: Instant,
    state: SweepState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SweepState {
    Walking,
    Abandoned,
    Ended,
}

impl Sweeper {
    /// Finds the clients of the processes asked for, and adds to `listing` the pids that could not be read.
    pub(super) fn sweep(
        &mut self,
        roots: &Roots,
        cards: &Arc<Cards>,
        whose: PidFilter<'_>,
        listing: &mut Listing,
    ) -> Vec<FoundClients> {
        let shown = roots.proc.to_string_lossy();
        let proc = match openat(CWD, &roots.proc, DIRECTORY, Mode::empty()) {
            Ok(proc) => proc,
            Err(errno) => {
                listing.gaps.push(sweep::gap(&shown, errno));
                return Vec::new();
            }
        };
        let mut pids = match whose {
            PidFilter::Of(pids) => pids.iter().copied().collect(),
            PidFilter::All => {
                let (pids, end) = sweep::all_pids(&proc);
                if let Err(errno) = end {
                    listing.gaps.push(sweep::gap(&shown, errno));
                }
                if !pids.contains(&1) {
                    // Every pid namespace has a process 1, as long as it lives.
                    let what = "processes of other users (hidepid)";
                    listing.gaps.push(Gap::of_source(
                        GpuQuerySource::Drm,
                        what,
                        Unavailable::PermissionDenied,
                    ));
                }
                pids
            }
        };
        self.late.retain(|late| !late.sweep.has_ended());
        let mut unanswered = Vec::new();
        pids.retain(|&pid| {
            let is_late = self.late.iter().any(|late| late.pid == pid);
            if is_late {
                unanswered.push(pid);
            }
            !is_late
        });
        let asked = Arc::new(AskedSweep { proc, cards: Arc::clone(cards), pids, read_link: self.read_link });
        // The calling process is in no exec.
        let (findings, unread) = if whose.is_only(process::own_pid(roots)) {
            let sweep = Arc::new(Sweep::of(&asked, 0, Findings::default(), Duration::ZERO));
            sweep.walk();
            (sweep.take_findings(), &[][..])
        } else {
            self.walk(&asked, &mut unanswered)
        };
        listing.gaps.extend(gap_of(unanswered, "it did not answer in time", "they did not answer in time"));
        let why = "too many other processes did not answer in time";
        listing.gaps.extend(gap_of(unread.to_vec(), why, why));
        findings.report(listing)
    }

    /// Lets threads walk over all processes. Returns the findings and the processes that were not read, since too many
    /// others are late. Late ones are added to `unanswered`.
    fn walk<'a>(&mut self, asked: &'a Arc<AskedSweep>, unanswered: &mut Vec<u32>) -> (Findings, &'a [u32]) {
        let (mut findings, mut slow, mut begin) = (Findings::default(), Duration::ZERO, 0);
        while let Some(rest) = asked.pids.get(begin..).filter(|rest| !rest.is_empty()) {
            if self.late.len() >= MAX_LATE_THREADS {
                return (findings, rest);
            }
            let sweep = Arc::new(Sweep::of(asked, begin, findings, slow));
            if self.hand_over(&sweep) {
                let is_late = sweep.wait(self.patience(), self.most_slow) == AbandonableEnd::Late;
                let done = sweep.progress.lock().done;
                slow = sweep.progress.lock().slow;
                begin = done;
                // After a panic of the thread there is such a process, too.
                if let Some(&pid) = asked.pids.get(done) {
                    begin += 1;
                    unanswered.push(pid);
                    self.thread = None;
                    if is_late {
                        self.late.push(LateSweptProcess { pid, sweep: Arc::clone(&sweep) });
                    }
                }
            } else {
                // A user without a free thread (`RLIMIT_NPROC`) still gets a list. It waits for locked processes.
                sweep.walk();
                begin = asked.pids.len();
            }
            findings = sweep.take_findings();
        }
        (findings, &[])
    }

    /// Returns the time that one read may take now.
    fn patience(&self) -> Duration {
        let least = self.patience / LEAST_TIMEOUT_DIVISOR;
        if self.late.len() >= MANY_LATE_THREADS {
            return least.min(LAST_TIMEOUT);
        }
        self.late.iter().fold(self.patience, |patience, _| patience / 2).max(least)
    }

    /// Gives a sweep to the waiting thread, or to a new one. Returns `false` if none can be started.
    fn hand_over(&mut self, sweep: &Arc<Sweep>) -> bool {
        if self.thread.as_ref().is_some_and(|thread| thread.send(Arc::clone(sweep)).is_ok()) {
            return true;
        }
        let (sender, sweeps) = channel::<Arc<Sweep>>();
        let started = thread_with_signals_blocked::start("hw-drm", SWEEP_STACK_BYTES, move || {
            for sweep in sweeps {
                let end = EndOfSweep(sweep);
                end.0.progress.begin();
                end.0.walk();
            }
        });
        self.thread = started.ok().map(|_| sender);
        self.thread.as_ref().is_some_and(|thread| thread.send(Arc::clone(sweep)).is_ok())
    }
}

impl Sweep {
    /// Makes the part from position `begin` on. It goes on with `findings` and the time of `slow` processes.
    fn of(asked: &Arc<AskedSweep>, begin: usize, findings: Findings, slow: Duration) -> Self {
        let progress =
            SweepProgress { done: begin, findings, slow, since: Instant::now(), state: SweepState::Walking };
        Self { asked: Arc::clone(asked), progress: Abandonable::new(progress), reads: AtomicU64::new(0) }
    }

    /// Reads the processes one after the other, until the sweep is abandoned.
    fn walk(&self) {
        let begin = self.progress.lock().done;
        let mut walk = Walk::new(&self.asked.cards, self.asked.read_link, &self.reads);
        for &pid in &self.asked.pids[begin..] {
            walk.process(self.asked.proc.as_fd(), pid);
            if !self.note(&mut walk.findings) {
                break;
            }
        }
    }

    /// Stores the findings of one process. Returns whether the thread is to go on.
    fn note(&self, findings: &mut Findings) -> bool {
        let now = Instant::now();
        let mut progress = self.progress.lock();
        if progress.state == SweepState::Abandoned {
            return false;
        }
        progress.findings.take(findings);
        progress.done += 1;
        let took = now.saturating_duration_since(progress.since);
        progress.slow += slow_time(took);
        progress.since = now;
        true
    }

    /// Waits until the sweep has ended, or a process is late. The sweep is abandoned then.
    fn wait(&self, patience: Duration, most_slow: Duration) -> AbandonableEnd {
        let position = |progress: &SweepProgress| {
            (progress.state != SweepState::Ended).then(|| (progress.done, self.reads.load(Relaxed)))
        };
        let (mut progress, end) = self.progress.wait(position, |progress| {
            let is_slow = progress.slow + slow_time(progress.since.elapsed()) >= most_slow;
            if is_slow { patience.min(LAST_TIMEOUT) } else { patience }
        });
        if end == AbandonableEnd::Late {
            progress.state = SweepState::Abandoned;
        }
        end
    }

    fn has_ended(&self) -> bool {
        self.progress.lock().state == SweepState::Ended
    }

    fn take_findings(&self) -> Findings {
        std::mem::take(&mut self.progress.lock().findings)
    }
}

/// Announces the end of a sweep when it is dropped, after a panic too.
struct EndOfSweep(Arc<Sweep>);

impl Drop for EndOfSweep {
    fn drop(&mut self) {
        self.0.progress.lock().state = SweepState::Ended;
        self.0.progress.notify();
    }
}

/// Returns the gap of processes that were not read, if there are any.
fn gap_of(mut pids: Vec<u32>, why_one: &str, why_many: &str) -> Option<Gap> {
    pids.sort_unstable();
    let named: Vec<String> = pids.iter().take(MAX_NAMED_PIDS).map(ToString::to_string).collect();
    let (word, why) = match pids.len() {
        0 => return None,
        1 => ("pid", why_one),
        _ => ("pids", why_many),
    };
    let more = match pids.len().saturating_sub(MAX_NAMED_PIDS) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let what = format!("{word} {}{more}", named.join(", "));
    Some(Gap::of_source(GpuQuerySource::Drm, what, Unavailable::Failed(why.to_owned())))
}

#[cfg(test)]
mod tests;
