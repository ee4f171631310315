//! Limits that were watched while the job ran, in a record.

use serde::{Deserialize, Serialize};

use super::Record;

/// Name of the limit on PSS in `capture.downgrades`, where it could not be judged, or only in part.
pub(crate) const UNJUDGED_PSS_LIMIT: &str = "the limit on total PSS";

/// The same for the limit on peak memory.
pub(crate) const UNJUDGED_MEMORY_LIMIT: &str = "the limit on peak memory";

/// Name of the peak of the job's cgroup in `capture.downgrades`, where it is unknown, or does not count the whole job. The
/// limit of the cgroup then holds for a part of the job at most.
pub(crate) const CGROUP_PEAK: &str = "the kernel's own peak of a cgroup";

/// Name of the limits that are compared with samples in `capture.downgrades`, where no sample was taken for some time.
pub(crate) const UNSAMPLED_LIMITS: &str = "samples to judge the limits without a gap";

/// A limit, and whether it was exceeded. Since 1.2.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Limit {
    /// The quantity that was limited.
    pub of: Limited,
    /// The limit.
    pub limit_bytes: u64,
    /// The action on exceeding it.
    pub action: LimitAction,
    /// How it was exceeded; `null` where no figure above it was read. `peak` and `capture.downgrades` tell whether it
    /// could be judged.
    pub exceeded: Option<Exceeded>,
}

/// The judgement on a limit.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum LimitVerdict<'a> {
    /// It was exceeded.
    Exceeded(&'a Exceeded),
    /// No figure above it was read, and figures were read.
    Kept,
    /// No figure above it was read, and some could not be read, or were not for some time. The text is the reason.
    JudgedInPart(&'a str),
    /// No figure was read to compare it with.
    NotJudged,
}

impl<P> Record<P> {
    /// Returns the judgement on a limit of this record.
    #[must_use]
    pub fn verdict<'a>(&'a self, limit: &'a Limit) -> LimitVerdict<'a> {
        if let Some(exceeded) = &limit.exceeded {
            return LimitVerdict::Exceeded(exceeded);
        }
        if let Some(reason) = self.doubt(limit) {
            return LimitVerdict::JudgedInPart(reason);
        }
        let is_known = match limit.of {
            Limited::TotalRss | Limited::ProcessRss => self.total_peak_bytes().is_some(),
            Limited::Memory => self.peak.memory.is_some(),
            Limited::TotalPss => {
                // PSS cannot exceed RSS.
                let rss = self.total_peak_bytes();
                rss.is_some_and(|rss| rss <= limit.limit_bytes || self.peak.pss.is_some())
            }
            // The kernel enforces it for what is in the group.
            Limited::Cgroup => true,
            Limited::Other => false,
        };
        if is_known { LimitVerdict::Kept } else { LimitVerdict::NotJudged }
    }

    /// Returns the reason why a limit may have been exceeded unseen.
    fn doubt(&self, limit: &Limit) -> Option<&str> {
        let unsampled = || self.downgraded(&[UNSAMPLED_LIMITS]);
        match limit.of {
            Limited::Memory | Limited::TotalPss => {
                self.downgraded(&[UNJUDGED_PSS_LIMIT, UNJUDGED_MEMORY_LIMIT]).or_else(unsampled)
            }
            Limited::Cgroup => self.downgraded(&[CGROUP_PEAK]),
            Limited::TotalRss | Limited::ProcessRss if !self.is_surely_kept(limit) => unsampled(),
            _ => None,
        }
    }

    /// Returns whether the job's RSS stayed within a limit by the kernel's high-water marks, which need no sample.
    fn is_surely_kept(&self, limit: &Limit) -> bool {
        let rss = self.peak.rss.as_ref();
        rss.is_some_and(|rss| rss.upper_rigorous && rss.upper_bytes <= limit.limit_bytes)
    }

    /// Returns the reason for which one of these was not to be had.
    fn downgraded(&self, wanted: &[&str]) -> Option<&str> {
        let mut downgrades = self.capture.downgrades.iter();
        downgrades
            .find(|downgrade| wanted.contains(&downgrade.wanted.as_str()))
            .map(|found| found.reason.as_str())
    }
}

/// Quantity that a limit is set for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Limited {
    /// The job's memory, each page counted once. Since 1.4.
    Memory,
    /// The sum of all members' RSS.
    TotalRss,
    /// The RSS of each process by itself.
    ProcessRss,
    /// The sum of all members' PSS.
    TotalPss,
    /// The charge of the job's cgroup; the kernel itself keeps this limit.
    Cgroup,
    /// A value of a newer version that this one does not know.
    #[serde(other)]
    Other,
}

/// The action when a limit is exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LimitAction {
    /// The whole job is killed.
    Kill,
    /// A warning is printed, and the job continues.
    Warn,
    /// A value of a newer version that this one does not know.
    #[serde(other)]
    Other,
}

/// How a limit was exceeded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Exceeded {
    /// The reading that exceeded the limit, or a peak that showed it after the job; `null` if the kernel
    /// enforces the limit.
    pub bytes: Option<u64>,
    /// The highest known value, the job's peaks included; the part beyond the limit is the overshoot.
    pub highest_bytes: Option<u64>,
    /// When it was noticed; `null` if the kernel does not report it, or only a peak showed it.
    pub at_seconds: Option<f64>,
    /// The process that used most at that moment: the culprit, or the first to check.
    pub pid: Option<u32>,
    /// The command of that process.
    pub command: Option<String>,
    /// How the job was ended; `null` if it was not.
    pub ended_by: Option<LimitEnd>,
}

/// How a job that exceeded a limit was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LimitEnd {
    /// By SIGTERM alone.
    Term,
    /// By SIGKILL, after the grace time or because it grew further.
    Kill,
    /// By the kernel's OOM killer, for the cgroup's limit.
    Oom,
    /// A value of a newer version that this one does not know.
    #[serde(other)]
    Other,
}
