//! Tests of the monitor with made-up sources.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU32, Ordering},
};

use super::*;
use crate::gpu::GpuQuerySource;
use crate::gpu::{AmountKind, Figure, FigureScope, FigureSource, GpuUsage, Pool, Reading};

/// A source that has the devices of a shared list, and counts how often each query came.
#[derive(Debug)]
struct MadeBackend {
    name: &'static str,
    devices: Result<Arc<Mutex<Vec<&'static str>>>, Unavailable>,
    asked: Arc<QueryLog>,
}

#[derive(Debug, Default)]
struct QueryLog {
    find: AtomicU32,
    read: AtomicU32,
    usages: Mutex<Vec<Vec<String>>>,
    dropped: AtomicU32,
}

fn figure(bytes: u64) -> Figure {
    Figure::new(
        Reading::Known(bytes),
        FigureScope::Device,
        Pool::Dedicated,
        AmountKind::Allocated,
        FigureSource::Nvml,
    )
}

impl GpuBackend for MadeBackend {
    fn name(&self) -> &'static str {
        self.name
    }

    fn source(&self) -> GpuQuerySource {
        GpuQuerySource::Drm
    }

    fn find(&mut self, _: &Roots) -> Result<Vec<Device>, Unavailable> {
        self.asked.find.fetch_add(1, Ordering::Relaxed);
        let unknown = Figure { reading: Reading::Unknown(Unavailable::NotProvided), ..figure(0) };
        let devices = self.devices.as_ref().map_err(Clone::clone)?.lock().unwrap();
        if devices.is_empty() {
            return Err(Unavailable::NoBackend("nothing of the sort".into()));
        }
        Ok(devices.iter().map(|name| Device::named(DeviceId::new(name), &unknown)).collect())
    }

    fn read(&mut self, _: &Roots, device: &mut Device) {
        self.asked.read.fetch_add(1, Ordering::Relaxed);
        device.total = figure(100);
        device.name = Some(self.name.into());
    }

    fn usages(&mut self, _: &Roots, devices: &[Device], whose: PidFilter<'_>, into: &mut Listing) {
        let ids = devices.iter().map(|device| device.id.to_string()).collect();
        self.asked.usages.lock().unwrap().push(ids);
        for device in devices {
            for pid in [9, 4, std::process::id()] {
                if whose.holds(pid) {
                    into.usages.push(GpuUsage::new(pid, device.id.clone(), figure(1), figure(0)));
                }
            }
        }
    }
}

impl Drop for MadeBackend {
    fn drop(&mut self) {
        self.asked.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

type Devices = Arc<Mutex<Vec<&'static str>>>;

fn made(name: &'static str, devices: &[&'static str]) -> (MadeBackend, Devices, Arc<QueryLog>) {
    let (devices, asked) = (Arc::new(Mutex::new(devices.to_vec())), Arc::new(QueryLog::default()));
    (MadeBackend { name, devices: Ok(Arc::clone(&devices)), asked: Arc::clone(&asked) }, devices, asked)
}

fn monitor(sources: impl IntoIterator<Item = MadeBackend>) -> Monitor {
    let mut monitor = Monitor::new();
    let opened = |made| OpenSource { backend: Box::new(made) as Box<dyn GpuBackend>, devices: 0..0 };
    monitor.sources = sources.into_iter().map(opened).collect();
    monitor.made_by = Some(ForkGeneration::current());
    monitor
}

#[test]
fn that_there_is_nothing_is_remembered_until_a_refresh() {
    let (source, devices, asked) = made("a", &[]);
    let mut monitor = monitor([source]);
    assert_eq!((monitor.count(), monitor.count(), monitor.devices().len()), (0, 0, 0));
    assert!(matches!(monitor.device(0), Err(Error::NoGpuSource)));
    assert!(monitor.gaps().is_empty());
    assert_eq!(asked.find.load(Ordering::Relaxed), 1);

    devices.lock().unwrap().push("0000:01:00.0");
    assert_eq!(monitor.count(), 0);
    monitor.refresh();
    assert_eq!(monitor.count(), 1);
    assert_eq!(monitor.device(0).unwrap().total, figure(100));

    devices.lock().unwrap().clear();
    assert_eq!(monitor.count(), 1);
    monitor.refresh();
    assert_eq!((monitor.count(), asked.find.load(Ordering::Relaxed)), (0, 3));
}

#[test]
fn a_broken_driver_is_not_the_absence_of_devices() {
    let why = Unavailable::DriverBroken { code: 18, text: "versions differ".into() };
    let broken = MadeBackend { name: "broken", devices: Err(why.clone()), asked: Arc::default() };
    let mut monitor = monitor([broken]);
    assert_eq!(monitor.gaps(), [Gap::of_source(GpuQuerySource::Drm, "broken", why.clone())]);
    assert!(matches!(monitor.device(0), Err(Error::Gpu { why: given, .. }) if given == why));
    assert_eq!(monitor.usages().gaps.len(), 1);
}

#[test]
fn the_first_source_that_knows_a_device_keeps_it() {
    let (first, _, _) = made("a", &["0000:02:00.0", "0000:01:00.0"]);
    let (second, _, asked) = made("b", &["00000000:01:00.0", "0000:03:00.0"]);
    let mut monitor = monitor([first, second]);
    let devices = monitor.devices();
    let seen: Vec<_> = devices.iter().map(|d| (d.index, d.id.as_str(), d.label())).collect();
    assert_eq!(seen, [(0, "0000:02:00.0", "a"), (1, "0000:01:00.0", "a"), (2, "0000:03:00.0", "b")]);
    assert!(matches!(monitor.device(3), Err(Error::DeviceIndexOutOfRange { index: 3, count: 3 })));

    let listing = monitor.usages_of(&[4, 9].into());
    let rows: Vec<_> = listing.usages.iter().map(|usage| (usage.device.as_str(), usage.pid)).collect();
    let (a, b, c) = ("0000:02:00.0", "0000:01:00.0", "0000:03:00.0");
    assert_eq!(rows, [(a, 4), (a, 9), (b, 4), (b, 9), (c, 4), (c, 9)]);
    assert_eq!(*asked.usages.lock().unwrap(), [["0000:03:00.0"]]);
}

#[test]
fn one_device_costs_one_device() {
    let (first, _, of_first) = made("a", &["0000:01:00.0", "0000:02:00.0"]);
    let (second, _, of_second) = made("b", &["0000:03:00.0"]);
    let mut monitor = monitor([first, second]);
    monitor.device(1).unwrap();
    let own = monitor.own_usages(Some(1));
    assert_eq!(own.usages.len(), 1);
    assert_eq!((own.usages[0].pid, own.usages[0].device.as_str()), (std::process::id(), "0000:02:00.0"));
    assert_eq!(of_first.read.load(Ordering::Relaxed), 1);
    assert_eq!(*of_first.usages.lock().unwrap(), [["0000:02:00.0"]]);
    assert_eq!(of_second.read.load(Ordering::Relaxed), 0);
    assert!(of_second.usages.lock().unwrap().is_empty());
    assert_eq!(monitor.own_usages(None).usages.len(), 3);
    assert!(monitor.own_usages(Some(3)).usages.is_empty());
}

#[test]
fn the_sources_of_another_process_are_neither_used_nor_closed() {
    let (source, _, asked) = made("a", &["0000:01:00.0"]);
    let mut monitor = monitor([source]);
    // The state is as if a parent had made it.
    monitor.made_by = None;
    monitor.count();
    let (source, _, other) = made("b", &["0000:01:00.0"]);
    let mut dropped = self::monitor([source]);
    dropped.made_by = None;
    drop(dropped);
    for asked in [asked, other] {
        assert_eq!((asked.find.load(Ordering::Relaxed), asked.dropped.load(Ordering::Relaxed)), (0, 0));
    }

    let (source, _, asked) = made("c", &["0000:01:00.0"]);
    drop(self::monitor([source]));
    assert_eq!(asked.dropped.load(Ordering::Relaxed), 1);
}
