//! A session of NVML: opened once, kept, closed by the process that opened it.

mod calls;
mod codes;
mod library;
mod loading;
mod rows;

use self::{
    calls::{Memory, NvmlList},
    codes::Code,
    library::{Handle, Library},
    loading::Loading,
    rows::NvmlRow,
};
use super::{
    WantedPids,
    memory::MemoryAmounts,
    processes::{self, DeviceProcesses, ListEntry},
    trace,
};
use crate::{
    Unavailable,
    fork::ForkGeneration,
    gpu::{
        AmountKind, Device, DeviceId, Figure, FigureScope, FigureSource, Gap, GpuQuerySource, GpuUsage,
        Listing, Pool, Reading, Work,
    },
};

/// An open session of NVML.
#[derive(Debug)]
pub(super) struct NvmlSession {
    library: Library,
    /// The process that opened it. A forked child must neither use it nor close it.
    opened_by: ForkGeneration,
    devices: Vec<Known>,
}

/// A device as the session knows it, by the identity that was returned to callers.
#[derive(Debug)]
struct Known {
    id: DeviceId,
    handle: Result<Handle, Code>,
    /// For a part (MIG): its device, its GPU instance and its compute instance.
    part: Option<(DeviceId, Option<(u32, u32)>)>,
}

impl NvmlSession {
    /// Loads the library and initializes it. This takes up to seconds if no process keeps the driver awake.
    pub(super) fn open() -> Result<Self, Unavailable> {
        let _inside = Loading::begin().ok_or_else(|| {
            let why = "this process was forked while another thread of its parent was opening the library";
            Unavailable::Failed(why.to_owned())
        })?;
        let library = Library::load()?;
        // A failure drops the library without a shutdown, which belongs to a successful initialization alone.
        library.init()?;
        trace(|| format!("NVML {:?}, driver {:?}", library.nvml_version(), library.driver_version()));
        Ok(Self { library, opened_by: ForkGeneration::current(), devices: Vec::new() })
    }

    /// Returns the library, if this process is the one that initialized it.
    fn nvml(&self) -> Result<&Library, Code> {
        if self.opened_by == ForkGeneration::current() { Ok(&self.library) } else { Err(Code::UNINITIALIZED) }
    }

    fn known(&self, id: &DeviceId) -> Option<&Known> {
        self.devices.iter().find(|known| known.id == *id)
    }

    /// Returns the devices, each followed by its parts.
    pub(super) fn find(&mut self) -> Result<Vec<Device>, Unavailable> {
        let library = self.nvml()?;
        let driver_version = library.driver_version().ok();
        let mut known = Vec::new();
        let mut devices = Vec::new();
        for index in 0..library.count()?.min(MAX_DEVICES) {
            let handle = library.by_index(index);
            let mut device = identify(library, handle, &format!("nvidia{index}"));
            set_apart(&mut device, &devices, index);
            device.driver_version.clone_from(&driver_version);
            let parent = device.id.clone();
            known.push(Known { id: parent.clone(), handle, part: None });
            devices.push(device);
            let Ok(handle) = handle else { continue };
            for (place, part) in parts(library, handle) {
                let mut device = identify_part(library, part, &parent, place);
                if devices.iter().any(|other: &Device| other.id == device.id) {
                    device.id = DeviceId::new(&format!("{parent}/{place}"));
                }
                device.driver_version.clone_from(&driver_version);
                let part_of = Some((parent.clone(), library.instance(part).ok()));
                known.push(Known { id: device.id.clone(), handle: Ok(part), part: part_of });
                devices.push(device);
            }
        }
        self.devices = known;
        Ok(devices)
    }

    /// Reads the memory of one device.
    pub(super) fn read(&self, device: &mut Device) {
        let answer = self.nvml().and_then(|library| library.memory(self.handle(&device.id)?));
        trace(|| format!("{}: memory {answer:?}", device.id));
        amounts(answer).store(device, FigureSource::Nvml);
    }

    fn handle(&self, id: &DeviceId) -> Result<Handle, Code> {
        self.known(id).ok_or(Code::NOT_FOUND)?.handle
    }

    /// Appends the memory of processes on `devices`.
    pub(super) fn usages(&self, devices: &[Device], wanted: WantedPids<'_>, into: &mut Listing) {
        for device in devices {
            let mut device = device.clone();
            // The device's memory bounds what a row can be.
            self.read(&mut device);
            let mut processes = DeviceProcesses::of(&device, FigureSource::Nvml);
            let mut refusals: Vec<(Unavailable, Vec<&str>)> = Vec::new();
            for list in NvmlList::ALL {
                match self.rows(list, &device.id) {
                    Ok(rows) => {
                        rows.iter().filter(|row| !self.is_of_a_part(&device.id, row)).for_each(|row| {
                            processes.add(entry(list, row));
                        });
                    }
                    // A device without graphics has no such list.
                    Err(Unavailable::NotSupported) if list != NvmlList::Compute => {}
                    Err(why) => match refusals.iter_mut().find(|(known, _)| *known == why) {
                        Some((_, lists)) => lists.push(list.name()),
                        None => refusals.push((why, vec![list.name()])),
                    },
                }
            }
            let (mut usages, gaps) = processes.finish(wanted.pid_space, |pid| wanted.holds(pid));
            self.add_peaks(&device, &mut usages);
            into.usages.extend(usages);
            into.gaps.extend(gaps);
            into.gaps.extend(refusals.into_iter().map(|(why, lists)| {
                let what = format!("{}, processes ({})", processes::label(&device), lists.join(", "));
                Gap::of_device(GpuQuerySource::Nvml, &device.id, what, why)
            }));
        }
    }

    fn rows(&self, list: NvmlList, id: &DeviceId) -> Result<Vec<NvmlRow>, Unavailable> {
        let rows = self.nvml()?.processes(list, self.handle(id)?);
        trace(|| format!("{id}: {} processes {rows:?}", list.name()));
        rows
    }

    /// Returns whether a row in the list of the whole device is also in the list of one of its parts.
    fn is_of_a_part(&self, whole: &DeviceId, row: &NvmlRow) -> bool {
        row.instance.is_some()
            && self.devices.iter().any(|known| {
                matches!(&known.part, Some((parent, instance)) if parent == whole && *instance == row.instance)
            })
    }

    /// Adds the peak of each process, if root has switched the driver's accounting on.
    fn add_peaks(&self, device: &Device, usages: &mut [GpuUsage]) {
        let (Ok(library), Ok(handle)) = (self.nvml(), self.handle(&device.id)) else { return };
        if usages.is_empty() || library.accounts(handle) != Ok(true) {
            return;
        }
        for usage in usages {
            let peak = match library.peak(handle, usage.pid) {
                Ok(Some(bytes)) => Reading::Known(bytes),
                Ok(None) => Reading::Unknown(Unavailable::DriverSaysNotAvailable),
                Err(code) => Reading::Unknown(code.into()),
            };
            let Figure { scope, pool, .. } = usage.vram;
            usage.peak = Some(Figure::new(peak, scope, pool, AmountKind::Peak, FigureSource::NvmlAccounting));
        }
    }

    /// Returns NVML's raw answers.
    pub(super) fn raw(&self) -> Vec<String> {
        let Ok(library) = self.nvml() else {
            return vec!["opened by a process that this one was forked from".to_owned()];
        };
        let text = |answer: Result<String, Code>| answer.unwrap_or_else(|code| format!("{code:?}"));
        let (driver, nvml) = (text(library.driver_version()), text(library.nvml_version()));
        let mut lines = vec![format!("{}: NVML {nvml}, driver {driver}", library.name)];
        for Known { id, handle, part } in &self.devices {
            let Ok(handle) = *handle else {
                lines.push(format!("{id}: no handle: {handle:?}"));
                continue;
            };
            let (name, uuid) = (text(library.name(handle)), text(library.uuid(handle)));
            lines.push(format!("{id}: {name}, {uuid}, part {part:?}"));
            lines.push(format!("{id}: memory {:?}", library.memory(handle)));
            lines.push(format!("{id}: accounting {:?}", library.accounts(handle)));
            for list in NvmlList::ALL {
                lines.push(format!("{id}: {} {:?}", list.name(), library.processes(list, handle)));
            }
        }
        lines
    }
}

impl Drop for NvmlSession {
    fn drop(&mut self) {
        // A forked child has a copy of the session, but NVML in it is the parent's: it is left as it is.
        if self.opened_by == ForkGeneration::current()
            && let Some(_inside) = Loading::begin()
        {
            self.library.shutdown();
            self.library.unload();
        }
    }
}

/// More devices than any machine has: a driver that reports more is broken.
const MAX_DEVICES: u32 = 1024;

/// Makes a device without figures. `otherwise` is its name if it does not report its address.
fn identify(library: &Library, handle: Result<Handle, Code>, otherwise: &str) -> Device {
    let uuid = handle.and_then(|handle| library.uuid(handle)).ok();
    let address = handle.and_then(|handle| library.bus_id(handle)).ok().map(|bus_id| DeviceId::new(&bus_id));
    let id = address
        .filter(|id| id.pci().is_some())
        .unwrap_or_else(|| DeviceId::new(uuid.as_deref().unwrap_or(otherwise)));
    let why = handle.err().map_or(Unavailable::DriverSaysNotAvailable, Unavailable::from);
    let mut device = Device::named(id, &unknown(why, FigureScope::Device));
    device.uuid = uuid;
    device.name = handle.and_then(|handle| library.name(handle)).ok();
    device.driver = Some("nvidia".to_owned());
    // nvml.h: "iGPU does not use a dedicated framebuffer but instead shares memory with the system. As a
    // result, NVML_ERROR_NOT_SUPPORTED". Other devices may return that, too, but do not use the processor's
    // page tables.
    device.unified = handle.ok().and_then(|handle| {
        let has_none = library.memory(handle) == Err(Code::NOT_SUPPORTED);
        (has_none && library.shares_page_tables(handle) == Ok(true)).then_some(true)
    });
    device
}

/// Keeps devices distinct whatever a driver calls them: a device that repeats another's address gets its own
/// name.
fn set_apart(device: &mut Device, others: &[Device], index: u32) {
    let is_taken = |id: &DeviceId| others.iter().any(|other| other.id == *id);
    if is_taken(&device.id) {
        let uuid = device.uuid.as_deref().map(DeviceId::new).filter(|id| !is_taken(id));
        device.id = uuid.unwrap_or_else(|| DeviceId::new(&format!("nvidia{index}")));
    }
}

fn identify_part(library: &Library, part: Handle, parent: &DeviceId, place: u32) -> Device {
    let uuid = library.uuid(part).ok();
    let id = uuid.clone().unwrap_or_else(|| format!("{parent}/{place}"));
    let unknown = unknown(Unavailable::DriverSaysNotAvailable, FigureScope::Instance);
    let mut device = Device::named(DeviceId::new(&id), &unknown);
    device.uuid = uuid;
    device.name = library.name(part).ok();
    device.driver = Some("nvidia".to_owned());
    device.parent = Some(parent.clone());
    device
}

/// Returns the parts of a divided GPU (MIG), with their indices. A process may be allowed to read these but
/// not the whole.
fn parts(library: &Library, handle: Handle) -> Vec<(u32, Handle)> {
    if library.is_divided(handle) != Ok(true) {
        return Vec::new();
    }
    let count = library.part_count(handle).unwrap_or(0).min(MAX_DEVICES);
    (0..count).filter_map(|place| Some((place, library.part(handle, place).ok()?))).collect()
}

fn unknown(why: Unavailable, scope: FigureScope) -> Figure {
    Figure::new(Reading::Unknown(why), scope, Pool::Dedicated, AmountKind::Resident, FigureSource::Nvml)
}

fn amounts(answer: Result<Memory, Code>) -> MemoryAmounts {
    match answer {
        Ok(Memory { total, used, free, reserved }) => MemoryAmounts {
            total: amount(total),
            used: amount(used),
            free: amount(free),
            reserved: reserved.map_or(Reading::Unknown(Unavailable::NotSupported), amount),
        },
        Err(code) => MemoryAmounts::unknown(&code.into()),
    }
}

/// Converts an amount. `NVML_VALUE_NOT_AVAILABLE` is documented for rows alone, but is no amount anywhere.
fn amount(bytes: u64) -> Reading {
    if bytes == u64::MAX {
        Reading::Unknown(Unavailable::DriverSaysNotAvailable)
    } else {
        Reading::Known(bytes)
    }
}

fn entry(list: NvmlList, row: &NvmlRow) -> ListEntry {
    let work = Work {
        compute: list != NvmlList::Graphics,
        graphics: list == NvmlList::Graphics,
        mps: list == NvmlList::Mps,
    };
    let used = row.used.map_or(Reading::Unknown(Unavailable::DriverSaysNotAvailable), Reading::Known);
    ListEntry { pid: row.pid, instance: row.instance, used, work }
}
