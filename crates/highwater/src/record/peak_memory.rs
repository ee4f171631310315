//! The peak of a job's memory, each page counted once.

use serde::{Deserialize, Serialize};

use super::Certainty;

/// The most memory that the job's processes held in RAM at one instant, each physical page counted once. Since 1.4.
///
/// Counts anonymous memory, shared memory and the files that processes map. Page cache that no process maps, kernel
/// memory and swap are not in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct PeakMemory {
    /// Best estimate; `lower_bytes <= bytes <= upper_bytes`.
    pub bytes: u64,
    /// The highest sum that was read at one moment, or the highest mark of one process.
    pub lower_bytes: u64,
    /// The highest charge of the job's group and the files that its processes map, or the upper end of the sum of RSS.
    /// Without such a group, the highest charge of the group that hwm itself runs in may be the lesser one.
    pub upper_bytes: u64,
    /// The truth cannot lie below `lower_bytes`.
    pub lower_rigorous: bool,
    /// The truth cannot lie above `upper_bytes`.
    pub upper_rigorous: bool,
    /// How to read `bytes`.
    pub certainty: Certainty,
    /// The source of the figure.
    pub source: MemorySource,
    /// Moment of the reading that gave `bytes`; `null` if a high-water mark did.
    pub at_seconds: Option<f64>,
    /// The two moments between which a high-water mark places the peak; `null` if a reading gave it.
    pub between_seconds: Option<[f64; 2]>,
    /// What `bytes` consists of.
    pub parts: MemoryParts,
    /// The processes that held it then; `null` in a checkpoint, and where those that were read held less than half of it.
    #[serde(default)]
    pub holders: Option<MemoryHolders>,
}

/// The processes that held the memory of a job at its peak, in the sample nearest to it. Since 1.4.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct MemoryHolders {
    /// The largest ones, the largest first.
    pub largest: Vec<MemoryHolder>,
    /// Number of the other processes that were alive then.
    pub others: u64,
    /// The sum of their RSS in bytes.
    pub others_bytes: u64,
    /// True if the sum of all exceeds the peak: pages that processes share are counted in each of them.
    pub shared_counted_in_each: bool,
}

/// A process at the peak of a job's memory. Since 1.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct MemoryHolder {
    /// Index of its row in `processes`.
    pub process: u64,
    /// Its RSS in bytes.
    pub bytes: u64,
}

/// The parts of a peak, in bytes; `null` where a part is not known by itself. Since 1.4.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
#[allow(clippy::struct_field_names)] // The unit belongs to the name.
pub struct MemoryParts {
    /// Anonymous memory: heap, stacks, private pages of files that were written to.
    pub anon_bytes: Option<u64>,
    /// Shared memory: tmpfs, memfd, System V.
    pub shmem_bytes: Option<u64>,
    /// Files that processes map.
    pub file_bytes: Option<u64>,
    /// Pages of hugetlbfs.
    pub hugetlb_bytes: Option<u64>,
}

/// The source of a peak of memory. Since 1.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MemorySource {
    /// The kernel's account of the job's own cgroup.
    Cgroup,
    /// Passes over the proportional set sizes of its processes, and RSS between them. Where only hwm runs beside the job, the
    /// account of the cgroup of both may stand for a pass.
    Pss,
    /// The RSS of its processes, where no pass was possible.
    Rss,
    /// A value of a newer version that this one does not know.
    #[serde(other)]
    Other,
}
