//! One job on macOS: kqueue reports events, and the kernel keeps the parent of each process.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{
    Wake, launch,
    members::Members,
    queue::{Queue, Woken},
    system::System,
    thread_cpu,
    used::Scale,
};
use crate::{
    Error,
    job::{
        CgroupUse, Job, LineageFrom, Start,
        backend::Backend,
        event_batch::{EventBatch, Polled},
        events::{Event, Reading, TimedEvent},
        identity::MemberId,
        ledger::Origin,
        moment::Moment,
        unix::wait::{self, Ending, Waited},
        used::{Used, UsedBy},
    },
    process::macos::calls,
    record::{Downgrade, Exit, Lineage, Metric, PeaksFrom},
};

mod attach;

/// Shortest pause between two polls: events of forks do not make polls more frequent, as each poll has its cost.
const BETWEEN_LOOKS: Duration = Duration::from_millis(2);
/// Divisor of the time until the next reading of CPU time and I/O: the last one may cost this share of it.
const USAGE_SHARE: u32 = 100;

/// The relation of this process to the first one of the job.
#[derive(Debug)]
enum Root {
    /// It is a child of this process, to be waited for.
    Started(Ending),
    /// It is not a child: kqueue reports its exit.
    Attached,
}

#[derive(Debug)]
pub(crate) struct MacJob {
    root: u32,
    ending: Root,
    members: Members<System>,
    batch: EventBatch,
    downgrades: Vec<Downgrade>,
    looked: Instant,
    /// Time at which the previous poll began.
    before: Duration,
    /// Time at which CPU time and I/O are read next, if they are wanted.
    next_usage: Duration,
}

impl MacJob {
    /// Waits for the command, but only once its final mark has been read: the wait frees the zombie that has it.
    fn wait_for_root(&mut self, at: Duration) {
        let before = std::mem::replace(&mut self.before, at);
        if !matches!(self.ending, Root::Started(Ending::NotYet)) || self.members.holds_unread(self.root) {
            return;
        }
        let ending = wait::try_wait(self.root);
        self.ending = Root::Started(ending);
        if let Ending::Ended(Waited { exit, cpu, .. }) = ending {
            // Its `ru_maxrss` cannot be used: it counts resident pages, and all figures here are footprints.
            let used = Box::new(Used { cpu: Some(cpu), io: None });
            self.batch.push(Moment::between(before, at), Event::Reaped { id: None, used });
            self.members.root_ended(self.root, exit, at, &mut self.batch);
        }
    }

    fn signal_all(&mut self, number: i32) {
        if self.root_lives() {
            self.signal_root(number);
        }
        let root = self.root;
        for pid in self.members.surely_alive().filter(|&pid| pid != root) {
            send(pid, number);
        }
    }

    fn signal_root(&mut self, number: i32) {
        let root = self.root;
        match self.ending {
            // No other process can have its pid before this process has waited for it.
            Root::Started(_) => send(root, number),
            Root::Attached => {
                if self.members.surely_alive().any(|pid| pid == root) {
                    send(root, number);
                }
            }
        }
    }
}

impl Backend for MacJob {
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
            ending: Root::Started(Ending::NotYet),
            members,
            batch,
            downgrades: downgrades(job),
            looked: Instant::now(),
            before: Duration::ZERO,
            next_usage: Duration::ZERO,
        };
        Ok((tree, start.unwrap_or_else(Start::now)))
    }

    fn root(&self) -> u32 {
        self.root
    }

    fn origin(&self) -> Origin {
        Origin {
            metric: Metric::PhysFootprint,
            lineage: Lineage::Kqueue,
            peaks: PeaksFrom::Marks,
            slack_bytes: None,
        }
    }

    fn root_lives(&self) -> bool {
        match self.ending {
            Root::Started(ending) => ending == Ending::NotYet,
            Root::Attached => self.members.holds_root(),
        }
    }

    fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    fn pids_and_ids(&self) -> impl Iterator<Item = (u32, MemberId)> + '_ {
        self.members.pids_and_ids()
    }

    fn poll(&mut self, at: Duration, marks: bool) -> Polled {
        self.looked = Instant::now();
        let told = self.members.kernel.queue.drain();
        let (begin, reads_usage) = (thread_cpu(), at >= self.next_usage);
        self.members.read_usage(reads_usage);
        self.members.look(at, marks, &told, &mut self.batch);
        if reads_usage {
            self.next_usage = at + thread_cpu().saturating_sub(begin) * USAGE_SHARE;
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

    fn readings(&self) -> &[Reading] {
        self.members.readings()
    }

    fn uses(&self) -> &[UsedBy] {
        self.members.uses()
    }

    fn wait(&mut self, pause: Duration, wake: &Wake) -> bool {
        match self.members.kernel.queue.wait(pause, wake.descriptor()) {
            Woken::TimeUp => false,
            Woken::Called => true,
            Woken::EventBatch => {
                thread::sleep(BETWEEN_LOOKS.saturating_sub(self.looked.elapsed()).min(pause));
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
        let told = match self.ending {
            Root::Started(ending) => ending.waited().map(|waited| waited.exit),
            Root::Attached => self.members.root_exit(),
        };
        told.map(|exit| wait::exit(exit, killed, over_limit))
    }

    fn downgrades(&self) -> Vec<Downgrade> {
        let mut downgrades = self.downgrades.clone();
        if let Some(refused) = self.members.refused() {
            downgrades.push(Downgrade {
                wanted: "memory of every process".to_owned(),
                reason: format!(
                    "{refused} of them could not be read: macOS tells the memory of other users' processes to root only"
                ),
            });
        }
        downgrades
    }
}

fn new_queue() -> Result<Queue, Error> {
    Queue::new().map_err(|source| Error::System { doing: "making a queue of events (kqueue)", source })
}

fn made_members(queue: Queue, job: &Job) -> Members<System> {
    Members::new(
        System { queue, leaves_out_arguments: job.leaves_out_arguments },
        Scale { wanted: job.usage, timebase: calls::timebase() },
    )
}

/// Refuses limits on figures that macOS does not have.
fn refuse_limits(job: &Job) -> Result<(), Error> {
    let refused = |why: &str| Err(Error::Limit { why: why.to_owned() });
    if job.limits.cgroup_bytes.is_some() {
        return refused("macOS has no cgroups, nor anything else that bounds what a job holds");
    }
    if job.limits.total_pss_bytes.is_some() {
        return refused("macOS knows no proportional set size (PSS) of a process");
    }
    Ok(())
}

/// Returns the wanted mechanisms that macOS does not have.
fn downgrades(job: &Job) -> Vec<Downgrade> {
    let mut downgrades = vec![Downgrade {
        wanted: "PSS of the whole job".to_owned(),
        reason: "macOS does not divide shared pages among those who share them".to_owned(),
    }];
    let mut missing = |wanted: &str, reason: &str| {
        downgrades.push(Downgrade { wanted: wanted.to_owned(), reason: reason.to_owned() });
    };
    if job.exact {
        missing("peaks read at each process's exec and exit", "macOS has no way to hold a process there");
    }
    if !matches!(job.lineage, LineageFrom::Auto) {
        missing("the lineage that was asked for", "macOS has kqueue alone");
    }
    if job.usage.io {
        missing("bytes through read and write", "macOS counts only what reaches storage");
    }
    if job.cgroup == CgroupUse::Always {
        missing("a cgroup of the job's own", "macOS has none");
    }
    downgrades
}

fn send(pid: u32, number: i32) {
    let Some(pid) = i32::try_from(pid).ok().filter(|&pid| pid > 0) else { return };
    // SAFETY: two numbers. A process may have exited just now, or run as another user by now, which cannot be helped.
    let _ = unsafe { libc::kill(pid, number) };
}
