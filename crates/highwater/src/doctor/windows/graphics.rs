//! Sources of GPU memory. Each is queried by itself: a monitor drops what another source knows better.

use crate::{Roots, Unavailable, doctor::MechanismState, gpu::Device};

/// Tries `IDXGIFactory1::EnumAdapters1`.
#[cfg(any(feature = "dxgi", feature = "pdh"))]
pub(super) fn dxgi(_: &Roots) -> MechanismState {
    named(crate::gpu::adapters(), "no adapter was found")
        .or("needs a driver for the display; in a service session there is none")
}

#[cfg(not(any(feature = "dxgi", feature = "pdh")))]
pub(super) fn dxgi(_: &Roots) -> MechanismState {
    MechanismState::missing("built without it")
}

/// Tries the library alone: if it fails, devices that `nvidia-smi` reports are among the GPU devices.
#[cfg(any(feature = "nvml", feature = "nvidia-smi-fallback"))]
pub(super) fn nvml(_: &Roots) -> MechanismState {
    named(crate::gpu::nvml_devices(), "it reports no device")
        .or("install NVIDIA's driver, if there is such a card")
}

#[cfg(not(any(feature = "nvml", feature = "nvidia-smi-fallback")))]
pub(super) fn nvml(_: &Roots) -> MechanismState {
    MechanismState::missing("built without it")
}

/// Reports the devices' names, or the failure.
#[allow(dead_code)] // Each source can be compiled out.
fn named(found: Result<Vec<Device>, Unavailable>, nothing: &str) -> MechanismState {
    match found {
        Ok(devices) if devices.is_empty() => MechanismState::missing(nothing),
        Ok(devices) => {
            MechanismState::works_with(devices.iter().map(Device::label).collect::<Vec<_>>().join(", "))
        }
        Err(why) => MechanismState::missing(why.to_string()),
    }
}

/// Tries `\GPU Process Memory(*)`, since Windows 10 1709.
#[cfg(any(feature = "dxgi", feature = "pdh"))]
pub(super) fn counters(_: &Roots) -> MechanismState {
    match crate::gpu::counted_holders() {
        Ok(holders) => MechanismState::works_with(format!("{holders} hold some now")),
        Err(why) => MechanismState::missing(why.to_string())
            .or("needs Windows 10 1709 and a driver of WDDM 2.0; lodctr /R rebuilds broken counters"),
    }
}

#[cfg(not(any(feature = "dxgi", feature = "pdh")))]
pub(super) fn counters(_: &Roots) -> MechanismState {
    MechanismState::missing("built without them")
}
