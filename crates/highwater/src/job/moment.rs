//! The time of an event in a job.

use std::time::Duration;

/// Time of an event, since the start of the job: between two polls, or at one instant if the kernel reported it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) earliest: Duration,
    pub(crate) latest: Duration,
}

impl Moment {
    #[cfg_attr(target_os = "macos", allow(dead_code))] // No event carries its time there.
    pub(crate) fn exactly(at: Duration) -> Self {
        Self { earliest: at, latest: at }
    }

    pub(crate) fn between(earliest: Duration, latest: Duration) -> Self {
        Self { earliest: earliest.min(latest), latest }
    }
}

/// Returns the time in seconds, rounded to microseconds: precise enough for a chart, and short in JSON.
pub(crate) fn rounded_seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e6
}
