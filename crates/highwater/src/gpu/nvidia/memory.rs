//! A device's memory: the four raw numbers, and how they fit together.
//!
//! NVIDIA's documentation contradicts itself about whether `used` includes what the driver reserves. So the
//! numbers stay raw, and the sum that holds decides.

use crate::{
    Unavailable,
    gpu::{AmountKind, Device, Figure, FigureScope, FigureSource, Pool, Reading, plausible},
};

/// The numbers of one device, in bytes or in bounds; each may be missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MemoryAmounts {
    pub(super) total: Reading,
    pub(super) used: Reading,
    pub(super) free: Reading,
    pub(super) reserved: Reading,
}

impl MemoryAmounts {
    /// Makes all amounts unknown for the same reason.
    pub(super) fn unknown(why: &Unavailable) -> Self {
        let unknown = Reading::Unknown(why.clone());
        Self { total: unknown.clone(), used: unknown.clone(), free: unknown.clone(), reserved: unknown }
    }

    /// Stores the amounts in `device`.
    pub(super) fn store(self, device: &mut Device, source: FigureSource) {
        let scope = scope_of(device);
        let pool = pool_of(device);
        device.used_contains_reserved = self.used_contains_reserved();
        let figure = |reading: Reading, kind: AmountKind| Figure::new(reading, scope, pool, kind, source);
        device.total = figure(self.total, AmountKind::Capacity);
        device.used = figure(self.used, AmountKind::Resident);
        device.free = figure(self.free, AmountKind::Free);
        device.reserved = figure(self.reserved, AmountKind::Resident);
        // Processes' figures are checked against the device's.
        plausible::check_device(device);
    }

    /// Decides by the sum that holds; `None` if both do or none.
    fn used_contains_reserved(&self) -> Option<bool> {
        let (total, used, free) = (self.total.known()?, self.used.known()?, self.free.known()?);
        let contains = used.checked_add(free)? == total;
        let Some(reserved) = self.reserved.known() else {
            // This is version 1: all that is not free is in `used`.
            return contains.then_some(true);
        };
        let excludes = used.checked_add(free)?.checked_add(reserved)? == total;
        (contains != excludes).then_some(contains)
    }
}

/// Returns the scope of the figures of `device`.
pub(super) fn scope_of(device: &Device) -> FigureScope {
    if device.parent.is_some() { FigureScope::Instance } else { FigureScope::Device }
}

/// Returns where the memory of `device` lies.
pub(super) fn pool_of(device: &Device) -> Pool {
    if device.unified == Some(true) { Pool::Unified } else { Pool::Dedicated }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::DeviceId;

    fn amounts(total: u64, used: u64, free: u64, reserved: Option<u64>) -> MemoryAmounts {
        let reserved = reserved.map_or(Reading::Unknown(Unavailable::NotSupported), Reading::Known);
        let known = Reading::Known;
        MemoryAmounts { total: known(total), used: known(used), free: known(free), reserved }
    }

    #[test]
    fn the_identity_that_holds_is_found() {
        assert_eq!(amounts(100, 30, 70, Some(10)).used_contains_reserved(), Some(true));
        assert_eq!(amounts(100, 20, 70, Some(10)).used_contains_reserved(), Some(false));
        assert_eq!(amounts(100, 30, 70, Some(0)).used_contains_reserved(), None, "both hold");
        assert_eq!(amounts(100, 25, 70, Some(10)).used_contains_reserved(), None, "neither holds");
        assert_eq!(amounts(100, 30, 70, None).used_contains_reserved(), Some(true), "version 1");
        assert_eq!(amounts(100, u64::MAX, 70, Some(1)).used_contains_reserved(), None);
        assert_eq!(MemoryAmounts::unknown(&Unavailable::NotSupported).used_contains_reserved(), None);
    }

    #[test]
    fn what_cannot_be_is_unknown() {
        let unknown = Figure::new(
            Reading::Unknown(Unavailable::NotSupported),
            FigureScope::Device,
            Pool::Dedicated,
            AmountKind::Resident,
            FigureSource::Nvml,
        );
        let mut device = Device::named(DeviceId::new("0000:01:00.0"), &unknown);
        amounts(100, 170, 20, None).store(&mut device, FigureSource::Nvml);
        assert!(matches!(device.used.reading, Reading::Unknown(Unavailable::Implausible(_))));
        assert_eq!(device.free.bytes(), Some(20));
        assert_eq!((device.total.bytes(), device.total.kind), (Some(100), AmountKind::Capacity));
        amounts(0, 0, 0, Some(0)).store(&mut device, FigureSource::Nvml);
        for figure in [&device.total, &device.used, &device.free] {
            assert!(matches!(figure.reading, Reading::Unknown(Unavailable::Implausible(_))), "{figure:?}");
        }
    }
}
