//! GPU memory by process and device.

use super::{device::DeviceId, figure::Figure, info::GpuQuerySource};

/// One process on one device.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GpuUsage {
    /// The process id, in the namespace that `pid_space` names.
    pub pid: u32,
    /// The namespace of `pid`.
    pub pid_space: PidSpace,
    /// The device, or the MIG instance of it.
    pub device: DeviceId,
    /// Memory on the card, in bytes ([`Figure::pool`] is `Unified` if the device has none of its own). Memory
    /// shared by clients counts in full in each, so the sum over processes may exceed what is used.
    pub vram: Figure,
    /// System RAM of its buffers: mapped for the GPU, or moved there from the card. Never add it to RSS,
    /// which may contain it. It is `NotSupported` if `vram` is `Unified` and so contains all.
    pub system: Figure,
    /// The peak of `vram`, if the driver keeps it.
    pub peak: Option<Figure>,
    /// Other processes that hold one of the same DRM clients (an inherited or passed descriptor). The
    /// client's memory is in the figures of each, and must be counted once in sums.
    pub shared_with: Vec<u32>,
    /// The kind of work on the device.
    pub work: Work,
    /// Engine time since its clients were opened. The difference of two readings gives a load.
    pub engines: Vec<Engine>,
    /// The names of its clients, which the process chose: escape them before printing.
    pub client_names: Vec<String>,
}

impl GpuUsage {
    /// A process on a device of which nothing but the memory is known.
    #[must_use]
    pub fn new(pid: u32, device: DeviceId, vram: Figure, system: Figure) -> Self {
        Self {
            pid,
            pid_space: PidSpace::Own,
            device,
            vram,
            system,
            peak: None,
            shared_with: Vec::new(),
            work: Work::default(),
            engines: Vec::new(),
            client_names: Vec::new(),
        }
    }
}

/// The pid namespace that a pid belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum PidSpace {
    /// The namespace of the procfs that is read.
    #[default]
    Own,
    /// The host's, while this process is in a container. No process of this procfs may be taken for it.
    Host,
}

/// The kind of a process's work on a device, as far as the driver reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct Work {
    /// The process computes (CUDA, ...).
    pub compute: bool,
    /// The process draws.
    pub graphics: bool,
    /// The process computes through the MPS server.
    pub mps: bool,
}

/// The time of work on one engine.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Engine {
    /// The driver's name of the engine (`gfx`, `compute`, `rcs`).
    pub name: String,
    /// The work so far: `drm-engine-*` in nanoseconds, or `drm-cycles-*` in cycles.
    pub busy: u64,
    /// All cycles of the engine's clock (`drm-total-cycles-*`), if `busy` is in cycles. `None`: `busy` is in
    /// nanoseconds.
    pub of: Option<u64>,
    /// The number of such engines.
    pub capacity: u32,
}

/// The result of a query for processes: the rows, and what could not be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listing {
    /// The rows, one for each process and device.
    pub usages: Vec<GpuUsage>,
    /// Processes that this user may not read; they may or may not use a GPU.
    pub refused: Vec<u32>,
    /// The number of processes that ended while they were read.
    pub vanished: u32,
    /// Drivers and devices that could not be queried.
    pub gaps: Vec<Gap>,
}

/// A missing part of a [`Listing`]: a driver, device or group of processes that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gap {
    /// The source that could not be read.
    pub source: GpuQuerySource,
    /// The device, if only one device of the source is concerned.
    pub device: Option<DeviceId>,
    /// The name of the driver, device or group of processes, as text for users.
    pub what: String,
    /// The reason.
    pub why: crate::Unavailable,
}

#[allow(dead_code)] // Each source can be compiled out.
impl Gap {
    pub(crate) fn of_source(
        source: GpuQuerySource,
        what: impl Into<String>,
        why: crate::Unavailable,
    ) -> Self {
        Self { source, device: None, what: what.into(), why }
    }

    pub(crate) fn of_device(
        source: GpuQuerySource,
        device: &DeviceId,
        what: impl Into<String>,
        why: crate::Unavailable,
    ) -> Self {
        Self { device: Some(device.clone()), ..Self::of_source(source, what, why) }
    }
}

impl Listing {
    /// Returns whether every process that uses a GPU is in the listing.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.refused.is_empty() && self.gaps.is_empty()
    }
}
