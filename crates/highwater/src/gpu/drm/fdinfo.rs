//! `/proc/PID/fdinfo/FD` of a DRM client: one text becomes a [`DrmClient`].
//! [drm-usage-stats](https://docs.kernel.org/gpu/drm-usage-stats.html), `drm_show_fdinfo` in
//! `drm_file.c`, and what the drivers add.
//!
//! Three generations of amdgpu (`vram mem:` of 5.14, `drm-memory-vram:` of 5.19, `drm-resident-vram:` of
//! 6.13) and all other drivers give the same [`DrmClient`]. A missing value stays `None`; it is never 0.

use std::collections::BTreeMap;

/// No driver has more regions or engines than this. It bounds what a hostile text can make this process
/// allocate.
const MAX_ENTRIES: usize = 64;
/// `DRM_CLIENT_NAME_MAX_LEN` is 64 bytes (include/uapi/drm/drm.h).
const MAX_CLIENT_NAME_BYTES: usize = 64;

/// One open of a device, as the driver accounts it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct DrmClient {
    pub(super) driver: Option<String>,
    /// The PCI address, where the device has one.
    pub(super) pdev: Option<String>,
    pub(super) id: Option<Id>,
    /// The name that the process chose: unchecked text, at most 64 bytes.
    pub(super) name: Option<String>,
    /// Memory by the driver's name for the region (`vram0`).
    pub(super) regions: BTreeMap<String, Region>,
    pub(super) engines: BTreeMap<String, EngineTime>,
}

/// The number that distinguishes the clients of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Id {
    /// `drm-client-id`.
    Client(u64),
    /// The address space of each open of the device, from amdgpu before it had `drm-client-id`.
    Pasid(u64),
}

/// A client's memory in one region, in bytes. `total` is `shared` plus private memory; `resident` is the part
/// that has backing memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Region {
    pub(super) total: Option<u64>,
    pub(super) shared: Option<u64>,
    pub(super) active: Option<u64>,
    pub(super) resident: Option<u64>,
    pub(super) purgeable: Option<u64>,
    /// amdgpu's own `drm-memory-*` (and `vram mem`): memory placed in the region. It depends on the version
    /// whether all of it has pages; since 6.13 it repeats `resident`.
    pub(super) memory: Option<u64>,
}

/// A client's work on one engine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct EngineTime {
    pub(super) ns: Option<u64>,
    pub(super) cycles: Option<u64>,
    /// The device's clock, to which `cycles` relate.
    pub(super) total_cycles: Option<u64>,
    pub(super) capacity: Option<u64>,
}

impl DrmClient {
    /// Parses the fdinfo of a DRM client; `None` for other files (a driver without accounting, a dma-buf).
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let mut client = Self::default();
        let mut is_client = false;
        let mut pasid = None;
        for line in text.split_inclusive(|&byte| byte == b'\n').filter_map(|line| line.strip_suffix(b"\n")) {
            let Some(colon) = line.iter().position(|&byte| byte == b':') else { continue };
            let (key, value) = (line[..colon].trim_ascii(), line[colon + 1..].trim_ascii());
            is_client |= match key.strip_prefix(b"drm-") {
                Some(key) => client.take(key, value),
                None => client.take_unprefixed(key, value, &mut pasid),
            };
        }
        client.id = client.id.or(pasid.map(Id::Pasid));
        is_client.then_some(client)
    }

    /// Takes a key without its `drm-`. Returns whether it is one of a client's keys.
    fn take(&mut self, key: &[u8], value: &[u8]) -> bool {
        match key {
            b"driver" => set(&mut self.driver, value),
            b"pdev" => set(&mut self.pdev, value),
            b"client-name" => set(&mut self.name, value),
            b"client-id" => {
                let Some(id) = number(value) else { return false };
                // Some kernels of 6.x print two ids for amdgpu (the DRM core's and the driver's), each
                // unique. Either will do, as long as it is always the same one.
                self.id = self.id.max(Some(Id::Client(id)));
                true
            }
            _ => self.take_engine(key, value).unwrap_or_else(|| self.take_region(key, value)),
        }
    }

    /// Takes a key of an engine; `None` if it is not one. These keys go first: `total-cycles-rcs` is no
    /// region, and `engine-capacity-ccs` is no engine of that name.
    fn take_engine(&mut self, key: &[u8], value: &[u8]) -> Option<bool> {
        type Field = fn(&mut EngineTime) -> &mut Option<u64>;
        let keys: [(&[u8], &[u8], Field); 4] = [
            (b"engine-capacity-", b"", |engine| &mut engine.capacity),
            (b"engine-", b"ns", |engine| &mut engine.ns),
            (b"total-cycles-", b"", |engine| &mut engine.total_cycles),
            (b"cycles-", b"", |engine| &mut engine.cycles),
        ];
        let (name, unit, field) =
            keys.iter().find_map(|(prefix, unit, field)| Some((key.strip_prefix(*prefix)?, unit, field)))?;
        let amount = number_with_unit(value).filter(|(_, found)| found == unit);
        let (Some((amount, _)), Some(engine)) = (amount, entry(&mut self.engines, name)) else {
            return Some(false);
        };
        raise(field(engine), amount);
        Some(true)
    }

    fn take_region(&mut self, key: &[u8], value: &[u8]) -> bool {
        type Field = fn(&mut Region) -> &mut Option<u64>;
        let keys: [(&[u8], Field); 6] = [
            (b"total-", |region| &mut region.total),
            (b"shared-", |region| &mut region.shared),
            (b"active-", |region| &mut region.active),
            (b"resident-", |region| &mut region.resident),
            (b"purgeable-", |region| &mut region.purgeable),
            (b"memory-", |region| &mut region.memory),
        ];
        let found = keys.iter().find_map(|(prefix, field)| Some((key.strip_prefix(*prefix)?, field)));
        let Some((name, field)) = found else { return false };
        let Some(bytes) = size(value) else { return false };
        let Some(region) = entry(&mut self.regions, name) else { return false };
        raise(field(region), bytes);
        true
    }

    /// Takes a key of amdgpu 5.14 to 5.18 (`amdgpu_show_fdinfo` in `amdgpu_fdinfo.c`), which has no prefix,
    /// driver or client id.
    fn take_unprefixed(&mut self, key: &[u8], value: &[u8], pasid: &mut Option<u64>) -> bool {
        if let Some(name) = key.strip_suffix(b" mem") {
            let known = matches!(name, b"vram" | b"gtt" | b"cpu");
            let (true, Some(bytes)) = (known, size(value)) else { return false };
            let Some(region) = entry(&mut self.regions, name) else { return false };
            raise(&mut region.memory, bytes);
            return true;
        }
        match key {
            // Neither key makes a client by itself: other files have such keys too.
            b"pdev" if self.pdev.is_none() => {
                set(&mut self.pdev, value);
            }
            b"pasid" => *pasid = number(value).filter(|&pasid| pasid != 0),
            _ => {}
        }
        false
    }
}

/// Returns the entry of that name; adds one only while there are few.
fn entry<'a, T: Default>(entries: &'a mut BTreeMap<String, T>, name: &[u8]) -> Option<&'a mut T> {
    let name = std::str::from_utf8(name)
        .ok()
        .filter(|name| !name.is_empty() && name.len() <= MAX_CLIENT_NAME_BYTES)?;
    if !entries.contains_key(name) {
        if entries.len() >= MAX_ENTRIES {
            return None;
        }
        entries.insert(name.to_owned(), T::default());
    }
    entries.get_mut(name)
}

/// Keeps the higher value. No driver writes a key twice; if one did, the order would not matter.
fn raise(place: &mut Option<u64>, value: u64) {
    *place = (*place).max(Some(value));
}

fn set(place: &mut Option<String>, value: &[u8]) -> bool {
    if value.is_empty() {
        return false;
    }
    let value = &value[..value.len().min(MAX_CLIENT_NAME_BYTES)];
    *place = Some(String::from_utf8_lossy(value).into_owned());
    true
}

/// Parses an amount of memory. Without a unit it is bytes, else KiB or MiB (`drm_fdinfo_print_size`). The
/// `kB` of old amdgpu is 1024 bytes too.
fn size(value: &[u8]) -> Option<u64> {
    let (number, unit) = number_with_unit(value)?;
    let factor = match unit {
        b"" => 1,
        b"KiB" | b"kB" => 1 << 10,
        b"MiB" => 1 << 20,
        b"GiB" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(factor)
}

fn number(value: &[u8]) -> Option<u64> {
    number_with_unit(value).filter(|(_, unit)| unit.is_empty()).map(|(number, _)| number)
}

/// Splits a decimal number from the text after it.
fn number_with_unit(value: &[u8]) -> Option<(u64, &[u8])> {
    let digits = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let number = std::str::from_utf8(&value[..digits]).ok()?.parse().ok()?;
    Some((number, value[digits..].trim_ascii()))
}

#[cfg(test)]
mod tests;
