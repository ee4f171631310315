//! Turns impossible figures into unknown ones: a device of 0 bytes, more memory in use than exists.

use super::{AmountKind, Device, Figure, GpuUsage, Reading};
use crate::Unavailable;

/// Makes impossible figures of a device unknown, with the reason.
pub(super) fn check_device(device: &mut Device) {
    if device.total.reading.upper() == Some(0) {
        let nothing = || Reading::Unknown(Unavailable::Implausible("a total of 0 bytes".into()));
        for figure in [&mut device.total, &mut device.used, &mut device.free, &mut device.reserved] {
            if figure.reading.unknown().is_none() {
                figure.reading = nothing();
            }
        }
        device.used_contains_reserved = None;
        return;
    }
    let total = device.total.reading.upper();
    for part in [&mut device.used, &mut device.free, &mut device.reserved] {
        check_part(part, total);
    }
    check_part(&mut device.system_used, device.system_total.reading.upper());
    let (used, free) = (device.used.reading.lower(), device.free.reading.lower());
    if let (Some(used), Some(free), Some(total)) = (used, free, total)
        && used.saturating_add(free) > total
    {
        let why = format!("{used} bytes used and {free} free of {total}");
        for figure in [&mut device.used, &mut device.free] {
            figure.reading = Reading::Unknown(Unavailable::Implausible(why.clone()));
        }
    }
}

/// Does the same for a process's memory on a device of `total` bytes. Memory that is only allocated may be
/// more.
#[allow(dead_code)] // Each source can be compiled out.
pub(super) fn check_usage(usage: &mut GpuUsage, total: Option<u64>) {
    if usage.vram.kind == AmountKind::Resident {
        check_part(&mut usage.vram, total);
    }
}

fn check_part(part: &mut Figure, total: Option<u64>) {
    if let (Some(bytes), Some(total)) = (part.reading.lower(), total)
        && bytes > total
    {
        part.reading = Reading::Unknown(Unavailable::Implausible(format!("{bytes} bytes of {total}")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::{DeviceId, FigureScope, FigureSource, Pool};

    fn device(total: u64, used: u64, free: u64) -> Device {
        let figure = |reading| {
            Figure::new(
                reading,
                FigureScope::Device,
                Pool::Dedicated,
                AmountKind::Resident,
                FigureSource::AmdgpuSysfs,
            )
        };
        let unknown = figure(Reading::Unknown(Unavailable::NotProvided));
        let mut device = Device::named(DeviceId::new("0000:03:00.0"), &unknown);
        device.total = figure(Reading::Known(total));
        device.used = figure(Reading::Known(used));
        device.free = figure(Reading::Known(free));
        device
    }

    /// Returns total, used and free after the check.
    fn checked(mut device: Device) -> [Option<u64>; 3] {
        check_device(&mut device);
        [&device.total, &device.used, &device.free].map(Figure::bytes)
    }

    #[test]
    fn what_can_be_stays() {
        assert_eq!(checked(device(100, 30, 70)), [Some(100), Some(30), Some(70)]);
        assert_eq!(checked(device(100, 20, 70)), [Some(100), Some(20), Some(70)], "some is reserved");
        assert_eq!(checked(device(100, 0, 100)), [Some(100), Some(0), Some(100)]);
    }

    #[test]
    fn what_cannot_be_is_unknown() {
        assert_eq!(checked(device(0, 0, 0)), [None; 3]);
        assert_eq!(checked(device(100, 101, 0)), [Some(100), None, Some(0)]);
        assert_eq!(checked(device(100, 70, 101)), [Some(100), Some(70), None]);
        assert_eq!(checked(device(100, 70, 70)), [Some(100), None, None], "which of the two is wrong?");
        assert_eq!(checked(device(100, u64::MAX, u64::MAX)), [Some(100), None, None]);
    }

    #[test]
    fn bounds_that_may_be_right_stay() {
        let mut device = device(100, 0, 0);
        device.used.reading = Reading::Between { lower: 60, upper: 80 };
        device.free.reading = Reading::Between { lower: 35, upper: 50 };
        assert_eq!(checked(device), [Some(100), Some(80), Some(50)]);
    }

    #[test]
    fn usage_is_capped_by_the_device_but_requests_are_not() {
        let of = |kind, bytes| {
            let vram = Figure::new(
                Reading::Known(bytes),
                FigureScope::Process,
                Pool::Dedicated,
                kind,
                FigureSource::Fdinfo,
            );
            let mut usage = GpuUsage::new(7, DeviceId::new("0000:03:00.0"), vram.clone(), vram);
            check_usage(&mut usage, Some(100));
            usage.vram.bytes()
        };
        assert_eq!(of(AmountKind::Resident, 100), Some(100));
        assert_eq!(of(AmountKind::Resident, 101), None);
        assert_eq!(of(AmountKind::Allocated, 101), Some(101));
    }
}
