//! The memory of this process at one instant: RAM, and GPU memory if there is a GPU.

use crate::{
    Error,
    gpu::{Device, Gap, GpuDeviceInfo, GpuUsage, Listing, PidSpace, ProcessGpuInfo, with_monitor},
    process_rss,
};

/// The memory of the calling process at one instant, beside that of one device.
///
/// ```
/// let snapshot = highwater::Snapshot::now(0)?;
/// println!("{} bytes in RAM", snapshot.ram_bytes);
/// if let Some(gpu) = &snapshot.gpu {
///     println!("{} bytes on the GPU", gpu.used_bytes);
/// }
/// # Ok::<(), highwater::Error>(())
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Snapshot {
    /// Resident set size of this process in bytes, as [`process_rss`] returns it. GPU memory is not included,
    /// except for a part of it on devices that use the system's RAM.
    pub ram_bytes: u64,
    /// This process's memory on the device; `None` if there is none or it is unknown. `usage` and `gaps` say
    /// which.
    pub gpu: Option<ProcessGpuInfo>,
    /// The device's memory in plain numbers; `None` if there is no such device, or its figures are unknown.
    pub gpu_device: Option<GpuDeviceInfo>,
    /// This process's memory on the device, with bounds, meaning and source.
    pub usage: Option<GpuUsage>,
    /// The device, with bounds, meaning and source of its figures.
    pub device: Option<Device>,
    /// Drivers and devices that could not be queried.
    pub gaps: Vec<Gap>,
}

impl Snapshot {
    /// Takes a snapshot with the device of this index. RAM is always known; the GPU's figures are `None`
    /// without a GPU.
    ///
    /// The first call opens the drivers' libraries, which may take long; they stay open. Later calls take
    /// microseconds (two without a GPU). The list of devices is kept, even if it is empty:
    /// [`gpu::refresh`](crate::gpu::refresh) searches again. A forked child may call this: it opens its own
    /// sessions and waits for no lock of its parent.
    ///
    /// # Errors
    /// [`Error::Ram`], as [`process_rss`]. [`Error::DeviceIndexOutOfRange`] if there are devices, but none
    /// with this index.
    pub fn now(device: u32) -> Result<Self, Error> {
        let ram_bytes = process_rss()?;
        with_monitor(|monitor| match monitor.device(device) {
            Ok(found) => Ok(Self::of(ram_bytes, Some(found), &monitor.own_usages(Some(device)))),
            Err(Error::NoGpuSource | Error::Gpu { .. }) => {
                Ok(Self { gaps: monitor.gaps().to_vec(), ..Self::of(ram_bytes, None, &Listing::default()) })
            }
            Err(error) => Err(error),
        })
    }

    /// Takes one snapshot for each device, with the same `ram_bytes`; empty if there is none.
    ///
    /// # Errors
    /// [`Error::Ram`], as [`process_rss`].
    pub fn all() -> Result<Vec<Self>, Error> {
        let ram_bytes = process_rss()?;
        with_monitor(|monitor| {
            let devices = monitor.devices();
            if devices.is_empty() {
                return Ok(Vec::new());
            }
            let own = monitor.own_usages(None);
            Ok(devices.into_iter().map(|device| Self::of(ram_bytes, Some(device), &own)).collect())
        })
    }

    /// Makes a snapshot. `own` is the process's memory, on this device and perhaps on others.
    pub(crate) fn of(ram_bytes: u64, device: Option<Device>, own: &Listing) -> Self {
        let usage = device.as_ref().and_then(|device| {
            let here = |usage: &&GpuUsage| usage.device == device.id && usage.pid_space == PidSpace::Own;
            own.usages.iter().find(here).cloned()
        });
        Self {
            ram_bytes,
            gpu: device
                .as_ref()
                .zip(usage.as_ref())
                .and_then(|(device, usage)| ProcessGpuInfo::of(device, usage).ok()),
            gpu_device: device.as_ref().and_then(GpuDeviceInfo::of),
            usage,
            device,
            gaps: own.gaps.clone(),
        }
    }
}
