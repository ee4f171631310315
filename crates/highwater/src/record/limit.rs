//! Limits that were watched while the job ran, as the record has them.

use serde::{Deserialize, Serialize};

use super::Record;

/// Name of the limit on PSS in `capture.downgrades`, where it could not be judged, or only in part.
pub(crate) const UNJUDGED_PSS_LIMIT: &str = "the limit on total PSS";

/// A limit, and whether it was exceeded. Since 1.2.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Limit {
    /// What was limited.
    pub of: Limited,
    /// The most that was allowed.
    pub limit_bytes: u64,
    /// What was to happen.
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
    /// No figure above it was read, and some could not be read. The text is the reason.
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
        let is_known = match limit.of {
            Limited::TotalRss | Limited::ProcessRss => self.total_peak_bytes().is_some(),
            Limited::TotalPss => {
                let mut downgrades = self.capture.downgrades.iter();
                if let Some(found) = downgrades.find(|downgrade| downgrade.wanted == UNJUDGED_PSS_LIMIT) {
                    return LimitVerdict::JudgedInPart(&found.reason);
                }
                // PSS cannot exceed RSS.
                let rss = self.total_peak_bytes();
                rss.is_some_and(|rss| rss <= limit.limit_bytes || self.peak.pss.is_some())
            }
            // The kernel enforces it.
            Limited::Cgroup => true,
            Limited::Other => false,
        };
        if is_known { LimitVerdict::Kept } else { LimitVerdict::NotJudged }
    }
}

/// What a limit is set for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Limited {
    /// The sum of all members' RSS.
    TotalRss,
    /// The RSS of each process by itself.
    ProcessRss,
    /// The sum of all members' PSS.
    TotalPss,
    /// The charge of the job's cgroup; the kernel itself keeps this limit.
    Cgroup,
    /// Something that a newer version wrote and this one does not know.
    #[serde(other)]
    Other,
}

/// What happens when a limit is exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LimitAction {
    /// The whole job is ended.
    Kill,
    /// It is said, and nothing more.
    Warn,
    /// Something that a newer version wrote and this one does not know.
    #[serde(other)]
    Other,
}

/// How a limit was exceeded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Exceeded {
    /// What was read when it was noticed, or a peak that showed it when the job was over; `null` where the kernel keeps
    /// the limit.
    pub bytes: Option<u64>,
    /// The highest that is known, the job's peaks included; beyond the limit, this is the overshoot.
    pub highest_bytes: Option<u64>,
    /// When it was noticed; `null` where the kernel does not tell, or only a peak showed it.
    pub at_seconds: Option<f64>,
    /// The process that held most at that moment: the culprit, or the first to look at.
    pub pid: Option<u32>,
    /// What it is called.
    pub command: Option<String>,
    /// What ended the job; `null` where nothing did.
    pub ended_by: Option<LimitEnd>,
}

/// What ended a job that exceeded a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LimitEnd {
    /// SIGTERM was enough.
    Term,
    /// SIGKILL, after the grace or because it grew on.
    Kill,
    /// The kernel's OOM killer, for the cgroup's limit.
    Oom,
    /// Something that a newer version wrote and this one does not know.
    #[serde(other)]
    Other,
}
