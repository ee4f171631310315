//! What this process uses at one instant: RAM, and GPU memory where there is some.

use crate::{
    Error,
    gpu::{Device, Gap, GpuDeviceInfo, Listing, PidSpace, ProcessGpuInfo, Usage, with_monitor},
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
    /// Resident set size of this process in bytes, as [`process_rss`] has it. GPU memory is not in it, but on
    /// devices that use the system's RAM a part may be.
    pub ram_bytes: u64,
    /// What this process holds on the device; `None` where that is nothing or is not known: `usage` and `gaps` tell.
    pub gpu: Option<ProcessGpuInfo>,
    /// The device's memory in plain numbers; `None` where there is no such device, or it does not tell.
    pub gpu_device: Option<GpuDeviceInfo>,
    /// What this process holds on the device, with all that must be said about it.
    pub usage: Option<Usage>,
    /// The device, with all that must be said about its figures.
    pub device: Option<Device>,
    /// Drivers and devices that could not be asked.
    pub gaps: Vec<Gap>,
}

impl Snapshot {
    /// Now, with the device of this index. RAM is always there; the GPU's figures are `None` where there is none.
    ///
    /// The first call opens the drivers' libraries, which may take long; they stay open. Later calls take microseconds
    /// (two where there is no GPU). What devices there are is remembered, also that there is none:
    /// [`gpu::refresh`](crate::gpu::refresh) looks again. It may be called in a forked child, which opens sessions of its
    /// own and waits for no lock of its parent's.
    ///
    /// # Errors
    /// [`Error::Ram`], as [`process_rss`]. [`Error::DeviceIndexOutOfRange`] if there are devices, but none of this
    /// index.
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

    /// Now, once for each device, with the same `ram_bytes`; empty where there is none.
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

    /// `own` is what the process holds, on this device and perhaps on others.
    pub(crate) fn of(ram_bytes: u64, device: Option<Device>, own: &Listing) -> Self {
        let usage = device.as_ref().and_then(|device| {
            let here = |usage: &&Usage| usage.device == device.id && usage.pid_space == PidSpace::Own;
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
