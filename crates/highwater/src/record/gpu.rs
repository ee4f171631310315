//! The job's memory on GPUs in a record.

use serde::{Deserialize, Serialize};

use super::Certainty;

/// The job's memory on one device. Since 1.2.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct GpuPeak {
    /// The device's position in the list of devices.
    pub index: u32,
    /// The product name, if a source reports one.
    pub name: Option<String>,
    /// Its identity: its PCI address, the name of its platform device, or the UUID of a MIG instance.
    pub id: String,
    /// All its memory; `null` if it has none of its own, or its driver does not report it.
    pub total_bytes: Option<u64>,
    /// Memory on the device; `null` if it is unknown (`capture.downgrades` says why). On devices without
    /// memory of their own: system RAM mapped for them.
    pub vram: Option<GpuFigure>,
    /// System RAM mapped for the device, if the driver reports it separately. Part of it may be in RSS: never
    /// add them.
    pub gtt: Option<GpuFigure>,
    /// Processes of the job that were seen on it.
    pub processes: u64,
    /// Processes of the job that were seen on it and whose memory the driver did not report.
    pub processes_unknown: u64,
    /// Processes that were seen on it before the job began.
    pub other_users: u64,
    /// The source of the figures.
    pub source: GpuSource,
}

/// A peak on a device.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct GpuFigure {
    /// The peak of the sum over the job's processes at one instant. Memory shared by clients counts in each
    /// of them.
    pub bytes: u64,
    /// The lower bound of the sum, for members that share memory with each other.
    pub lower_bytes: u64,
    /// How certain it is.
    pub certainty: Certainty,
    /// The processes whose memory it counts.
    pub scope: GpuScope,
    /// When it was read; `null` if the driver kept it.
    pub at_seconds: Option<f64>,
}

/// The processes that a figure on a device counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum GpuScope {
    /// The job's processes.
    Job,
    /// The whole device: how far its use rose since the job began. Other processes may have contributed.
    Device,
    /// A value of a newer version that this one does not know.
    #[serde(other)]
    Other,
}

/// The source of figures on a device.
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
    /// A value of a newer version that this one does not know.
    #[serde(other)]
    Other,
}
