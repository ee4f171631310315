//! GPU memory by device and by process, for devices of every vendor.
//!
//! [`Device`], [`GpuUsage`] and [`Figure`] hold the whole answer: a value, bounds, or the reason why it is
//! unknown. A figure also says what it counts and which source reported it. A device's figure never stands in
//! for a process's. [`Monitor`] keeps the drivers' sessions open. [`Snapshot`](crate::Snapshot) and the
//! functions here share one monitor per process.
//!
//! All amounts are bytes. `docs/gpu.md` says what each source counts and which users may read it. In short:
//!
//! | vendor | device | process | system |
//! |---|---|---|---|
//! | NVIDIA | NVML, else `nvidia-smi` | the same; in containers not (pids are the host's) | Linux; Windows without its per-process part |
//! | AMD | sysfs of amdgpu | fdinfo, else KFD | Linux |
//! | Intel | query calls of i915 and xe | fdinfo | Linux |
//! | Apple; cards in and at Macs | Metal, I/O Kit | the kernel's ledger; others' for root only | macOS |
//! | Arm, Broadcom, Qualcomm; NPUs | the RAM, as they have no other | fdinfo | Linux |
//!
//! A machine without a GPU yields no device and no error. A driver that is present but fails is a [`Gap`]. No
//! call panics on what a driver returns, but a crash inside a vendor's library ends the process. After a fork
//! the child's first call opens its own sessions.
//!
//! ```
//! let mut monitor = highwater::gpu::Monitor::new();
//! for device in monitor.devices() {
//!     match &device.used.reading {
//!         highwater::gpu::Reading::Unknown(why) => println!("{}: {why}", device.label()),
//!         used => println!("{}: {used:?}", device.label()),
//!     }
//! }
//! ```

#[allow(dead_code)] // Each source can be left out.
mod backend;
mod device;
#[cfg(all(feature = "drm", target_os = "linux"))]
pub(crate) mod drm;
mod figure;
mod info;
#[cfg(all(feature = "metal", any(target_os = "macos", test)))]
#[cfg_attr(not(target_os = "macos"), allow(dead_code))] // Linux tests what the answers mean.
mod metal;
mod monitor;
#[cfg(any(feature = "nvml", feature = "nvidia-smi-fallback"))]
mod nvidia;
mod plausible;
mod shared;
mod usage;
#[cfg(all(any(windows, test), any(feature = "dxgi", feature = "pdh")))]
#[cfg_attr(not(windows), allow(dead_code))] // Elsewhere only its pure parts, for their tests.
mod wddm;

#[cfg(all(feature = "metal", feature = "job", target_os = "macos"))]
pub(crate) use self::metal::own_ledger;
#[cfg(all(windows, feature = "job", any(feature = "nvml", feature = "nvidia-smi-fallback")))]
pub(crate) use self::nvidia::nvml_devices;
#[cfg(feature = "test-helpers")]
#[doc(hidden)]
pub use self::shared::while_locked;
pub(crate) use self::shared::with_monitor;
#[cfg(all(windows, feature = "job", any(feature = "dxgi", feature = "pdh")))]
pub(crate) use self::wddm::{adapters, counted_holders};
pub use self::{
    device::{Device, DeviceId},
    figure::{AmountKind, Figure, FigureScope, FigureSource, Pool, Reading},
    info::{GpuDeviceInfo, GpuProcessEntry, GpuQuerySource, ProcessGpuInfo},
    monitor::Monitor,
    usage::{Engine, Gap, GpuUsage, Listing, PidSpace, Work},
};
use crate::Error;

/// Makes [`Snapshot`](crate::Snapshot) and the functions here search for devices again at the next call.
/// Otherwise the result of the first search is kept, even if it was empty. It does what [`Monitor::refresh`]
/// does, for the shared monitor.
pub fn refresh() {
    with_monitor(Monitor::refresh);
}

/// Returns the number of devices.
///
/// # Errors
/// [`Error::Gpu`] if a driver is present but fails, so that the number is not known.
pub fn device_count() -> Result<u32, Error> {
    with_monitor(|monitor| {
        let count = monitor.count();
        match monitor.gaps().first() {
            Some(gap) if count == 0 => Err(Error::Gpu { what: gap.what.clone(), why: gap.why.clone() }),
            _ => Ok(count),
        }
    })
}

/// Returns the memory of one device.
///
/// # Errors
/// [`Error::DeviceIndexOutOfRange`]; [`Error::NoGpuSource`] if there is no GPU; [`Error::Gpu`] if the figures
/// are unknown. [`Monitor::device`] gives the reason for each figure.
pub fn device_info(index: u32) -> Result<GpuDeviceInfo, Error> {
    with_monitor(|monitor| {
        let device = monitor.device(index)?;
        GpuDeviceInfo::of(&device).ok_or_else(|| info::why_no_info(&device))
    })
}

/// Returns the memory that the calling process uses on one device.
///
/// # Errors
/// As [`device_info`]; also if the driver lists no memory of this process.
pub fn process_gpu_info(index: u32) -> Result<ProcessGpuInfo, Error> {
    with_monitor(|monitor| {
        let device = monitor.device(index)?;
        let own = monitor.own_usages(Some(index));
        own.usages.iter().find(|usage| usage.pid_space == PidSpace::Own).map_or_else(
            || Err(info::why_no_usage(&device, &own)),
            |usage| ProcessGpuInfo::of(&device, usage),
        )
    })
}

/// Returns the processes that use memory on one device, with those whose amount is unknown.
/// [`Monitor::usages`] says why, and which processes could not be read.
///
/// # Errors
/// [`Error::DeviceIndexOutOfRange`]; [`Error::NoGpuSource`].
pub fn gpu_processes(index: u32) -> Result<Vec<GpuProcessEntry>, Error> {
    with_monitor(|monitor| {
        let device = monitor.device(index)?;
        let listing = monitor.usages();
        let of_device = listing.usages.iter().filter(|usage| usage.device == device.id);
        let local = of_device.clone().filter(|usage| usage.pid_space == PidSpace::Own);
        let local: Vec<u32> = local.map(|usage| usage.pid).collect();
        let names = monitor.names(&local);
        Ok(of_device.map(|usage| GpuProcessEntry::of(usage, &names)).collect())
    })
}
