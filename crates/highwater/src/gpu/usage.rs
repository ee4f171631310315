//! What processes hold on devices.

use super::{device::DeviceId, figure::Figure};

/// One process on one device.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// The process; in whose namespace, `pid_space` says.
    pub pid: u32,
    /// Which namespace `pid` belongs to.
    pub pid_space: PidSpace,
    /// The device, or the MIG instance of it.
    pub device: DeviceId,
    /// Memory on the card (see [`Figure::pool`]: `Unified` where the device has none of its own). What clients share
    /// counts in full in each, so the sum over processes may exceed what is used.
    pub vram: Figure,
    /// System RAM that its buffers take: mapped for the GPU, or moved there from the card. Never add it to RSS, which may
    /// contain it. Unknown (`NotSupported`) where `vram` is `Unified`, and so all there is.
    pub system: Figure,
    /// The highest that `vram` has been, where the driver keeps that.
    pub peak: Option<Figure>,
    /// Other processes that hold one of the same DRM clients (a descriptor that was inherited or passed on): the
    /// client's memory is in the figures of each, and must be counted once in sums.
    pub shared_with: Vec<u32>,
    /// What it does there.
    pub work: Work,
    /// Time that its work has taken, by engine, since its clients were opened. Two readings make a load.
    pub engines: Vec<Engine>,
    /// What the clients are called. Text that the process chose.
    pub client_names: Vec<String>,
}

impl Usage {
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

/// Whose numbering a pid follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum PidSpace {
    /// That of the procfs that is read.
    #[default]
    Own,
    /// That of the host, while we are in a container: nothing in our procfs may be taken for this process.
    Host,
}

/// What a process does on a device, as far as the driver says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct Work {
    /// It computes (CUDA, ...).
    pub compute: bool,
    /// It draws.
    pub graphics: bool,
    /// It computes through the MPS server.
    pub mps: bool,
}

/// The time that work took on one engine.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Engine {
    /// The driver's name for it (`gfx`, `compute`, `rcs`).
    pub name: String,
    /// How much it has done: `drm-engine-*` in nanoseconds, or `drm-cycles-*` in cycles.
    pub busy: u64,
    /// For `busy` in cycles: how many there were in all (`drm-total-cycles-*`). `None`: `busy` is in nanoseconds.
    pub of: Option<u64>,
    /// How many such engines there are.
    pub capacity: u32,
}

/// What was found, and what was not seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listing {
    /// One row a process and device.
    pub usages: Vec<Usage>,
    /// Processes that we may not look into; they may or may not use a GPU.
    pub refused: Vec<u32>,
    /// Processes that ended while they were read.
    pub vanished: u32,
    /// Drivers and devices that could not be asked.
    pub gaps: Vec<Gap>,
}

/// A part of the picture that is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gap {
    /// Which driver or device.
    pub what: String,
    /// Why.
    pub why: crate::Unavailable,
}

impl Listing {
    /// Whether every process that uses a GPU is in it.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.refused.is_empty() && self.gaps.is_empty()
    }
}
