//! The JSON documents about devices and processes. Fields are only ever added within a major version. Amounts are
//! bytes. What is unknown is null, with its reason in `unknown`.

use std::time::SystemTime;

use highwater::{
    Error, Ram, Unavailable,
    gpu::{Device, PidSpace, Work},
    listing::{EngineLoad, HoldingDevice, ProcessRow},
    record::Timestamp,
};
use serde::{Serialize, Serializer, ser::SerializeMap};

use super::gpu_figure_json::{Reasons, entries, kind, pool, source};
use crate::{
    missing_part::MissingPart,
    process_listing::{SelectedProcesses, why_nameless},
    schema::Schema,
};

pub(crate) fn now() -> Timestamp {
    Timestamp::from_system_time(SystemTime::now())
}

/// `hwm --json`.
#[derive(Debug, Serialize)]
#[allow(clippy::struct_field_names)] // The document is named by what it lists.
pub(crate) struct DevicesDocument<'a> {
    pub(crate) schema: Schema,
    pub(crate) time: Timestamp,
    pub(crate) complete: bool,
    pub(crate) gaps: &'a [MissingPart],
    pub(crate) ram: RamEntry<'a>,
    pub(crate) devices: Vec<DeviceEntry<'a>>,
}

/// `hwm ps --json`.
#[derive(Debug, Serialize)]
pub(crate) struct ProcessesDocument<'a> {
    schema: Schema,
    time: Timestamp,
    /// The reason why nothing could be listed at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(flatten)]
    listing: ListingEntry<'a>,
}

impl<'a> ProcessesDocument<'a> {
    pub(crate) fn of(found: &'a SelectedProcesses) -> Self {
        Self { schema: Schema::PROCESSES, time: now(), error: None, listing: ListingEntry::of(found) }
    }

    pub(crate) fn failed(error: &Error, nothing: &'a SelectedProcesses) -> Self {
        let listing = ListingEntry { complete: false, ..ListingEntry::of(nothing) };
        Self { schema: Schema::PROCESSES, time: now(), error: Some(error.to_string()), listing }
    }
}

/// The results of one list.
#[derive(Debug, Serialize)]
pub(crate) struct ListingEntry<'a> {
    complete: bool,
    /// Processes that hwm may not look into; they may or may not hold GPU memory.
    refused: &'a [u32],
    /// Processes that ended while they were read.
    vanished: u32,
    /// Pids that were asked for and that no process has.
    missing: &'a [u32],
    gaps: &'a [MissingPart],
    processes: Vec<ProcessRowEntry<'a>>,
}

impl<'a> ListingEntry<'a> {
    pub(crate) fn of(found: &'a SelectedProcesses) -> Self {
        Self {
            complete: found.is_complete(),
            refused: &found.refused,
            vanished: found.vanished,
            missing: &found.missing,
            gaps: &found.gaps,
            processes: found.rows.iter().map(ProcessRowEntry).collect(),
        }
    }
}

/// The machine's RAM.
#[derive(Debug)]
pub(crate) struct RamEntry<'a>(pub(crate) &'a Result<Ram, Error>);

impl Serialize for RamEntry<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let ram = self.0.as_ref().ok();
        let mut unknown = Reasons::default();
        let fields = [
            ("total_bytes", ram.and_then(|ram| ram.total_bytes)),
            ("available_bytes", ram.and_then(|ram| ram.available_bytes)),
            ("used_bytes", ram.and_then(Ram::used_bytes)),
        ];
        for (name, bytes) in fields {
            map.serialize_entry(name, &bytes)?;
            if bytes.is_none() {
                let why = self.0.as_ref().err().map(ToString::to_string);
                unknown.add(name, why.as_deref().unwrap_or("this kernel does not report it"));
            }
        }
        // Null: no limit below the machine's memory was found.
        map.serialize_entry("container_limit_bytes", &ram.and_then(|ram| ram.container_limit_bytes))?;
        map.serialize_entry("unknown", &unknown)?;
        map.end()
    }
}

/// One device with its figures.
#[derive(Debug)]
pub(crate) struct DeviceEntry<'a>(pub(crate) &'a Device);

impl Serialize for DeviceEntry<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let device = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("index", &device.index)?;
        map.serialize_entry("id", device.id.as_str())?;
        map.serialize_entry("pci", &device.id.pci())?;
        map.serialize_entry("uuid", &device.uuid)?;
        map.serialize_entry("name", &device.name)?;
        map.serialize_entry("driver", &device.driver)?;
        map.serialize_entry("driver_version", &device.driver_version)?;
        map.serialize_entry("unified", &device.unified)?;
        map.serialize_entry("parent", &device.parent.as_ref().map(highwater::gpu::DeviceId::as_str))?;
        let mut unknown = Reasons::default();
        for (name, figure) in [
            ("total", &device.total),
            ("used", &device.used),
            ("free", &device.free),
            ("reserved", &device.reserved),
            ("gtt_used", &device.system_used),
            ("gtt_total", &device.system_total),
        ] {
            entries(&mut map, name, Some(figure))?;
            unknown.add_figure(name, Some(figure));
        }
        // Without a recommended budget the key is missing, and not unknown.
        if let Some(budget) = &device.budget {
            entries(&mut map, "budget", Some(budget))?;
        }
        map.serialize_entry("used_contains_reserved", &device.used_contains_reserved)?;
        map.serialize_entry("pool", pool(device.used.pool))?;
        map.serialize_entry("source", source(device.used.source))?;
        map.serialize_entry("unknown", &unknown)?;
        map.end()
    }
}

/// The part of a device that changes over time.
#[derive(Debug)]
pub(crate) struct DeviceSample<'a>(pub(crate) &'a Device);

impl Serialize for DeviceSample<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("index", &self.0.index)?;
        let mut unknown = Reasons::default();
        for (name, figure) in
            [("used", &self.0.used), ("free", &self.0.free), ("gtt_used", &self.0.system_used)]
        {
            entries(&mut map, name, Some(figure))?;
            unknown.add_figure(name, Some(figure));
        }
        map.serialize_entry("unknown", &unknown)?;
        map.end()
    }
}

/// The device that a row is about.
#[derive(Debug)]
pub(crate) struct HoldingDeviceEntry<'a>(pub(crate) &'a HoldingDevice);

impl Serialize for HoldingDeviceEntry<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("index", &self.0.index)?;
        map.serialize_entry("name", &self.0.name)?;
        map.serialize_entry("pci", &self.0.id.pci())?;
        map.serialize_entry("id", self.0.id.as_str())?;
        map.serialize_entry("unified", &self.0.unified)?;
        map.end()
    }
}

/// One process on one device.
#[derive(Debug)]
pub(crate) struct ProcessRowEntry<'a>(pub(crate) &'a ProcessRow);

impl Serialize for ProcessRowEntry<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let row = self.0;
        let (vram, gtt) = (row.vram(), row.gpu_system_memory());
        let gpu = row.gpu.as_ref();
        let usage = gpu.map(|gpu| &gpu.usage);
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("pid", &row.pid)?;
        map.serialize_entry("pid_space", if row.pid_space == PidSpace::Host { "host" } else { "own" })?;
        map.serialize_entry("name", &row.name.as_ref().ok())?;
        map.serialize_entry("user", &row.user.as_ref().ok())?;
        map.serialize_entry("uid", &row.uid)?;
        map.serialize_entry("state", &row.state)?;
        map.serialize_entry("device", &gpu.map(|gpu| HoldingDeviceEntry(&gpu.device)))?;
        entries(&mut map, "vram", vram)?;
        entries(&mut map, "gtt", gtt)?;
        if let Some(peak) = usage.and_then(|usage| usage.peak.as_ref()) {
            entries(&mut map, "peak_vram", Some(peak))?;
        }
        map.serialize_entry("rss_bytes", &row.rss_bytes.as_ref().ok())?;
        map.serialize_entry("shared_with", usage.map_or(&[][..], |usage| &usage.shared_with))?;
        map.serialize_entry("source", &vram.map(|vram| source(vram.source)))?;
        map.serialize_entry("pool", &vram.map(|vram| pool(vram.pool)))?;
        map.serialize_entry("kind", &vram.map(|vram| kind(vram.kind)))?;
        map.serialize_entry("work", &usage.map_or_else(Vec::new, |usage| work(usage.work)))?;
        map.serialize_entry("client_names", usage.map_or(&[][..], |usage| &usage.client_names))?;
        map.serialize_entry("cpu_percent", &row.cpu.map(|cpu| tenths(cpu.percent)))?;
        map.serialize_entry("cpu_step_percent", &row.cpu.map(|cpu| tenths(cpu.step_percent)))?;
        let loads = gpu.map_or(&[][..], |gpu| &gpu.loads);
        map.serialize_entry("engines", &loads.iter().map(EngineEntry::of).collect::<Vec<_>>())?;
        map.serialize_entry("unknown", &reasons(row))?;
        map.end()
    }
}

/// Returns the reasons why figures of a row are unknown.
fn reasons(row: &ProcessRow) -> Reasons {
    let mut unknown = Reasons::default();
    if let Some(why) = why_nameless(row) {
        unknown.add("name", &why);
    }
    // A system that reports no users is no failure.
    if let Err(why) = &row.user
        && *why != Unavailable::NotProvided
    {
        unknown.add("user", why);
    }
    unknown.add_figure("vram", row.vram());
    unknown.add_figure("gtt", row.gpu_system_memory());
    if row.gpu_refused {
        unknown.add("vram", "permission denied");
    }
    if let Err(why) = &row.rss_bytes {
        unknown.add("rss", why);
    }
    unknown
}

/// Returns the kinds of work that a process does on a device.
fn work(work: Work) -> Vec<&'static str> {
    let kinds = [(work.compute, "compute"), (work.graphics, "graphics"), (work.mps, "mps")];
    kinds.into_iter().filter_map(|(is, word)| is.then_some(word)).collect()
}

#[derive(Debug, Serialize)]
struct EngineEntry<'a> {
    name: &'a str,
    percent: Option<f64>,
    capacity: u32,
}

impl<'a> EngineEntry<'a> {
    fn of(load: &'a EngineLoad) -> Self {
        Self { name: &load.name, percent: load.percent.map(tenths), capacity: load.capacity }
    }
}

/// Rounds to tenths: more digits would be noise.
fn tenths(percent: f64) -> f64 {
    (percent * 10.0).round() / 10.0
}
