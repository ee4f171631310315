//! Turns the answers of Metal, I/O Kit and the ledgers into figures.

use crate::{
    Unavailable,
    gpu::{AmountKind, Device, DeviceId, Figure, FigureScope, FigureSource, GpuUsage, Pool, Reading},
};

/// The identity of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    /// The number of its entry in I/O Kit's registry, valid until the machine restarts.
    pub(super) registry_id: u64,
    pub(super) name: String,
    /// `hasUnifiedMemory`.
    pub(super) unified: bool,
}

impl Identity {
    pub(super) fn id(&self) -> DeviceId {
        DeviceId::new(&format!("registry-{:#x}", self.registry_id))
    }

    fn pool(&self) -> Pool {
        if self.unified { Pool::Unified } else { Pool::Dedicated }
    }
}

/// Values of `PerformanceStatistics`, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Statistics {
    /// `In use system memory`, from Apple's own GPUs.
    pub(super) in_use_system: Option<u64>,
    /// `vramUsedBytes` and `vramFreeBytes`, from cards in and at Macs with Intel's processors.
    pub(super) vram_used: Option<u64>,
    pub(super) vram_free: Option<u64>,
}

/// Makes the device with every figure unknown.
pub(super) fn device(identity: &Identity) -> Device {
    let figure = |kind, source| {
        Figure::new(
            Reading::Unknown(Unavailable::NotProvided),
            FigureScope::Device,
            identity.pool(),
            kind,
            source,
        )
    };
    let mut device = Device::named(identity.id(), &figure(AmountKind::Resident, FigureSource::Metal));
    device.name = Some(identity.name.clone());
    device.driver = Some("metal".to_owned());
    device.unified = Some(identity.unified);
    device.total = figure(
        AmountKind::Capacity,
        if identity.unified { FigureSource::SystemMemory } else { FigureSource::Metal },
    );
    device.free = figure(AmountKind::Free, FigureSource::Metal);
    device
}

/// Sets the figures that change. `ram` is the size of the RAM; `budget` is what Metal recommends not to
/// exceed.
pub(super) fn read(statistics: &Statistics, ram: Option<u64>, budget: u64, device: &mut Device) {
    let known = |bytes: Option<u64>| Reading::from(bytes.ok_or(Unavailable::NotProvided));
    if device.unified == Some(true) {
        device.total.reading = known(ram);
        device.used.reading = known(statistics.in_use_system);
        // The rest of the RAM is shared with all other uses: no source says how much of it the GPU may have.
        device.free.reading = Reading::Unknown(Unavailable::NotProvided);
    } else {
        device.used.reading = known(statistics.vram_used);
        device.free.reading = known(statistics.vram_free);
        let total = statistics.vram_used.zip(statistics.vram_free);
        device.total.reading = known(total.and_then(|(used, free)| used.checked_add(free)));
        device.system_used.reading = known(statistics.in_use_system);
    }
    device.budget = (budget > 0).then(|| {
        Figure::new(
            Reading::Known(budget),
            FigureScope::Device,
            device.total.pool,
            AmountKind::Budget,
            FigureSource::Metal,
        )
    });
}

/// Makes the usage of this process from `currentAllocatedSize`.
pub(super) fn own(pid: u32, device: &Device, bytes: u64) -> GpuUsage {
    let figure = |reading, pool| {
        Figure::new(reading, FigureScope::Process, pool, AmountKind::Allocated, FigureSource::Metal)
    };
    let system = figure(Reading::Unknown(Unavailable::NotSupported), Pool::System);
    GpuUsage::new(pid, device.id.clone(), figure(Reading::Known(bytes), device.total.pool), system)
}

/// Makes rows from the graphics memory in a process's ledger, if there is any. The ledger knows no device, so
/// with several devices each may have all of it.
pub(super) fn of_ledger(pid: u32, devices: &[Device], balance: i64) -> Vec<GpuUsage> {
    let reading = match u64::try_from(balance) {
        Ok(0) => return Vec::new(),
        Ok(bytes) if devices.len() == 1 => Reading::Known(bytes),
        Ok(bytes) => Reading::AtMost(bytes),
        Err(_) => Reading::Unknown(Unavailable::Implausible(format!("a ledger of {balance} bytes"))),
    };
    let row = |device: &Device| {
        // The ledger is charged for system memory alone, even if the device is a card.
        let pool = if device.unified == Some(true) { Pool::Unified } else { Pool::System };
        let reported = Figure::new(
            reading.clone(),
            FigureScope::Process,
            pool,
            AmountKind::Resident,
            FigureSource::Metal,
        );
        let unknown = |pool| {
            let reading = Reading::Unknown(Unavailable::NotSupported);
            Figure::new(reading, FigureScope::Process, pool, AmountKind::Resident, FigureSource::Metal)
        };
        let (vram, system) = if pool == Pool::Unified {
            (reported, unknown(Pool::System))
        } else {
            (unknown(Pool::Dedicated), reported)
        };
        GpuUsage::new(pid, device.id.clone(), vram, system)
    };
    devices.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(unified: bool) -> Identity {
        Identity { registry_id: 0x1_0000_0a3c, name: "Apple M4".to_owned(), unified }
    }

    #[test]
    fn unified_memory_is_the_machines() {
        let mut device = device(&identity(true));
        let statistics = Statistics { in_use_system: Some(19_327_352_832), ..Statistics::default() };
        read(&statistics, Some(64 << 30), 48 << 30, &mut device);
        assert_eq!(device.id.as_str(), "registry-0x100000a3c");
        assert_eq!(
            (device.total.reading.known(), device.total.source),
            (Some(64 << 30), FigureSource::SystemMemory)
        );
        assert_eq!((device.used.reading.known(), device.used.pool), (Some(19_327_352_832), Pool::Unified));
        assert_eq!(device.free.reading.known(), None, "a budget is not what is free");
        let budget = device.budget.as_ref().unwrap();
        assert_eq!((budget.reading.known(), budget.kind), (Some(48 << 30), AmountKind::Budget));
    }

    #[test]
    fn a_card_has_its_own() {
        let mut device = device(&identity(false));
        let statistics = Statistics {
            in_use_system: None,
            vram_used: Some(1_500_000_000),
            vram_free: Some(2_500_000_000),
        };
        read(&statistics, Some(32 << 30), 0, &mut device);
        assert_eq!((device.total.reading.known(), device.total.pool), (Some(4_000_000_000), Pool::Dedicated));
        assert_eq!(device.budget, None, "0 is no budget");
    }

    #[test]
    fn statistics_without_the_keys_leave_all_unknown() {
        for unified in [true, false] {
            let mut device = device(&identity(unified));
            read(&Statistics::default(), None, 0, &mut device);
            assert!(!device.is_readable(), "{device:?}");
        }
    }

    #[test]
    fn a_ledger_knows_no_device() {
        let one = [device(&identity(true))];
        let rows = of_ledger(7, &one, 4 << 20);
        assert_eq!((rows.len(), rows[0].vram.reading.clone()), (1, Reading::Known(4 << 20)));
        let two = [device(&identity(true)), device(&Identity { registry_id: 9, ..identity(true) })];
        assert!(of_ledger(7, &two, 4 << 20).iter().all(|row| row.vram.reading == Reading::AtMost(4 << 20)));
        let card = [device(&identity(false))];
        let rows = of_ledger(7, &card, 4 << 20);
        assert_eq!((rows[0].vram.reading.known(), rows[0].system.reading.known()), (None, Some(4 << 20)));
    }

    #[test]
    fn who_holds_nothing_has_no_row_and_nonsense_is_unknown() {
        let one = [device(&identity(true))];
        assert_eq!(of_ledger(7, &one, 0), []);
        let rows = of_ledger(7, &one, -4096);
        assert!(matches!(rows[0].vram.reading, Reading::Unknown(Unavailable::Implausible(_))));
    }

    #[test]
    fn own_is_allocated_and_not_resident() {
        let usage = own(7, &device(&identity(true)), 8 << 20);
        assert_eq!((usage.vram.kind, usage.vram.reading.known()), (AmountKind::Allocated, Some(8 << 20)));
    }
}
