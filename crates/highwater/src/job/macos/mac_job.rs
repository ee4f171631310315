//! One job on macOS: kqueue reports events, and the kernel keeps the parent of each process.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{
    Wake, launch,
    members::MacMembers,
    queue::{Queue, QueueWaitEnd},
    system::System,
    thread_cpu,
    used::Scale,
};
use crate::{
    Error,
    job::{
        CgroupUse, Job, LineageFrom, Start,
        backend::JobBackend,
        event_batch::{EventBatch, Polled},
        events::{JobEvent, MemoryReading, TimedEvent},
        identity::MemberId,
        ledger::FigureOrigin,
        moment::Moment,
        resource_use::{ResourceUse, UsedBy},
        unix::wait::{self, WaitResult, Waited},
    },
    process::macos::calls,
    record::{Downgrade, Exit, Lineage, Metric, PeaksFrom},
};

mod attach;

/// Shortest pause between two polls: events of forks do not make polls more frequent, as each poll has its cost.
const MIN_TIME_BETWEEN_POLLS: Duration = Duration::from_millis(2);
/// Divisor of the time until the next reading of CPU time and I/O: the last one may cost this share of it.
const USAGE_COST_DIVISOR: u32 = 100;

/// The relation of this process to the first one of the job.
#[derive(Debug)]
enum RootChild {
    /// It is a child of this process, to be waited for.
    Started(WaitResult),
    /// It is not a child: kqueue reports its exit.
    Attached,
}

#[derive(Debug)]
pub(crate) struct MacJob {
    root: u32,
    ending: RootChild,
    members: MacMembers<System>,
    batch: EventBatch,
    downgrades: Vec<Downgrade>,
    polled_at: Instant,
    /// Time at which the previous poll began.
    before: Duration,
    /// Time at which CPU time and I/O are read next, if they are wanted.
    next_usage: Duration,
}

impl MacJob {
    /// Waits for the command, but only once its final mark has been read: the wait frees the zombie that has it.
    fn wait_for_root(&mut self, at: Duration) {
        let before = std::mem::replace(&mut self.before, at);
        if !matches!(self.ending, RootChild::Started(WaitResult::NotYet))
            || self.members.has_unread_mark(self.root)
        {
            return;
        }
        let ending = wait::try_wait(self.root);
        self.ending = RootChild::Started(ending);
        if let WaitResult::Ended(Waited { exit, cpu, .. }) = ending {
            // Its `ru_maxrss` cannot be used: it counts resident pages, and all figures here are footprints.
            let used = Box::new(ResourceUse { cpu: Some(cpu), io: None });
            self.batch.push(Moment::between(before, at), JobEvent::Reaped { id: None, used });
            self.members.root_ended(self.root, exit, at, &mut self.batch);
        }
    }

    fn signal_all(&mut self, number: i32) {
        if self.root_lives() {
            self.signal_root(number);
        }
        let root = self.root;
        for pid in self.members.verified_pids().filter(|&pid| pid != root) {
            send(pid, number);
        }
    }

    fn signal_root(&mut self, number: i32) {
        let root = self.root;
        match self.ending {
            // No other process can have its pid before this process has waited for it.
            RootChild::Started(_) => send(root, number),
            RootChild::Attached => {
                if self.members.verified_pids().any(|pid| pid == root) {
                    send(root, number);
                }
            }
        }
    }
}

impl JobBackend for MacJob {
    fn start(job: &Job) -> Result<(Self, Start), Error> {
        if let Some(pid) = job.attach {
            return attach::attach(job, pid);
        }
        refuse_limits(job)?;
        let mut members = made_members(new_queue()?, job);
        let mut batch = EventBatch::default();
        let mut start = None;
        let root = launch::launch(job, |pid| {
            // The job's time begins when it may run; its first fork may come at once.
            start = Some(Start::now());
            members.start(pid, std::process::id(), &mut batch);
        })?;
        let tree = Self {
            root,
            ending: RootChild::Started(WaitResult::NotYet),
            members,
            batch,
            downgrades: downgrades(job),
            polled_at: Instant::now(),
            before: Duration::ZERO,
            next_usage: Duration::ZERO,
        };
        Ok((tree, start.unwrap_or_else(Start::now)))
    }

    fn root(&self) -> u32 {
        self.root
    }

    fn origin(&self) -> FigureOrigin {
        FigureOrigin {
            metric: Metric::PhysFootprint,
            lineage: Lineage::Kqueue,
            peaks: PeaksFrom::Marks,
            slack_bytes: None,
        }
    }

    fn root_lives(&self) -> bool {
        match self.ending {
            RootChild::Started(ending) => ending == WaitResult::NotYet,
            RootChild::Attached => self.members.has_root(),
        }
    }

    fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    fn pids_and_ids(&self) -> impl Iterator<Item = (u32, MemberId)> + '_ {
        self.members.pids_and_ids()
    }

    fn poll(&mut self, at: Duration, marks: bool) -> Polled {
        self.polled_at = Instant::now();
        let reports = self.members.kernel.queue.drain();
        let (begin, reads_usage) = (thread_cpu(), at >= self.next_usage);
        self.members.read_usage(reads_usage);
        self.members.poll(at, marks, &reports, &mut self.batch);
        if reads_usage {
            self.next_usage = at + thread_cpu().saturating_sub(begin) * USAGE_COST_DIVISOR;
        }
        self.wait_for_root(at);
        Polled { changes: self.batch.changes, marks: true }
    }

    fn expects_events(&self) -> bool {
        self.members.expects_events()
    }

    fn last_poll(&mut self, at: Duration) {
        self.next_usage = Duration::ZERO;
        self.poll(at, true);
    }

    fn take_events(&mut self) -> impl Iterator<Item = TimedEvent> + '_ {
        self.batch.drain()
    }

    fn readings(&self) -> &[MemoryReading] {
        self.members.readings()
    }

    fn uses(&self) -> &[UsedBy] {
        self.members.uses()
    }

    fn wait(&mut self, pause: Duration, wake: &Wake) -> bool {
        match self.members.kernel.queue.wait(pause, wake.descriptor()) {
            QueueWaitEnd::TimeUp => false,
            QueueWaitEnd::Called => true,
            QueueWaitEnd::Events => {
                thread::sleep(MIN_TIME_BETWEEN_POLLS.saturating_sub(self.polled_at.elapsed()).min(pause));
                true
            }
        }
    }

    fn signal(&mut self, number: i32) {
        if self.root_lives() {
            self.signal_root(number);
        } else {
            self.signal_all(number);
        }
    }

    fn terminate(&mut self) {
        self.signal_all(libc::SIGTERM);
    }

    fn kill(&mut self) {
        self.signal_all(libc::SIGKILL);
    }

    fn exit(&self, killed: bool, over_limit: bool) -> Option<Exit> {
        let reports = match self.ending {
            RootChild::Started(ending) => ending.waited().map(|waited| waited.exit),
            RootChild::Attached => self.members.root_exit(),
        };
        reports.map(|exit| wait::exit(exit, killed, over_limit))
    }

    fn downgrades(&self) -> Vec<Downgrade> {
        let mut downgrades = self.downgrades.clone();
        if let Some(refused) = self.members.refused() {
            downgrades.push(Downgrade {
                wanted: "memory of every process".to_owned(),
                reason: format!(
                    "{refused} of them could not be read: on macOS only root can read other users' processes"
                ),
            });
        }
        downgrades
    }
}

fn new_queue() -> Result<Queue, Error> {
    Queue::new().map_err(|source| Error::System { doing: "making a queue of events (kqueue)", source })
}

fn made_members(queue: Queue, job: &Job) -> MacMembers<System> {
    MacMembers::new(
        System { queue, leaves_out_arguments: job.leaves_out_arguments },
        Scale { wanted: job.usage, timebase: calls::timebase() },
    )
}

/// Refuses limits on figures that macOS does not have.
fn refuse_limits(job: &Job) -> Result<(), Error> {
    let refused = |why: &str| Err(Error::Limit { reason: why.to_owned() });
    if job.limits.cgroup_bytes.is_some() {
        return refused("macOS has neither cgroups nor another limit on a job's memory");
    }
    if job.limits.memory_bytes.or(job.limits.total_pss_bytes).is_some() {
        return refused("macOS counts shared memory in each process; use the limit on the total");
    }
    Ok(())
}

/// Returns the wanted mechanisms that macOS does not have.
fn downgrades(job: &Job) -> Vec<Downgrade> {
    let mut downgrades = vec![Downgrade {
        wanted: "PSS of the whole job".to_owned(),
        reason: "macOS does not divide shared pages among their processes".to_owned(),
    }];
    let mut missing = |wanted: &str, reason: &str| {
        downgrades.push(Downgrade { wanted: wanted.to_owned(), reason: reason.to_owned() });
    };
    if job.exact {
        missing("peaks read at each process's exec and exit", "macOS cannot hold a process there");
    }
    if !matches!(job.lineage, LineageFrom::Auto) {
        missing("the lineage that was asked for", "macOS has only kqueue");
    }
    if job.usage.io {
        missing("bytes through read and write", "macOS counts only what reaches storage");
    }
    if job.cgroup == CgroupUse::Always {
        missing("a cgroup of the job's own", "macOS has no cgroups");
    }
    downgrades
}

fn send(pid: u32, number: i32) {
    let Some(pid) = i32::try_from(pid).ok().filter(|&pid| pid > 0) else { return };
    // SAFETY: two numbers. A process may have exited just now, or run as another user by now, which cannot be helped.
    let _ = unsafe { libc::kill(pid, number) };
}
