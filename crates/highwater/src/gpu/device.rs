//! One device that has memory, or uses the system's.

use std::fmt;

use super::figure::{Figure, Reading};

/// The identity of a device: its PCI address (`0000:03:00.0`), the name of its platform device
/// (`fec00000.v3d`), or the UUID of a MIG instance.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceId(String);

impl DeviceId {
    /// Makes an identity from any usual spelling of a PCI address (`0000:3B:00.0`, `00000000:3b:00.0`,
    /// `3b:00.0`), or from any other name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(pci_address(name).unwrap_or_else(|| name.to_owned()))
    }

    /// Returns the PCI address (`0000:03:00.0`), if the device has one.
    #[must_use]
    pub fn pci(&self) -> Option<&str> {
        pci_address(&self.0).is_some().then_some(self.0.as_str())
    }

    /// Returns the text that is shown.
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

/// Spells an address as the kernel does, `domain:bus:device.function`. NVML writes a domain of eight digits,
/// in capitals.
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
    /// Its position in the list, from 0: NVIDIA's devices first, in NVML's order, then the others by address.
    pub index: u32,
    /// The identity of the device, stable across calls.
    pub id: DeviceId,
    /// The permanent name that its vendor's tools use (`GPU-6f0e...`, `MIG-41b3...`), if it has one.
    pub uuid: Option<String>,
    /// The product name, if a source reports one.
    pub name: Option<String>,
    /// Its kernel driver (`nvidia`, `amdgpu`, `xe`).
    pub driver: Option<String>,
    /// The version of the driver, if the driver has a version apart from the kernel's.
    pub driver_version: Option<String>,
    /// True if it uses the system's RAM (integrated, unified memory); `None` if no source reports this.
    pub unified: Option<bool>,
    /// The device that contains this MIG instance.
    pub parent: Option<DeviceId>,
    /// All its memory.
    pub total: Figure,
    /// Memory in use by all processes. `used_contains_reserved` says whether this includes what the driver
    /// reserves.
    pub used: Figure,
    /// Free memory.
    pub free: Figure,
    /// Memory that the driver reserves for itself.
    pub reserved: Figure,
    /// True if `used` includes `reserved`. It follows from which of the two possible sums holds; `None` if it
    /// cannot be decided.
    pub used_contains_reserved: Option<bool>,
    /// System RAM mapped for the device, if the driver accounts it for the whole device.
    pub system_used: Figure,
    /// The most system RAM that may be mapped for the device.
    pub system_total: Figure,
    /// The amount that one process should not exceed, if the system recommends one. It is neither a limit nor
    /// a size.
    pub budget: Option<Figure>,
}

impl Device {
    /// Makes a device of which only the identity is known; every figure is `unknown`.
    #[allow(dead_code)] // Each source can be compiled out.
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

    /// Returns the name, or else the address.
    #[must_use]
    pub fn label(&self) -> &str {
        self.name.as_deref().unwrap_or(self.id.as_str())
    }

    /// Returns whether any of its memory figures is known.
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
