//! Limits on a job: what may be asked for, and what is said of it. `watch.rs` holds a running job to them, `afterwards.rs`
//! judges by what the kernel has kept. Knows no system.

mod afterwards;
mod watch;

use std::time::Duration;

pub(crate) use self::{
    afterwards::judge as judge_afterwards,
    watch::{LimitWatch, Seen, Step},
};
use crate::record::Limited;

/// Limits on the memory of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::struct_field_names)] // The unit belongs to the name.
#[non_exhaustive]
pub struct Limits {
    /// The most that the sum of all members' RSS may be.
    pub total_rss_bytes: Option<u64>,
    /// The most that the RSS of each process may be.
    pub process_rss_bytes: Option<u64>,
    /// The most that the sum of all members' PSS may be: shared pages count once. Read only once the RSS sum is over
    /// it, for it is dear, and only while no member comes or goes.
    pub total_pss_bytes: Option<u64>,
    /// The most that the job's cgroup may be charged. The kernel keeps this one: it reclaims, and then kills.
    pub cgroup_bytes: Option<u64>,
    /// What to do.
    pub on_limit: OnLimit,
    /// Between asking the job to end (SIGTERM) and ending it (SIGKILL).
    pub grace: Duration,
}

#[cfg(target_os = "linux")]
impl Limits {
    /// Returns whether a limit is judged from samples. The kernel keeps that of the cgroup by itself.
    pub(crate) fn are_sampled(&self) -> bool {
        self.total_rss_bytes.or(self.process_rss_bytes).or(self.total_pss_bytes).is_some()
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            total_rss_bytes: None,
            process_rss_bytes: None,
            total_pss_bytes: None,
            cgroup_bytes: None,
            on_limit: OnLimit::default(),
            grace: Duration::from_secs(5),
        }
    }
}

/// What to do about a job that exceeds a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OnLimit {
    /// End it, with all its descendants.
    #[default]
    Kill,
    /// Say so.
    Warn,
}

/// A limit is nearly reached, or exceeded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LimitNotice {
    /// What is limited.
    pub of: Limited,
    /// The limit.
    pub limit_bytes: u64,
    /// What was read.
    pub bytes: u64,
    /// True if it is exceeded; else it is near.
    pub is_exceeded: bool,
    /// True if the job is ended for it.
    pub ends_the_job: bool,
    /// True if the job was over when it was noticed: by its peaks, which the kernel kept.
    pub is_over: bool,
    /// The process that holds most: pid and name.
    pub culprit: Option<(u32, String)>,
}
