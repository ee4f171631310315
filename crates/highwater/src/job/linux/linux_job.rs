//! One job on Linux: observed through `/proc`, kernel events and holds; waited for and ended by pidfds.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    thread,
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};

use super::{
    clock::monotonic,
    event_queue::{EventFeed as _, Round},
    event_sources::{EventSources, WantedSources},
    launch::{self, Child, Command},
    observation::Observation,
    pss::PssPasses,
    sampler::SampleDepth,
    shortage::Shortage,
    subreaper::Subreaper,
    wake::Wake,
};
use crate::{
    Error, Roots,
    bounded::{self, MAX_PROCESS_FILE_BYTES},
    job::{
        CgroupUse, Job, Start,
        backend::JobBackend,
        event_batch::{EventBatch, Polled},
        events::{MemoryReading, TimedEvent},
        identity::MemberId,
        ledger::{FigureOrigin, KernelTotals, PssPass},
        resource_use::UsedBy,
        unix::{thread_cpu, wait},
    },
    process::linux::status::Status,
    record::{Downgrade, Exit, Metric},
};

mod attach;

/// Most survivors of the command whose exits are watched one by one.
const MAX_WATCHED_SURVIVORS: usize = 256;
/// Longest time between two drains of the kernel's event buffers. A machine that only forks fills them in twice that
/// time.
const MAX_TIME_BETWEEN_DRAINS: Duration = Duration::from_millis(60);
/// Divisor of the time until the next reading of CPU time and I/O: the last one may cost this share of it.
const USAGE_COST_DIVISOR: u32 = 100;
/// Pause while the event of the command's exit is outstanding.
const OUTSTANDING_EXIT_PAUSE: Duration = Duration::from_micros(250);

/// A job that runs on Linux.
#[derive(Debug)]
pub(crate) struct LinuxJob {
    roots: Roots,
    child: Child,
    observation: Observation,
    sources: EventSources,
    passes: PssPasses,
    batch: EventBatch,
    downgrades: Vec<Downgrade>,
    /// Time at which CPU time and I/O are read next, if they are wanted.
    next_usage: Duration,
    /// State of the machine's memory when the job began.
    shortage: Shortage,
    /// While it lives, orphans of the job become children of this process.
    subreaper: Option<Subreaper>,
}

impl LinuxJob {
    fn is_woken(&self, pause: Duration, wake: &Wake) -> bool {
        let survivors = if self.root_lives() { Vec::new() } else { self.survivors() };
        let mut fds: Vec<BorrowedFd<'_>> = survivors.iter().map(AsFd::as_fd).collect();
        if self.root_lives() {
            fds.push(self.child.pidfd.as_fd());
        }
        fds.extend(wake.descriptor());
        let mut polled: Vec<PollFd<'_>> =
            fds.into_iter().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        // A pause of weeks does not fit; polls come more often than that.
        let timeout = Timespec::try_from(pause).ok();
        // If it is interrupted or fails, the next poll comes early, which does no harm.
        poll(&mut polled, timeout.as_ref()).is_ok_and(|ready| ready > 0)
    }

    /// Opens descriptors of the processes that survived the command.
    fn survivors(&self) -> Vec<OwnedFd> {
        self.observation
            .pids()
            .take(MAX_WATCHED_SURVIVORS)
            .filter_map(|pid| Pid::from_raw(i32::try_from(pid).ok()?))
            .filter_map(|pid| pidfd_open(pid, PidfdFlags::empty()).ok())
            .collect()
    }

    /// Signals all members, and the command even if `/proc` cannot be read.
    fn signal_all(&mut self, signal: Signal) {
        if self.root_lives() {
            self.signal_root(signal);
        }
        self.observation.signal_descendants(signal);
    }

    fn signal_root(&self, signal: Signal) {
        // It may have exited just now, or run as another user by now.
        let _ = pidfd_send_signal(&self.child.pidfd, signal);
    }
}

impl JobBackend for LinuxJob {
    fn start(job: &Job) -> Result<(Self, Start), Error> {
        if let Some(pid) = job.attach {
            return attach::attach(job, pid);
        }
        let mut downgrades = Vec::new();
        downgrades.extend(check_proc(job)?);
        let subreaper = Subreaper::set();
        if let Err(errno) = &subreaper {
            downgrades.push(Downgrade {
                wanted: "descendants whose parent has exited".to_owned(),
                reason: format!("this process could not become their subreaper: {errno}"),
            });
        }
        let own_hwm_bytes = own_hwm_bytes(&job.roots).unwrap_or(u64::MAX);
        let cgroup = if job.limits.cgroup_bytes.is_some() { CgroupUse::Always } else { job.cgroup };
        let wanted = WantedSources { lineage: job.lineage, exact: job.exact, cgroup };
        let mut sources = EventSources::prepare(wanted, &job.roots);
        if let Some(bytes) = job.limits.cgroup_bytes {
            sources.limit_charge(bytes).map_err(|why| Error::Limit {
                reason: format!("the job could not get a cgroup of its own: {why}"),
            })?;
        }
        let command = Command {
            program: &job.program,
            args: &job.args,
            env: &job.env,
            current_dir: job.current_dir.as_ref(),
            stdout: job.stdout.as_ref().and_then(|stdout| stdout.try_clone().ok()).map(OwnedFd::from),
            inherited: &job.inherited,
            hand_over: sources.hand_over(),
            group: sources.group(),
        };
        let shortage = Shortage::watch(&job.roots, sources.group().as_deref());
        let mut observation = Observation::new(&job.roots, job.sole_owner, own_hwm_bytes, job);
        observation.note_foreign_children(sources.hold_pid());
        let mut start = None;
        let child = launch::launch(command, |pid| {
            sources.attach(pid, &job.roots);
            // The job's time begins when it may run.
            start = Some((Start::now(), monotonic()));
        })?;
        let (start, epoch) = start.unwrap_or_else(|| (Start::now(), monotonic()));
        let mut batch = EventBatch::default();
        // This comes first, as a job may live for less than a millisecond.
        observation.start(child.pid, epoch, sources.mechanisms(), &mut batch);
        sources.started();
        observation.started(sources.mechanisms());
        let job = Self {
            roots: job.roots.clone(),
            child,
            observation,
            sources,
            passes: PssPasses::new(&job.roots),
            batch,
            downgrades,
            next_usage: Duration::ZERO,
            shortage,
            subreaper: subreaper.ok(),
        };
        Ok((job, start))
    }

    fn root(&self) -> u32 {
        self.child.pid
    }

    fn origin(&self) -> FigureOrigin {
        FigureOrigin {
            metric: Metric::Rss,
            lineage: self.sources.lineage().unwrap_or(self.observation.lineage()),
            peaks: self.sources.peaks(),
            slack_bytes: counter_slack(),
        }
    }

    fn root_lives(&self) -> bool {
        self.observation.root_lives()
    }

    fn is_empty(&self) -> bool {
        self.observation.is_empty()
    }

    fn pids_and_ids(&self) -> impl Iterator<Item = (u32, MemberId)> + '_ {
        self.observation.pids_and_ids()
    }

    fn poll(&mut self, at: Duration, marks: bool) -> Polled {
        let begin = thread_cpu();
        let depth = SampleDepth { marks, usage: at >= self.next_usage };
        let polled = self.observation.poll(at, depth, &mut self.sources, &mut self.batch);
        if depth.usage {
            self.next_usage = at + thread_cpu().saturating_sub(begin) * USAGE_COST_DIVISOR;
        }
        if polled.marks {
            self.sources.check_for_strays(&self.roots, self.observation.pids());
        }
        polled
    }

    fn last_poll(&mut self, at: Duration) {
        self.observation.last_poll(at, &mut self.sources, &mut self.batch);
    }

    fn expects_events(&self) -> bool {
        self.observation.expects_exit_events()
    }

    fn take_events(&mut self) -> impl Iterator<Item = TimedEvent> + '_ {
        self.batch.drain()
    }

    fn readings(&self) -> &[MemoryReading] {
        self.observation.readings()
    }

    fn uses(&self) -> &[UsedBy] {
        self.observation.uses()
    }

    fn complete_until(&self, at: Duration) -> Duration {
        self.observation.complete_until(at)
    }

    fn pss_is_due(&mut self, at: Duration, total: u64) -> bool {
        self.passes.due(at, total)
    }

    fn pss(&mut self, at: Duration) -> Option<PssPass> {
        Some(self.passes.pass(at, &self.observation))
    }

    fn pss_of_all(&mut self, at: Duration) -> Option<PssPass> {
        Some(self.passes.pass_over_all(at, &self.observation))
    }

    fn pss_counted(&mut self, total: u64) {
        self.passes.counted(total);
    }

    fn wait(&mut self, mut pause: Duration, wake: &Wake) -> bool {
        if self.root_lives() && self.observation.is_root_exit_outstanding() {
            // Its descriptor shows the exit, too, and would end the wait at once.
            thread::sleep(pause.min(OUTSTANDING_EXIT_PAUSE));
            return false;
        }
        while self.sources.have_limited_buffers() && pause > MAX_TIME_BETWEEN_DRAINS {
            if self.is_woken(MAX_TIME_BETWEEN_DRAINS, wake) {
                self.next_usage = Duration::ZERO;
                return true;
            }
            self.observation.listen(&mut self.sources, &mut self.batch);
            pause -= MAX_TIME_BETWEEN_DRAINS;
        }
        let woken = self.is_woken(pause, wake);
        if woken {
            self.next_usage = Duration::ZERO;
        }
        woken
    }

    fn signal(&mut self, number: i32) {
        let Some(signal) = Signal::from_named_raw(number) else { return };
        if self.root_lives() {
            self.signal_root(signal);
        } else {
            self.signal_all(signal);
        }
    }

    fn terminate(&mut self) {
        self.signal_all(Signal::TERM);
    }

    fn kill(&mut self) {
        self.signal_all(Signal::KILL);
        self.observation.kill_orphans(&mut self.batch);
    }

    fn kernel_enforced(&self) -> bool {
        self.sources.was_oom_killed()
    }

    fn exit(&self, killed: bool, over_limit: bool) -> Option<Exit> {
        let waited = self.observation.root_exit().map(|waited| waited.exit);
        let exit = waited.or(self.observation.reported_root_exit());
        exit.map(|exit| wait::exit(exit, killed, over_limit))
    }

    fn downgrades(&self) -> Vec<Downgrade> {
        let known = self.downgrades.iter().cloned();
        known.chain(self.sources.downgrades()).chain(self.observation.unread_lines()).collect()
    }

    fn reader_cpu(&self) -> Duration {
        self.passes.reader_cpu() + self.observation.reader_cpu()
    }

    fn lost(&self) -> u64 {
        self.sources.lost(Round::Last)
    }

    fn all_reported(&self) -> bool {
        self.observation.all_reported()
    }

    fn end(&mut self) -> KernelTotals {
        let group = self.sources.group();
        let pressure = self.shortage.pressure();
        let oom = self.shortage.kills(group.as_deref());
        drop(group);
        let kept = KernelTotals { cgroup: self.sources.charge(), commit: None, pressure, oom };
        self.subreaper = None;
        kept
    }
}

/// Checks that procfs shows the processes that this one starts. A procfs of another pid namespace would show others in
/// their place. Without procfs there are no samples, and a limit on them cannot be enforced.
fn check_proc(job: &Job) -> Result<Option<Downgrade>, Error> {
    let (roots, own) = (&job.roots, std::process::id());
    match std::fs::read_link(roots.proc.join("self")) {
        Ok(link) if link.as_os_str() == own.to_string().as_str() => Ok(None),
        Ok(link) => {
            let found = link.display().to_string();
            Err(Error::ForeignProc { path: roots.proc.clone(), own, found })
        }
        Err(error) if job.limits.are_sampled() => Err(Error::Limit {
            reason: format!(
                "no process can be read without procfs ({}: {error}); mount it: mount -t proc proc /proc",
                roots.proc.join("self").display()
            ),
        }),
        Err(error) => Ok(Some(Downgrade {
            wanted: "memory of the job's processes".to_owned(),
            reason: format!("{}: {error}", roots.proc.join("self").display()),
        })),
    }
}

/// Returns the high-water mark of this process. The command starts as a copy of it and inherits it in its `ru_maxrss`.
fn own_hwm_bytes(roots: &Roots) -> Option<u64> {
    let status = bounded::read(&roots.proc.join("self/status"), MAX_PROCESS_FILE_BYTES).ok()?;
    Status::parse(&status)?.vm_hwm_bytes
}

/// Returns the bytes by which the counters of a process's RSS and mark may read low. Since Linux 6.2 they are batched
/// per CPU (`mm_counter`, `percpu_counter_batch` in `lib/percpu_counter.c`): three kinds of pages, up to a batch on
/// each CPU.
fn counter_slack() -> Option<u64> {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut numbers =
        release.split(|c: char| !c.is_ascii_digit()).map_while(|number| number.parse::<u64>().ok());
    let version = (numbers.next()?, numbers.next()?);
    // SAFETY: sysconf takes a name and returns a number.
    let cpus = u64::try_from(unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) }).ok()?;
    let batch = (2 * cpus).max(32);
    (version >= (6, 2)).then(|| 3 * cpus * batch * rustix::param::page_size() as u64)
}
