//! Plain numbers for callers that need no bounds. They exist only if every number is known.

use std::collections::HashMap;

use super::{Device, FigureSource, GpuUsage, Listing, PidSpace, Reading};
use crate::{Error, Unavailable};

/// The memory of one device in plain numbers; it exists only if total, free and used are all known.
///
/// Numbers from `nvidia-smi` are right to the MiB; [`Device`] has their bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::struct_field_names)] // The unit belongs to the name.
#[non_exhaustive]
pub struct GpuDeviceInfo {
    /// The device's position in the list of devices.
    pub index: u32,
    /// The product name, if it is known.
    pub name: Option<String>,
    /// All memory of the device, in bytes.
    pub total_bytes: u64,
    /// Free memory, in bytes.
    pub free_bytes: u64,
    /// Memory in use by all processes, in bytes; see [`Device::used`].
    pub used_bytes: u64,
    /// Memory that the driver reserves for itself, if it reports that, in bytes.
    pub reserved_bytes: Option<u64>,
    /// The version of the driver.
    pub driver_version: Option<String>,
}

impl GpuDeviceInfo {
    /// Returns the plain numbers; `None` if total, free or used is unknown or has bounds only.
    #[must_use]
    pub fn of(device: &Device) -> Option<Self> {
        Some(Self {
            index: device.index,
            name: device.name.clone(),
            total_bytes: device.total.reading.to_the_mib()?,
            free_bytes: device.free.reading.to_the_mib()?,
            used_bytes: device.used.reading.to_the_mib()?,
            reserved_bytes: device.reserved.reading.to_the_mib(),
            driver_version: device.driver_version.clone(),
        })
    }

    /// Returns the name, or `unknown`.
    #[must_use]
    pub fn name_or_unknown(&self) -> &str {
        self.name.as_deref().unwrap_or("unknown")
    }
}

/// The memory of the calling process on a device, as a plain number.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProcessGpuInfo {
    /// Bytes on the device; if it has no memory of its own, system RAM mapped for it.
    pub used_bytes: u64,
    /// Always true: a device's figure never stands here.
    pub is_per_process: bool,
    /// The source of the number.
    pub source: GpuQuerySource,
}

impl ProcessGpuInfo {
    /// Returns the plain number, if there is one.
    ///
    /// # Errors
    /// [`Error::Gpu`] with the reason if it is unknown or has bounds only.
    pub(crate) fn of(device: &Device, usage: &GpuUsage) -> Result<Self, Error> {
        if let Some(used_bytes) = usage.vram.reading.to_the_mib() {
            let source = GpuQuerySource::of(usage.vram.source);
            return Ok(Self { used_bytes, is_per_process: true, source });
        }
        let why = match &usage.vram.reading {
            Reading::Unknown(why) => why.clone(),
            bounds => Unavailable::Failed(format!("only bounds are known: {bounds:?}")),
        };
        Err(Error::Gpu { what: device.label().to_owned(), why })
    }
}

/// A process that uses memory on a device.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GpuProcessEntry {
    /// The process id.
    pub pid: u32,
    /// The name of the process; `None` if it cannot be known.
    pub name: Option<String>,
    /// Bytes on the device; `None` if they are unknown or only bounds are known.
    pub used_bytes: Option<u64>,
    /// The source of the number.
    pub source: GpuQuerySource,
}

impl GpuProcessEntry {
    pub(super) fn of(usage: &GpuUsage, names: &HashMap<u32, String>) -> Self {
        // A pid of the host is not the pid of a process here.
        let is_local = usage.pid_space == PidSpace::Own;
        Self {
            pid: usage.pid,
            name: names.get(&usage.pid).filter(|_| is_local).cloned(),
            used_bytes: usage.vram.reading.to_the_mib(),
            source: GpuQuerySource::of(usage.vram.source),
        }
    }
}

/// The source that was queried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GpuQuerySource {
    /// DXGI (Windows).
    Dxgi,
    /// NVIDIA's management library.
    Nvml,
    /// Performance counters (Windows).
    Pdh,
    /// The program `nvidia-smi`.
    NvidiaSmi,
    /// Metal and I/O Kit (macOS).
    Metal,
    /// The kernel's account of DRM clients (Linux).
    Drm,
}

impl GpuQuerySource {
    pub(super) fn of(source: FigureSource) -> Self {
        match source {
            FigureSource::Nvml | FigureSource::NvmlAccounting => Self::Nvml,
            FigureSource::NvidiaSmi => Self::NvidiaSmi,
            FigureSource::Dxgi => Self::Dxgi,
            FigureSource::Pdh => Self::Pdh,
            FigureSource::Metal => Self::Metal,
            FigureSource::Fdinfo
            | FigureSource::AmdgpuSysfs
            | FigureSource::I915Query
            | FigureSource::XeQuery
            | FigureSource::Kfd
            | FigureSource::SystemMemory => Self::Drm,
        }
    }
}

/// Returns why a device has no plain numbers.
pub(super) fn why_no_info(device: &Device) -> Error {
    let unknown = [&device.total, &device.free, &device.used].into_iter().find_map(|f| f.reading.unknown());
    let why = unknown.cloned().unwrap_or(Unavailable::Failed("only bounds are known".into()));
    Error::Gpu { what: device.label().to_owned(), why }
}

/// Returns why a process is not found on a device.
pub(super) fn why_no_usage(device: &Device, listing: &Listing) -> Error {
    let hidden = listing.usages.iter().any(|usage| usage.pid_space == PidSpace::Host)
        || listing.gaps.iter().any(|gap| gap.why == Unavailable::PidNamespace);
    let why = if hidden {
        Unavailable::PidNamespace
    } else {
        Unavailable::NoBackend("the driver reports no memory of this process there".into())
    };
    Error::Gpu { what: device.label().to_owned(), why }
}
