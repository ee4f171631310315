//! Groups of processes, and memory over time, in a record.

use serde::{Deserialize, Serialize};

use super::Metric;

/// Processes that share a key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Group {
    /// The shared value.
    pub key: String,
    /// The kind of key.
    pub by: GroupKey,
    /// The number of processes with this key.
    pub processes: u64,
    /// Peak of the group's sum at one instant; never a sum of peaks from different instants.
    pub peak_bytes: Option<u64>,
    /// When that was; `null` if a single process's high-water mark gave it.
    pub at_seconds: Option<f64>,
    /// For `tree`: index into `processes` of the group's root, which is grouped with all its descendants.
    /// Since 1.3.
    #[serde(default)]
    pub id: Option<u64>,
    /// For `tree`: index of the parent process, if it belongs to the job. Since 1.3.
    #[serde(default)]
    pub parent: Option<u64>,
}

/// The key by which processes are grouped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum GroupKey {
    /// [`Process::command`](super::Process::command).
    Command,
    /// [`Process::display_name`](super::Process::display_name). Since 1.4.
    Name,
    /// [`Process::exe`](super::Process::exe). Since 1.3.
    Exe,
    /// The pid of the parent when the process was first seen. Since 1.3.
    Ppid,
    /// The match of a pattern in the command line. Since 1.3.
    CommandLine,
    /// A process with all its descendants: groups lie within each other, so never add them up. Since 1.3.
    Tree,
    /// A value of a newer version that this one does not know.
    #[serde(other)]
    Other,
}

/// Memory over time, in columns. Past its budget neighbouring samples are merged. A merged column keeps the
/// whole sample at which the job's total was highest, and each series' minimum and maximum.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Timeline {
    /// Moment of each column.
    pub seconds: Vec<f64>,
    /// The series.
    pub series: Vec<Series>,
    /// Values that only grow: CPU time, bytes read and written. Since 1.3; empty if they were not asked for.
    #[serde(default)]
    pub counters: Vec<Counter>,
}

/// A cumulative value at each column's moment. The difference of two columns over the time between them is
/// the rate. Since 1.3.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Counter {
    /// The quantity that it counts.
    pub metric: CounterMetric,
    /// The unit of the values.
    pub unit: CounterUnit,
    /// The owner: `total` or `process`.
    pub scope: Scope,
    /// Index into `processes` for a process, `null` otherwise.
    pub id: Option<u64>,
    /// Column of the first value.
    pub first: usize,
    /// The count from the start of the measurement up to each column's moment; `null` if it was not read.
    pub values: Vec<Option<u64>>,
}

/// The quantity that a counter counts.
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
    /// A value of a newer version that this one does not know.
    #[serde(other)]
    Other,
}

/// The unit of a counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CounterUnit {
    /// Microseconds.
    Microseconds,
    /// Bytes.
    Bytes,
    /// A value of a newer version that this one does not know.
    #[serde(other)]
    Other,
}

/// One line of the timeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Series {
    /// The quantity that it counts.
    pub metric: Metric,
    /// The owner of the memory.
    pub scope: Scope,
    /// Index into `processes` for a process, the device's index for a device, `null` otherwise.
    pub id: Option<u64>,
    /// Column of the first value (a process has values only while it lives).
    pub first: usize,
    /// Values in bytes; `null` if none was read.
    pub bytes: Vec<Option<u64>>,
    /// Minimum over the samples merged into each column.
    pub min: Vec<Option<u64>>,
    /// Maximum over the samples merged into each column.
    pub max: Vec<Option<u64>>,
}

/// The owner of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Scope {
    /// The whole job.
    Total,
    /// One process.
    Process,
    /// The job's part of one device, or (if `peak.gpu` says so) the rise of all of it. Since 1.2.
    Device,
    /// All processes without their own series (the smallest, in jobs of very many).
    Other,
    /// A value of a newer version that this one does not know.
    #[serde(other)]
    Unknown,
}
