//! `hwm` without a verb: the memory of each GPU, and the machine's RAM.

use std::process::ExitCode;

use highwater::{
    Ram,
    gpu::{Device, Monitor},
};

use crate::{
    args::RootsArgs,
    console::{complain, print, print_json},
    gpu_guard::{self, DriverWait},
    missing_part::MissingPart,
    output::{
        formats::documents::{self, DeviceEntry, DevicesDocument, RamEntry},
        terminal::devices,
    },
    schema::Schema,
    terminal,
};

pub(crate) fn run(roots: &RootsArgs, json: bool) -> anyhow::Result<ExitCode> {
    let roots = roots.roots();
    let ram = Ram::read(&roots);
    gpu_guard::report_crashes();
    let wait = DriverWait::begin();
    let mut monitor = Monitor::with_roots(roots);
    let devices = monitor.devices();
    drop(wait);
    let gaps: Vec<MissingPart> = monitor.gaps().iter().map(MissingPart::of).collect();
    if json {
        print_json(&DevicesDocument {
            schema: Schema::DEVICES,
            time: documents::now(),
            complete: gaps.is_empty() && ram.is_ok() && devices.iter().all(is_known),
            gaps: &gaps,
            ram: RamEntry(&ram),
            devices: devices.iter().map(DeviceEntry).collect(),
        })?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut text = Vec::new();
    devices::write(&devices, &gaps, &ram, terminal::width(), &mut text)?;
    if print(&text)? {
        complain("more: hwm run -- COMMAND, hwm ps, hwm watch, hwm fits 8G; see hwm --help");
    }
    Ok(ExitCode::SUCCESS)
}

fn is_known(device: &Device) -> bool {
    [&device.used, &device.free, &device.total].iter().all(|figure| figure.reading.known().is_some())
}
