use super::*;
use crate::{
    GpuQuerySource, ProcessGpuInfo, Unavailable,
    gpu::{AmountKind, Device, DeviceId, Figure, FigureScope, FigureSource, Gap, GpuUsage},
};

const MIB: u64 = 1 << 20;

fn figure(reading: Reading, pool: Pool) -> Figure {
    Figure::new(reading, FigureScope::Process, pool, AmountKind::Allocated, FigureSource::Nvml)
}

/// Makes a snapshot of a machine without a GPU.
fn bare(ram: u64) -> Snapshot {
    let (gpu, gpu_device, usage, device) = (None, None, None, None);
    Snapshot { ram_bytes: ram * MIB, gpu, gpu_device, usage, device, gaps: Vec::new() }
}

/// Makes a snapshot with a device, and the process's memory there.
fn on(address: &str, ram: u64, reading: Reading) -> Snapshot {
    let device = Device::named(DeviceId::new(address), &figure(reading.clone(), Pool::Dedicated));
    let usage = GpuUsage::new(
        1,
        device.id.clone(),
        figure(reading.clone(), Pool::Dedicated),
        figure(reading, Pool::System),
    );
    let gpu = ProcessGpuInfo::of(&device, &usage).ok();
    Snapshot { gpu, usage: Some(usage), device: Some(device), ..bare(ram) }
}

fn vram(ram: u64, vram: u64) -> Snapshot {
    on("0000:01:00.0", ram, Reading::Known(vram * MIB))
}

#[test]
fn both_known() {
    let report = MemoryReport::new(vram(3, 256), vram(53, 768));
    assert_eq!((report.ram_delta_mb(), report.vram_delta_mb()), (50.0, Some(512.0)));
    assert_eq!(report.format_delta("load"), "  load: RAM +50 MiB  |  VRAM +512 MiB [per-process]\n");
    assert_eq!(
        report.format_before_after("load"),
        "  load: RAM 3 MiB → 53 MiB (+50 MiB)\n  load: VRAM 256 MiB → 768 MiB (+512 MiB) [per-process]\n"
    );
    let back = MemoryReport::new(vram(53, 768), vram(3, 256));
    assert_eq!(back.format_delta("free"), "  free: RAM -50 MiB  |  VRAM -512 MiB [per-process]\n");
}

#[test]
fn without_a_gpu() {
    let report = MemoryReport::new(bare(3), bare(5));
    assert_eq!(report.vram_delta_mb(), None);
    assert_eq!(report.format_delta("x"), "  x: RAM +2 MiB  |  VRAM unknown: no GPU was found\n");
    assert_eq!(
        report.format_before_after("x"),
        "  x: RAM 3 MiB → 5 MiB (+2 MiB)\n  x: VRAM unknown → unknown (no GPU was found)\n"
    );
}

#[test]
fn an_unknown_side_is_no_zero() {
    let unknown = on("0000:01:00.0", 3, Reading::Unknown(Unavailable::PermissionDenied));
    let report = MemoryReport::new(unknown.clone(), vram(3, 256));
    assert_eq!((report.vram_delta_mb(), report.after.vram_mb()), (None, Some(256.0)));
    assert_eq!(report.format_delta("x"), "  x: RAM +0 MiB  |  VRAM unknown: before: permission denied\n");
    let report = MemoryReport::new(vram(3, 256), unknown);
    let text = report.format_before_after("x");
    assert!(text.ends_with("  x: VRAM 256 MiB → unknown (after: permission denied)\n"), "{text}");

    let broken = Snapshot {
        gaps: vec![Gap::of_source(GpuQuerySource::Nvml, "nvidia", Unavailable::Vanished)],
        ..bare(3)
    };
    let report = MemoryReport::new(bare(3), broken);
    let text = report.format_delta("x");
    assert!(text.contains("before: no GPU was found; after: nvidia: the process ended"), "{text}");

    let bounds = on("0000:01:00.0", 3, Reading::AtLeast(5 * MIB));
    let report = MemoryReport::new(bounds.clone(), bounds);
    assert!(report.format_delta("x").ends_with("VRAM unknown: only bounds are known, 5 MiB to unknown\n"));
    let nothing = Snapshot { usage: None, gpu: None, ..vram(3, 0) };
    let text = MemoryReport::new(nothing, vram(3, 1)).format_delta("x");
    assert!(text.ends_with("before: 0000:01:00.0 reports no memory of this process\n"), "{text}");
}

#[test]
fn what_cannot_be_compared_is_not() {
    let other = on("0000:02:00.0", 3, Reading::Known(768 * MIB));
    let report = MemoryReport::new(vram(3, 256), other);
    assert_eq!(report.vram_delta_mb(), None);
    assert!(
        report.format_delta("x").contains("not the same device: 0000:01:00.0 before, 0000:02:00.0 after")
    );

    let mut smi = vram(3, 768);
    smi.gpu.as_mut().unwrap().source = GpuQuerySource::NvidiaSmi;
    let report = MemoryReport::new(vram(3, 256), smi);
    assert_eq!(report.vram_delta_mb(), None);
    assert!(report.format_delta("x").contains("not the same source: Nvml before, NvidiaSmi after"));
}

#[test]
fn ram_that_a_gpu_uses_is_not_called_vram() {
    let mut snapshot = vram(3, 256);
    snapshot.usage.as_mut().unwrap().vram.pool = Pool::Unified;
    let report = MemoryReport::new(snapshot.clone(), snapshot);
    assert_eq!(report.format_delta("x"), "  x: RAM +0 MiB  |  RAM for the GPU +0 MiB [per-process]\n");
}

#[test]
fn nothing_is_not_minus_nothing() {
    assert_eq!([-0.4, 0.4, -0.6].map(change), ["+0 MiB", "+0 MiB", "-1 MiB"]);
}

#[test]
fn devices() {
    let info = GpuDeviceInfo {
        index: 1,
        name: Some("Card".into()),
        total_bytes: 16 << 30,
        free_bytes: 13_284 * MIB,
        used_bytes: 3100 * MIB,
        reserved_bytes: None,
        driver_version: None,
    };
    assert_eq!(info.format_free(), "  GPU 1: free 13284 MiB / 16384 MiB [Card]\n");
    assert_eq!(info.format_total(), "  GPU 1: total 16384 MiB [Card]\n");
    assert_eq!(GpuDeviceInfo { name: None, ..info }.format_used(), "  GPU 1: used 3100 MiB / 16384 MiB\n");
}
