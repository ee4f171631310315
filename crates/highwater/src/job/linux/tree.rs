//! One job as the system has it: its processes, what they hold, how they are waited for and ended. Each system has
//! a `Tree` with these functions; what uses it knows no system.

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
    Wake,
    launch::{self, Child, Command},
    members::{Depth, Members},
    pss::PssPasses,
    shortage::Shortage,
    sources::{Sources, Wanted},
    subreaper::Subreaper,
    thread_cpu,
    told::monotonic,
};
use crate::{
    Error, Roots,
    bounded::{self, MAX_PROCESS_FILE_BYTES},
    job::{
        CgroupUse, Job, Start,
        events::{MemberId, Reading, Timed},
        ledger::{Kept, Origin, PssPass},
        news::{Look, News},
        unix::wait,
        used::UsedBy,
    },
    process::linux::status::Status,
    record::{Downgrade, Exit, Metric},
};

mod attach;

/// Descendants that outlive the command are watched for their end one by one, up to so many.
const WATCHED: usize = 256;
/// Buffers of what the kernel tells are emptied at least so often: a machine that does nothing but fork fills them in
/// twice that time.
const HEAR_EVERY: Duration = Duration::from_millis(60);
/// One reading of CPU time and I/O, where they are asked for, may cost this share of the time until the next.
const USAGE_SHARE: u32 = 100;
/// News of an end that has been seen comes within this time.
const OVERDUE_PAUSE: Duration = Duration::from_micros(250);

#[derive(Debug)]
pub(crate) struct Tree {
    roots: Roots,
    child: Child,
    members: Members,
    sources: Sources,
    passes: PssPasses,
    news: News,
    downgrades: Vec<Downgrade>,
    /// When CPU time and I/O are read next, if they are wanted.
    next_usage: Duration,
    /// How short memory was when the job began.
    shortage: Shortage,
    /// While it lives, orphans fall to us.
    subreaper: Option<Subreaper>,
}

impl Tree {
    /// Starts the command and takes a first look.
    pub(crate) fn start(job: &Job) -> Result<(Self, Start), Error> {
        if let Some(pid) = job.attach {
            return attach::attach(job, pid);
        }
        let mut downgrades = Vec::new();
        downgrades.extend(check_proc(&job.roots)?);
        let subreaper = Subreaper::set();
        if let Err(errno) = &subreaper {
            downgrades.push(Downgrade {
                wanted: "descendants whose parent has ended".to_owned(),
                reason: format!("this process could not become their reaper: {errno}"),
            });
        }
        let own_mark = own_mark_bytes(&job.roots).unwrap_or(u64::MAX);
        let cgroup = if job.limits.cgroup_bytes.is_some() { CgroupUse::Always } else { job.cgroup };
        let wanted = Wanted { lineage: job.lineage, exact: job.exact, cgroup };
        let mut sources = Sources::prepare(wanted, &job.roots);
        if let Some(bytes) = job.limits.cgroup_bytes {
            sources
                .limit_charge(bytes)
                .map_err(|why| Error::Limit { why: format!("no cgroup could be given it: {why}") })?;
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
        let mut members = Members::new(&job.roots, job.sole_owner, own_mark, job);
        members.note_strangers(sources.keeper_pid());
        let mut start = None;
        let child = launch::launch(command, |pid| {
            sources.attach(pid, &job.roots);
            // The job's time begins when it may run.
            start = Some((Start::now(), monotonic()));
        })?;
        let (start, epoch) = start.unwrap_or_else(|| (Start::now(), monotonic()));
        let mut news = News::default();
        // First of all: a job may live for less than a millisecond.
        members.start(child.pid, epoch, &sources, &mut news);
        sources.started();
        members.started(&sources);
        let tree = Self {
            roots: job.roots.clone(),
            child,
            members,
            sources,
            passes: PssPasses::new(&job.roots),
            news,
            downgrades,
            next_usage: Duration::ZERO,
            shortage,
            subreaper: subreaper.ok(),
        };
        Ok((tree, start))
    }

    /// Pid of the command.
    pub(crate) fn root(&self) -> u32 {
        self.child.pid
    }

    /// Where its figures come from.
    pub(crate) fn origin(&self) -> Origin {
        Origin {
            metric: Metric::Rss,
            lineage: self.sources.lineage().unwrap_or(self.members.lineage()),
            peaks: self.sources.peaks(),
            slack_bytes: counter_slack(),
        }
    }

    /// Whether the command itself is still there.
    pub(crate) fn root_lives(&self) -> bool {
        self.members.root_lives()
    }

    /// Whether no member is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Pids of the members alive at the last look, with who they are in the ledger.
    pub(crate) fn pids_and_ids(&self) -> impl Iterator<Item = (u32, MemberId)> + '_ {
        self.members.pids_and_ids()
    }

    /// One look at the whole job, begun `at`; with `marks` the marks of its members are read, too.
    pub(crate) fn look(&mut self, at: Duration, marks: bool) -> Look {
        let begin = thread_cpu();
        let depth = Depth { marks, usage: at >= self.next_usage };
        let look = self.members.look(at, depth, &mut self.sources, &mut self.news);
        if depth.usage {
            self.next_usage = at + thread_cpu().saturating_sub(begin) * USAGE_SHARE;
        }
        if look.marks {
            self.sources.look_for_strays(&self.roots, self.members.pids());
        }
        look
    }

    /// Whether the kernel is about to tell of an end that has been seen.
    pub(crate) fn awaits_news(&self) -> bool {
        self.members.awaits_news_of_ends()
    }

    /// The last look: takes in everything that was told.
    pub(crate) fn last_look(&mut self, at: Duration) {
        self.members.last_look(at, &mut self.sources, &mut self.news);
    }

    /// What happened since.
    pub(crate) fn news(&mut self) -> impl Iterator<Item = Timed> + '_ {
        self.news.drain()
    }

    /// What the last look read, in the order of ids.
    pub(crate) fn readings(&self) -> &[Reading] {
        self.members.readings()
    }

    /// What the last look read beside memory, in the order of ids; nothing if it did not.
    pub(crate) fn uses(&self) -> &[UsedBy] {
        self.members.uses()
    }

    /// Up to when everything that happened has been told, in a look begun `at`.
    pub(crate) fn told_until(&self, at: Duration) -> Duration {
        self.members.told_until(at)
    }

    /// Whether a pass over the members' PSS is worth its price now, at a sample of `total` bytes.
    pub(crate) fn pss_is_due(&mut self, at: Duration, total: u64) -> bool {
        self.passes.due(at, total)
    }

    /// A pass over the members' PSS; `None` where there is no such figure. It counts only if nothing moved.
    #[allow(clippy::unnecessary_wraps)] // Other systems have none.
    pub(crate) fn pss(&mut self, at: Duration) -> Option<PssPass> {
        Some(self.passes.pass(at, &self.members))
    }

    /// The same, however long it takes: the job may be ended for what it shows.
    #[allow(clippy::unnecessary_wraps)] // As above.
    pub(crate) fn pss_of_all(&mut self, at: Duration) -> Option<PssPass> {
        Some(self.passes.pass_over_all(at, &self.members))
    }

    /// The pass at `total` bytes counted.
    pub(crate) fn pss_counted(&mut self, total: u64) {
        self.passes.counted(total);
    }

    /// Waits for `pause`, or until an awaited process ends (then true), or an order comes (then, too).
    pub(crate) fn wait(&mut self, mut pause: Duration, wake: &Wake) -> bool {
        if self.members.root_lives() && self.members.root_is_overdue() {
            // Its descriptor says so, too, and would wake us at once.
            thread::sleep(pause.min(OVERDUE_PAUSE));
            return false;
        }
        while self.sources.must_be_heard() && pause > HEAR_EVERY {
            if self.is_woken(HEAR_EVERY, wake) {
                self.next_usage = Duration::ZERO;
                return true;
            }
            self.members.listen(&mut self.sources, &mut self.news);
            pause -= HEAR_EVERY;
        }
        let woken = self.is_woken(pause, wake);
        if woken {
            self.next_usage = Duration::ZERO;
        }
        woken
    }

    fn is_woken(&self, pause: Duration, wake: &Wake) -> bool {
        let survivors = if self.members.root_lives() { Vec::new() } else { self.survivors() };
        let mut fds: Vec<BorrowedFd<'_>> = survivors.iter().map(AsFd::as_fd).collect();
        if self.members.root_lives() {
            fds.push(self.child.pidfd.as_fd());
        }
        fds.extend(wake.descriptor());
        let mut polled: Vec<PollFd<'_>> =
            fds.into_iter().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        // A pause of weeks does not fit; we sample more often than that.
        let timeout = Timespec::try_from(pause).ok();
        // Interrupted or failed: the next look comes early, which harms nothing.
        poll(&mut polled, timeout.as_ref()).is_ok_and(|ready| ready > 0)
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

    /// Sends the signal of this number to the command; once that has ended, to all that is left of the job.
    pub(crate) fn signal(&mut self, number: i32) {
        let Some(signal) = Signal::from_named_raw(number) else { return };
        if self.members.root_lives() {
            self.signal_root(signal);
        } else {
            self.signal_all(signal);
        }
    }

    /// Asks all that is left of the job to end.
    pub(crate) fn terminate(&mut self) {
        self.signal_all(Signal::TERM);
    }

    /// Ends all that is left of the job.
    pub(crate) fn kill(&mut self) {
        self.signal_all(Signal::KILL);
        self.members.sweep(&mut self.news);
    }

    /// To the command itself also where `/proc` cannot be read.
    fn signal_all(&mut self, signal: Signal) {
        if self.members.root_lives() {
            self.signal_root(signal);
        }
        self.members.signal_descendants(signal);
    }

    fn signal_root(&self, signal: Signal) {
        // It may have ended this very moment, or run as another user by now.
        let _ = pidfd_send_signal(&self.child.pidfd, signal);
    }

    /// Whether the kernel has enforced the limit that it was given.
    pub(crate) fn kernel_enforced(&self) -> bool {
        self.sources.was_oom_killed()
    }

    /// How the command ended, once that is known. `killed`: we ended the job; `over_limit`: because of a limit.
    pub(crate) fn exit(&self, killed: bool, over_limit: bool) -> Option<Exit> {
        let told = self.members.root_exit().map(|waited| waited.exit).or(self.members.root_told());
        told.map(|exit| wait::exit(exit, killed, over_limit))
    }

    /// What was refused, and why.
    pub(crate) fn downgrades(&self) -> Vec<Downgrade> {
        let known = self.downgrades.iter().cloned();
        known.chain(self.sources.downgrades()).chain(self.members.unread_lines()).collect()
    }

    /// CPU time that was taken in threads beside the one that follows the job.
    pub(crate) fn reader_cpu(&self) -> Duration {
        self.passes.reader_cpu() + self.members.reader_cpu()
    }

    /// News that was dropped.
    pub(crate) fn lost(&self) -> u64 {
        self.sources.lost(true)
    }

    /// Whether the kernel told of every birth, exec and end.
    pub(crate) fn all_told(&self) -> bool {
        self.members.all_told()
    }

    /// The job is over: leaves everything as it was, and says what the kernel itself kept of the job.
    pub(crate) fn end(&mut self) -> Kept {
        let group = self.sources.group();
        let (pressure, oom) = (self.shortage.pressure(), self.shortage.kills(group.as_deref()));
        drop(group);
        let kept = Kept { cgroup: self.sources.charge(), commit: None, pressure, oom };
        self.subreaper = None;
        kept
    }
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
    let status = bounded::read(&roots.proc.join("self/status"), MAX_PROCESS_FILE_BYTES).ok()?;
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
