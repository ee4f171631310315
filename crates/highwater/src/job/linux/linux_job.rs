//! One job on Linux: observed through `/proc`, kernel events and holds; waited for and ended by pidfds.

use std::{os::fd::OwnedFd, thread, time::Duration};

use rustix::process::{Signal, pidfd_send_signal};

use super::{
    cgroup::GroupMemory,
    clock::monotonic,
    counter_slack::counter_slack,
    event_queue::{EventFeed as _, Round},
    event_sources::{EventSources, WantedSources},
    launch::{self, Child, Command},
    limit_guard::{GuardedChildren, GuardedJob, LimitGuard},
    map_reader::MapReader,
    mapped_files::MappedFilesReader,
    memory_notes::MemoryNotes,
    observation::Observation,
    precedence::Precedence,
    proc_dir::ProcDir,
    process_end::has_exited,
    pss::PssPasses,
    sampler::SampleDepth,
    shortage::Shortage,
    stray_turns::StrayTurns,
    subreaper::Subreaper,
    wake::Wake,
};
use crate::{
    Error,
    job::{
        CgroupUse, Job, Start,
        backend::JobBackend,
        event_batch::{EventBatch, Polled},
        events::{MemoryReading, TimedEvent},
        group_memory::GroupReading,
        identity::MemberId,
        ledger::{FigureOrigin, KernelTotals, PssPass},
        limits::Stall,
        mapped_files::FilesRead,
        resource_use::UsedBy,
        unix::{thread_cpu, wait},
    },
    record::{Downgrade, Exit, Metric},
};

mod attach;
mod group;
mod procfs;
mod waiting;

use group::MemorySources;
use procfs::{open_proc, own_hwm_bytes};

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
    proc: ProcDir,
    child: Child,
    observation: Observation,
    sources: EventSources,
    passes: PssPasses,
    mapped_files: MappedFilesReader,
    /// The one reader of maps, so that one thread does for all: each has a stack and an arena of the allocator.
    map_reader: MapReader,
    batch: EventBatch,
    group_memory: Option<GroupMemory>,
    /// The group at the last poll.
    group_reading: Option<GroupReading>,
    stray_turns: StrayTurns,
    notes: MemoryNotes,
    downgrades: Vec<Downgrade>,
    /// Time at which CPU time and I/O are read next, if they are wanted.
    next_usage: Duration,
    /// State of the machine's memory when the job began.
    shortage: Shortage,
    /// While it lives, orphans of the job become children of this process.
    subreaper: Option<Subreaper>,
    /// While it lives, samples come before the job's own work.
    precedence: Option<Precedence>,
    guard: Option<LimitGuard>,
}

impl LinuxJob {
    /// Records that this thread pauses.
    fn guard_rests(&self) {
        if let Some(guard) = &self.guard {
            guard.at_rest(self.observation.pids());
        }
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
        let (proc, downgrade) = open_proc(job)?;
        let mut downgrades: Vec<Downgrade> = downgrade.into_iter().collect();
        let subreaper = Subreaper::set();
        if let Err(errno) = &subreaper {
            downgrades.push(Downgrade {
                wanted: "descendants whose parent has exited".to_owned(),
                reason: format!("this process could not become their subreaper: {errno}"),
            });
        }
        let passes = PssPasses::new(job, &proc);
        let map_reader = MapReader::for_job(job)?;
        let own_hwm_bytes = own_hwm_bytes(&proc).unwrap_or(u64::MAX);
        let cgroup = if job.limits.cgroup_bytes.is_some() { CgroupUse::Always } else { job.cgroup };
        // A limit must hold from the beginning, and the command might not get into a scope.
        let scope = job.cgroup == CgroupUse::Always && job.limits.cgroup_bytes.is_none();
        let wanted = WantedSources { lineage: job.lineage, exact: job.exact, cgroup, scope };
        let mut sources = EventSources::prepare(wanted, &job.roots, &proc);
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
            inherited_state: &job.inherited_state,
            hand_over: sources.hand_over(),
            group: sources.group(),
        };
        let mut observation = Observation::new(&proc, job.owns_all_children, own_hwm_bytes, job);
        let helpers: Vec<u32> = sources.helper_pids().collect();
        observation.note_foreign_children(&helpers);
        let (child, (memory, start, epoch)) = launch::launch(command, |pid| {
            let is_limited = job.limits.cgroup_bytes.is_some();
            // No source reports the scope-holder process, which is not of the job.
            sources.request_scope(pid, &job.program, &job.roots);
            sources.attach(pid, &job.roots, &proc);
            sources.let_in(pid, is_limited).map_err(|why| Error::Limit {
                reason: format!("the command could not enter the cgroup made for it: {why}"),
            })?;
            let memory = MemorySources::open(&sources, job, &proc, &mut downgrades);
            // The job's time begins when it may run.
            Ok((memory, Start::now(), monotonic()))
        })?;
        observation.note_helpers(sources.helper_pids());
        // Each reading of a process from here on may wait.
        let guard = LimitGuard::start_or_report(&job.limits, &mut downgrades, || {
            let foreign = observation.foreign_children();
            Ok(GuardedJob {
                proc: proc.clone(),
                root: child.pid,
                root_pidfd: child.pidfd.try_clone()?,
                own_children: foreign.map_or(GuardedChildren::KnownMembers, GuardedChildren::AllBut),
                group_stat: sources.group().and_then(|group| group.stat_file().ok()),
            })
        });
        let mut batch = EventBatch::default();
        // This comes first, as a job may live for less than a millisecond.
        observation.start(child.pid, epoch, sources.mechanisms(), &mut batch);
        sources.started();
        observation.started(sources.mechanisms());
        let job = Self {
            proc: proc.clone(),
            child,
            observation,
            sources,
            passes,
            mapped_files: MappedFilesReader::new(&proc),
            map_reader,
            batch,
            notes: memory.notes,
            group_memory: memory.group,
            group_reading: None,
            stray_turns: StrayTurns::new(),
            downgrades,
            next_usage: Duration::ZERO,
            shortage: memory.shortage,
            subreaper: subreaper.ok(),
            // It comes after the fork: the job keeps the priority that it would have by itself.
            precedence: precedence(job),
            guard,
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
        self.guard.iter().for_each(LimitGuard::at_work);
        let begin = thread_cpu();
        let depth = SampleDepth { marks, usage: at >= self.next_usage };
        let polled = self.observation.poll(at, depth, &mut self.sources, &mut self.batch);
        let reading = self.read_group_if_moved();
        self.check_for_strays(reading, polled.marks);
        self.set_group_reading(reading);
        if depth.usage {
            self.next_usage = at + thread_cpu().saturating_sub(begin) * USAGE_COST_DIVISOR;
        }
        if polled.marks {
            self.notes.add(at, self.observation.readings(), self.group_reading.as_ref());
        }
        polled
    }

    fn last_poll(&mut self, at: Duration) {
        self.observation.last_poll(at, &mut self.sources, &mut self.batch);
        let reading = self.group_memory.as_mut().and_then(GroupMemory::read);
        self.set_group_reading(reading);
    }

    fn expects_events(&self) -> bool {
        self.observation.expects_exits()
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

    fn group_reading(&self) -> Option<GroupReading> {
        self.group_reading
    }

    fn can_read_group(&self) -> bool {
        let is_counted = self.group_reading.is_some() && !self.sources.has_strays();
        // An exit whose event is outstanding is waited for by polls.
        is_counted && self.observation.finds_members_by_events() && !self.observation.awaits_exit_event()
    }

    fn read_group(&mut self) -> Option<GroupReading> {
        self.observation.listen(&mut self.sources, &mut self.batch);
        self.read_group_if_moved()
    }

    fn has_changed(&self) -> bool {
        self.batch.changes.any() || self.observation.must_walk()
    }

    fn charged_memory(&self) -> Option<u64> {
        self.sources.memory_in_surrounding_group(&self.proc, self.observation.pids())
    }

    fn complete_until(&self, at: Duration) -> Duration {
        self.observation.complete_until(at)
    }

    fn pss_is_due(&mut self, at: Duration, total: u64) -> bool {
        // The group counts each page once at all times.
        let members = self.observation.maps().filter(|_| self.group_memory.is_none());
        self.passes.due(at, total, members.map(|(member, _)| member))
    }

    fn pss_awaits_end_of_writes(&self) -> bool {
        self.passes.awaits_end_of_writes()
    }

    fn pss(&mut self, at: Duration) -> Option<PssPass> {
        Some(self.passes.pass(at, &self.observation, &mut self.map_reader))
    }

    fn pss_of_all(&mut self, at: Duration) -> Option<PssPass> {
        Some(self.passes.pass_over_all(at, &self.observation, &mut self.map_reader))
    }

    fn pss_lower_bound(&mut self) -> u64 {
        self.passes.lower_bound(&self.observation)
    }

    fn pss_counted(&mut self, at: Duration, total: u64) {
        self.passes.counted(at, total);
    }

    fn mapped_files(&mut self, at: Duration, id: MemberId) -> FilesRead {
        match self.observation.maps().find(|(member, _)| member.id == id) {
            Some((member, rss)) => self.mapped_files.read(at, member, rss, &mut self.map_reader),
            None => FilesRead::NotNow,
        }
    }

    fn wait(&mut self, mut pause: Duration, wake: &Wake) -> bool {
        self.guard_rests();
        // Without procfs it looks as if it had exited.
        if self.root_lives() && self.observation.is_root_exit_outstanding() && has_exited(&self.child.pidfd) {
            // Its descriptor shows the exit, too, and would end the wait at once.
            thread::sleep(pause.min(OUTSTANDING_EXIT_PAUSE));
            return false;
        }
        while self.sources.have_limited_buffers() && pause > MAX_TIME_BETWEEN_DRAINS {
            if self.is_woken(MAX_TIME_BETWEEN_DRAINS, wake) {
                self.next_usage = Duration::ZERO;
                return true;
            }
            self.guard.iter().for_each(LimitGuard::at_work);
            self.observation.listen(&mut self.sources, &mut self.batch);
            self.guard_rests();
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

    fn take_stall(&mut self) -> Option<Stall> {
        self.guard.as_ref()?.take_stall()
    }

    fn exit(&self, killed: bool, over_limit: bool) -> Option<Exit> {
        let waited = self.observation.root_exit().map(|waited| waited.exit);
        let exit = waited.or(self.observation.reported_root_exit());
        exit.map(|exit| wait::exit(exit, killed, over_limit))
    }

    fn downgrades(&self) -> Vec<Downgrade> {
        let known = self.downgrades.iter().cloned();
        known
            .chain(self.sources.downgrades())
            .chain(self.observation.downgrades())
            .chain(self.notes.notes())
            .collect()
    }

    fn reader_cpu(&self) -> Duration {
        self.map_reader.cpu() + self.observation.reader_cpu()
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
        let highest_mark = self.group_memory.take().map_or(0, |memory| memory.highest_mark());
        let charge_with_others = self.sources.charge_with_others();
        let cgroup = self.sources.charge(highest_mark);
        let kept = KernelTotals { cgroup, charge_with_others, commit: None, pressure, oom };
        self.subreaper = None;
        self.precedence = None;
        self.guard = None;
        kept
    }
}

/// Raises the priority of this thread if the job's limits are to be judged on time.
fn precedence(job: &Job) -> Option<Precedence> {
    (job.takes_precedence && job.limits.are_sampled()).then(Precedence::take)
}
