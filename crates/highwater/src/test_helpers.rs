//! Made-up figures for the tests of programs that use this library (feature `test-helpers`). Nothing here is
//! measured. Figures that follow from others in real use do so here too.
//!
//! The types have public fields but cannot be built by name outside this library, so that they may gain
//! fields. Values made here can then be changed field by field:
//!
//! ```
//! use highwater::{GpuDeviceInfo, Snapshot, gpu::{Device, DeviceId, GpuUsage, Reading}};
//!
//! let card = GpuDeviceInfo::builder().name(Some("Card".into())).total_bytes(16 << 30).build();
//! assert_eq!((card.total_bytes, card.used_bytes, card.reserved_bytes), (16 << 30, 0, None));
//!
//! let mut device = Device::made_up(DeviceId::new("0000:03:00.0"));
//! device.total.reading = Reading::Known(16 << 30);
//! let mut usage = GpuUsage::made_up(std::process::id(), device.id.clone());
//! usage.vram.reading = Reading::Known(1 << 30);
//! let snapshot = Snapshot::made_up(50 << 20, Some(device), Some(usage));
//! assert_eq!(snapshot.gpu.unwrap().used_bytes, 1 << 30);
//! assert_eq!(snapshot.gpu_device, None, "how much is free and used was not said");
//! ```

use crate::{
    GpuDeviceInfo, GpuProcessEntry, GpuQuerySource, Snapshot, Unavailable,
    gpu::{
        AmountKind, Device, DeviceId, Figure, FigureScope, FigureSource, Gap, GpuUsage, Listing, Pool,
        Reading,
    },
};

/// Builds a [`GpuDeviceInfo`]. Amounts that are not set are 0; optional values that are not set are absent.
#[derive(Debug, Clone)]
#[must_use]
pub struct GpuDeviceInfoBuilder(GpuDeviceInfo);

impl GpuDeviceInfo {
    /// Begins a made-up device.
    pub fn builder() -> GpuDeviceInfoBuilder {
        GpuDeviceInfoBuilder(Self {
            index: 0,
            name: None,
            total_bytes: 0,
            free_bytes: 0,
            used_bytes: 0,
            reserved_bytes: None,
            driver_version: None,
        })
    }
}

impl GpuDeviceInfoBuilder {
    /// Sets [`GpuDeviceInfo::index`].
    pub fn index(mut self, index: u32) -> Self {
        self.0.index = index;
        self
    }

    /// Sets [`GpuDeviceInfo::name`].
    pub fn name(mut self, name: Option<String>) -> Self {
        self.0.name = name;
        self
    }

    /// Sets [`GpuDeviceInfo::total_bytes`].
    pub fn total_bytes(mut self, bytes: u64) -> Self {
        self.0.total_bytes = bytes;
        self
    }

    /// Sets [`GpuDeviceInfo::free_bytes`].
    pub fn free_bytes(mut self, bytes: u64) -> Self {
        self.0.free_bytes = bytes;
        self
    }

    /// Sets [`GpuDeviceInfo::used_bytes`].
    pub fn used_bytes(mut self, bytes: u64) -> Self {
        self.0.used_bytes = bytes;
        self
    }

    /// Sets [`GpuDeviceInfo::reserved_bytes`].
    pub fn reserved_bytes(mut self, bytes: Option<u64>) -> Self {
        self.0.reserved_bytes = bytes;
        self
    }

    /// Sets [`GpuDeviceInfo::driver_version`].
    pub fn driver_version(mut self, version: Option<String>) -> Self {
        self.0.driver_version = version;
        self
    }

    /// Returns the device.
    #[must_use]
    pub fn build(self) -> GpuDeviceInfo {
        self.0
    }
}

/// Builds a [`GpuProcessEntry`]. By default the pid is 0, the memory unknown, and the source NVML.
#[derive(Debug, Clone)]
#[must_use]
pub struct GpuProcessEntryBuilder(GpuProcessEntry);

impl GpuProcessEntry {
    /// Begins a made-up process.
    pub fn builder() -> GpuProcessEntryBuilder {
        GpuProcessEntryBuilder(Self { pid: 0, name: None, used_bytes: None, source: GpuQuerySource::Nvml })
    }
}

impl GpuProcessEntryBuilder {
    /// Sets [`GpuProcessEntry::pid`].
    pub fn pid(mut self, pid: u32) -> Self {
        self.0.pid = pid;
        self
    }

    /// Sets [`GpuProcessEntry::name`].
    pub fn name(mut self, name: Option<String>) -> Self {
        self.0.name = name;
        self
    }

    /// Sets [`GpuProcessEntry::used_bytes`]; a plain number is a known amount.
    pub fn used_bytes(mut self, bytes: impl Into<Option<u64>>) -> Self {
        self.0.used_bytes = bytes.into();
        self
    }

    /// Sets [`GpuProcessEntry::source`].
    pub fn source(mut self, source: GpuQuerySource) -> Self {
        self.0.source = source;
        self
    }

    /// Returns the process.
    #[must_use]
    pub fn build(self) -> GpuProcessEntry {
        self.0
    }
}

impl Device {
    /// Makes a card of which only the identity is known: every figure is [`Unavailable::NotProvided`].
    #[must_use]
    pub fn made_up(id: DeviceId) -> Self {
        let mut device = Self::named(id, &unknown(FigureScope::Device, Pool::Dedicated));
        device.total.kind = AmountKind::Capacity;
        device.free.kind = AmountKind::Free;
        device
    }
}

impl GpuUsage {
    /// Makes a process on a device; its memory is [`Unavailable::NotProvided`].
    #[must_use]
    pub fn made_up(pid: u32, device: DeviceId) -> Self {
        let figure = |pool| unknown(FigureScope::Process, pool);
        Self::new(pid, device, figure(Pool::Dedicated), figure(Pool::System))
    }
}

impl Gap {
    /// Makes a driver or device that could not be queried.
    #[must_use]
    pub fn made_up(what: &str, why: Unavailable) -> Self {
        Self::of_source(GpuQuerySource::Nvml, what, why)
    }
}

impl Snapshot {
    /// Makes a snapshot of a process with this RAM, and this usage of the device if there is one. The plain
    /// numbers follow as they do from real ones; a usage of another device does not count.
    #[must_use]
    pub fn made_up(ram_bytes: u64, device: Option<Device>, usage: Option<GpuUsage>) -> Self {
        Self::of(ram_bytes, device, &Listing { usages: usage.into_iter().collect(), ..Listing::default() })
    }
}

fn unknown(scope: FigureScope, pool: Pool) -> Figure {
    Figure::new(
        Reading::Unknown(Unavailable::NotProvided),
        scope,
        pool,
        AmountKind::Allocated,
        FigureSource::Nvml,
    )
}
