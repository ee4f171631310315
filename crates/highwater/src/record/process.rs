//! One process of the job, as the record has it.

use serde::{Deserialize, Serialize};

use super::{Certainty, ProcessUsage, Timestamp};

/// One process of the job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Process {
    /// Process id; two rows may have the same one, one after the other.
    pub pid: u32,
    /// Its parent when it was first seen.
    pub ppid: u32,
    /// Base name of `argv[0]` where it could be read, else the kernel's name for it.
    pub command: String,
    /// The kernel's name for it (at most 15 bytes).
    pub comm: String,
    /// Path of its executable.
    pub exe: Option<String>,
    /// Its arguments, where they were asked for.
    #[serde(default, deserialize_with = "super::words::deserialize_optional")]
    pub args: Option<Vec<String>>,
    /// Its peak in the primary metric; `null` when none could be read.
    pub max_rss_kib: Option<u64>,
    /// When it was first seen (UTC, whole seconds).
    pub first_seen: Timestamp,
    /// When it was last seen.
    pub last_seen: Timestamp,
    /// When it was first seen, since the start of the job.
    pub start_seconds: f64,
    /// When it was gone; `null` if it was still running when the measurement ended.
    pub end_seconds: Option<f64>,
    /// It outlived the measurement.
    pub still_running: bool,
    /// Its peaks.
    pub peak: ProcessPeaks,
    /// Its highest RSS before it was attached to: its mark at that moment. `null` where it began later. Since 1.3.
    #[serde(default)]
    pub mark_before_bytes: Option<u64>,
    /// What it used beside memory, where that was asked for. Since 1.3.
    #[serde(default)]
    pub usage: Option<ProcessUsage>,
    /// The programs it ran one after the other, where it exec'ed more than once.
    pub images: Vec<Image>,
    /// How it ended, where that could be learned.
    pub exit: Option<ProcessExit>,
}

/// Peaks of one process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ProcessPeaks {
    /// Resident set size.
    #[doc(alias = "VmHWM")]
    #[doc(alias = "ru_maxrss")]
    #[doc(alias = "maxrss")]
    #[doc(alias = "hiwater_rss")]
    pub rss: Option<ProcessPeak>,
    /// Commit charge (Windows). Since 1.3.
    #[serde(default)]
    pub commit: Option<ProcessPeak>,
    /// Swap. Since 1.3; `null` before.
    pub swap: Option<ProcessPeak>,
    /// Memory on GPUs, over all devices together, where it was asked for. Since 1.2.
    #[serde(default)]
    pub vram: Option<ProcessPeak>,
}

/// One peak of one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ProcessPeak {
    /// The figure.
    pub bytes: u64,
    /// Where it comes from.
    pub source: PeakSource,
    /// How sure it is.
    pub certainty: Certainty,
}

/// Where a process's peak comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PeakSource {
    /// Read while the process was held at its exit.
    ExitNotify,
    /// The kernel's exit record.
    Taskstats,
    /// The kernel's mark, read after the process's end through what was kept of it (Windows: its handle; macOS: its
    /// remains, until its parent waits for it). Since 1.3.
    AfterEnd,
    /// A BPF program at its exit.
    Bpf,
    /// The kernel's high-water mark, as last read while it lived.
    MarkSampled,
    /// Samples alone.
    Sampled,
    /// The GPU's driver keeps it. Since 1.2.
    Driver,
    /// An upper cap.
    Capped,
    /// Something that a newer version wrote and this one does not know.
    #[serde(other)]
    Other,
}

/// One program that a process ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Image {
    /// Name, as in [`Process::command`].
    pub command: String,
    /// Its peak.
    pub peak: Option<ProcessPeak>,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ProcessExit {
    /// Exit code.
    pub code: Option<i32>,
    /// Signal number.
    pub signal: Option<i32>,
}
