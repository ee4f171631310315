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
    /// By `tree`: index into `processes` of the one that stands for the group, which is that process with all that
    /// descends from it. Since 1.3.
    #[serde(default)]
    pub id: Option<u64>,
    /// By `tree`: that of the process it was started by, if that is of the job. Since 1.3.
    #[serde(default)]
    pub parent: Option<u64>,
}

/// What processes are grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum GroupKey {
    /// [`Process::command`](super::Process::command).
    Command,
    /// [`Process::exe`](super::Process::exe). Since 1.3.
    Exe,
    /// The pid of the parent when the process was first seen. Since 1.3.
    Ppid,
    /// What a pattern found in the command line. Since 1.3.
    CommandLine,
    /// A process with all its descendants: groups lie within each other, so never add them up. Since 1.3.
    Tree,
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
    /// What only grows: CPU time, bytes read and written. Since 1.3; empty where it was not asked for.
    #[serde(default)]
    pub counters: Vec<Counter>,
}

/// Something that is counted up, as it stood at each column's moment: the difference of two columns over the time
/// between them is the rate. Since 1.3.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Counter {
    /// What it counts.
    pub metric: CounterMetric,
    /// In which unit.
    pub unit: CounterUnit,
    /// Whose it is: `total` or `process`.
    pub scope: Scope,
    /// Index into `processes` for a process, `null` otherwise.
    pub id: Option<u64>,
    /// Column of the first value.
    pub first: usize,
    /// From the start of the measurement up to each column's moment; `null` where it was not read.
    pub values: Vec<Option<u64>>,
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CounterMetric {
    /// CPU time in user mode and in the kernel together.
    CpuTime,
    /// As [`Io::read_bytes`](super::Io::read_bytes).
    Read,
    /// As [`Io::written_bytes`](super::Io::written_bytes).
    Written,
    /// As [`Io::storage_read_bytes`](super::Io::storage_read_bytes).
    StorageRead,
    /// As [`Io::storage_written_bytes`](super::Io::storage_written_bytes).
    StorageWritten,
    /// Something that a newer version wrote and this one does not know.
    #[serde(other)]
    Other,
}

/// The unit of a counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CounterUnit {
    /// Time.
    Microseconds,
    /// Amounts.
    Bytes,
    /// Something that a newer version wrote and this one does not know.
    #[serde(other)]
    Other,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
