//! NVIDIA's devices, through NVML. The program `nvidia-smi` is used if NVML cannot be (a static build, a
//! broken installation).
//!
//! A process's figure is what the driver allocated for it on that device, with its contexts. Managed memory
//! (`cudaMallocManaged`) is in no process's figure, only in the device's.
//!
//! A crash inside NVML ends the program that loaded it: nothing in the same process can catch that.

mod memory;
#[cfg(feature = "nvml")]
mod nvml;
mod pid_space;
mod processes;
#[cfg(feature = "nvidia-smi-fallback")]
mod smi;

#[cfg(target_os = "linux")]
use std::{fs, path::Path};

use super::{
    Device, Gap, GpuQuerySource, Listing, PidSpace,
    backend::{GpuBackend, PidFilter},
};
#[cfg(target_os = "linux")]
use crate::bounded::{self, MAX_VALUE_BYTES};
use crate::{Roots, Unavailable};

/// The source, opened at the first query and kept.
#[derive(Debug, Default)]
pub(crate) struct Nvidia {
    way: DriverAccess,
    /// The reasons why a way was not used.
    refused: Vec<String>,
    /// True if nvidia-smi may be run.
    may_start_programs: bool,
}

/// The way to query the driver.
#[derive(Debug, Default)]
enum DriverAccess {
    #[default]
    None,
    #[cfg(feature = "nvml")]
    Nvml(Box<nvml::NvmlSession>),
    #[cfg(feature = "nvidia-smi-fallback")]
    Smi(smi::Smi),
}

impl GpuBackend for Nvidia {
    fn name(&self) -> &'static str {
        "nvidia"
    }

    fn source(&self) -> GpuQuerySource {
        match self.way {
            #[cfg(feature = "nvidia-smi-fallback")]
            DriverAccess::Smi(_) => GpuQuerySource::NvidiaSmi,
            _ => GpuQuerySource::Nvml,
        }
    }

    fn find(&mut self, roots: &Roots) -> Result<Vec<Device>, Unavailable> {
        self.refused.clear();
        let why = match self.find_by_nvml() {
            Ok(devices) => return Ok(devices),
            Err(why) => why,
        };
        let why = settled(why, roots);
        if is_without_driver(&why) {
            return Err(why);
        }
        match self.find_by_smi() {
            Ok(devices) => Ok(devices),
            // NVML knows better what is wrong.
            Err(_) if !matches!(why, Unavailable::NoBackend(_)) => Err(why),
            Err(why) => Err(settled(why, roots)),
        }
    }

    fn read(&mut self, _: &Roots, device: &mut Device) {
        match &mut self.way {
            DriverAccess::None => {}
            #[cfg(feature = "nvml")]
            DriverAccess::Nvml(session) => session.read(device),
            #[cfg(feature = "nvidia-smi-fallback")]
            DriverAccess::Smi(smi) => smi.read(device),
        }
    }

    fn usages(&mut self, roots: &Roots, devices: &[Device], whose: PidFilter<'_>, into: &mut Listing) {
        let pid_space = pid_space::of(roots);
        if pid_space == PidSpace::Host {
            into.gaps.push(Gap::of_source(self.source(), self.name(), Unavailable::PidNamespace));
        }
        let wanted = WantedPids { pid_space, whose };
        match &mut self.way {
            DriverAccess::None => {}
            #[cfg(feature = "nvml")]
            DriverAccess::Nvml(session) => session.usages(devices, wanted, into),
            #[cfg(feature = "nvidia-smi-fallback")]
            DriverAccess::Smi(smi) => smi.usages(devices, wanted, into),
        }
    }

    fn raw(&mut self, _: &Roots) -> Vec<String> {
        let mut lines = self.refused.clone();
        match &mut self.way {
            DriverAccess::None => {}
            #[cfg(feature = "nvml")]
            DriverAccess::Nvml(session) => lines.extend(session.raw()),
            #[cfg(feature = "nvidia-smi-fallback")]
            DriverAccess::Smi(_) => lines.extend(smi::Smi::raw()),
        }
        lines
    }
}

impl Nvidia {
    pub(crate) fn new(may_start_programs: bool) -> Self {
        Self { may_start_programs, ..Self::default() }
    }

    #[cfg(feature = "nvml")]
    fn find_by_nvml(&mut self) -> Result<Vec<Device>, Unavailable> {
        if let DriverAccess::Nvml(session) = &mut self.way {
            match session.find() {
                Ok(devices) => return Ok(devices),
                Err(why) => self.refused.push(format!("NVML, as opened before: {why}")),
            }
        }
        // This closes the old session first.
        self.way = DriverAccess::None;
        let opened = nvml::NvmlSession::open().and_then(|mut session| {
            let devices = session.find()?;
            Ok((session, devices))
        });
        match opened {
            Ok((session, devices)) => {
                self.way = DriverAccess::Nvml(Box::new(session));
                Ok(devices)
            }
            Err(why) => {
                self.refused.push(format!("NVML: {why}"));
                Err(why)
            }
        }
    }

    #[cfg(not(feature = "nvml"))]
    #[allow(clippy::unused_self)] // As the other.
    fn find_by_nvml(&mut self) -> Result<Vec<Device>, Unavailable> {
        Err(Unavailable::NoBackend("built without NVML".into()))
    }

    #[cfg(feature = "nvidia-smi-fallback")]
    fn find_by_smi(&mut self) -> Result<Vec<Device>, Unavailable> {
        if !self.may_start_programs {
            return Err(Unavailable::NoBackend("nvidia-smi is not run beside a job".into()));
        }
        match smi::Smi::find() {
            Ok((smi, devices)) => {
                self.way = DriverAccess::Smi(smi);
                Ok(devices)
            }
            Err(why) => {
                self.refused.push(format!("nvidia-smi: {why}"));
                Err(why)
            }
        }
    }

    #[cfg(not(feature = "nvidia-smi-fallback"))]
    fn find_by_smi(&mut self) -> Result<Vec<Device>, Unavailable> {
        let why = if self.may_start_programs {
            "built without nvidia-smi"
        } else {
            "nvidia-smi is not run beside a job"
        };
        Err(Unavailable::NoBackend(why.into()))
    }
}

/// Returns the devices that NVML itself reports, through a new session.
#[cfg(all(windows, feature = "job"))]
pub(crate) fn nvml_devices() -> Result<Vec<Device>, Unavailable> {
    Nvidia::new(false).find_by_nvml()
}

/// The processes that a query asks for, and the namespace of the driver's pids.
#[derive(Debug, Clone, Copy)]
struct WantedPids<'a> {
    pid_space: PidSpace,
    whose: PidFilter<'a>,
}

impl WantedPids<'_> {
    /// Returns whether the query asks for the driver's `pid`. A pid of the host is never taken for one of
    /// this namespace.
    fn holds(self, pid: u32) -> bool {
        match self.pid_space {
            PidSpace::Own => self.whose.holds(pid),
            PidSpace::Host => matches!(self.whose, PidFilter::All),
        }
    }
}

/// Returns whether the only fault is that the driver is not loaded, or has no device.
fn is_without_driver(why: &Unavailable) -> bool {
    // These are NVML_ERROR_DRIVER_NOT_LOADED and NVML_ERROR_GPU_NOT_FOUND; nvidia-smi exits with the first,
    // too.
    matches!(why, Unavailable::DriverBroken { code: 9 | 28, .. })
}

/// Decides what a failure means on this machine. Without a device and a driver it is no fault. With a driver,
/// it is a fault that nothing can query it.
fn settled(why: Unavailable, roots: &Roots) -> Unavailable {
    match why {
        Unavailable::NoBackend(text) if has_driver(roots) => {
            Unavailable::Failed(format!("the driver is loaded, but it cannot be queried: {text}"))
        }
        why if is_without_driver(&why) && !has_device(roots) => Unavailable::NoBackend(why.to_string()),
        why => why,
    }
}

/// Returns whether the kernel has the driver loaded. This also works in containers without the library.
#[cfg(target_os = "linux")]
fn has_driver(roots: &Roots) -> bool {
    roots.proc.join("driver/nvidia/version").exists()
}

#[cfg(not(target_os = "linux"))]
fn has_driver(_: &Roots) -> bool {
    false
}

/// Returns whether the machine has an NVIDIA device that needs a driver. Only Linux can find out.
#[cfg(target_os = "linux")]
fn has_device(roots: &Roots) -> bool {
    // Windows' subsystem passes devices through without PCI; integrated ones are not on PCI.
    if roots.sys.join("class/misc/dxg").exists() || has_driver(roots) {
        return true;
    }
    let starts = |file: &Path, with: &str| {
        bounded::read_to_string(file, MAX_VALUE_BYTES).is_ok_and(|text| text.starts_with(with))
    };
    match fs::read_dir(roots.sys.join("bus/pci/devices")) {
        // Class 03 is display controllers, with those that have no connectors.
        Ok(devices) => devices
            .flatten()
            .map(|entry| entry.path())
            .any(|device| starts(&device.join("vendor"), "0x10de") && starts(&device.join("class"), "0x03")),
        // The machine has no PCI.
        Err(_) => false,
    }
}

#[cfg(not(target_os = "linux"))]
fn has_device(_: &Roots) -> bool {
    true
}

/// Passes what was read to the program's logger, if there is one.
#[cfg(feature = "debug-output")]
fn trace(line: impl FnOnce() -> String) {
    if log::log_enabled!(log::Level::Debug) {
        log::debug!("{}", line());
    }
}

#[cfg(not(feature = "debug-output"))]
#[inline]
fn trace(_: impl FnOnce() -> String) {}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    fn roots(files: &[(&str, &str)]) -> (tempfile::TempDir, Roots) {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let file = dir.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        let of = |name| dir.path().join(name);
        let roots = Roots { proc: of("proc"), sys: of("sys"), cgroup: of("sys/fs/cgroup") };
        (dir, roots)
    }

    const CARD: [(&str, &str); 2] = [
        ("sys/bus/pci/devices/0000:01:00.0/vendor", "0x10de\n"),
        ("sys/bus/pci/devices/0000:01:00.0/class", "0x030200\n"),
    ];

    fn not_loaded() -> Unavailable {
        Unavailable::DriverBroken { code: 9, text: "not loaded".into() }
    }

    #[test]
    fn an_unloaded_driver_with_a_device_is_a_fault() {
        let (_dir, with) = roots(&CARD);
        assert_eq!(settled(not_loaded(), &with), not_loaded());
        let other = [("sys/bus/pci/devices/0000:01:00.0/vendor", "0x1002\n"), CARD[1]];
        let audio = [CARD[0], ("sys/bus/pci/devices/0000:01:00.0/class", "0x040300\n")];
        for files in [&[][..], &other, &audio] {
            let (_dir, without) = roots(files);
            assert!(matches!(settled(not_loaded(), &without), Unavailable::NoBackend(_)), "{files:?}");
        }
    }

    #[test]
    fn a_driver_that_nothing_can_ask_is_not_an_absent_one() {
        let absent = Unavailable::NoBackend("no library".into());
        let (_dir, bare) = roots(&[]);
        assert_eq!(settled(absent.clone(), &bare), absent);
        let (_dir, loaded) = roots(&[("proc/driver/nvidia/version", "NVRM version: ...")]);
        assert!(matches!(settled(absent, &loaded), Unavailable::Failed(_)));
    }
}
