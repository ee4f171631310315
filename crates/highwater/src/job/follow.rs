//! Following one job from its start to its end: the only place with a clock.

mod devices;
mod judge;

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    thread,
    time::{Duration, Instant, SystemTime},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
    time::{ClockId, clock_gettime},
};

use super::{
    CgroupUse, Job, Observer, Pace, Progress, Rows,
    control::Order,
    events::{Reading, Sample},
    gpu::GpuWatch,
    ledger::{Closing, Header, Ledger},
    limits::LimitWatch,
    linux::{
        launch::{self, Child, Command},
        members::{Changes, Members, News},
        pss::{self, PssPasses},
        sources::{Sources, Wanted},
        subreaper::Subreaper,
        told::monotonic,
        wait,
    },
    pace::Metronome,
};
use crate::{
    Error, Roots,
    process::linux::status::Status,
    record::{Downgrade, Exit, ExitCause, Overhead, PeakFigure, PeaksFrom, Record, Tool},
};

/// One mark reading may cost this share of the time until the next.
const MARKS_SHARE: u32 = 300;
/// Descendants that outlive the command are watched for their end one by one, up to so many.
const WATCHED: usize = 256;
/// Buffers of what the kernel tells are emptied at least so often: a machine that does nothing but fork fills them in
/// twice that time.
const HEAR_EVERY: Duration = Duration::from_millis(60);
/// News of an end that has been seen comes within this time.
const OVERDUE_PAUSE: Duration = Duration::from_micros(250);
/// Looks at the end that wait for such news.
const LAST_LOOKS: u32 = 8;
/// How long we go on killing what does not die (a process in an uninterruptible wait).
const KILLING: Duration = Duration::from_secs(5);

/// Runs `job` to its end.
pub(super) fn follow(job: &Job, observer: &mut dyn Observer) -> Result<Record<Rows>, Error> {
    let mut downgrades = Vec::new();
    downgrades.extend(check_proc(&job.roots)?);
    let subreaper = Subreaper::set();
    if let Err(errno) = &subreaper {
        downgrades.push(Downgrade {
            wanted: "descendants whose parent has ended".to_owned(),
            reason: format!("this process could not become their reaper: {errno}"),
        });
    }
    // Before our own mark is read, and before the command: what was in use without it must be known.
    let gpu = job.gpu.then(|| GpuWatch::start(&job.roots, job.pace));
    let own_mark = own_mark_bytes(&job.roots).unwrap_or(u64::MAX);
    let cgroup = if job.limits.cgroup_bytes.is_some() { CgroupUse::Always } else { job.cgroup };
    let wanted = Wanted { lineage: job.lineage, exact: job.exact, cgroup };
    let mut sources = Sources::prepare(wanted, &job.roots);
    if let Some(bytes) = job.limits.cgroup_bytes {
        sources.limit_charge(bytes).map_err(|why| Error::Limit { why })?;
    }
    let command = Command {
        program: &job.program,
        args: &job.args,
        env: &job.env,
        current_dir: job.current_dir.as_ref(),
        stdout: job.stdout.as_ref().and_then(|stdout| stdout.try_clone().ok()),
        inherited: &job.inherited,
        hand_over: sources.hand_over(),
        group: sources.group(),
    };
    let mut start = None;
    let child = launch::launch(command, |pid| {
        sources.attach(pid, &job.roots);
        // The job's time begins when it may run.
        start = Some((SystemTime::now(), Instant::now(), monotonic()));
    })?;
    let (started, clock, epoch) = start.unwrap_or_else(|| (SystemTime::now(), Instant::now(), monotonic()));
    let mut members = Members::new(&job.roots, job.sole_owner, own_mark);
    let mut news = News::default();
    // First of all: a job may live for less than a millisecond.
    members.start(child.pid, epoch, &sources, &mut news);
    sources.started();
    let first = clock.elapsed();
    members.look(first, true, &mut sources, &mut news);
    observer.started(child.pid);
    let header = Header {
        tool: Tool { version: env!("CARGO_PKG_VERSION").to_owned(), target: target() },
        host: crate::host::host(&job.roots),
        command: std::iter::once(&job.program)
            .chain(&job.args)
            .map(|arg| arg.to_string_lossy().into_owned())
            .collect(),
        started,
        interval: match job.pace {
            Pace::Fixed { interval, .. } => Some(interval),
            Pace::Adaptive => None,
        },
        lineage: sources.lineage().unwrap_or(members.lineage()),
        peaks: sources.peaks(),
        slack_bytes: counter_slack(),
    };
    let exact = sources.peaks() != PeaksFrom::Marks;
    let metronome = Metronome::new(job.pace, sources.lineage().is_some(), exact);
    let mut following = Following {
        roots: job.roots.clone(),
        ledger: Ledger::new(header),
        members,
        sources,
        passes: PssPasses::new(&job.roots),
        metronome,
        clock,
        news,
        downgrades,
        next_marks: Duration::ZERO,
        killing_since: None,
        previous_total: 0,
        cpu_before: thread_cpu(),
        charge: None,
        gpu,
        limits: LimitWatch::new(&job.limits),
    };
    following.begin_gpu();
    following.record(first, true);
    following.run(job, &child, observer);
    // What the kernel told between the last look and the end.
    following.last_look();
    following.end_gpu();
    if following.limits.watches_cgroup() {
        following.judge(following.clock.elapsed(), &child, observer);
    }
    following.charge = following.sources.charge();
    drop(subreaper);
    Ok(following.finish())
}

/// Whether procfs shows the processes that we start. One of another pid namespace would show strangers in their place.
fn check_proc(roots: &Roots) -> Result<Option<Downgrade>, Error> {
    let own = std::process::id();
    match std::fs::read_link(roots.proc.join("self")) {
        Ok(link) if link.as_os_str() == own.to_string().as_str() => Ok(None),
        Ok(link) => {
            let found = link.display().to_string();
            Err(Error::ForeignProc { path: roots.proc.clone(), own, found })
        }
        Err(error) => Ok(Some(Downgrade {
            wanted: "memory of the job's processes".to_owned(),
            reason: format!("{}: {error}", roots.proc.join("self").display()),
        })),
    }
}

/// Our own high-water mark; the command starts as a copy of us and inherits it in its `ru_maxrss`.
fn own_mark_bytes(roots: &Roots) -> Option<u64> {
    let status = std::fs::read(roots.proc.join("self/status")).ok()?;
    Status::parse(&status)?.vm_hwm_bytes
}

/// How far the counters behind a process's RSS and mark may read low. Since Linux 6.2 they are batched per CPU
/// (`mm_counter`, `percpu_counter_batch` in `lib/percpu_counter.c`): three kinds of pages, each CPU up to a batch.
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

/// What we were built for, as `x86_64-linux`.
fn target() -> String {
    format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS)
}

pub(super) struct Following {
    roots: Roots,
    ledger: Ledger,
    members: Members,
    sources: Sources,
    passes: PssPasses,
    metronome: Metronome,
    clock: Instant,
    news: News,
    downgrades: Vec<Downgrade>,
    next_marks: Duration,
    killing_since: Option<Duration>,
    previous_total: u64,
    cpu_before: Duration,
    /// The kernel's own peak of the job's cgroup.
    charge: Option<PeakFigure>,
    gpu: Option<GpuWatch>,
    limits: LimitWatch,
}

impl Following {
    fn run(&mut self, job: &Job, child: &Child, observer: &mut dyn Observer) {
        loop {
            let begin = thread_cpu();
            let at = self.clock.elapsed();
            let changes = self.look(at, at >= self.next_marks);
            let total = self.ledger.last_total().unwrap_or(0);
            observer.sampled(&self.progress(at));
            let waiting = self.members.root_lives() || (job.wait && !self.members.is_empty());
            let seen = self.judge(at, child, observer);
            let ending = self.killing_since.is_some() || self.limits.is_ending();
            let given_up = self.killing_since.is_some_and(|since| at > since + KILLING);
            if given_up || !(waiting || ending && !self.members.is_empty()) {
                break;
            }
            let cost = thread_cpu().saturating_sub(begin);
            self.pss(at, total);
            let moved = total.abs_diff(self.previous_total) > self.previous_total / 64 + (256 << 10);
            self.previous_total = total;
            let mut pause = self.metronome.next(at, changes.any() || moved, cost);
            if matches!(job.pace, Pace::Adaptive) || self.limits.is_ending() {
                pause = self.limits.longest_pause(&seen).map_or(pause, |longest| pause.min(longest));
            }
            if self.killing_since.is_some() {
                self.signal_tree(child, Signal::KILL);
                pause = pause.min(Duration::from_millis(2));
            }
            self.sleep(job, child, pause.saturating_sub(self.clock.elapsed().saturating_sub(at)));
            self.obey(job, child);
        }
    }

    /// One look at the job, and into the ledger with it.
    fn look(&mut self, at: Duration, marks: bool) -> Changes {
        let begin = thread_cpu();
        self.read_gpu();
        let look = self.members.look(at, marks, &mut self.sources, &mut self.news);
        let (changes, marks) = (look.changes, look.marks);
        if let Some(gpu) = self.gpu.as_ref().filter(|_| changes.any()) {
            gpu.follow(self.members.pids_and_ids());
        }
        self.record(at, marks);
        if marks {
            self.sources.look_for_strays(&self.roots, self.members.pids());
            self.next_marks = at + thread_cpu().saturating_sub(begin) * MARKS_SHARE;
        }
        changes
    }

    fn last_look(&mut self) {
        // The kernel may tell of an end a moment after it can be seen.
        for _ in 0..LAST_LOOKS {
            self.look(self.clock.elapsed(), true);
            if !self.members.awaits_news_of_ends() {
                break;
            }
            thread::sleep(OVERDUE_PAUSE);
        }
        let at = self.clock.elapsed();
        self.members.last_look(at, &mut self.sources, &mut self.news);
        self.record(at, true);
    }

    /// Hands what the last look showed to the ledger.
    fn record(&mut self, at: Duration, marks: bool) {
        for event in self.news.drain() {
            self.ledger.event(event);
        }
        let told_until = self.members.told_until(at);
        self.ledger.sample(&Sample { at, readings: self.members.readings(), marks, told_until });
    }

    /// A pass over PSS if one is due. It counts only if the look after it shows the same members holding the same.
    fn pss(&mut self, at: Duration, total: u64) {
        if !self.passes.due(at, total) {
            return;
        }
        let pass = self.passes.pass(at, &self.members);
        let before: Vec<Reading> = self.members.readings().to_vec();
        let changes = self.look(self.clock.elapsed(), false);
        if changes.any() || !pss::stood_still(&before, self.members.readings()) {
            self.ledger.pss_disturbed();
        } else {
            self.passes.counted(total);
            self.ledger.pss(pass);
        }
    }

    /// Sleeps until the next sample is due, an awaited process ends, or an order comes.
    fn sleep(&mut self, job: &Job, child: &Child, mut pause: Duration) {
        if self.members.root_lives() && self.members.root_is_overdue() {
            // Its descriptor says so, too, and would wake us at once.
            thread::sleep(pause.min(OVERDUE_PAUSE));
            return;
        }
        while self.sources.must_be_heard() && pause > HEAR_EVERY {
            if self.is_woken(job, child, HEAR_EVERY) {
                return;
            }
            self.members.listen(&mut self.sources, &mut self.news);
            pause -= HEAR_EVERY;
        }
        self.is_woken(job, child, pause);
    }

    /// Waits for `pause`, or until an awaited process ends or an order comes.
    fn is_woken(&mut self, job: &Job, child: &Child, pause: Duration) -> bool {
        let survivors = if self.members.root_lives() { Vec::new() } else { self.survivors() };
        let mut fds: Vec<BorrowedFd<'_>> = survivors.iter().map(AsFd::as_fd).collect();
        if self.members.root_lives() {
            fds.push(child.pidfd.as_fd());
        }
        fds.extend(job.control.wake());
        let mut polled: Vec<PollFd<'_>> =
            fds.into_iter().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        // A pause of weeks does not fit; we sample more often than that.
        let timeout = Timespec::try_from(pause).ok();
        // Interrupted or failed: the next look comes early, which harms nothing.
        let woken = poll(&mut polled, timeout.as_ref()).is_ok_and(|ready| ready > 0);
        if woken {
            self.next_marks = Duration::ZERO;
        }
        woken
    }

    /// Descriptors of what is left of the job after the command has ended.
    fn survivors(&self) -> Vec<OwnedFd> {
        self.members
            .pids()
            .take(WATCHED)
            .filter_map(|pid| Pid::from_raw(i32::try_from(pid).ok()?))
            .filter_map(|pid| pidfd_open(pid, PidfdFlags::empty()).ok())
            .collect()
    }

    fn obey(&mut self, job: &Job, child: &Child) {
        for order in job.control.take() {
            match order {
                Order::Signal(number) => {
                    let Some(signal) = Signal::from_named_raw(number) else { continue };
                    if self.members.root_lives() {
                        signal_root(child, signal);
                    } else {
                        self.signal_tree(child, signal);
                    }
                }
                Order::KillTree => {
                    self.killing_since.get_or_insert(self.clock.elapsed());
                    self.signal_tree(child, Signal::KILL);
                }
            }
        }
    }

    /// Sends `signal` to all that is left of the job; to the command itself also where `/proc` cannot be read.
    fn signal_tree(&mut self, child: &Child, signal: Signal) {
        if self.members.root_lives() {
            signal_root(child, signal);
        }
        self.members.signal_descendants(signal);
    }

    fn closing(&self, elapsed: Duration) -> Closing {
        let exit = self
            .members
            .root_exit()
            .map(|waited| wait::exit(waited.exit, self.killing_since.is_some(), self.limits.is_ending()));
        let cpu = thread_cpu().saturating_sub(self.cpu_before);
        Closing {
            elapsed,
            exit,
            downgrades: self.downgrades.iter().cloned().chain(self.sources.downgrades()).collect(),
            lost_events: self.sources.lost(true),
            all_told: self.members.all_told(),
            cgroup: self.charge,
            limits: self.limits.limits(),
            overhead: Some(Overhead { cpu_seconds: cpu.as_secs_f64() }),
        }
    }

    fn progress(&self, at: Duration) -> Progress<'_> {
        Progress {
            elapsed: at,
            time: SystemTime::now(),
            total_rss_bytes: self.ledger.last_total(),
            process_count: self.ledger.living(),
            vram_bytes: self.ledger.last_vram(),
            following: self,
        }
    }

    pub(super) fn checkpoint(&self, elapsed: Duration) -> Record {
        self.ledger.checkpoint(&self.closing(elapsed))
    }

    fn finish(self) -> Record<Rows> {
        let mut closing = self.closing(self.clock.elapsed());
        if closing.exit.is_none() {
            // SIGCHLD ignored in this process, or somebody else waited for our child.
            closing.exit =
                Some(Exit { code: None, signal: None, signal_name: None, cause: ExitCause::Unknown });
        }
        self.ledger.finish(&closing)
    }
}

fn signal_root(child: &Child, signal: Signal) {
    // It may have ended this very moment, or run as another user by now.
    let _ = pidfd_send_signal(&child.pidfd, signal);
}

/// CPU time of this thread.
fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}
