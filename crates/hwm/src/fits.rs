//! `hwm fits`: whether so much memory is free on a GPU.

use std::{collections::HashSet, process::ExitCode};

use highwater::gpu::{Device, DeviceId, Monitor, Reading};

use crate::{
    args::FitsArgs,
    console::{complain, print},
    exit,
    gpu_guard::{self, DriverWait},
    text::{self, advice, gpu_figure},
};

/// The answer of one device, or of all together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum FitsAnswer {
    No,
    Unknown,
    Yes,
}

pub(crate) fn run(args: &FitsArgs) -> anyhow::Result<ExitCode> {
    gpu_guard::report_crashes();
    let wait = DriverWait::begin();
    let mut monitor = Monitor::with_roots(args.roots.roots());
    let devices = match args.device {
        None => usable(monitor.devices()),
        Some(index) => match monitor.device(index) {
            Ok(device) => vec![device],
            Err(error) => {
                complain(format_args!("{error}{}", advice(&error)));
                return Ok(exit::INCOMPLETE.into());
            }
        },
    };
    drop(wait);
    let gap = monitor.gaps().first().map(|gap| format!("{}: {}", gap.what, gap.why));
    let gap = gap.filter(|_| args.device.is_none());
    let (answer, why) = decide(args.size, &devices, gap.as_deref());
    print(format!("{}\n", text::printable(&why)).as_bytes())?;
    Ok(match answer {
        FitsAnswer::Yes => ExitCode::SUCCESS,
        FitsAnswer::No => exit::NOTHING.into(),
        FitsAnswer::Unknown => exit::INCOMPLETE.into(),
    })
}

/// Removes devices that are divided into instances: nothing runs on the whole of them.
fn usable(devices: Vec<Device>) -> Vec<Device> {
    let divided: HashSet<DeviceId> = devices.iter().filter_map(|device| device.parent.clone()).collect();
    devices.into_iter().filter(|device| !divided.contains(&device.id)).collect()
}

/// Decides whether `size` fits. `gap` names a driver that could not be asked, and may have devices.
fn decide(size: u64, devices: &[Device], gap: Option<&str>) -> (FitsAnswer, String) {
    let wanted = text::size(size);
    let best = devices
        .iter()
        .map(|device| (fits(size, device), device))
        // Of equal devices the one with most free memory is taken, the first of those.
        .max_by_key(|(answer, device)| (*answer, device.free.bytes(), std::cmp::Reverse(device.index)));
    match (best, gap) {
        (Some((FitsAnswer::Yes, device)), _) => {
            (FitsAnswer::Yes, format!("yes: {wanted} fits on {}: {}", called(device), free(device)))
        }
        (Some((FitsAnswer::Unknown, device)), _) => {
            // These bounds are so near to the size that they would look the same.
            let near = match device.free.reading {
                Reading::Between { lower, upper } if !gpu_figure::is_marked(&device.free) => {
                    format!("; {size} bytes wanted, {lower} to {upper} free")
                }
                _ => String::new(),
            };
            let why = format!("unknown: whether {wanted} fits on {}: {}{near}", called(device), free(device));
            (FitsAnswer::Unknown, why)
        }
        (_, Some(gap)) => (FitsAnswer::Unknown, format!("unknown: {gap}")),
        (Some((FitsAnswer::No, device)), None) => {
            let most = if devices.len() > 1 { "on any GPU; most is free on" } else { "on" };
            (FitsAnswer::No, format!("no: {wanted} does not fit {most} {}: {}", called(device), free(device)))
        }
        (None, None) => (FitsAnswer::No, "no: no GPU and no GPU driver was found".to_owned()),
    }
}

fn fits(size: u64, device: &Device) -> FitsAnswer {
    let free = &device.free.reading;
    if free.lower().is_some_and(|lower| lower >= size) {
        FitsAnswer::Yes
    } else if free.upper().is_some_and(|upper| upper < size)
        // A size above the total cannot be free.
        || device.total.reading.upper().is_some_and(|total| total < size)
    {
        FitsAnswer::No
    } else {
        FitsAnswer::Unknown
    }
}

fn called(device: &Device) -> String {
    match &device.name {
        Some(name) => format!("GPU {} ({name})", device.index),
        None => format!("GPU {} ({})", device.index, device.id),
    }
}

fn free(device: &Device) -> String {
    let unified = if device.unified == Some(true) { " (unified memory: the system's RAM)" } else { "" };
    match device.free.reading.unknown() {
        Some(why) => {
            let total = device.total.bytes().map(|_| format!(" of {}", gpu_figure::phrase(&device.total)));
            format!("what is free{} is not known: {why}{unified}", total.unwrap_or_default())
        }
        None => {
            format!(
                "{} free of {}{unified}",
                gpu_figure::phrase(&device.free),
                gpu_figure::phrase(&device.total)
            )
        }
    }
}
