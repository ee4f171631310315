//! All sources of GPU figures of one machine, kept open.

use std::{collections::HashSet, ops::Range};

use super::{
    Device, DeviceId, Gap, Listing,
    backend::{Backend, PidFilter},
    plausible,
};
use crate::{Error, Roots, Unavailable, fork::Generation, process};

/// Keeps the drivers' sessions, and what never changes of the devices. Opening them may take long (NVML: up to
/// seconds), reading then takes microseconds.
///
/// Sessions belong to the process that opened them. A forked child that asks an inherited monitor makes it open new ones
/// there; the parent's are neither used nor closed.
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
    sources: Vec<Opened>,
    /// In the order of their indices.
    devices: Vec<Device>,
    gaps: Vec<Gap>,
    /// The process that the sources belong to.
    made_by: Option<Generation>,
    is_open: bool,
    /// Whether sources may start programs of their own to ask.
    may_start_programs: bool,
}

/// A source, and which of the devices it found.
#[derive(Debug)]
struct Opened {
    backend: Box<dyn Backend>,
    devices: Range<usize>,
}

impl Default for Monitor {
    fn default() -> Self {
        Self::new()
    }
}

impl Monitor {
    /// Of this machine. Nothing is opened before the first question.
    #[must_use]
    pub fn new() -> Self {
        Self::with_roots(Roots::default())
    }

    /// Of the machine whose procfs and sysfs stand where `roots` says: this one's, seen from a container, or a
    /// recorded tree. Drivers are asked only where the tree is this machine's ([`Roots::is_this_machine`]).
    #[must_use]
    pub fn with_roots(roots: Roots) -> Self {
        let (sources, devices, gaps) = (Vec::new(), Vec::new(), Vec::new());
        Self { roots, sources, devices, gaps, made_by: None, is_open: false, may_start_programs: true }
    }

    /// For use beside a job, which must not find children of ours among its own.
    #[cfg(feature = "job")]
    pub(crate) fn beside_a_job(roots: Roots) -> Self {
        let mut monitor = Self::with_roots(roots);
        monitor.may_start_programs = false;
        monitor
    }

    /// Where procfs and sysfs are read.
    #[must_use]
    pub fn roots(&self) -> &Roots {
        &self.roots
    }

    /// Makes the next question look for devices again. What was found is remembered, also that there was none: a driver
    /// that is loaded later, or a card that is plugged in, shows after this.
    pub fn refresh(&mut self) {
        self.is_open = false;
    }

    /// How many devices there are.
    pub fn count(&mut self) -> u32 {
        self.open();
        u32::try_from(self.devices.len()).unwrap_or(u32::MAX)
    }

    /// Drivers that are there, but could not be asked.
    pub fn gaps(&mut self) -> &[Gap] {
        self.open();
        &self.gaps
    }

    /// All devices, with their memory now. Figures that could not be had say why.
    pub fn devices(&mut self) -> Vec<Device> {
        self.open();
        for Opened { backend, devices } in &mut self.sources {
            for device in &mut self.devices[devices.clone()] {
                backend.read(&self.roots, device);
                plausible::check_device(device);
            }
        }
        self.devices.clone()
    }

    /// One device, with its memory now.
    ///
    /// # Errors
    /// [`Error::DeviceIndexOutOfRange`]; [`Error::NoGpuSource`] where there is no device at all, or [`Error::Gpu`]
    /// where a driver that may have some fails.
    pub fn device(&mut self, index: u32) -> Result<Device, Error> {
        let count = self.count();
        if count == 0 {
            let failed =
                self.gaps.first().map(|gap| Error::Gpu { what: gap.what.clone(), why: gap.why.clone() });
            return Err(failed.unwrap_or(Error::NoGpuSource));
        }
        let of_index =
            |source: &&mut Opened| place_of(index).is_some_and(|place| source.devices.contains(&place));
        let source = self.sources.iter_mut().find(of_index);
        let (Some(place), Some(source)) = (place_of(index), source) else {
            return Err(Error::DeviceIndexOutOfRange { index, count });
        };
        let device = &mut self.devices[place];
        source.backend.read(&self.roots, device);
        plausible::check_device(device);
        Ok(device.clone())
    }

    /// What every process holds on every device.
    pub fn usages(&mut self) -> Listing {
        self.list(PidFilter::All, None)
    }

    /// What these processes hold on every device. Where the kernel is asked, cost follows them and not the machine.
    pub fn usages_of(&mut self, pids: &HashSet<u32>) -> Listing {
        self.list(PidFilter::Of(pids), None)
    }

    /// What the calling process holds on the device of this index, or on all.
    pub(crate) fn own_usages(&mut self, index: Option<u32>) -> Listing {
        let own = process::own_pid(&self.roots);
        self.list(PidFilter::Of(&[own].into()), index)
    }

    /// What the sources saw, raw, one line each; for people who look for the reason of a figure.
    pub fn raw(&mut self) -> Vec<String> {
        self.open();
        let mut lines = Vec::new();
        for Opened { backend, .. } in &mut self.sources {
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
        for Opened { backend, devices } in &mut self.sources {
            let own = devices.start.max(wanted.start)..devices.end.min(wanted.end);
            if !own.is_empty() {
                backend.usages(&self.roots, &self.devices[own], whose, &mut listing);
            }
        }
        for Opened { backend, .. } in &mut self.sources {
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
        let process = Generation::current();
        if self.made_by != Some(process) {
            self.disown();
            let opened = |backend| Opened { backend, devices: 0..0 };
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
                        // The first source in the list knows it best.
                        if !self.devices.iter().any(|known| known.id == device.id) {
                            self.devices.push(device);
                        }
                    }
                }
                Err(Unavailable::NoBackend(_)) => {}
                Err(why) => self.gaps.push(Gap { what: source.backend.name().to_owned(), why }),
            }
            source.devices = start..self.devices.len();
        }
        for (index, device) in self.devices.iter_mut().enumerate() {
            device.index = u32::try_from(index).unwrap_or(u32::MAX);
        }
    }

    /// Leaves the sources as they are, for good: they are another process's.
    fn disown(&mut self) {
        self.sources.drain(..).for_each(std::mem::forget);
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        if self.made_by != Some(Generation::current()) {
            self.disown();
        }
    }
}

fn place_of(index: u32) -> Option<usize> {
    usize::try_from(index).ok()
}

/// All that this build has. Those that know a device better come first.
#[allow(unused_mut, unused_variables, clippy::vec_init_then_push)] // Each may be left out.
fn backends(is_this_machine: bool, may_start_programs: bool) -> Vec<Box<dyn Backend>> {
    let mut backends: Vec<Box<dyn Backend>> = Vec::new();
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
