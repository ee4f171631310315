//! One process of the job in a record.

use serde::{Deserialize, Serialize};

use super::{Certainty, ProcessUsage, Timestamp};

/// One process of the job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Process {
    /// Process id; the kernel may reuse it, so two rows may have the same.
    pub pid: u32,
    /// Its parent when it was first seen.
    pub ppid: u32,
    /// Base name of `argv[0]` if it could be read, else the kernel's name for the process.
    pub command: String,
    /// Short name made from its arguments, such as `rustc serde` or `python3 train.py`; `null` if `command` says as
    /// much, or if they could not be read. See [`Process::display_name`]. Since 1.4.
    #[serde(default)]
    pub name: Option<String>,
    /// The kernel's name for the process (at most 15 bytes).
    pub comm: String,
    /// Path of its executable.
    pub exe: Option<String>,
    /// Its arguments, if they were asked for.
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
    /// True if it outlived the measurement.
    pub still_running: bool,
    /// Its peaks.
    pub peak: ProcessPeaks,
    /// Its high-water mark at the moment of attaching; `null` if it began later. Since 1.3.
    #[serde(default)]
    pub mark_before_bytes: Option<u64>,
    /// Its usage beside memory, if it was asked for. Since 1.3.
    #[serde(default)]
    pub usage: Option<ProcessUsage>,
    /// The programs it ran one after the other, if it exec'ed more than once.
    pub images: Vec<Image>,
    /// How it ended, if that is known.
    pub exit: Option<ProcessExit>,
}

impl Process {
    /// Returns the name by which people tell the process from others: `name`, else `command`.
    pub fn display_name(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.command)
    }
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
    /// Memory on GPUs, over all devices together, if it was asked for. Since 1.2.
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
    /// The source of the figure.
    pub source: PeakSource,
    /// How certain it is.
    pub certainty: Certainty,
}

/// The source of a process's peak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PeakSource {
    /// Read while the process was held at its exit.
    ExitNotify,
    /// The kernel's exit record.
    Taskstats,
    /// The kernel's high-water mark, read after the process's exit through what was kept of it (Windows: its
    /// handle; macOS: its zombie). Since 1.3.
    AfterEnd,
    /// A BPF program at its exit.
    Bpf,
    /// The kernel's high-water mark, as last read while it lived.
    MarkSampled,
    /// Samples alone.
    Sampled,
    /// The GPU's driver. Since 1.2.
    Driver,
    /// An upper bound.
    Capped,
    /// A value of a newer version that this one does not know.
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
