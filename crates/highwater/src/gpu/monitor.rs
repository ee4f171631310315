//! All sources of GPU figures of one machine, kept open.

use std::collections::HashSet;

use super::{
    Device, DeviceId, Gap, Listing,
    backend::{Backend, Whose},
};
use crate::{Error, Roots, Unavailable};

/// Keeps the drivers' sessions, and what never changes of the devices. Opening them may take long (NVML: up to
/// seconds), reading then takes microseconds.
///
/// A monitor belongs to the process that made it: after a fork the child needs one of its own.
#[derive(Debug)]
pub struct Monitor {
    roots: Roots,
    backends: Vec<Box<dyn Backend>>,
    /// With the place of the backend that found it; in the order of their indices.
    devices: Vec<(usize, Device)>,
    gaps: Vec<Gap>,
    is_open: bool,
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
        Self { roots, backends: Vec::new(), devices: Vec::new(), gaps: Vec::new(), is_open: false }
    }

    /// Where procfs and sysfs are read.
    #[must_use]
    pub fn roots(&self) -> &Roots {
        &self.roots
    }

    /// Looks for devices again: that there was none is remembered, too.
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

    /// All devices, with their memory now.
    pub fn devices(&mut self) -> Vec<Device> {
        self.open();
        for (backend, device) in &mut self.devices {
            self.backends[*backend].read(&self.roots, device);
        }
        self.devices.iter().map(|(_, device)| device.clone()).collect()
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
        let place = usize::try_from(index).ok().and_then(|place| self.devices.get_mut(place));
        let Some((backend, device)) = place else {
            return Err(Error::DeviceIndexOutOfRange { index, count });
        };
        self.backends[*backend].read(&self.roots, device);
        Ok(device.clone())
    }

    /// What every process holds on every device.
    pub fn usages(&mut self) -> Listing {
        self.list(Whose::All)
    }

    /// What these processes hold on every device. Where the kernel is asked, cost follows them and not the machine.
    pub fn usages_of(&mut self, pids: &HashSet<u32>) -> Listing {
        self.list(Whose::Of(pids))
    }

    /// What the sources saw, raw, one line each; for people who look for the reason of a figure.
    pub fn raw(&mut self) -> Vec<String> {
        self.open();
        let mut lines = Vec::new();
        for backend in &mut self.backends {
            let name = backend.name();
            lines.extend(backend.raw(&self.roots).into_iter().map(|line| format!("{name}: {line}")));
        }
        lines
    }

    fn list(&mut self, whose: Whose<'_>) -> Listing {
        self.open();
        let mut listing = Listing { gaps: self.gaps.clone(), ..Listing::default() };
        for (place, backend) in self.backends.iter_mut().enumerate() {
            let own: Vec<Device> = self
                .devices
                .iter()
                .filter(|(of, _)| *of == place)
                .map(|(_, device)| device.clone())
                .collect();
            if !own.is_empty() {
                backend.usages(&self.roots, &own, whose, &mut listing);
            }
        }
        let order = |id: &DeviceId| self.devices.iter().position(|(_, device)| device.id == *id);
        listing.usages.sort_by_key(|usage| (order(&usage.device), usage.pid));
        listing.refused.sort_unstable();
        listing.refused.dedup();
        listing
    }

    fn open(&mut self) {
        if self.is_open {
            return;
        }
        self.is_open = true;
        if self.backends.is_empty() {
            self.backends = backends(self.roots.is_this_machine());
        }
        self.devices.clear();
        self.gaps.clear();
        for (place, backend) in self.backends.iter_mut().enumerate() {
            match backend.find(&self.roots) {
                Ok(found) => {
                    for device in found {
                        // The first backend in the list knows it best.
                        if !self.devices.iter().any(|(_, known)| known.id == device.id) {
                            self.devices.push((place, device));
                        }
                    }
                }
                Err(Unavailable::NoBackend(_)) => {}
                Err(why) => self.gaps.push(Gap { what: backend.name().to_owned(), why }),
            }
        }
        for (index, (_, device)) in self.devices.iter_mut().enumerate() {
            device.index = u32::try_from(index).unwrap_or(u32::MAX);
        }
    }
}

/// All that this build has. Those that know a device better come first.
#[allow(unused_mut, unused_variables, clippy::vec_init_then_push)] // Each may be left out.
fn backends(is_this_machine: bool) -> Vec<Box<dyn Backend>> {
    let mut backends: Vec<Box<dyn Backend>> = Vec::new();
    #[cfg(any(feature = "nvml", feature = "nvidia-smi-fallback"))]
    if is_this_machine {
        backends.push(Box::new(super::nvidia::Nvidia::default()));
    }
    #[cfg(all(feature = "drm", target_os = "linux"))]
    backends.push(Box::<super::drm::Drm>::default());
    backends
}
