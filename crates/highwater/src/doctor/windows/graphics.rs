//! Who tells of GPU memory.

use crate::{
    Roots,
    doctor::State,
    gpu::{Device, Monitor, Source},
};

/// `IDXGIFactory::EnumAdapters1`, by a monitor of its own.
pub(super) fn dxgi(_: &Roots) -> State {
    told_by(&[Source::Dxgi, Source::Pdh], "no adapter was found")
        .or("needs a driver for the display; in a service session there is none")
}

pub(super) fn nvml(_: &Roots) -> State {
    told_by(&[Source::Nvml, Source::NvidiaSmi], "no device of NVIDIA's was told of")
        .or("install NVIDIA's driver, if there is such a card")
}

/// The devices whose size one of these tells, or what went wrong.
fn told_by(sources: &[Source], nothing: &str) -> State {
    let mut monitor = Monitor::new();
    let told: Vec<Device> =
        monitor.devices().into_iter().filter(|device| sources.contains(&device.total.source)).collect();
    if told.is_empty() {
        let gaps = monitor.gaps().iter().map(|gap| format!("{}: {}", gap.what, gap.why));
        let gaps = gaps.collect::<Vec<_>>().join("; ");
        let why = if gaps.is_empty() { nothing.to_owned() } else { format!("{nothing}; {gaps}") };
        return State::missing(why);
    }
    let one = |device: &Device| format!("{} {} [{:?}]", device.index, device.label(), device.total.source);
    State::works_with(told.iter().map(one).collect::<Vec<_>>().join(", "))
}

/// `\GPU Process Memory(*)`, since Windows 10 1709.
#[cfg(any(feature = "dxgi", feature = "pdh"))]
pub(super) fn counters(_: &Roots) -> State {
    match crate::gpu::counted_holders() {
        Ok(holders) => State::works_with(format!("{holders} hold some now")),
        Err(why) => State::missing(why.to_string())
            .or("needs Windows 10 1709 and a driver of WDDM 2.0; lodctr /R rebuilds broken counters"),
    }
}

#[cfg(not(any(feature = "dxgi", feature = "pdh")))]
pub(super) fn counters(_: &Roots) -> State {
    State::missing("built without them")
}
