//! Enforcement of a job's limits.

use std::time::{Duration, Instant};

use super::Following;
use crate::job::{
    Observer,
    backend::JobBackend as _,
    limits::{LimitCulprit, LimitNotice, LimitReadings, LimitStep},
};

impl Following {
    /// Compares the last poll with the limits, and takes the steps that they require.
    pub(super) fn enforce_limits(&mut self, at: Duration, observer: &mut dyn Observer) -> LimitReadings {
        let largest = self.os_job.readings().iter().filter(|reading| !reading.shares_map);
        let largest = largest.max_by_key(|reading| reading.rss).map(|reading| (reading.id, reading.rss));
        let total_rss = self.ledger.last_total();
        let over_pss = self.limits.wants_pss(at, total_rss);
        let seen = LimitReadings {
            at,
            total_rss,
            largest,
            total_pss: over_pss.then(|| self.pss_for_limit(at)).flatten(),
            oom_killed: self.limits.watches_cgroup() && self.os_job.kernel_enforced(),
        };
        let mut steps = Vec::new();
        self.limits.check(&seen, &mut steps);
        // The job is ended first: an observer may block on the reader of its output.
        steps.sort_by_key(|step| matches!(step, LimitStep::Say { .. } | LimitStep::SayUnjudged(_)));
        for step in steps {
            match step {
                LimitStep::Say { of, limit, bytes, is_exceeded } => {
                    let culprit = largest.and_then(|(id, _)| self.ledger.pid_and_name(id));
                    let culprit = culprit.map(|(pid, command)| LimitCulprit { pid, command });
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

    /// Returns the PSS that the whole job holds at least. It is `None` if a process started or exited meanwhile, as
    /// pages may then be counted twice.
    fn pss_for_limit(&mut self, at: Duration) -> Option<u64> {
        let begin = Instant::now();
        let pass = self.os_job.pss_of_all(at)?;
        let changes = self.poll(self.clock.elapsed(), false);
        self.limits.pss_cost(self.clock.elapsed(), begin.elapsed());
        if changes.any() {
            self.limits.pss_disturbed();
            self.ledger.pss_disturbed();
            return None;
        }
        self.limits.pss_counted(pass.unread);
        self.ledger.pss(pass);
        Some(pass.bytes)
    }
}
