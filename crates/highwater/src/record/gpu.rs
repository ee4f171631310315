//! What the job held on GPUs, as the record has it.

use serde::{Deserialize, Serialize};

use super::Certainty;

/// What the job held on one device. Since 1.2.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct GpuPeak {
    /// The device's place in the list of devices.
    pub index: u32,
    /// What it is called, if anybody says.
    pub name: Option<String>,
    /// Which one it is: its PCI address, the name of its platform device, or the UUID of a MIG instance.
    pub id: String,
    /// All its memory; `null` where it has none of its own, or does not tell.
    pub total_bytes: Option<u64>,
    /// Memory on the device; `null` where it is not known: `capture.downgrades` says why. On devices without memory
    /// of their own: system RAM mapped for them.
    pub vram: Option<GpuFigure>,
    /// System RAM mapped for the device, where the driver tells it apart. Part of it may be in RSS: never add them.
    pub gtt: Option<GpuFigure>,
    /// Processes of the job that were seen on it.
    pub processes: u64,
    /// Those of them whose memory the driver did not tell.
    pub processes_unknown: u64,
    /// Processes that were seen on it before the job began.
    pub other_users: u64,
    /// Who says so.
    pub source: GpuSource,
}

/// A peak on a device.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct GpuFigure {
    /// The figure: the sum over the job's processes at one instant. What clients share counts in each of them.
    pub bytes: u64,
    /// What the sum was at least, where members share memory with each other.
    pub lower_bytes: u64,
    /// How sure it is.
    pub certainty: Certainty,
    /// Whose memory it counts.
    pub scope: GpuScope,
    /// When it was read; `null` where the driver kept it.
    pub at_seconds: Option<f64>,
}

/// Whose memory a figure on a device counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum GpuScope {
    /// The job's processes.
    Job,
    /// The whole device: how far its use rose since the job began. Others may have their part in it.
    Device,
    /// Something that a newer version wrote and this one does not know.
    #[serde(other)]
    Other,
}

/// Who says what is held on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum GpuSource {
    /// NVIDIA's management library.
    Nvml,
    /// The program `nvidia-smi`.
    NvidiaSmi,
    /// The kernel's account of DRM clients.
    Drm,
    /// Windows.
    Windows,
    /// Metal and I/O Kit (macOS).
    Metal,
    /// Something that a newer version wrote and this one does not know.
    #[serde(other)]
    Other,
}
