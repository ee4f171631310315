//! GPU memory: which devices there are, and what each process holds on them, whoever made the device.
//!
//! The honest types are [`Device`], [`Usage`] and [`Figure`]: a value, or bounds, or the reason why it is unknown,
//! with what it counts and who says so. A device's figure never stands in a process's. [`Monitor`] keeps the
//! drivers' sessions open; [`Snapshot`](crate::Snapshot) and the functions here share one for the whole process.
//!
//! All amounts are bytes. `docs/gpu.md` says what each source counts, and to whom it is available; in short:
//!
//! | vendor | device | process | system |
//! |---|---|---|---|
//! | NVIDIA | NVML, else `nvidia-smi` | the same; in containers not (pids are the host's) | Linux; Windows without its per-process part |
//! | AMD | sysfs of amdgpu | fdinfo, else KFD | Linux |
//! | Intel | query calls of i915 and xe | fdinfo | Linux |
//! | Apple; cards in and at Macs | Metal, I/O Kit | the kernel's ledger; others' for root only | macOS |
//! | Arm, Broadcom, Qualcomm; NPUs | the RAM, as they have no other | fdinfo | Linux |
//!
//! Where none of them can tell there is no device, and no error: a machine without a GPU is no failure. A driver that is
//! there and fails is a [`Gap`]. No call panics on what a driver says; a crash inside a vendor's library ends the
//! process. After a fork the child's first call opens sessions of its own.
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

#[cfg(all(feature = "metal", target_os = "macos"))]
pub(crate) use self::metal::own_ledger;
#[cfg(all(windows, feature = "job", any(feature = "nvml", feature = "nvidia-smi-fallback")))]
pub(crate) use self::nvidia::told_by_nvml;
#[cfg(feature = "test-helpers")]
#[doc(hidden)]
pub use self::shared::while_held;
pub(crate) use self::shared::with_monitor;
#[cfg(all(windows, feature = "job", any(feature = "dxgi", feature = "pdh")))]
pub(crate) use self::wddm::{adapters, counted_holders};
pub use self::{
    device::{Device, DeviceId},
    figure::{Figure, Kind, Pool, Reading, Scope, Source},
    info::{GpuDeviceInfo, GpuProcessEntry, GpuQuerySource, ProcessGpuInfo},
    monitor::Monitor,
    usage::{Engine, Gap, Listing, PidSpace, Usage, Work},
};
use crate::Error;

/// Makes [`Snapshot`](crate::Snapshot) and the functions here look for devices again at the next call. What was found
/// is remembered, also that there was none. As [`Monitor::refresh`], for the monitor that they share.
pub fn refresh() {
    with_monitor(Monitor::refresh);
}

/// How many devices there are.
///
/// # Errors
/// [`Error::Gpu`] where a driver is there but fails, so that the number is not known.
pub fn device_count() -> Result<u32, Error> {
    with_monitor(|monitor| {
        let count = monitor.count();
        match monitor.gaps().first() {
            Some(gap) if count == 0 => Err(Error::Gpu { what: gap.what.clone(), why: gap.why.clone() }),
            _ => Ok(count),
        }
    })
}

/// The memory of one device.
///
/// # Errors
/// [`Error::DeviceIndexOutOfRange`]; [`Error::NoGpuSource`] where there is no GPU at all; [`Error::Gpu`] where its
/// figures are unknown: [`Monitor::device`] says of each why.
pub fn device_info(index: u32) -> Result<GpuDeviceInfo, Error> {
    with_monitor(|monitor| {
        let device = monitor.device(index)?;
        GpuDeviceInfo::of(&device).ok_or_else(|| info::why_no_info(&device))
    })
}

/// What the calling process holds on one device.
///
/// # Errors
/// As [`device_info`]; also where the process holds nothing that the driver knows of.
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

/// The processes that hold memory on one device. Rows whose memory is unknown are among them; [`Monitor::usages`] says
/// why, and who could not be seen.
///
/// # Errors
/// [`Error::DeviceIndexOutOfRange`]; [`Error::NoGpuSource`].
pub fn gpu_processes(index: u32) -> Result<Vec<GpuProcessEntry>, Error> {
    with_monitor(|monitor| {
        let device = monitor.device(index)?;
        let listing = monitor.usages();
        let of_device = listing.usages.iter().filter(|usage| usage.device == device.id);
        Ok(of_device.map(|usage| GpuProcessEntry::of(monitor.roots(), usage)).collect())
    })
}
