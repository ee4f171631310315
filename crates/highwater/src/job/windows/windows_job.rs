//! One job on Windows: a Job Object, or the family of a process that was attached to.

use std::{
    os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle},
    process::Child,
    time::{Duration, Instant},
};

use windows_sys::Win32::System::Threading::{OpenProcess, PROCESS_TERMINATE, TerminateProcess};

use super::{
    Wake,
    attach::Family,
    launch::launch,
    members::{WindowsMembers, wall_clock},
    object::{JobObject, KILLED_EXIT_CODE},
    port::PortMessage,
};
use crate::{
    Error,
    job::{
        Job, Start,
        backend::JobBackend,
        event_batch::{EventBatch, Polled},
        events::{JobEvent, MemoryReading, TimedEvent},
        identity::MemberId,
        ledger::{FigureOrigin, KernelTotals},
        moment::Moment,
        resource_use::UsedBy,
    },
    record::{Certainty, Downgrade, Exit, ExitCause, Lineage, Metric, PeakFigure, PeaksFrom},
};

/// Numbers of signals that mean an end, as in the C runtime.
const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;

/// The way in which the processes of the job are known.
#[derive(Debug)]
enum ProcessSet {
    Job {
        /// Handle of the command: no other process gets its pid while it is open.
        root: Child,
        object: JobObject,
    },
    /// The job of an attached process.
    Family(Box<Family>),
}

#[derive(Debug)]
pub(crate) struct WindowsJob {
    processes: ProcessSet,
    wake: Wake,
    members: WindowsMembers,
    batch: EventBatch,
    clock: Instant,
    commit_is_limited: bool,
    kill_on_caller_exit: bool,
    downgrades: Vec<Downgrade>,
}

impl WindowsJob {
    fn attach(job: &Job, pid: u32, wake: Wake) -> Result<(Self, Start), Error> {
        if job.limits.cgroup_bytes.is_some() {
            return Err(Error::Limit {
                reason:
                    "only a Job Object limits committed memory, and a running process cannot be put into one"
                        .to_owned(),
            });
        }
        let (family, members, batch, start) = Family::attach(pid, job.usage, &wake)?;
        let tree = Self {
            processes: ProcessSet::Family(Box::new(family)),
            wake,
            members,
            batch,
            clock: start.clock,
            commit_is_limited: false,
            kill_on_caller_exit: false,
            downgrades: Vec::new(),
        };
        Ok((tree, start))
    }
}

impl JobBackend for WindowsJob {
    fn start(job: &Job) -> Result<(Self, Start), Error> {
        if job.limits.memory_bytes.or(job.limits.total_pss_bytes).is_some() {
            return Err(Error::Limit {
                reason: "Windows counts shared memory in each process; use the limit on the total".to_owned(),
            });
        }
        let wake = job.control.wake().clone();
        let port = wake.raw().ok_or_else(|| Error::System {
            doing: "creating a completion port",
            source: std::io::Error::other("none was to be had"),
        })?;
        if let Some(pid) = job.attach {
            return Self::attach(job, pid, wake);
        }
        let object = JobObject::new(port, job.limits.cgroup_bytes, job.kill_on_caller_exit)?;
        let mut start = None;
        let root = launch(job, &object, || start = Some((Start::now(), wall_clock())))?;
        let (start, epoch) = start.unwrap_or_else(|| (Start::now(), wall_clock()));
        let mut members = WindowsMembers::new(root.id(), epoch, job.usage);
        let mut batch = EventBatch::default();
        members.add_if_new(root.id(), &object, Duration::ZERO, &mut batch);
        let tree = Self {
            processes: ProcessSet::Job { root, object },
            wake,
            members,
            batch,
            clock: start.clock,
            commit_is_limited: job.limits.cgroup_bytes.is_some(),
            kill_on_caller_exit: job.kill_on_caller_exit,
            downgrades: Vec::new(),
        };
        Ok((tree, start))
    }

    fn root(&self) -> u32 {
        match &self.processes {
            ProcessSet::Job { root, .. } => root.id(),
            ProcessSet::Family(family) => family.root(),
        }
    }

    fn origin(&self) -> FigureOrigin {
        let lineage = match self.processes {
            ProcessSet::Job { .. } => Lineage::JobObject,
            ProcessSet::Family(_) => Lineage::Scan,
        };
        FigureOrigin { metric: Metric::WorkingSet, lineage, peaks: PeaksFrom::AfterEnd, slack_bytes: None }
    }

    fn root_lives(&self) -> bool {
        self.members.root_lives()
    }

    fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    fn pids_and_ids(&self) -> impl Iterator<Item = (u32, MemberId)> + '_ {
        self.members.pids_and_ids()
    }

    /// Polls the job; the marks come with each reading.
    fn poll(&mut self, at: Duration, _: bool) -> Polled {
        match &mut self.processes {
            ProcessSet::Job { object, .. } => self.members.poll(at, &self.wake, object, &mut self.batch),
            ProcessSet::Family(family) => {
                family.find(&mut self.members, at, &mut self.batch);
                self.members.read_all(at, &mut self.batch)
            }
        }
    }

    /// Returns whether the Job Object has counted more starts than it reported.
    fn expects_events(&self) -> bool {
        self.members.unreported() > 0
    }

    fn last_poll(&mut self, at: Duration) {
        self.poll(at, true);
        if let ProcessSet::Job { object, .. } = &self.processes
            && let Some(account) = object.account()
        {
            let event = JobEvent::UsedByJob { used: Box::new(account.used), is_final: account.now == 0 };
            self.batch.push(Moment::exactly(at), event);
        }
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

    /// Waits, and takes in messages as they come: a new process has to be opened before it is gone.
    fn wait(&mut self, pause: Duration, wake: &Wake) -> bool {
        let until = Instant::now() + pause;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let Some(message) = wake.next(left) else { return false };
            let awaited = match &self.processes {
                ProcessSet::Job { object, .. } => {
                    self.members.apply(message, object, self.clock.elapsed(), &mut self.batch)
                }
                // A wake-up at its exit, or an order.
                ProcessSet::Family(_) => true,
            };
            if awaited || message == PortMessage::WakeUp {
                return true;
            }
        }
    }

    /// Ends the command or the job. There are no signals, but those that mean an end have the same effect.
    fn signal(&mut self, number: i32) {
        if !matches!(number, SIGKILL | SIGTERM) {
            return;
        }
        match &mut self.processes {
            // It may have exited just now.
            ProcessSet::Job { root, .. } if self.members.root_lives() => drop(root.kill()),
            ProcessSet::Family(family) if self.members.root_lives() => end_process(family.root()),
            _ => self.kill(),
        }
    }

    /// Ends the job at once, as programs without a window cannot be asked.
    fn terminate(&mut self) {
        self.kill();
    }

    fn kill(&mut self) {
        match &mut self.processes {
            ProcessSet::Job { object, .. } => object.terminate(),
            ProcessSet::Family(family) => {
                family.find(&mut self.members, self.clock.elapsed(), &mut self.batch);
                // The first is ended first, so that it cannot start others again.
                self.members.pids_and_ids().for_each(|(pid, _)| end_process(pid));
            }
        }
    }

    fn kernel_enforced(&self) -> bool {
        self.members.was_over_limit
    }

    fn exit(&self, killed: bool, over_limit: bool) -> Option<Exit> {
        self.members.root_exit().map(|code| Exit {
            code: Some(code.cast_signed()),
            signal: None,
            signal_name: None,
            cause: match (over_limit, killed) {
                (true, _) => ExitCause::Limit,
                (false, true) => ExitCause::Killed,
                (false, false) => ExitCause::Exited,
            },
        })
    }

    fn downgrades(&self) -> Vec<Downgrade> {
        let mut downgrades = self.downgrades.clone();
        if let ProcessSet::Family(family) = &self.processes {
            downgrades.extend(family.downgrades());
        }
        downgrades
    }

    fn lost(&self) -> u64 {
        self.members.unreported().into()
    }

    /// Returns whether every start was reported. In an attached family processes between two polls are not.
    fn all_reported(&self) -> bool {
        matches!(self.processes, ProcessSet::Job { .. }) && self.members.unreported() == 0
    }

    /// Lets survivors live on, without a limit.
    fn end(&mut self) -> KernelTotals {
        let ProcessSet::Job { object, .. } = &self.processes else { return KernelTotals::default() };
        if self.commit_is_limited {
            // This process was allowed to set it, so it is allowed to remove it.
            let _ = object.limit(None, self.kill_on_caller_exit);
        }
        let commit = object.peak_commit();
        if commit.is_none() {
            self.downgrades.push(Downgrade {
                wanted: "the kernel's own peak of the job's committed memory".to_owned(),
                reason: "the Job Objects of this system do not keep it".to_owned(),
            });
        }
        let exact = |bytes| PeakFigure { bytes, certainty: Certainty::Exact, at_seconds: None };
        KernelTotals { commit: commit.map(exact), ..KernelTotals::default() }
    }
}

/// Ends a process whose handle is open, so that no other has its pid. It may have exited by now, or be protected.
fn end_process(pid: u32) {
    // SAFETY: no pointers; the new handle belongs to this code alone.
    let process = unsafe { OpenProcess(PROCESS_TERMINATE, 0, pid) };
    if !process.is_null() {
        // SAFETY: see above.
        let process = unsafe { OwnedHandle::from_raw_handle(process) };
        // SAFETY: a live handle that may be used for this.
        unsafe { TerminateProcess(process.as_raw_handle(), KILLED_EXIT_CODE) };
    }
}
