//! Limits on a running job: the steps when one is exceeded, and the longest pause until the next poll.

use std::time::Duration;

use super::{
    Limits, OnLimit, StallReadings, UnjudgedLimit, pss_passes::PssPassCounts, sample_gaps::SampleGaps,
};
use crate::{
    job::{identity::MemberId, moment::rounded_seconds},
    record::{
        Downgrade, Exceeded, Limit, LimitAction, LimitEnd, Limited, UNJUDGED_MEMORY_LIMIT,
        UNJUDGED_PSS_LIMIT, UNSAMPLED_LIMITS,
    },
};

/// Share of a limit at which it is nearly reached.
const NEAR_LIMIT_SHARE: (u64, u64) = (9, 10);
/// Share of a limit beyond which a job that is ending is killed at once.
pub(crate) const KILL_AT_ONCE_SHARE: (u64, u64) = (6, 5);
/// Bytes per second that a job may grow: near a limit the next poll comes before such a growth could fill the headroom.
const MAX_GROWTH_PER_SECOND: u64 = 2 << 30;
/// Shortest pause near a limit.
const MIN_PAUSE_NEAR_LIMIT: Duration = Duration::from_millis(5);
/// Longest pause while the job is ending.
const MAX_PAUSE_WHILE_ENDING: Duration = Duration::from_millis(2);
/// Shortest pause near a limit, as a multiple of the cost of a sample. As root this program runs before others, and must leave
/// them some of the processor however many processes the job has.
const MIN_PAUSE_IN_COSTS: u32 = 2;
/// Divisor of the time: passes over PSS may take this share of it.
const PSS_COST_DIVISOR: u32 = 10;

/// Readings of one poll of the job.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LimitReadings {
    pub(crate) at: Duration,
    pub(crate) total_rss: Option<u64>,
    /// Memory with each page counted once, where a source beside the processes reports it.
    pub(crate) memory: Option<u64>,
    /// The member that holds most, and its RSS.
    pub(crate) largest: Option<(MemberId, u64)>,
    /// The PSS sum, if it was just read.
    pub(crate) total_pss: Option<u64>,
    /// Pages of hugetlbfs, which PSS lacks.
    pub(crate) hugetlb: u64,
    /// True if the kernel has killed a process for the limit of the job's cgroup.
    pub(crate) oom_killed: bool,
    /// Readings for which the job was ended before this poll could end.
    pub(crate) stalled: Option<StallReadings>,
}

/// A step to take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LimitStep {
    /// Report a limit, each once.
    Say { of: Limited, limit: u64, bytes: u64, is_exceeded: bool },
    /// Report a limit that cannot be judged as a whole, once.
    SayUnjudged(UnjudgedLimit),
    /// Ask the whole job to end.
    Terminate,
    /// Kill it.
    Kill,
}

/// The limits of one job, and whether it exceeds them.
#[derive(Debug)]
pub(crate) struct LimitWatch {
    watched: Vec<Watched>,
    on_limit: OnLimit,
    grace: Duration,
    ending: Option<LimitEnding>,
    next_pss: Duration,
    pss: PssPassCounts,
    has_reported_pss: bool,
    gaps: SampleGaps,
}

#[derive(Debug)]
struct Watched {
    of: Limited,
    limit: u64,
    was_near: bool,
    exceeded: Option<Exceeded>,
}

#[derive(Debug)]
struct LimitEnding {
    since: Duration,
    of: Limited,
    killed: bool,
}

impl LimitWatch {
    pub(crate) fn new(limits: &Limits) -> Self {
        let all = [
            (Limited::Memory, limits.memory_bytes),
            (Limited::TotalRss, limits.total_rss_bytes),
            (Limited::ProcessRss, limits.process_rss_bytes),
            (Limited::TotalPss, limits.total_pss_bytes),
            (Limited::Cgroup, limits.cgroup_bytes),
        ];
        let watched = all.into_iter().filter_map(|(of, limit)| {
            limit.map(|limit| Watched { of, limit, was_near: false, exceeded: None })
        });
        Self {
            watched: watched.collect(),
            on_limit: limits.on_limit,
            grace: limits.grace,
            ending: None,
            next_pss: Duration::ZERO,
            pss: PssPassCounts::default(),
            has_reported_pss: false,
            gaps: SampleGaps::new(),
        }
    }

    /// Returns whether the job is being ended for a limit.
    pub(crate) fn is_ending(&self) -> bool {
        self.ending.is_some()
    }

    /// Returns whether any limit is set.
    pub(crate) fn watches_any(&self) -> bool {
        !self.watched.is_empty()
    }

    /// Returns whether the kernel enforces a limit for this job.
    pub(crate) fn watches_cgroup(&self) -> bool {
        self.watched.iter().any(|watched| watched.of == Limited::Cgroup)
    }

    /// Returns whether PSS is to be read now. `memory` is known where a source beside the processes reports it.
    pub(crate) fn wants_pss(&self, at: Duration, total_rss: Option<u64>, memory: Option<u64>) -> bool {
        let needs = |of| of == Limited::TotalPss || of == Limited::Memory && memory.is_none();
        let limit =
            self.watched.iter().filter(|watched| needs(watched.of)).map(|watched| watched.limit).min();
        let over = limit.zip(total_rss).is_some_and(|(limit, rss)| rss > limit);
        // A job that is ending for another limit needs no such pass. One that ends for this limit may grow too far.
        let matters = self.ending.as_ref().is_none_or(|ending| needs(ending.of) && !ending.killed);
        over && matters && at >= self.next_pss
    }

    /// Sets the pause after a pass over PSS that ended `at` and took `took`, of which it `waited` for members.
    ///
    /// A wait costs no processor time, so it is not multiplied. In the pause after it the other limits are judged, which a
    /// pass does not do.
    pub(crate) fn pss_cost(&mut self, at: Duration, took: Duration, waited: Duration) {
        self.next_pss = at + waited + took.saturating_sub(waited) * PSS_COST_DIVISOR;
    }

    /// Counts a pass. It is a lower bound if `unread` processes could not be read.
    pub(crate) fn pss_counted(&mut self, unread: u64) {
        self.pss.counted(unread);
    }

    /// Counts a pass that is void because a process started or exited.
    pub(crate) fn pss_disturbed(&mut self) {
        self.pss.disturbed();
    }

    /// Sets the pause until the next sample.
    pub(crate) fn plan(&mut self, pause: Duration) {
        self.gaps.plan(pause);
    }

    /// Records that no sample follows the last one.
    pub(crate) fn end(&mut self, at: Duration) {
        self.gaps.end(at);
    }

    /// Lists the limits that could not be enforced as a whole, and the reasons.
    pub(crate) fn downgrades(&self) -> impl Iterator<Item = Downgrade> {
        self.unjudged_pss().into_iter().chain(self.unsampled())
    }

    /// Returns that limits were not compared with samples for some time, and for how long.
    fn unsampled(&self) -> Option<Downgrade> {
        self.watched.iter().find(|watched| watched.of != Limited::Cgroup)?;
        Some(Downgrade { wanted: UNSAMPLED_LIMITS.to_owned(), reason: self.gaps.doubt()? })
    }

    /// Returns the limit on PSS that could not be enforced, and the reason.
    fn unjudged_pss(&self) -> Option<Downgrade> {
        let reason = self.pss.final_doubt()?;
        let is_of_pss = self.watched.iter().any(|watched| watched.of == Limited::TotalPss);
        let wanted = if is_of_pss { UNJUDGED_PSS_LIMIT } else { UNJUDGED_MEMORY_LIMIT };
        Some(Downgrade { wanted: wanted.to_owned(), reason })
    }

    /// Returns whether a step has reported that the limit on PSS cannot be judged as a whole.
    pub(crate) fn has_reported_unjudged_pss(&self) -> bool {
        self.has_reported_pss
    }

    /// Reports once that the limit on PSS cannot be judged as a whole, unless it is exceeded all the same.
    fn report_doubt(&mut self, steps: &mut Vec<LimitStep>) {
        if self.has_reported_pss {
            return;
        }
        let Some(reason) = self.pss.doubt() else { return };
        let is_of_pss = |of| matches!(of, Limited::TotalPss | Limited::Memory);
        let is_open = |watched: &&Watched| is_of_pss(watched.of) && watched.exceeded.is_none();
        let Some(&Watched { of, limit, .. }) = self.watched.iter().find(is_open) else { return };
        self.has_reported_pss = true;
        steps.push(LimitStep::SayUnjudged(UnjudgedLimit { of, limit_bytes: limit, reason }));
    }

    /// Compares a poll with the limits.
    pub(crate) fn check(&mut self, seen: &LimitReadings, steps: &mut Vec<LimitStep>) {
        self.gaps.sampled(seen.at);
        for watched in &mut self.watched {
            let Some(bytes) = seen.of(watched.of) else { continue };
            let limit = watched.limit;
            if let Some(exceeded) = &mut watched.exceeded {
                exceeded.highest_bytes = exceeded.highest_bytes.max(Some(bytes));
            } else if bytes > limit {
                watched.exceeded = Some(Exceeded {
                    bytes: Some(bytes),
                    highest_bytes: Some(bytes),
                    at_seconds: Some(rounded_seconds(seen.at)),
                    pid: None,
                    command: None,
                    ended_by: None,
                });
                steps.push(LimitStep::Say { of: watched.of, limit, bytes, is_exceeded: true });
                if self.on_limit == OnLimit::Kill && self.ending.is_none() {
                    self.ending = Some(LimitEnding { since: seen.at, of: watched.of, killed: false });
                    steps.push(LimitStep::Terminate);
                }
            } else if !watched.was_near && bytes >= limit / NEAR_LIMIT_SHARE.1 * NEAR_LIMIT_SHARE.0 {
                watched.was_near = true;
                steps.push(LimitStep::Say { of: watched.of, limit, bytes, is_exceeded: false });
            }
            if let Some(ending) =
                self.ending.as_mut().filter(|ending| ending.of == watched.of && !ending.killed)
                && bytes > limit.saturating_mul(KILL_AT_ONCE_SHARE.0) / KILL_AT_ONCE_SHARE.1
            {
                ending.killed = true;
                steps.push(LimitStep::Kill);
            }
        }
        if seen.stalled.is_some_and(|stalled| stalled.killed)
            && let Some(ending) = self.ending.as_mut().filter(|ending| !ending.killed)
        {
            ending.killed = true;
            steps.push(LimitStep::Kill);
        }
        self.report_doubt(steps);
        if seen.oom_killed {
            self.kernel_killed(seen.at, steps);
        }
        if let Some(ending) = self.ending.as_mut().filter(|ending| !ending.killed)
            && seen.at.saturating_sub(ending.since) >= self.grace
        {
            ending.killed = true;
            steps.push(LimitStep::Kill);
        }
    }

    /// Records the process that held most when a limit was exceeded.
    pub(crate) fn blame(&mut self, of: Limited, pid: u32, command: &str) {
        if let Some(exceeded) = self.exceeded(of) {
            (exceeded.pid, exceeded.command) = (Some(pid), Some(command.to_owned()));
        }
    }

    /// Records that the kernel killed a process for the cgroup's limit; this process must end the others.
    fn kernel_killed(&mut self, at: Duration, steps: &mut Vec<LimitStep>) {
        let watched = self.watched.iter_mut().find(|watched| watched.of == Limited::Cgroup);
        let Some(watched) = watched.filter(|watched| watched.exceeded.is_none()) else { return };
        watched.exceeded = Some(Exceeded {
            bytes: None,
            highest_bytes: None,
            at_seconds: Some(rounded_seconds(at)),
            pid: None,
            command: None,
            ended_by: None,
        });
        let limit = watched.limit;
        steps.push(LimitStep::Say { of: Limited::Cgroup, limit, bytes: limit, is_exceeded: true });
        if self.on_limit == OnLimit::Kill && self.ending.is_none() {
            self.ending = Some(LimitEnding { since: at, of: Limited::Cgroup, killed: false });
            steps.push(LimitStep::Terminate);
        }
    }

    /// Returns the longest time from this poll to the next, after a poll that cost so much processor time.
    pub(crate) fn longest_pause(&self, seen: &LimitReadings, cost: Duration) -> Option<Duration> {
        let longest = if self.ending.is_some() {
            Some(MAX_PAUSE_WHILE_ENDING)
        } else {
            self.time_to_fill_headroom(seen)
        };
        longest.map(|pause| pause.max(cost * MIN_PAUSE_IN_COSTS))
    }

    /// Returns the time in which the fastest job could reach a limit.
    fn time_to_fill_headroom(&self, seen: &LimitReadings) -> Option<Duration> {
        self.watched
            .iter()
            .filter(|watched| watched.exceeded.is_none())
            .filter_map(|watched| {
                let held = match watched.of {
                    // PSS cannot exceed RSS.
                    Limited::TotalPss => seen.total_rss,
                    Limited::Memory => seen.memory.or(seen.total_rss.map(|rss| rss + seen.hugetlb)),
                    of => seen.of(of),
                };
                let headroom = watched.limit.saturating_sub(held?);
                Some(
                    Duration::from_secs_f64(headroom as f64 / MAX_GROWTH_PER_SECOND as f64)
                        .max(MIN_PAUSE_NEAR_LIMIT),
                )
            })
            .min()
    }

    /// Returns the limits in the form of the record.
    pub(crate) fn limits(&self) -> Vec<Limit> {
        let action = match self.on_limit {
            OnLimit::Kill => LimitAction::Kill,
            OnLimit::Warn => LimitAction::Warn,
        };
        let limit = |watched: &Watched| {
            let mut exceeded = watched.exceeded.clone();
            if let Some((exceeded, ending)) = exceeded.as_mut().zip(self.ending.as_ref())
                && ending.of == watched.of
            {
                exceeded.ended_by = Some(match (watched.of, ending.killed) {
                    (Limited::Cgroup, _) => LimitEnd::Oom,
                    (_, true) => LimitEnd::Kill,
                    (_, false) => LimitEnd::Term,
                });
            }
            Limit { of: watched.of, limit_bytes: watched.limit, action, exceeded }
        };
        self.watched.iter().map(limit).collect()
    }

    fn exceeded(&mut self, of: Limited) -> Option<&mut Exceeded> {
        self.watched.iter_mut().find(|watched| watched.of == of)?.exceeded.as_mut()
    }
}

impl LimitReadings {
    fn of(&self, of: Limited) -> Option<u64> {
        let polled = match of {
            Limited::Memory => self.memory.or(self.total_pss.map(|pss| pss + self.hugetlb)),
            Limited::TotalRss => self.total_rss,
            Limited::ProcessRss => self.largest.map(|(_, bytes)| bytes),
            Limited::TotalPss => self.total_pss,
            Limited::Cgroup | Limited::Other => None,
        };
        polled.max(self.stalled.and_then(|stalled| stalled.of(of)))
    }
}

#[cfg(test)]
mod tests;
