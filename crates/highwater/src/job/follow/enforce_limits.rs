//! Enforcement of a job's limits.

use std::time::{Duration, Instant};

use super::{FollowedPoll, Following};
use crate::job::{
    Observer,
    backend::JobBackend as _,
    events,
    limits::{LimitCulprit, LimitNotice, LimitReadings, LimitStep},
};

impl Following {
    /// Compares the last poll with the limits, and takes the steps that they require.
    pub(super) fn enforce_limits(&mut self, at: Duration, observer: &mut dyn Observer) -> LimitReadings {
        let largest = self.os_job.readings().iter().filter(|reading| !reading.shares_map);
        let largest = largest.max_by_key(|reading| reading.rss).map(|reading| (reading.id, reading.rss));
        let stall = self.os_job.take_stall();
        let at = stall.as_ref().map_or(at, |stall| stall.at.saturating_duration_since(self.clock));
        if let Some(stall) = &stall {
            self.ledger.stalled(at, stall.readings);
        }
        let total_rss = self.ledger.last_total();
        let memory = self.ledger.last_group_memory();
        let hugetlb = self.ledger.last_hugetlb();
        let over_pss = self.limits.wants_pss(at, total_rss.map(|rss| rss + hugetlb), memory);
        let seen = LimitReadings {
            at,
            total_rss,
            memory,
            largest,
            total_pss: over_pss.then(|| self.pss_for_limit(at)).flatten(),
            hugetlb,
            oom_killed: self.limits.watches_cgroup() && self.os_job.kernel_enforced(),
            stalled: stall.as_ref().map(|stall| stall.readings),
        };
        let mut steps = Vec::new();
        self.limits.check(&seen, &mut steps);
        // The job is ended first: an observer may block on the reader of its output.
        steps.sort_by_key(|step| matches!(step, LimitStep::Say { .. } | LimitStep::SayUnjudged(_)));
        for step in steps {
            match step {
                LimitStep::Say { of, limit, bytes, is_exceeded } => {
                    let largest = largest.and_then(|(id, _)| self.ledger.pid_and_name(id));
                    let largest = largest.map(|(pid, command)| LimitCulprit { pid, command });
                    let culprit = stall.as_ref().and_then(|stall| stall.culprit.clone()).or(largest);
                    if let Some(culprit) = culprit.as_ref().filter(|_| is_exceeded) {
                        self.limits.blame(of, culprit.pid, &culprit.command);
                    }
                    observer.limit(&LimitNotice {
                        of,
                        limit_bytes: limit,
                        bytes,
                        is_exceeded,
                        ends_the_job: is_exceeded && self.limits.is_ending(),
                        is_over: false,
                        culprit,
                        memory_bytes: self.ledger.last_memory().filter(|_| stall.is_none()),
                    });
                }
                LimitStep::SayUnjudged(unjudged) => observer.limit_unjudged(&unjudged),
                LimitStep::Terminate => self.os_job.terminate(),
                LimitStep::Kill => {
                    self.killing_since.get_or_insert(at);
                    self.os_job.kill();
                }
            }
        }
        seen
    }

    /// Returns the PSS that the whole job holds at least.
    fn pss_for_limit(&mut self, at: Duration) -> Option<u64> {
        let begin = Instant::now();
        let mut pass = self.os_job.pss_of_all(at)?;
        let before = self.os_job.readings().to_vec();
        let FollowedPoll { changes, .. } = self.poll(self.clock.elapsed(), false);
        let at_least = self.os_job.pss_lower_bound();
        self.ledger.pss_at_least(at_least);
        self.limits.pss_cost(self.clock.elapsed(), begin.elapsed(), pass.waited);
        if changes.any() {
            // Memory of processes that came or went may be counted twice in the sum.
            self.limits.pss_disturbed();
            self.ledger.pss_disturbed();
            return Some(at_least);
        }
        if !events::stood_still(&before, self.os_job.readings()) {
            // So may memory that changed hands.
            pass.bytes = pass.bytes.min(at_least);
        }
        self.limits.pss_counted(pass.unread.len() as u64);
        let bytes = pass.bytes.max(at_least);
        self.ledger.pss(pass);
        Some(bytes)
    }
}
