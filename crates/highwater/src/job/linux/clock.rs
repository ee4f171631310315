//! The clock of a job: time since its start, on the clock that the kernel stamps events with.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Time since the start of a job.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct JobClock {
    /// `CLOCK_MONOTONIC` at the start of the job.
    epoch: Duration,
}

impl JobClock {
    /// Returns the clock of a job that started at `epoch` of `CLOCK_MONOTONIC`.
    pub(super) fn starting_at(epoch: Duration) -> Self {
        Self { epoch }
    }

    /// Returns the time since the start of the job.
    pub(super) fn now(self) -> Duration {
        self.since_start(monotonic())
    }

    /// Converts a time of `CLOCK_MONOTONIC`; an earlier time counts as the start.
    pub(super) fn since_start(self, time: Duration) -> Duration {
        time.saturating_sub(self.epoch)
    }
}

/// Returns `CLOCK_MONOTONIC`.
pub(super) fn monotonic() -> Duration {
    let time = clock_gettime(ClockId::Monotonic);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs().try_into().unwrap_or(0))
}
