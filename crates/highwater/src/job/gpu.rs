//! GPU memory of a job, read beside the job and folded into peaks.

mod peaks;
mod watch;

use std::time::Instant;

pub(crate) use self::{peaks::GpuPeaks, watch::GpuWatch};
use super::identity::MemberId;
use crate::gpu::{Device, Gap, Reading};

/// Memory in use on all devices at one moment.
#[derive(Debug, Clone)]
pub(crate) struct GpuSample {
    pub(crate) taken: Instant,
    pub(crate) devices: Vec<OnDevice>,
    /// Drivers and devices that could not be asked.
    pub(crate) gaps: Vec<Gap>,
}

/// Memory in use on one device.
#[derive(Debug, Clone)]
pub(crate) struct OnDevice {
    pub(crate) device: Device,
    pub(crate) rows: Vec<MemberGpuUse>,
    /// Processes outside the job.
    pub(crate) others: u64,
    /// True if its processes are named by pids of the host, so that none can be matched to a member.
    pub(crate) names_host_pids: bool,
    /// True if a list of its processes, or a member, could not be read: the job may hold more on it.
    pub(crate) is_partial: bool,
}

/// Memory of one member on one device.
#[derive(Debug, Clone)]
pub(crate) struct MemberGpuUse {
    pub(crate) id: MemberId,
    pub(crate) vram: Reading,
    pub(crate) system: Reading,
    /// True if it shares clients of the driver with other processes.
    pub(crate) shares: bool,
    /// The highest value that the driver itself kept.
    pub(crate) peak: Option<u64>,
}
