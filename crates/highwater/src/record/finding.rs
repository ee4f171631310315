//! What the analysis found in a job's course, as the record has it.

mod read;

use serde::{Deserialize, Serialize};

use super::{Metric, Scope};

/// Something that was found. Since 1.3.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Finding {
    /// Memory that went on growing.
    Leak(Leak),
    /// Something that a newer version found and this one does not know.
    #[serde(other)]
    Other,
}

/// Memory that went on growing, to the end of what was seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Leak {
    /// Whose it is.
    pub scope: Scope,
    /// What grew.
    pub metric: Metric,
    /// Place in the record's `processes`, or the device's index; `null` for the total.
    pub id: Option<u64>,
    /// Process id, where it is a process.
    pub pid: Option<u32>,
    /// Its command.
    pub command: Option<String>,
    /// Robust slope of the floor (median of the slopes between all pairs of its points).
    pub bytes_per_minute: u64,
    /// When the growth began.
    pub began_seconds: f64,
    /// Until when it was seen.
    pub until_seconds: f64,
    /// The floor when it began.
    pub from_bytes: u64,
    /// The floor at the end.
    pub to_bytes: u64,
    /// How sure it is.
    pub sureness: Sureness,
}

/// How sure a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Sureness {
    /// It grew in every part of the time, for twice the time that was asked for.
    Clear,
    /// It grew in most parts of it.
    Probable,
    /// Something that a newer version wrote and this one does not know.
    #[serde(other)]
    Other,
}

/// That leaks were looked for, by which rules, and in how much. Since 1.3.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct LeakSearch {
    /// The floor must have grown by this much, in percent of what it was after warm-up.
    pub min_growth_percent: f64,
    /// For at least this long.
    pub min_duration_seconds: f64,
    /// By at least this much.
    pub floor_bytes: u64,
    /// Series that were judged.
    pub judged: u64,
    /// Series that were too short or had too few readings; nothing is said of them.
    pub too_short: u64,
    /// Whether the job's total could be judged. Where it could not, no leak found means nothing.
    pub total_judged: bool,
}
