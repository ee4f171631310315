//! GPU memory of a job: read beside the job, folded into peaks.

mod fold;
mod watch;

use std::time::Instant;

pub(crate) use self::{fold::GpuFold, watch::GpuWatch};
use super::identity::MemberId;
use crate::gpu::{Device, Gap, Reading};

/// What was held on all devices at one moment.
#[derive(Debug, Clone)]
pub(crate) struct GpuSample {
    pub(crate) taken: Instant,
    pub(crate) devices: Vec<OnDevice>,
    /// Drivers and devices that could not be asked.
    pub(crate) gaps: Vec<Gap>,
}

/// What was held on one device.
#[derive(Debug, Clone)]
pub(crate) struct OnDevice {
    pub(crate) device: Device,
    pub(crate) rows: Vec<Held>,
    /// Processes of others.
    pub(crate) others: u64,
    /// Its processes are named by pids of the host, so that none can be known as a member.
    pub(crate) names_host_pids: bool,
    /// A list of its processes, or a member, could not be read: the job may hold more on it.
    pub(crate) is_partial: bool,
}

/// What one member held.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) id: MemberId,
    pub(crate) vram: Reading,
    pub(crate) system: Reading,
    /// It holds clients together with others.
    pub(crate) shares: bool,
    /// The highest that the driver says it has been.
    pub(crate) peak: Option<u64>,
}
