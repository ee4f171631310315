//! Turns the answers of DXGI and the counters into figures.

use super::counters::{CounterAmounts, Holder};
use crate::{
    Unavailable,
    gpu::{
        AmountKind, Device, DeviceId, Figure, FigureScope, FigureSource, GpuUsage, Listing, Pool, Reading,
    },
};

/// The vendor and device of Microsoft's Basic Render Driver, which draws with the processor.
const BASIC_RENDER: (u32, u32) = (0x1414, 0x8c);

/// `DXGI_ADAPTER_DESC1`, with the address of the card.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Adapter {
    /// Its position in DXGI's list.
    pub(super) place: u32,
    pub(super) luid: u64,
    /// Its PCI address, if the kernel reports one.
    pub(super) pci: Option<String>,
    pub(super) name: String,
    pub(super) vendor: u32,
    pub(super) device: u32,
    pub(super) dedicated: u64,
    pub(super) shared: u64,
    pub(super) has_software_flag: bool,
}

/// This process's use of both segments, from `QueryVideoMemoryInfo`.
#[cfg(any(test, feature = "dxgi"))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OwnMemory {
    pub(super) local: u64,
    pub(super) non_local: u64,
}

impl Adapter {
    /// Returns whether the adapter is a program and no device.
    pub(super) fn is_software(&self) -> bool {
        self.has_software_flag || (self.vendor, self.device) == BASIC_RENDER
    }

    pub(super) fn id(&self) -> DeviceId {
        self.pci.as_deref().map_or_else(|| luid_id(self.luid), DeviceId::new)
    }

    /// Returns whether it has memory of its own.
    fn has_memory(&self) -> bool {
        self.dedicated > 0
    }

    fn pool(&self) -> Pool {
        if self.has_memory() { Pool::Dedicated } else { Pool::Unified }
    }
}

/// Makes an identity for an adapter without a known address; valid until the system restarts.
fn luid_id(luid: u64) -> DeviceId {
    DeviceId::new(&format!("luid-{:08x}-{:08x}", luid >> 32, luid & 0xffff_ffff))
}

/// Makes a device from the adapter. Its total is its own memory, or else the most system memory that it may
/// use.
pub(super) fn device(adapter: &Adapter) -> Device {
    let unknown = |why| {
        Figure::new(
            Reading::Unknown(why),
            FigureScope::Device,
            adapter.pool(),
            AmountKind::Allocated,
            FigureSource::Dxgi,
        )
    };
    let mut device = Device::named(adapter.id(), &unknown(Unavailable::NotProvided));
    let capacity = |bytes, pool| {
        Figure::new(
            Reading::Known(bytes),
            FigureScope::Device,
            pool,
            AmountKind::Capacity,
            FigureSource::Dxgi,
        )
    };
    device.name = Some(adapter.name.clone()).filter(|name| !name.is_empty());
    device.unified = Some(!adapter.has_memory());
    device.total = if adapter.has_memory() {
        capacity(adapter.dedicated, Pool::Dedicated)
    } else {
        capacity(adapter.shared, Pool::Unified)
    };
    device.system_total = capacity(adapter.shared, Pool::System);
    device
}

/// Sets the memory in use from the counters.
pub(super) fn set_used(device: &mut Device, in_use: &Result<CounterAmounts, Unavailable>) {
    let figure = |amount: Option<u64>, why: Option<&Unavailable>, pool| {
        let reading = amount.ok_or_else(|| why.cloned().unwrap_or(Unavailable::NotProvided));
        Figure::new(reading, FigureScope::Device, pool, AmountKind::Committed, FigureSource::Pdh)
    };
    let (amounts, why) = match in_use {
        Ok(amounts) => (*amounts, None),
        Err(why) => (CounterAmounts::default(), Some(why)),
    };
    if device.unified == Some(true) {
        // All that it uses is the system's.
        let both = amounts.dedicated.zip(amounts.shared).map(|(own, shared)| own.saturating_add(shared));
        device.used = figure(both, why, Pool::Unified);
    } else {
        device.used = figure(amounts.dedicated, why, Pool::Dedicated);
        device.system_used = figure(amounts.shared, why, Pool::System);
    }
}

/// Returns this process's memory on an adapter; `None` if it uses none.
#[cfg(any(test, feature = "dxgi"))]
pub(super) fn own_usage(adapter: &Adapter, own: OwnMemory) -> Option<GpuUsage> {
    if own.local == 0 && own.non_local == 0 {
        return None;
    }
    let figure = |bytes, pool| {
        Figure::new(
            Reading::Known(bytes),
            FigureScope::Process,
            pool,
            AmountKind::Allocated,
            FigureSource::Dxgi,
        )
    };
    let system = if adapter.has_memory() {
        figure(own.non_local, Pool::System)
    } else {
        not_apart(FigureSource::Dxgi, AmountKind::Allocated)
    };
    let vram = if adapter.has_memory() {
        figure(own.local, Pool::Dedicated)
    } else {
        figure(own.local.saturating_add(own.non_local), Pool::Unified)
    };
    Some(GpuUsage::new(std::process::id(), adapter.id(), vram, system))
}

/// Returns the memory that a process has committed; `None` on an adapter that is no device, and where it has none.
pub(super) fn usage(adapters: &[Adapter], holder: Holder, amounts: CounterAmounts) -> Option<GpuUsage> {
    if (amounts.dedicated, amounts.shared) == (Some(0), Some(0)) {
        // Every process that ever opened the adapter has an instance.
        return None;
    }
    let adapter = adapters.iter().find(|adapter| adapter.luid == holder.luid)?;
    let figure = |amount: Option<u64>, pool| {
        let reading = amount.ok_or(Unavailable::NotProvided);
        Figure::new(reading, FigureScope::Process, pool, AmountKind::Committed, FigureSource::Pdh)
    };
    let (vram, system) = if adapter.has_memory() {
        (figure(amounts.dedicated, Pool::Dedicated), figure(amounts.shared, Pool::System))
    } else {
        let both = amounts.dedicated.zip(amounts.shared).map(|(own, shared)| own.saturating_add(shared));
        (figure(both, Pool::Unified), not_apart(FigureSource::Pdh, AmountKind::Committed))
    };
    Some(GpuUsage::new(holder.pid, adapter.id(), vram, system))
}

/// Makes the figure of `system` if `vram` is the system's memory already.
fn not_apart(source: FigureSource, kind: AmountKind) -> Figure {
    Figure::new(Reading::Unknown(Unavailable::NotSupported), FigureScope::Process, Pool::System, kind, source)
}

/// Adds a row, or completes the row of another source: under WDDM NVML names processes without amounts.
pub(super) fn complete(into: &mut Listing, usage: GpuUsage) {
    let known = into.usages.iter_mut().find(|known| (known.pid, &known.device) == (usage.pid, &usage.device));
    let Some(known) = known else {
        into.usages.push(usage);
        return;
    };
    if known.vram.reading.unknown().is_some() {
        known.vram = usage.vram;
    }
    if known.system.reading.unknown().is_some() {
        known.system = usage.system;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn card() -> Adapter {
        Adapter {
            luid: 0xd1f3,
            pci: Some("0000:01:00.0".into()),
            name: "NVIDIA GeForce RTX 4070".into(),
            vendor: 0x10de,
            device: 0x2786,
            dedicated: 12 * GIB,
            shared: 16 * GIB,
            ..Adapter::default()
        }
    }

    fn integrated() -> Adapter {
        Adapter {
            luid: 7,
            name: "Intel(R) UHD Graphics".into(),
            vendor: 0x8086,
            shared: 8 * GIB,
            ..Adapter::default()
        }
    }

    #[test]
    fn the_total_says_whose_memory_it_is() {
        let device = device(&card());
        assert_eq!((device.total.bytes(), device.total.pool), (Some(12 * GIB), Pool::Dedicated));
        assert_eq!((device.unified, device.id.pci()), (Some(false), Some("0000:01:00.0")));
        let device = super::device(&integrated());
        assert_eq!((device.total.bytes(), device.total.pool), (Some(8 * GIB), Pool::Unified));
        assert_eq!((device.unified, device.id.as_str()), (Some(true), "luid-00000000-00000007"));
        assert!(device.used.reading.unknown().is_some());
    }

    #[test]
    fn programs_that_draw_are_no_devices() {
        let basic = Adapter { vendor: 0x1414, device: 0x8c, ..Adapter::default() };
        assert!(basic.is_software() && !card().is_software());
        assert!(Adapter { has_software_flag: true, ..card() }.is_software());
    }

    #[test]
    fn committed_may_be_more_than_the_card_has() {
        let amounts = CounterAmounts { dedicated: Some(14 * GIB), shared: Some(1) };
        let row = usage(&[card()], Holder { pid: 9, luid: 0xd1f3 }, amounts).unwrap();
        assert_eq!((row.vram.bytes(), row.vram.kind), (Some(14 * GIB), AmountKind::Committed));
        assert_eq!((row.system.bytes(), row.vram.source), (Some(1), FigureSource::Pdh));
        assert_eq!(usage(&[card()], Holder { pid: 9, luid: 1 }, amounts), None, "of the Basic Render Driver");
        let nothing = CounterAmounts { dedicated: Some(0), shared: Some(0) };
        assert_eq!(usage(&[card()], Holder { pid: 9, luid: 0xd1f3 }, nothing), None);
        let unknown = CounterAmounts { dedicated: None, shared: Some(0) };
        let row = usage(&[card()], Holder { pid: 9, luid: 0xd1f3 }, unknown).unwrap();
        assert!(row.vram.reading.unknown().is_some(), "an unknown amount is not 0");
        assert_eq!(row.system.bytes(), Some(0));
        let half = CounterAmounts { dedicated: Some(5), shared: None };
        let row = usage(&[integrated()], Holder { pid: 9, luid: 7 }, half).unwrap();
        assert!(row.vram.reading.unknown().is_some(), "half a sum is none");
    }

    #[test]
    fn this_process() {
        assert_eq!(own_usage(&card(), OwnMemory { local: 0, non_local: 0 }), None);
        let row = own_usage(&card(), OwnMemory { local: 5, non_local: 6 }).unwrap();
        assert_eq!(
            (row.vram.bytes(), row.system.bytes(), row.vram.source),
            (Some(5), Some(6), FigureSource::Dxgi)
        );
        let row = own_usage(&integrated(), OwnMemory { local: 5, non_local: 6 }).unwrap();
        assert_eq!((row.vram.bytes(), row.vram.pool), (Some(11), Pool::Unified));
    }

    #[test]
    fn rows_without_an_amount_get_theirs() {
        let nvml = |reading| {
            Figure::new(
                reading,
                FigureScope::Process,
                Pool::Dedicated,
                AmountKind::Allocated,
                FigureSource::Nvml,
            )
        };
        let unknown = nvml(Reading::Unknown(Unavailable::DriverSaysNotAvailable));
        let amounts = CounterAmounts { dedicated: Some(GIB), shared: Some(5) };
        let row = usage(&[card()], Holder { pid: 9, luid: 0xd1f3 }, amounts).unwrap();

        let mut listing = Listing::default();
        listing.usages.push(GpuUsage::new(9, card().id(), unknown.clone(), unknown.clone()));
        complete(&mut listing, row.clone());
        assert_eq!(listing.usages.len(), 1);
        assert_eq!(
            (listing.usages[0].vram.source, listing.usages[0].vram.bytes()),
            (FigureSource::Pdh, Some(GIB))
        );

        let mut listing = Listing::default();
        listing.usages.push(GpuUsage::new(9, card().id(), nvml(Reading::Known(7)), unknown));
        complete(&mut listing, row.clone());
        assert_eq!(
            (listing.usages[0].vram.source, listing.usages[0].vram.bytes()),
            (FigureSource::Nvml, Some(7))
        );
        let other = GpuUsage { pid: 10, ..row };
        complete(&mut listing, other);
        assert_eq!(listing.usages.len(), 2);
    }

    #[test]
    fn what_is_in_use_of_the_whole_device() {
        let mut device = device(&card());
        set_used(&mut device, &Ok(CounterAmounts { dedicated: Some(3), shared: Some(4) }));
        assert_eq!((device.used.bytes(), device.used.kind), (Some(3), AmountKind::Committed));
        assert_eq!(device.system_used.bytes(), Some(4));
        set_used(&mut device, &Err(Unavailable::PermissionDenied));
        assert_eq!(device.used.reading.unknown(), Some(&Unavailable::PermissionDenied));
    }
}
