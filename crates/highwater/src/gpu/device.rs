//! One device that has memory, or uses the system's.

use std::fmt;

use super::figure::{Figure, Reading};

/// Which device: its PCI address where it has one (`0000:03:00.0`), else the name of its platform device
/// (`fec00000.v3d`), or the UUID of a MIG instance.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceId(String);

impl DeviceId {
    /// From a PCI address in any of the usual spellings (`0000:3B:00.0`, `00000000:3b:00.0`, `3b:00.0`), or any other
    /// name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(pci_address(name).unwrap_or_else(|| name.to_owned()))
    }

    /// The PCI address, if it has one: `0000:03:00.0`.
    #[must_use]
    pub fn pci(&self) -> Option<&str> {
        pci_address(&self.0).is_some().then_some(self.0.as_str())
    }

    /// As it is shown.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// `domain:bus:device.function` in the kernel's spelling; NVML writes a domain of eight digits, in capitals.
fn pci_address(text: &str) -> Option<String> {
    let (slot, function) = text.rsplit_once('.')?;
    let mut parts = slot.rsplit(':');
    let (device, bus, domain) = (parts.next()?, parts.next()?, parts.next().unwrap_or("0"));
    if parts.next().is_some() || bus.is_empty() || bus.len() > 2 || device.is_empty() || device.len() > 2 {
        return None;
    }
    let hex = |digits: &str| u32::from_str_radix(digits, 16).ok();
    let (domain, bus, device, function) = (hex(domain)?, hex(bus)?, hex(device)?, hex(function)?);
    (function < 8).then(|| format!("{domain:04x}:{bus:02x}:{device:02x}.{function}"))
}

/// A GPU, or another device with a driver that accounts memory in the same way (an NPU), or a MIG instance.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Device {
    /// Its place in the list, from 0: NVIDIA's devices first, in NVML's order, then the others by their address.
    pub index: u32,
    /// Which one it is, across calls.
    pub id: DeviceId,
    /// What its maker's tools call it for good (`GPU-6f0e...`, `MIG-41b3...`), where there is such a name.
    pub uuid: Option<String>,
    /// What it is called, if anybody says.
    pub name: Option<String>,
    /// Its kernel driver (`nvidia`, `amdgpu`, `xe`).
    pub driver: Option<String>,
    /// The version of the driver, where it has one of its own.
    pub driver_version: Option<String>,
    /// Whether it shares the system's RAM (integrated, unified memory). `None`: nobody says.
    pub unified: Option<bool>,
    /// The device of which this is an instance (MIG).
    pub parent: Option<DeviceId>,
    /// Its memory in all.
    pub total: Figure,
    /// In use, by whomever; with what the driver keeps for itself or without, as the driver counts
    /// (`reserved` then says so).
    pub used: Figure,
    /// Left.
    pub free: Figure,
    /// What the driver keeps for itself.
    pub reserved: Figure,
    /// Whether `used` contains `reserved`, found from the identity that holds between the figures; `None` where
    /// it cannot be told.
    pub used_contains_reserved: Option<bool>,
    /// System RAM mapped for it, where the driver accounts that for the whole device.
    pub system_used: Figure,
    /// How much system RAM may be mapped for it.
    pub system_total: Figure,
    /// How much of it one process should not exceed, where somebody recommends that. Neither a limit nor a size.
    pub budget: Option<Figure>,
}

impl Device {
    /// A device of which only the identity is known; every figure is `unknown`.
    #[allow(dead_code)] // Each source can be left out.
    pub(crate) fn named(id: DeviceId, unknown: &Figure) -> Self {
        Self {
            index: 0,
            id,
            uuid: None,
            name: None,
            driver: None,
            driver_version: None,
            unified: None,
            parent: None,
            total: unknown.clone(),
            used: unknown.clone(),
            free: unknown.clone(),
            reserved: unknown.clone(),
            used_contains_reserved: None,
            system_used: Figure { pool: super::Pool::System, ..unknown.clone() },
            system_total: Figure { pool: super::Pool::System, ..unknown.clone() },
            budget: None,
        }
    }

    /// The name, or its address.
    #[must_use]
    pub fn label(&self) -> &str {
        self.name.as_deref().unwrap_or(self.id.as_str())
    }

    /// Whether any of its memory figures is known.
    #[must_use]
    pub fn is_readable(&self) -> bool {
        [&self.total, &self.used, &self.free]
            .iter()
            .any(|figure| !matches!(figure.reading, Reading::Unknown(_)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_for_all_spellings() {
        for spelling in ["0000:3b:00.0", "00000000:3B:00.0", "3b:00.0", "0:3b:0.0"] {
            assert_eq!(DeviceId::new(spelling).as_str(), "0000:3b:00.0", "{spelling}");
        }
        assert_eq!(DeviceId::new("10000:e1:00.0").pci(), Some("10000:e1:00.0"));
        for other in
            ["fec00000.v3d", "MIG-41b36dc1-5d2a-5c5c-8e0a-1f1f1f1f1f1f", "", "a.b", "1:2:3:4.0", "00:00.9"]
        {
            assert_eq!(DeviceId::new(other).pci(), None, "{other}");
            assert_eq!(DeviceId::new(other).as_str(), other);
        }
    }
}
