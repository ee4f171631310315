//! Following one job from its start to its end: the only place with a clock.

mod between_samples;
mod devices;
mod enforce_limits;

use std::{
    thread,
    time::{Duration, Instant, SystemTime},
};

use self::between_samples::SampleBefore;
use super::{
    Job, LargestProcess, Observer, Pace, Progress, Rows, RowsSoFar,
    backend::JobBackend as _,
    control::ControlOrder,
    event_batch::Changes,
    events::{self, MemoryReading, Sample},
    gpu::GpuWatch,
    ledger::{ClosingFacts, JobHeader, KernelTotals, Ledger},
    limits::{self, LimitWatch},
    mapped_files::FilesRead,
    os::{OsJob, thread_cpu},
    pace::{MarksPace, SamplingPace},
    resource_use::CpuUse,
};
use crate::{
    Error,
    record::{Exit, ExitCause, Limited, Overhead, PeaksFrom, Record, Tool},
};

/// Longest time for which SIGKILL is repeated for processes that do not exit (in an uninterruptible wait).
const MAX_KILLING_TIME: Duration = Duration::from_secs(5);

/// Longest time at the end for the events of exits already seen: tasks that exit may wait for a processor.
const MAX_FINAL_POLL_TIME: Duration = Duration::from_millis(250);
/// Pauses between polls in that time: each is twice the one before.
const FIRST_FINAL_POLL_PAUSE: Duration = Duration::from_micros(250);
const MAX_FINAL_POLL_PAUSE: Duration = Duration::from_millis(8);

/// Time from which on a poll has waited for a process. It stands for its end then: what it read last counts most.
const LONG_POLL_TIME: Duration = Duration::from_millis(250);

/// Runs `job` to its end.
pub(super) fn follow(job: &Job, observer: &mut dyn Observer) -> Result<Record<Rows>, Error> {
    // The devices are read before the high-water mark of this process, and before the command starts: their use without
    // the job must be known.
    let gpu = job.gpu.then(|| GpuWatch::start(&job.roots, job.pace));
    // A privileged job may mount another file system over `/proc`.
    let host = crate::host::host(&job.roots);
    let (mut os_job, start) = OsJob::start(job)?;
    let begun = start.clock.elapsed();
    os_job.poll(begun, true);
    let first = time_of_poll(begun, start.clock.elapsed());
    observer.started(os_job.root());
    let origin = os_job.origin();
    let (attached, command) = if let Some((attached, command)) = start.attached {
        (Some(attached), command)
    } else {
        let args = if job.leaves_out_arguments { &[][..] } else { &job.args };
        let words = std::iter::once(&job.program).chain(args);
        (None, words.map(|arg| arg.to_string_lossy().into_owned()).collect())
    };
    let header = JobHeader {
        tool: Tool { version: env!("CARGO_PKG_VERSION").to_owned(), target: target() },
        host,
        command,
        arguments_left_out: job.leaves_out_arguments,
        attached,
        started: start.wall,
        interval: match job.pace {
            Pace::Fixed { interval, .. } => Some(interval),
            Pace::Adaptive => None,
        },
        origin,
        usage: job.usage,
        group_by: job.group_by.clone(),
    };
    let exact = origin.peaks != PeaksFrom::Marks;
    let sampling_pace = SamplingPace::new(job.pace, origin.lineage.is_reported_by_kernel(), exact);
    let mut following = Following {
        ledger: Ledger::new(header),
        os_job,
        sampling_pace,
        clock: start.clock,
        marks_pace: MarksPace::new(),
        killing_since: None,
        previous_total: 0,
        cpu_before: thread_cpu(),
        kernel_totals: KernelTotals::default(),
        is_left: false,
        gpu,
        limits: LimitWatch::new(&job.limits),
    };
    following.begin_gpu();
    following.record(first, true);
    following.run(job, observer);
    // Events that arrived between the last poll and the end are taken in.
    following.last_polls();
    following.end_gpu();
    if following.limits.watches_cgroup() {
        following.enforce_limits(following.clock.elapsed(), observer);
    }
    following.kernel_totals = following.os_job.end();
    let reported_pss = following.limits.has_reported_unjudged_pss();
    let mut record = following.finish();
    for notice in limits::check_post_run(&mut record) {
        observer.limit(&notice);
    }
    let unjudged = limits::unjudged(&record);
    unjudged
        .filter(|limit| !matches!(limit.of, Limited::TotalPss | Limited::Memory) || !reported_pss)
        .for_each(|limit| observer.limit_unjudged(&limit));
    Ok(record)
}

/// Returns how much a total may move between two samples for the job to count as still. It is narrower than
/// `pss_pass_tolerance_bytes`, as a sample too many is cheap and a slow pace misses a rise.
fn pace_tolerance_bytes(total: u64) -> u64 {
    total / 64 + (256 << 10)
}

/// Returns the time that the readings of a poll stand for.
fn time_of_poll(begun: Duration, ended: Duration) -> Duration {
    if ended.saturating_sub(begun) >= LONG_POLL_TIME { ended } else { begun }
}

/// Returns the target of this build, as `x86_64-linux`.
fn target() -> String {
    format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS)
}

/// A poll of the job.
struct FollowedPoll {
    /// The time that its readings stand for.
    at: Duration,
    changes: Changes,
}

pub(super) struct Following {
    ledger: Ledger,
    os_job: OsJob,
    sampling_pace: SamplingPace,
    clock: Instant,
    marks_pace: MarksPace,
    killing_since: Option<Duration>,
    previous_total: u64,
    cpu_before: Duration,
    kernel_totals: KernelTotals,
    /// True once the job is to be left running.
    is_left: bool,
    gpu: Option<GpuWatch>,
    limits: LimitWatch,
}

impl Following {
    fn run(&mut self, job: &Job, observer: &mut dyn Observer) {
        loop {
            let cpu_before = thread_cpu();
            let begun = self.clock.elapsed();
            let FollowedPoll { at, changes } = self.poll(begun, self.marks_pace.is_due(begun));
            let total = self.ledger.last_total().unwrap_or(0);
            observer.sampled(&self.progress(at));
            let waiting = self.os_job.root_lives() || (job.wait && !self.os_job.is_empty());
            let seen = self.enforce_limits(at, observer);
            if job.control.is_killed() {
                // The poll may have begun with it.
                self.killing_since.get_or_insert(at);
            }
            let ending = self.killing_since.is_some() || self.limits.is_ending();
            let given_up = self.killing_since.is_some_and(|since| at > since + MAX_KILLING_TIME);
            if self.is_left || given_up || !(waiting || ending && !self.os_job.is_empty()) {
                self.limits.end(self.clock.elapsed());
                break;
            }
            let cost = thread_cpu().saturating_sub(cpu_before);
            if !changes.any() {
                self.read_mapped_files(at);
            }
            self.pss(at, total);
            let moved = total.abs_diff(self.previous_total) > pace_tolerance_bytes(self.previous_total);
            self.previous_total = total;
            let is_changing = changes.any() || moved || self.os_job.pss_awaits_end_of_writes();
            let mut pause = self.sampling_pace.next(at, is_changing, cost);
            if matches!(job.pace, Pace::Adaptive) || self.limits.is_ending() {
                pause = self.limits.longest_pause(&seen, cost).map_or(pause, |longest| pause.min(longest));
            }
            if self.killing_since.is_some() {
                self.os_job.kill();
                pause = pause.min(Duration::from_millis(2));
            }
            self.limits.plan(pause);
            let is_woken = if self.reads_group_in(pause, job) {
                self.wait_and_read_group(SampleBefore { at, pause, is_changing }, job, observer)
            } else {
                let left = pause.saturating_sub(self.clock.elapsed().saturating_sub(at));
                self.os_job.wait(left, job.control.wake())
            };
            if is_woken {
                self.marks_pace.hasten();
            }
            self.obey(job);
        }
    }

    /// Polls the job, at `begun`, and records the result in the ledger.
    fn poll(&mut self, begun: Duration, marks: bool) -> FollowedPoll {
        let cpu_before = thread_cpu();
        self.read_gpu();
        let poll = self.os_job.poll(begun, marks);
        let at = time_of_poll(begun, self.clock.elapsed());
        if let Some(gpu) = self.gpu.as_ref().filter(|_| poll.changes.any()) {
            gpu.follow(self.os_job.pids_and_ids());
        }
        self.record(at, poll.marks);
        if poll.marks {
            self.marks_pace.read(at, thread_cpu().saturating_sub(cpu_before));
        }
        FollowedPoll { at, changes: poll.changes }
    }

    fn last_polls(&mut self) {
        let until = self.clock.elapsed() + MAX_FINAL_POLL_TIME;
        let mut pause = FIRST_FINAL_POLL_PAUSE;
        loop {
            self.poll(self.clock.elapsed(), true);
            if !self.os_job.expects_events() || self.clock.elapsed() >= until {
                break;
            }
            thread::sleep(pause);
            pause = (pause * 2).min(MAX_FINAL_POLL_PAUSE);
        }
        let at = self.clock.elapsed();
        self.os_job.last_poll(at);
        self.record(at, true);
    }

    /// Records the last poll in the ledger.
    fn record(&mut self, at: Duration, marks: bool) {
        for event in self.os_job.take_events() {
            self.ledger.event(event);
        }
        let complete_until = self.os_job.complete_until(at);
        let (readings, uses) = (self.os_job.readings(), self.os_job.uses());
        let group = self.os_job.group_reading();
        let sample = Sample { at, readings, uses, group, marks, complete_until };
        self.ledger.sample(&sample);
        // One process shares with no other, and its marks say all.
        if marks
            && readings.len() > 1
            && let Some(bytes) = self.os_job.charged_memory()
        {
            self.ledger.charged(&sample, bytes);
        }
    }

    /// Reads the files of programs that the job runs by now, as far as they matter.
    fn read_mapped_files(&mut self, at: Duration) {
        while let Some(id) = self.ledger.next_files_to_read() {
            match self.os_job.mapped_files(at, id) {
                FilesRead::Read(files) => self.ledger.add_files(id, Some(files)),
                FilesRead::Unreadable => self.ledger.add_files(id, None),
                FilesRead::NotNow => break,
            }
        }
    }

    /// Makes a pass over PSS if one is due. It counts only if the poll after it shows the same members with the same
    /// memory.
    fn pss(&mut self, at: Duration, total: u64) {
        if !self.os_job.pss_is_due(at, total) {
            return;
        }
        let Some(pass) = self.os_job.pss(at) else { return };
        let before: Vec<MemoryReading> = self.os_job.readings().to_vec();
        let FollowedPoll { changes, .. } = self.poll(self.clock.elapsed(), false);
        if changes.any() || !events::stood_still(&before, self.os_job.readings()) {
            self.ledger.pss_disturbed();
            let at_least = self.os_job.pss_lower_bound();
            self.ledger.pss_at_least(at_least);
        } else {
            self.os_job.pss_counted(at, total);
            self.ledger.pss(pass);
        }
    }

    fn obey(&mut self, job: &Job) {
        for order in job.control.take() {
            match order {
                ControlOrder::Signal(number) => self.os_job.signal(number),
                ControlOrder::KillTree => {
                    self.killing_since.get_or_insert(self.clock.elapsed());
                    self.os_job.kill();
                }
                ControlOrder::Leave => self.is_left = true,
            }
        }
    }

    fn closing(&self, elapsed: Duration) -> ClosingFacts {
        let cpu = thread_cpu().saturating_sub(self.cpu_before) + self.os_job.reader_cpu();
        ClosingFacts {
            elapsed,
            exit: self.os_job.exit(self.killing_since.is_some(), self.limits.is_ending()),
            downgrades: self.os_job.downgrades().into_iter().chain(self.limits.downgrades()).collect(),
            lost_events: self.os_job.lost(),
            all_reported: self.os_job.all_reported(),
            kernel_totals: self.kernel_totals.clone(),
            limits: self.limits.limits(),
            sent_sigkill: self.killing_since.is_some() || self.limits.is_ending(),
            overhead: Some(Overhead { cpu_seconds: cpu.as_secs_f64() }),
        }
    }

    fn progress(&self, at: Duration) -> Progress<'_> {
        let used = self.ledger.last_used().unwrap_or_default();
        Progress {
            elapsed: at,
            time: SystemTime::now(),
            memory_bytes: self.ledger.last_memory(),
            total_rss_bytes: self.ledger.last_total(),
            process_count: self.ledger.living(),
            vram_bytes: self.ledger.last_vram(),
            swap_bytes: self.ledger.last_swap(),
            cpu_time: used.cpu.map(CpuUse::time),
            io_bytes: used.io.unwrap_or_default(),
            following: self,
        }
    }

    pub(super) fn memory_peak_so_far(&self) -> Option<u64> {
        self.ledger.memory_peak_so_far()
    }

    pub(super) fn peak_so_far(&self) -> Option<u64> {
        self.ledger.peak_so_far()
    }

    pub(super) fn largest(&self) -> Option<LargestProcess> {
        let own = self.os_job.readings().iter().filter(|reading| !reading.shares_map);
        let reading = own.max_by_key(|reading| reading.rss)?;
        let (pid, name) = self.ledger.pid_and_name(reading.id)?;
        Some(LargestProcess { pid, name, rss_bytes: reading.rss })
    }

    pub(super) fn checkpoint(&self, elapsed: Duration) -> Record<RowsSoFar<'_>> {
        self.ledger.checkpoint(&self.closing(elapsed))
    }

    fn finish(self) -> Record<Rows> {
        let mut closing = self.closing(self.clock.elapsed());
        if closing.exit.is_none() && !self.os_job.root_lives() {
            // SIGCHLD is ignored in this process, or another thread waited for the child.
            closing.exit =
                Some(Exit { code: None, signal: None, signal_name: None, cause: ExitCause::Unknown });
        }
        self.ledger.finish(&closing)
    }
}
