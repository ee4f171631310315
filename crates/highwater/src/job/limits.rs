//! Limits on a job: options and notices. `watch.rs` enforces them on a running job, and `post_run.rs` compares them
//! with the kernel's peaks. Knows no system.

mod post_run;
mod pss_passes;
mod sample_gaps;
mod watch;

use std::time::{Duration, Instant};

#[cfg(target_os = "linux")]
pub(crate) use self::watch::KILL_AT_ONCE_SHARE;
pub(crate) use self::{
    post_run::{check_post_run, unjudged},
    watch::{LimitReadings, LimitStep, LimitWatch},
};
use crate::record::Limited;

/// Limits on the memory of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::struct_field_names)] // The unit belongs to the name.
#[non_exhaustive]
pub struct Limits {
    /// Most bytes of the job's memory, each page counted once: the figure of
    /// [`Peaks::memory`](crate::record::Peaks::memory). Without a cgroup it is compared as `total_pss_bytes` is.
    pub memory_bytes: Option<u64>,
    /// Most bytes of the sum of all members' RSS.
    pub total_rss_bytes: Option<u64>,
    /// Most bytes of the RSS of each process.
    pub process_rss_bytes: Option<u64>,
    /// Most bytes of the sum of all members' PSS: shared pages count once. It is read only once the RSS sum exceeds it,
    /// as it is expensive. A member whose PSS is refused is compared by its anonymous memory, by itself.
    pub total_pss_bytes: Option<u64>,
    /// Most bytes charged to the job's cgroup. The kernel enforces this one: it reclaims memory, and then kills.
    pub cgroup_bytes: Option<u64>,
    /// The action when a limit is exceeded.
    pub on_limit: OnLimit,
    /// Time between asking the job to end (SIGTERM) and ending it (SIGKILL).
    pub grace: Duration,
}

#[cfg(target_os = "linux")]
impl Limits {
    /// Returns whether a limit is compared with samples. The kernel enforces that of the cgroup by itself.
    pub(crate) fn are_sampled(&self) -> bool {
        self.total_rss_bytes.or(self.process_rss_bytes).is_some() || self.may_need_pss()
    }

    /// Returns whether a limit may be compared with PSS.
    pub(crate) fn may_need_pss(&self) -> bool {
        self.total_pss_bytes.or(self.memory_bytes).is_some()
    }
}

/// A job that exceeded a limit while the thread that follows it waited for a process of it.
#[derive(Debug, Clone)]
#[cfg_attr(not(target_os = "linux"), allow(dead_code))] // Only Linux has such a judge.
pub(crate) struct Stall {
    pub(crate) at: Instant,
    pub(crate) readings: StallReadings,
    /// The process that held most.
    pub(crate) culprit: Option<LimitCulprit>,
}

/// Readings of a job whose follower waits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct StallReadings {
    pub(crate) total_rss: u64,
    pub(crate) largest_rss: u64,
    /// Bytes that the job holds at least, each page counted once.
    pub(crate) memory_at_least: u64,
    /// True if the job was killed for them, and not only asked to end.
    pub(crate) killed: bool,
}

impl StallReadings {
    /// Returns the reading of a quantity; `None` if it is not read in that time.
    pub(crate) fn of(self, quantity: Limited) -> Option<u64> {
        match quantity {
            Limited::Memory => Some(self.memory_at_least),
            Limited::TotalRss => Some(self.total_rss),
            Limited::ProcessRss => Some(self.largest_rss),
            Limited::TotalPss | Limited::Cgroup | Limited::Other => None,
        }
    }
}

#[cfg(target_os = "linux")]
impl StallReadings {
    /// Returns whether one of them exceeds that share of its limit.
    pub(crate) fn exceed(self, limits: &Limits, (times, of): (u64, u64)) -> bool {
        [
            (self.memory_at_least, limits.memory_bytes),
            (self.total_rss, limits.total_rss_bytes),
            (self.largest_rss, limits.process_rss_bytes),
        ]
        .into_iter()
        .any(|(bytes, limit)| limit.is_some_and(|limit| bytes > limit.saturating_mul(times) / of))
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: None,
            total_rss_bytes: None,
            process_rss_bytes: None,
            total_pss_bytes: None,
            cgroup_bytes: None,
            on_limit: OnLimit::default(),
            grace: Duration::from_secs(5),
        }
    }
}

/// The action when a job exceeds a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OnLimit {
    /// End the job with all its descendants.
    #[default]
    Kill,
    /// Only warn.
    Warn,
}

/// A limit is nearly reached, or exceeded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LimitNotice {
    /// The quantity that is limited.
    pub of: Limited,
    /// The limit.
    pub limit_bytes: u64,
    /// The value that was read.
    pub bytes: u64,
    /// True if it is exceeded; otherwise it is nearly reached.
    pub is_exceeded: bool,
    /// True if the job is ended because of it.
    pub ends_the_job: bool,
    /// True if it was noticed only after the job, by the peaks that the kernel kept.
    pub is_over: bool,
    /// The process that holds most.
    pub culprit: Option<LimitCulprit>,
    /// Memory of the job at that moment, each page counted once; `None` if it is not known.
    pub memory_bytes: Option<u64>,
}

/// A limit that could not be judged, or only in part: it may be exceeded unseen. A figure that could not be read is no
/// evidence against a job.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnjudgedLimit {
    /// The quantity that is limited.
    pub of: Limited,
    /// The limit.
    pub limit_bytes: u64,
    /// The reason.
    pub reason: String,
}

/// The process that held most when a limit was nearly reached or exceeded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LimitCulprit {
    /// Its pid.
    pub pid: u32,
    /// Its name, as in [`Process::command`](crate::record::Process::command).
    pub command: String,
}
