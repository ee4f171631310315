//! Lists the devices of `/sys/class/drm` and `/sys/class/accel`. All nodes of a device (`card1`,
//! `renderD128`) are one [`Card`].

use std::path::{Path, PathBuf};

use super::{pci_ids, regions, sysfs};
use crate::{
    Roots, Unavailable,
    bounded::{self, MAX_VALUE_BYTES},
    gpu::{DeviceId, FigureSource, Pool},
};

/// Drivers of virtual devices.
const NOT_DEVICES: [&str; 2] = ["vgem", "vkms"];

/// The platform devices of amdgpu's partitions (`amdgpu_xcp_drv.c`).
const PARTITION: &str = "amdgpu_xcp";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Card {
    pub(super) id: DeviceId,
    /// Its directory in sysfs.
    pub(super) directory: PathBuf,
    /// Its kernel module (`amdgpu`, `v3d`).
    pub(super) driver: Option<String>,
    pub(super) name: String,
    pub(super) nodes: Vec<DeviceNode>,
    /// True if it uses the system's RAM; `None` if no source reports this.
    pub(super) unified: Option<bool>,
}

/// A device node, as descriptors name it: `dri/card0`, `accel/accel0`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DeviceNode {
    pub(super) path: String,
    /// Major and minor.
    pub(super) number: Option<(u32, u32)>,
}

/// All device nodes that sysfs lists.
#[derive(Debug, Default)]
pub(super) struct Cards {
    /// The devices on which a process can use memory, by address.
    pub(super) listed: Vec<Card>,
    /// Nodes of the others: displays without a GPU.
    pub(super) ignored: Vec<String>,
}

impl Card {
    /// Returns where the device's memory lies.
    pub(super) fn pool(&self) -> Pool {
        // An AMD APU has a carve-out besides.
        if self.unified == Some(true) && !self.is_driven_by("amdgpu") {
            Pool::Unified
        } else {
            Pool::Dedicated
        }
    }

    pub(super) fn is_driven_by(&self, driver: &str) -> bool {
        self.driver.as_deref() == Some(driver)
    }

    /// Returns whether NVIDIA's own driver drives it, which writes nothing into fdinfo.
    pub(super) fn is_nvidia(&self) -> bool {
        self.driver.as_deref().is_some_and(|driver| matches!(driver, "nvidia" | "nvidia-drm" | "nvidia_drm"))
    }

    /// Returns the source that reports the memory of the whole device.
    pub(super) fn source(&self) -> FigureSource {
        match self.driver.as_deref() {
            Some("amdgpu") => FigureSource::AmdgpuSysfs,
            Some("i915") if self.unified != Some(true) => FigureSource::I915Query,
            Some("xe") if self.unified != Some(true) => FigureSource::XeQuery,
            _ if self.pool() == Pool::Unified => FigureSource::SystemMemory,
            _ => FigureSource::Fdinfo,
        }
    }
}

impl Cards {
    /// # Errors
    /// The reason why sysfs cannot be read. A sysfs without devices is no error.
    pub(super) fn find(roots: &Roots) -> Result<Self, Unavailable> {
        let mut found = Vec::<Card>::new();
        for (class, prefixes, dev) in
            [("class/drm", &["card", "renderD"][..], "dri"), ("class/accel", &["accel"][..], "accel")]
        {
            let class = roots.sys.join(class);
            let mut names = sysfs::names(&class)?;
            names.sort_unstable();
            for name in names.iter().filter(|name| prefixes.iter().any(|prefix| is_numbered(name, prefix))) {
                let node = DeviceNode {
                    path: format!("{dev}/{name}"),
                    number: number(&class.join(name).join("dev")),
                };
                let card = Card::read(&class.join(name), name);
                // Nodes of a partition (MI300) belong to a device that they do not name. The fdinfo of their
                // clients names the whole device.
                if card.id.as_str().starts_with(PARTITION) {
                    continue;
                }
                match found.iter_mut().find(|known| known.id == card.id) {
                    Some(known) => known.nodes.push(node),
                    None => found.push(Card { nodes: vec![node], ..card }),
                }
            }
        }
        let (mut listed, ignored): (Vec<Card>, Vec<Card>) = found.into_iter().partition(Card::is_listed);
        listed.sort_by(|a, b| a.id.cmp(&b.id));
        for card in &mut listed {
            card.unified = card.is_unified();
            card.name = card.called(roots);
        }
        let ignored = ignored.into_iter().flat_map(|card| card.nodes).map(|node| node.path).collect();
        Ok(Self { listed, ignored })
    }
}

impl Card {
    /// Reads what one node says of its device.
    fn read(node: &Path, name: &str) -> Self {
        let directory = node.join("device");
        let uevent = sysfs::text(&directory.join("uevent")).unwrap_or_default();
        let of_uevent = |key| sysfs::of_uevent(&uevent, key);
        let last_of = |path: &Path| Some(path.file_name()?.to_str()?.to_owned());
        let id = of_uevent("PCI_SLOT_NAME")
            .map(str::to_owned)
            // `../../../fec00000.v3d`
            .or_else(|| last_of(&std::fs::read_link(&directory).ok()?))
            // `../../devices/platform/soc/fec00000.v3d/drm/card0`
            .or_else(|| last_of(std::fs::read_link(node).ok()?.parent()?.parent()?))
            .or_else(|| last_of(Path::new(of_uevent("OF_FULLNAME")?)))
            .unwrap_or_else(|| name.to_owned());
        Self {
            id: DeviceId::new(&id),
            driver: of_uevent("DRIVER").map(str::to_owned),
            directory,
            name: id,
            nodes: Vec::new(),
            unified: None,
        }
    }

    /// Returns whether it has a node to render or compute on, or a driver that accounts memory. A mere
    /// display (`ast`, `simpledrm`, `vc4` beside a `v3d`) holds no memory that could be attributed to a
    /// process.
    fn is_listed(&self) -> bool {
        let works =
            |node: &DeviceNode| node.path.starts_with("dri/renderD") || node.path.starts_with("accel/");
        let is_software =
            NOT_DEVICES.iter().any(|name| self.is_driven_by(name) || self.id.as_str().starts_with(name));
        let accounts = self.driver.as_deref().is_some_and(regions::accounts_memory);
        !is_software && (self.nodes.iter().any(works) || accounts || self.is_nvidia())
    }

    fn is_unified(&self) -> Option<bool> {
        match self.driver.as_deref() {
            Some("amdgpu") => self.is_amd_apu(),
            // Intel's integrated GPU has this address; cards sit behind a bridge, on other buses.
            Some("i915" | "xe") => Some(self.id.pci()?.ends_with(":00:02.0")),
            Some(driver) if regions::accounts_memory(driver) => Some(true),
            // GPUs of a system on a chip have no memory of their own.
            _ if self.id.pci().is_none() => {
                let uevent = sysfs::text(&self.directory.join("uevent")).unwrap_or_default();
                sysfs::of_uevent(&uevent, "OF_FULLNAME").map(|_| true)
            }
            _ => None,
        }
    }

    /// Returns whether an AMD device is an APU. The tables of `gpu_metrics` have format 1 for cards and
    /// formats 2 and 3 for APUs (`kgd_pp_interface.h`). Only the MI300A is an APU with format 1. A sleeping
    /// device is not woken for this.
    fn is_amd_apu(&self) -> Option<bool> {
        if sysfs::text(&self.directory.join("device")).is_ok_and(|id| id == "0x74a0") {
            return Some(true);
        }
        if sysfs::text(&self.directory.join("power/runtime_status")).is_ok_and(|status| status == "suspended")
        {
            // APUs drive the screen, and do not sleep.
            return None;
        }
        // `metrics_table_header`: the size in two bytes, the format, its revision.
        match bounded::read(&self.directory.join("gpu_metrics"), MAX_VALUE_BYTES).ok()?.get(2)? {
            1 => Some(false),
            2 | 3 => Some(true),
            _ => None,
        }
    }

    /// Returns the product's name if it is known, else `amdgpu 0000:c5:00.0`.
    fn called(&self, roots: &Roots) -> String {
        let product = sysfs::text(&self.directory.join("product_name")).ok().filter(|name| !name.is_empty());
        product.or_else(|| pci_ids::name(roots, &self.directory)).unwrap_or_else(|| {
            self.driver.as_ref().map_or_else(|| self.id.to_string(), |driver| format!("{driver} {}", self.id))
        })
    }
}

/// Accepts `card0`, but not `card0-HDMI-A-1`.
fn is_numbered(name: &str, prefix: &str) -> bool {
    name.strip_prefix(prefix)
        .is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Parses `226:128`.
fn number(path: &Path) -> Option<(u32, u32)> {
    let text = sysfs::text(path).ok()?;
    let (major, minor) = text.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests;
