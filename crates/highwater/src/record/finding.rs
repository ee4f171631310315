//! Findings of the analysis in a record.

mod read;

use serde::{Deserialize, Serialize};

use super::{Metric, Scope};

/// A finding. Since 1.3.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Finding {
    /// Memory that grew steadily.
    Leak(Leak),
    /// A finding of a newer version that this one does not know.
    #[serde(other)]
    Other,
}

/// Memory that grew steadily, to the end of the measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Leak {
    /// The owner of the memory.
    pub scope: Scope,
    /// The metric that grew.
    pub metric: Metric,
    /// Index in the record's `processes`, or the device's index; `null` for the total.
    pub id: Option<u64>,
    /// Process id, if the owner is a process.
    pub pid: Option<u32>,
    /// Its command, if the owner is a process.
    pub command: Option<String>,
    /// Robust slope of the floor (median of the slopes between all pairs of its points).
    pub bytes_per_minute: u64,
    /// Seconds from the start of the job to the beginning of the growth.
    pub began_seconds: f64,
    /// Seconds from the start of the job to the end of the growth.
    pub until_seconds: f64,
    /// The floor at the beginning.
    pub from_bytes: u64,
    /// The floor at the end.
    pub to_bytes: u64,
    /// How certain the finding is.
    pub sureness: Confidence,
}

/// How certain a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Confidence {
    /// It grew in every part of the time, for twice the required time.
    Clear,
    /// It grew in most parts of the time.
    Probable,
    /// A value of a newer version that this one does not know.
    #[serde(other)]
    Other,
}

/// The search for leaks: its rules and the number of series. Since 1.3.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct LeakSearch {
    /// The least growth of the floor, in percent of its value after warm-up.
    pub min_growth_percent: f64,
    /// The least time of the growth.
    pub min_duration_seconds: f64,
    /// The least growth in bytes.
    pub floor_bytes: u64,
    /// Series that were judged.
    pub judged: u64,
    /// Series that were not judged: too short, or with too few readings.
    pub too_short: u64,
    /// True if the job's total could be judged. If false, the absence of leaks means nothing.
    pub total_judged: bool,
}
