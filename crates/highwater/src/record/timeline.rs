//! Groups of processes, and memory over time, as the record has them.

use serde::{Deserialize, Serialize};

use super::Metric;

/// Processes that share a key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Group {
    /// The shared value.
    pub key: String,
    /// What the key is.
    pub by: GroupKey,
    /// How many processes had it.
    pub processes: u64,
    /// Peak of the group's sum at one instant; never a sum of peaks from different instants.
    pub peak_bytes: Option<u64>,
    /// When that was; `null` where a single process's mark gave it.
    pub at_seconds: Option<f64>,
}

/// What processes are grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum GroupKey {
    /// [`Process::command`](super::Process::command).
    Command,
    /// Something that a newer version wrote and this one does not know.
    #[serde(other)]
    Other,
}

/// Memory over time, in columns. Past its budget neighbouring samples merge: a merged column keeps the whole
/// sample at which the job's total was highest, and each series' minimum and maximum.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Timeline {
    /// Moment of each column.
    pub seconds: Vec<f64>,
    /// The series.
    pub series: Vec<Series>,
}

/// One line of the timeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Series {
    /// What it counts.
    pub metric: Metric,
    /// Whose it is.
    pub scope: Scope,
    /// Index into `processes` for a process, the device's index for a device, `null` otherwise.
    pub id: Option<u64>,
    /// Column of the first value (a process has values only while it lives).
    pub first: usize,
    /// Values; `null` where none was read.
    pub bytes: Vec<Option<u64>>,
    /// Minimum over the samples merged into each column.
    pub min: Vec<Option<u64>>,
    /// Maximum over the samples merged into each column.
    pub max: Vec<Option<u64>>,
}

/// Whose figure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Scope {
    /// The whole job.
    Total,
    /// One process.
    Process,
    /// The job's part of one device, or (where `peak.gpu` says so) the rise of all of it. Since 1.2.
    Device,
    /// All processes without a series of their own (the smallest, in jobs of very many).
    Other,
    /// Something that a newer version wrote and this one does not know.
    #[serde(other)]
    Unknown,
}
