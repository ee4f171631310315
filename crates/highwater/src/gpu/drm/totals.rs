//! The memory of a whole device: from sysfs for amdgpu, from query ioctls for i915 and xe. For a GPU without
//! memory of its own only the size of the RAM is known, not how much of it the GPU uses.

use std::path::Path;

use super::{cards::Card, query, sysfs};
use crate::{
    Roots, Unavailable,
    gpu::{AmountKind, Device, Figure, FigureScope, FigureSource, Pool, Reading},
};

/// Makes the device with every figure unknown.
pub(super) fn device(card: &Card) -> Device {
    let why = if card.is_nvidia() {
        Unavailable::NoBackend("NVIDIA's driver reports only to its own library".into())
    } else {
        Unavailable::NotProvided
    };
    let figure = |pool, kind| {
        Figure::new(Reading::Unknown(why.clone()), FigureScope::Device, pool, kind, card.source())
    };
    let own = |kind| figure(card.pool(), kind);
    let mut device = Device::named(card.id.clone(), &own(AmountKind::Resident));
    device.name = Some(card.name.clone());
    device.driver.clone_from(&card.driver);
    device.unified = card.unified;
    device.total = own(AmountKind::Capacity);
    device.free = own(AmountKind::Free);
    // GTT counts what is placed there; not all of it has pages.
    device.system_used = figure(Pool::System, AmountKind::Allocated);
    device.system_total = figure(Pool::System, AmountKind::Capacity);
    device
}

/// Reads the values that change.
pub(super) fn read(roots: &Roots, card: &Card, device: &mut Device) {
    if card.is_driven_by("amdgpu") {
        amdgpu(&card.directory, device);
    } else if let Some(driver) = query::Driver::called(card.driver.as_deref()) {
        let answer = if roots.is_this_machine() {
            query::regions(driver, Path::new(crate::roots::DEV), &card.nodes)
        } else {
            Err(Unavailable::NotProvided)
        };
        intel(answer, card.unified != Some(true), device);
    }
    if device.total.pool == Pool::Unified {
        device.total.source = FigureSource::SystemMemory;
        device.total.reading = sysfs::ram(&roots.proc).into();
    }
}

/// Reads `mem_info_*` (`amdgpu_vram_mgr.c`, `amdgpu_gtt_mgr.c`), which every user may read.
fn amdgpu(directory: &Path, device: &mut Device) {
    let read = |file: &str| Reading::from(sysfs::number(&directory.join(file)));
    device.total.reading = read("mem_info_vram_total");
    device.used.reading = read("mem_info_vram_used");
    device.system_total.reading = read("mem_info_gtt_total");
    device.system_used.reading = read("mem_info_gtt_used");
    free(device);
}

/// Applies an answer of i915 or xe. `was_card` is the guess from sysfs.
fn intel(answer: Result<query::QueriedRegions, Unavailable>, was_card: bool, device: &mut Device) {
    match answer {
        Ok(query::QueriedRegions { card: Some(card), system }) => {
            device.unified = Some(false);
            for figure in [&mut device.total, &mut device.used, &mut device.free, &mut device.reserved] {
                figure.pool = Pool::Dedicated;
            }
            device.total.reading = Reading::Known(card.total);
            device.used.reading = card.used.ok_or_else(why_hidden).into();
            if let Some(system) = system {
                device.system_total.reading = Reading::Known(system.total);
                device.system_used.reading = system.used.ok_or_else(why_hidden).into();
            }
        }
        Ok(query::QueriedRegions { card: None, .. }) => {
            device.unified = Some(true);
            for figure in [&mut device.total, &mut device.used, &mut device.free, &mut device.reserved] {
                figure.pool = Pool::Unified;
            }
        }
        Err(why) if was_card => {
            for figure in [&mut device.total, &mut device.used, &mut device.free, &mut device.system_total] {
                figure.reading = Reading::Unknown(why.clone());
            }
        }
        Err(_) => {}
    }
    free(device);
}

/// Returns why the used amount is hidden. Both drivers need `CAP_PERFMON` for it; with it, the kernel is too
/// old.
fn why_hidden() -> Unavailable {
    if rustix::process::geteuid().is_root() {
        Unavailable::DriverSaysNotAvailable
    } else {
        Unavailable::PermissionDenied
    }
}

/// Sets the free amount to what the driver does not count as used.
fn free(device: &mut Device) {
    device.free.reading = match (&device.total.reading, &device.used.reading) {
        (Reading::Known(total), Reading::Known(used)) => total
            .checked_sub(*used)
            .ok_or_else(|| Unavailable::Implausible(format!("{used} bytes used of {total}")))
            .into(),
        (Reading::Unknown(why), _) | (_, Reading::Unknown(why)) => Reading::Unknown(why.clone()),
        _ => return,
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::{DeviceId, drm::query::Size};

    fn card(driver: &str, unified: Option<bool>) -> Device {
        device(&Card {
            id: DeviceId::new("0000:03:00.0"),
            directory: "/nowhere".into(),
            driver: Some(driver.into()),
            name: String::new(),
            nodes: Vec::new(),
            unified,
        })
    }

    #[test]
    fn used_that_the_driver_hides_is_unknown() {
        let mut device = card("xe", Some(false));
        let size = |used| Some(Size { total: 1000, used });
        intel(Ok(query::QueriedRegions { card: size(None), system: None }), true, &mut device);
        assert_eq!(device.total.reading, Reading::Known(1000));
        assert!(device.used.reading.unknown().is_some() && device.free.reading.unknown().is_some());
        intel(Ok(query::QueriedRegions { card: size(Some(400)), system: size(Some(7)) }), true, &mut device);
        assert_eq!((device.used.bytes(), device.free.bytes()), (Some(400), Some(600)));
        assert_eq!((device.system_used.bytes(), device.system_total.bytes()), (Some(7), Some(1000)));
        assert_eq!((device.total.source, device.total.pool), (FigureSource::XeQuery, Pool::Dedicated));
    }

    #[test]
    fn a_node_that_may_not_be_opened_says_so() {
        let mut device = card("i915", Some(false));
        intel(Err(Unavailable::PermissionDenied), true, &mut device);
        for figure in [&device.total, &device.used, &device.free] {
            assert_eq!(figure.reading, Reading::Unknown(Unavailable::PermissionDenied));
        }
    }

    #[test]
    fn the_driver_knows_better_whether_it_is_a_card() {
        let mut device = card("i915", Some(false));
        intel(Ok(query::QueriedRegions { card: None, system: None }), true, &mut device);
        assert_eq!((device.unified, device.total.pool), (Some(true), Pool::Unified));
    }

    #[test]
    fn more_used_than_there_is() {
        let mut device = card("amdgpu", None);
        device.total.reading = Reading::Known(5);
        device.used.reading = Reading::Known(6);
        free(&mut device);
        assert!(matches!(device.free.reading, Reading::Unknown(Unavailable::Implausible(_))));
    }
}
