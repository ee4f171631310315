//! All sources of GPU figures of one machine, kept open.

use std::{
    collections::{HashMap, HashSet},
    ops::Range,
};

use super::{
    Device, DeviceId, Gap, Listing,
    backend::{GpuBackend, PidFilter},
    plausible,
};
use crate::{
    Error, Roots, Unavailable,
    fork::ForkGeneration,
    process::{self, ProcessReader},
};

/// Keeps the drivers' sessions and the constant properties of the devices. Opening may take long (NVML: up to
/// seconds); reading then takes microseconds.
///
/// Sessions belong to the process that opened them. A forked child that uses an inherited monitor makes it
/// open new sessions there. The parent's sessions are neither used nor closed.
///
/// ```
/// let mut monitor = highwater::gpu::Monitor::new();
/// println!("{} devices", monitor.count());
/// monitor.refresh();
/// println!("{} devices now", monitor.count());
/// ```
#[derive(Debug)]
pub struct Monitor {
    roots: Roots,
    sources: Vec<OpenSource>,
    /// The devices in the order of their indices.
    devices: Vec<Device>,
    gaps: Vec<Gap>,
    /// The reader of the names of processes.
    names: ProcessReader,
    /// The process that the sources belong to.
    made_by: Option<ForkGeneration>,
    is_open: bool,
    /// True if sources may start other programs.
    may_start_programs: bool,
}

/// A source, and the range of devices that it found.
#[derive(Debug)]
struct OpenSource {
    backend: Box<dyn GpuBackend>,
    devices: Range<usize>,
}

impl Default for Monitor {
    fn default() -> Self {
        Self::new()
    }
}

impl Monitor {
    /// Makes a monitor of this machine. It opens nothing before the first query.
    #[must_use]
    pub fn new() -> Self {
        Self::with_roots(Roots::default())
    }

    /// Makes a monitor of the machine whose procfs and sysfs `roots` names: this one's, seen from a
    /// container, or a recorded tree. Drivers are queried only if the tree is this machine's
    /// ([`Roots::is_this_machine`]).
    #[must_use]
    pub fn with_roots(roots: Roots) -> Self {
        let (sources, devices, gaps) = (Vec::new(), Vec::new(), Vec::new());
        let names = ProcessReader::new(roots.clone());
        Self { roots, sources, devices, gaps, names, made_by: None, is_open: false, may_start_programs: true }
    }

    /// Makes a monitor beside a job. It starts no programs, since they would look like processes of the job.
    #[cfg(feature = "job")]
    pub(crate) fn beside_a_job(roots: Roots) -> Self {
        let mut monitor = Self::with_roots(roots);
        monitor.may_start_programs = false;
        monitor
    }

    /// Returns where procfs and sysfs are read.
    #[must_use]
    pub fn roots(&self) -> &Roots {
        &self.roots
    }

    /// Makes the next query search for devices again. Otherwise the result of the first search is kept, even
    /// if it was empty. A driver loaded later, or a card plugged in later, appears after this call.
    pub fn refresh(&mut self) {
        self.is_open = false;
    }

    /// Returns the number of devices.
    pub fn count(&mut self) -> u32 {
        self.open();
        u32::try_from(self.devices.len()).unwrap_or(u32::MAX)
    }

    /// Returns the drivers that are present but could not be queried.
    pub fn gaps(&mut self) -> &[Gap] {
        self.open();
        &self.gaps
    }

    /// Returns all devices, with their memory now. Figures that could not be read say why.
    pub fn devices(&mut self) -> Vec<Device> {
        self.open();
        for OpenSource { backend, devices } in &mut self.sources {
            for device in &mut self.devices[devices.clone()] {
                backend.read(&self.roots, device);
                plausible::check_device(device);
            }
        }
        self.devices.clone()
    }

    /// Returns one device, with its memory now.
    ///
    /// # Errors
    /// [`Error::DeviceIndexOutOfRange`]; [`Error::NoGpuSource`] if there is no device, or [`Error::Gpu`] if a
    /// driver that may have some fails.
    pub fn device(&mut self, index: u32) -> Result<Device, Error> {
        let count = self.count();
        if count == 0 {
            let failed =
                self.gaps.first().map(|gap| Error::Gpu { what: gap.what.clone(), why: gap.why.clone() });
            return Err(failed.unwrap_or(Error::NoGpuSource));
        }
        let of_index =
            |source: &&mut OpenSource| place_of(index).is_some_and(|place| source.devices.contains(&place));
        let source = self.sources.iter_mut().find(of_index);
        let (Some(place), Some(source)) = (place_of(index), source) else {
            return Err(Error::DeviceIndexOutOfRange { index, count });
        };
        let device = &mut self.devices[place];
        source.backend.read(&self.roots, device);
        plausible::check_device(device);
        Ok(device.clone())
    }

    /// Returns the memory of every process on every device.
    pub fn usages(&mut self) -> Listing {
        self.list(PidFilter::All, None)
    }

    /// Returns the memory of these processes on every device. If the kernel is the source, the cost grows
    /// with their number and not with the machine's.
    pub fn usages_of(&mut self, pids: &HashSet<u32>) -> Listing {
        self.list(PidFilter::Of(pids), None)
    }

    /// Returns the memory of the calling process on the device of this index, or on all.
    pub(crate) fn own_usages(&mut self, index: Option<u32>) -> Listing {
        let own = process::own_pid(&self.roots);
        self.list(PidFilter::Of(&[own].into()), index)
    }

    /// Returns the names of these processes, as far as they can be known.
    pub(crate) fn names(&mut self, pids: &[u32]) -> HashMap<u32, String> {
        self.open();
        self.names.names(pids)
    }

    /// Returns the raw values of the sources, one line each, to explain a figure.
    pub fn raw(&mut self) -> Vec<String> {
        self.open();
        let mut lines = Vec::new();
        for OpenSource { backend, .. } in &mut self.sources {
            let name = backend.name();
            lines.extend(backend.raw(&self.roots).into_iter().map(|line| format!("{name}: {line}")));
        }
        lines
    }

    fn list(&mut self, whose: PidFilter<'_>, index: Option<u32>) -> Listing {
        self.open();
        let mut listing = Listing { gaps: self.gaps.clone(), ..Listing::default() };
        let wanted = index.map_or(0..self.devices.len(), |index| {
            place_of(index).map_or(0..0, |place| place..place.saturating_add(1))
        });
        for OpenSource { backend, devices } in &mut self.sources {
            let own = devices.start.max(wanted.start)..devices.end.min(wanted.end);
            if !own.is_empty() {
                backend.usages(&self.roots, &self.devices[own], whose, &mut listing);
            }
        }
        for OpenSource { backend, .. } in &mut self.sources {
            backend.complete(&self.roots, &self.devices, whose, &mut listing);
        }
        if let Some(device) = index.and_then(|index| self.devices.get(place_of(index)?)) {
            listing.usages.retain(|usage| usage.device == device.id);
        }
        let order = |id: &DeviceId| self.devices.iter().position(|device| device.id == *id);
        listing.usages.sort_by_key(|usage| (order(&usage.device), usage.pid));
        listing.refused.sort_unstable();
        listing.refused.dedup();
        listing
    }

    fn open(&mut self) {
        let process = ForkGeneration::current();
        if self.made_by != Some(process) {
            self.disown();
            let opened = |backend| OpenSource { backend, devices: 0..0 };
            self.sources = backends(self.roots.is_this_machine(), self.may_start_programs)
                .into_iter()
                .map(opened)
                .collect();
            self.made_by = Some(process);
            self.is_open = false;
        }
        if self.is_open {
            return;
        }
        self.is_open = true;
        self.devices.clear();
        self.gaps.clear();
        for source in &mut self.sources {
            let start = self.devices.len();
            match source.backend.find(&self.roots) {
                Ok(found) => {
                    for device in found {
                        // The first source in the list knows the device best.
                        if !self.devices.iter().any(|known| known.id == device.id) {
                            self.devices.push(device);
                        }
                    }
                }
                Err(Unavailable::NoBackend(_)) => {}
                Err(why) => {
                    let backend = &source.backend;
                    self.gaps.push(Gap::of_source(backend.source(), backend.name(), why));
                }
            }
            source.devices = start..self.devices.len();
        }
        for (index, device) in self.devices.iter_mut().enumerate() {
            device.index = u32::try_from(index).unwrap_or(u32::MAX);
        }
    }

    /// Leaks the sources and the reader on purpose: they belong to another process. A thread that this process does not
    /// have may hold their locks.
    fn disown(&mut self) {
        self.sources.drain(..).for_each(std::mem::forget);
        std::mem::forget(std::mem::replace(&mut self.names, ProcessReader::new(self.roots.clone())));
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        if self.made_by != Some(ForkGeneration::current()) {
            self.disown();
        }
    }
}

fn place_of(index: u32) -> Option<usize> {
    usize::try_from(index).ok()
}

/// Returns all sources of this build. Those that know a device better come first.
#[allow(unused_mut, unused_variables, clippy::vec_init_then_push)] // Each source can be compiled out.
fn backends(is_this_machine: bool, may_start_programs: bool) -> Vec<Box<dyn GpuBackend>> {
    let mut backends: Vec<Box<dyn GpuBackend>> = Vec::new();
    #[cfg(any(feature = "nvml", feature = "nvidia-smi-fallback"))]
    if is_this_machine {
        backends.push(Box::new(super::nvidia::Nvidia::new(may_start_programs)));
    }
    #[cfg(all(windows, any(feature = "dxgi", feature = "pdh")))]
    if is_this_machine {
        backends.push(Box::<super::wddm::Wddm>::default());
    }
    #[cfg(all(feature = "drm", target_os = "linux"))]
    backends.push(Box::<super::drm::Drm>::default());
    #[cfg(all(feature = "metal", target_os = "macos"))]
    backends.push(Box::<super::metal::Metal>::default());
    backends
}

#[cfg(test)]
mod tests;
