use std::time::Instant;

use super::*;
use crate::{
    Unavailable,
    gpu::{AmountKind, Device, Figure, FigureScope, Gap, GpuQuerySource, Pool},
};

const MIB: u64 = 1 << 20;

fn device(used: Option<u64>) -> Device {
    let unknown = Figure::new(
        Reading::Unknown(Unavailable::NotSupported),
        FigureScope::Device,
        Pool::Dedicated,
        AmountKind::Resident,
        FigureSource::Nvml,
    );
    let mut device = Device::named(DeviceId::new("0000:01:00.0"), &unknown);
    if let Some(used) = used {
        device.used.reading = Reading::Known(used * MIB);
    }
    device
}

fn member_use(id: u32, mib: Option<u64>) -> MemberGpuUse {
    let vram =
        mib.map_or(Reading::Unknown(Unavailable::DriverSaysNotAvailable), |mib| Reading::Known(mib * MIB));
    MemberGpuUse {
        id: MemberId(id),
        vram,
        system: Reading::Unknown(Unavailable::NotProvided),
        shares: false,
        peak: None,
    }
}

fn sample(used: Option<u64>, rows: Vec<MemberGpuUse>) -> GpuSample {
    let device = device(used);
    let on = OnDevice { device, rows, others: 0, names_host_pids: false, is_partial: false };
    GpuSample { taken: Instant::now(), devices: vec![on], gaps: Vec::new() }
}

fn peaks(samples: &[GpuSample]) -> GpuPeaks {
    let mut peaks = GpuPeaks::default();
    for (second, sample) in samples.iter().enumerate() {
        peaks.add(Duration::from_secs(second as u64), sample);
    }
    peaks
}

#[test]
fn the_peak_is_a_sum_at_one_instant() {
    let peaks = peaks(&[
        sample(None, vec![member_use(0, Some(100)), member_use(1, Some(10))]),
        sample(None, vec![member_use(0, Some(10)), member_use(1, Some(100))]),
    ]);
    let vram = peaks.peaks()[0].vram.unwrap();
    assert_eq!((vram.bytes, vram.lower_bytes, vram.certainty), (110 * MIB, 110 * MIB, Certainty::Sampled));
    assert_eq!(peaks.peak_of(MemberId(1)).unwrap().bytes, 100 * MIB);
    assert_eq!((peaks.peaks()[0].processes, peaks.peaks()[0].gtt), (2, None));
}

#[test]
fn an_unknown_process_makes_the_sum_a_lower_bound() {
    let peaks = peaks(&[sample(None, vec![member_use(0, Some(100)), member_use(1, None)])]);
    let peak = &peaks.peaks()[0];
    assert_eq!(peak.vram.unwrap().certainty, Certainty::AtLeast);
    assert_eq!((peak.processes_unknown, peaks.peak_of(MemberId(1))), (1, None));
    assert_eq!(peaks.missing().count(), 1);
}

#[test]
fn at_least_stays_at_least() {
    let partly_known = MemberGpuUse { vram: Reading::AtLeast(100 * MIB), ..member_use(0, None) };
    let half = peaks(&[sample(None, vec![partly_known, member_use(1, Some(10))])]);
    let vram = half.peaks()[0].vram.unwrap();
    assert_eq!((vram.bytes, vram.certainty), (110 * MIB, Certainty::AtLeast));
    assert_eq!(half.peak_of(MemberId(0)).unwrap().certainty, Certainty::AtLeast);
    assert_eq!(half.peak_of(MemberId(1)).unwrap().certainty, Certainty::Sampled);
}

#[test]
fn an_unread_list_is_not_an_empty_one() {
    let mut partial = sample(None, vec![member_use(0, Some(100))]);
    partial.devices[0].is_partial = true;
    assert_eq!(peaks(&[partial.clone()]).peaks()[0].vram.unwrap().certainty, Certainty::AtLeast);
    partial.devices[0].rows.clear();
    assert_eq!(peaks(&[partial]).last_total(), None, "no process seen is not no memory");
    assert_eq!(peaks(&[sample(None, Vec::new())]).last_total(), Some(0));
}

#[test]
fn memory_in_use_before_is_not_read_late() {
    let mut late = sample(Some(900), Vec::new());
    late.devices[0].names_host_pids = true;
    let mut peaks = GpuPeaks::default();
    peaks.add(Duration::from_secs(1), &late);
    late.devices[0].device.used.reading = Reading::Known(1000 * MIB);
    peaks.add(Duration::from_secs(2), &late);
    assert_eq!(peaks.peaks()[0].vram, None, "the job may have member_use most of it");
    assert!(peaks.missing().any(|missing| missing.reason.contains("before the job began")));
}

#[test]
fn nonsense_does_not_overflow() {
    let huge = |id| MemberGpuUse { vram: Reading::Known(u64::MAX), shares: true, ..member_use(id, None) };
    let sum = peaks(&[sample(None, vec![huge(0), huge(1), member_use(0, Some(1))])]);
    assert_eq!(sum.peaks()[0].vram.unwrap().bytes, u64::MAX);
}

#[test]
fn nothing_known_is_no_figure() {
    let peaks = peaks(&[sample(None, vec![member_use(0, None)])]);
    assert_eq!((peaks.peaks()[0].vram, peaks.last_total()), (None, None));
}

#[test]
fn memory_held_together_is_bounded() {
    let rows = vec![
        MemberGpuUse { shares: true, ..member_use(0, Some(100)) },
        MemberGpuUse { shares: true, ..member_use(1, Some(100)) },
    ];
    let vram = peaks(&[sample(None, rows)]).peaks()[0].vram.unwrap();
    assert_eq!((vram.lower_bytes, vram.bytes), (100 * MIB, 200 * MIB));
}

#[test]
fn in_a_container_the_rise_of_the_device_is_an_upper_bound() {
    let host = |used| {
        let mut sample = sample(Some(used), Vec::new());
        sample.devices[0].names_host_pids = true;
        sample.devices[0].others = 3;
        sample
    };
    let vram = peaks(&[host(500), host(900), host(600)]).peaks()[0].vram.unwrap();
    assert_eq!((vram.bytes, vram.lower_bytes), (400 * MIB, 0));
    assert_eq!((vram.certainty, vram.scope), (Certainty::AtMost, GpuScope::Device));
}

#[test]
fn the_drivers_own_peak_is_a_processs_peak() {
    let rows = vec![MemberGpuUse { peak: Some(700 * MIB), ..member_use(0, Some(100)) }];
    let peak = peaks(&[sample(None, rows)]).peak_of(MemberId(0)).unwrap();
    assert_eq!(
        (peak.bytes, peak.source, peak.certainty),
        (700 * MIB, PeakSource::Driver, Certainty::AtLeast)
    );
}

#[test]
fn a_missing_source_is_reported_once() {
    let gap = Gap::of_source(GpuQuerySource::Nvml, "nvidia", Unavailable::PidNamespace);
    let sample = GpuSample { taken: Instant::now(), devices: Vec::new(), gaps: vec![gap] };
    assert_eq!(peaks(&[sample.clone(), sample]).missing().count(), 1);
    assert_eq!(peaks(&[]).missing().count(), 0);
}
