use proptest::prelude::*;

use super::*;
use crate::gpu::{DeviceId, drm::fdinfo::DrmClient};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

fn device(driver: &str) -> Device {
    let unknown = Reading::Unknown(Unavailable::NotProvided);
    let figure = Figure::new(
        unknown,
        FigureScope::Device,
        Pool::Dedicated,
        AmountKind::Resident,
        FigureSource::Fdinfo,
    );
    Device { driver: Some(driver.into()), ..Device::named(DeviceId::new("0000:03:00.0"), &figure) }
}

fn of(driver: &str, texts: &[&str]) -> GpuUsage {
    let parse = |text: &&str| DrmClient::parse(text.as_bytes()).ok_or(Unavailable::NotProvided);
    usage(7, &device(driver), &texts.iter().map(parse).collect::<Vec<_>>())
}

/// (bytes, pool, kind) of the memory on the device, and the bytes in system RAM besides.
type Expected = (Option<u64>, Pool, AmountKind, Option<u64>);

#[test]
fn figures_of_every_sample() {
    use {AmountKind::*, Pool::*};
    let samples: [(&str, &str, Expected); 14] = [
        (
            "amdgpu",
            include_str!("../samples/amdgpu-all-pools-rfc-2024-10.txt"),
            (Some(155_068 * KIB), Dedicated, Resident, Some(20 * MIB)),
        ),
        // The model is in GTT: 24 GiB, and next to nothing in the carve-out.
        (
            "amdgpu",
            include_str!("../samples/amdgpu-apu-llm-gtt-lines.txt"),
            (Some(5348 * KIB), Dedicated, Allocated, Some(25_258_000 * KIB)),
        ),
        (
            "amdgpu",
            include_str!("../samples/amdgpu-legacy-keys-6.x.txt"),
            (Some(2068 * KIB), Dedicated, Allocated, Some(8192 * KIB)),
        ),
        (
            "amdgpu",
            include_str!("../samples/amdgpu-new-keys-6.13-patch.txt"),
            (Some(44_564 * KIB), Dedicated, Resident, Some(2392 * KIB)),
        ),
        // No driver line says what is resident.
        ("amdxdna", include_str!("../samples/amdxdna-accel.txt"), (Some(0), Unified, Allocated, None)),
        // local0 and stolen-local0: of 35916 KiB allocated 12 are there.
        (
            "i915",
            include_str!("../samples/i915-discrete-arc-a310-trimmed.txt"),
            (Some((12 + 64) * KIB), Dedicated, Resident, Some(520 * KIB)),
        ),
        ("i915", include_str!("../samples/i915-engines-only-5.19.txt"), (None, Dedicated, Resident, None)),
        (
            "i915",
            include_str!("../samples/i915-integrated-man-page.txt"),
            (Some(6044 * KIB), Unified, Resident, None),
        ),
        ("msm_dpu", include_str!("../samples/msm-engines-only-6.0.txt"), (None, Dedicated, Resident, None)),
        (
            "panfrost",
            include_str!("../samples/panfrost-kernel-doc.txt"),
            (Some(36_496 * KIB), Unified, Resident, None),
        ),
        (
            "panthor",
            include_str!("../samples/panthor-kernel-doc.txt"),
            (Some(16_480 * KIB), Unified, Resident, None),
        ),
        ("v3d", include_str!("../samples/v3d-rpi-utils.txt"), (Some(43_264 * KIB), Unified, Resident, None)),
        (
            "xe",
            include_str!("../samples/xe-arc-b70-trimmed.txt"),
            (Some(16_000 * MIB), Dedicated, Resident, Some(2 * MIB)),
        ),
        (
            "xe",
            include_str!("../samples/xe-discrete-kernel-doc.txt"),
            (Some(23_992 * KIB), Dedicated, Resident, Some(192 * KIB)),
        ),
    ];
    for (driver, text, (bytes, pool, kind, system)) in samples {
        let usage = of(driver, &[text]);
        assert_eq!(usage.vram.reading.known(), bytes, "{text}");
        assert_eq!((usage.vram.pool, usage.vram.kind), (pool, kind), "{text}");
        assert_eq!((usage.system.reading.known(), usage.system.pool), (system, Pool::System), "{text}");
        assert_eq!((usage.vram.scope, usage.vram.source), (FigureScope::Process, FigureSource::Fdinfo));
        if bytes.is_none() {
            assert_eq!(usage.vram.reading, Reading::Unknown(Unavailable::NotProvided), "{text}");
        }
    }
}

#[test]
fn engines_of_samples() {
    let engine = |name: &str, busy, of, capacity| Engine { name: name.into(), busy, of, capacity };
    let engines = |text| of("any", &[text]).engines;
    assert_eq!(
        engines(include_str!("../samples/xe-arc-b70-trimmed.txt")),
        [
            engine("bcs", 497_250, Some(18_956_600_119), 1),
            engine("ccs", 386_293_167, Some(18_956_600_119), 2),
            engine("rcs", 744, Some(18_956_600_119), 1),
        ]
    );
    assert_eq!(
        engines(include_str!("../samples/i915-engines-only-5.19.txt")),
        [
            engine("copy", 2_035_071_108, None, 1),
            engine("render", 9_288_864_723, None, 1),
            engine("video", 0, None, 2),
            engine("video-enhance", 0, None, 1),
        ]
    );
    // The text has both units: time is taken.
    assert_eq!(
        engines(include_str!("../samples/msm-engines-only-6.0.txt")),
        [engine("gpu", 1_734_371_319, None, 1)]
    );
    assert_eq!(engines(include_str!("../samples/amdxdna-accel.txt")), [engine("npu-amdxdna", 0, None, 1)]);
    assert_eq!(engines("drm-driver: x\ndrm-cycles-gpu: 5\n"), []);
}

#[test]
fn what_own_clients_share_has_bounds() {
    let text = |id, resident: u64, shared: u64| {
        format!(
            "drm-client-id: {id}\ndrm-total-vram0: {resident}\ndrm-resident-vram0: {resident}\ndrm-shared-vram0: {shared}\n"
        )
    };
    let reading =
        |texts: &[String]| of("xe", &texts.iter().map(String::as_str).collect::<Vec<_>>()).vram.reading;
    // One client: nothing is counted twice.
    assert_eq!(reading(&[text(1, 100, 40)]), Reading::Known(100));
    assert_eq!(reading(&[text(1, 100, 0), text(2, 50, 0)]), Reading::Known(150));
    // 60 and 20 private; the 40 and 30 that are shared may be the same.
    assert_eq!(reading(&[text(1, 100, 40), text(2, 50, 30)]), Reading::Between { lower: 120, upper: 150 });
    // All shared: at least the larger.
    assert_eq!(reading(&[text(1, 100, 100), text(2, 50, 50)]), Reading::Between { lower: 100, upper: 150 });
}

#[test]
fn unreported_sharing_may_be_all() {
    let legacy = |id| format!("drm-client-id: {id}\ndrm-memory-vram: 1000\ndrm-memory-gtt: 0\n");
    let usage = of("amdgpu", &[&legacy(1), &legacy(2)]);
    assert_eq!(usage.vram.reading, Reading::Between { lower: 1000, upper: 2000 });
    assert_eq!(usage.system.reading, Reading::Known(0));
}

#[test]
fn amdgpu_of_6_10_says_what_is_shared_of_its_own_key() {
    let text = |id| {
        format!(
            "drm-client-id: {id}\ndrm-memory-vram: 1000 KiB\ndrm-shared-vram: 400 KiB\ndrm-memory-gtt: 0 KiB\n"
        )
    };
    let usage = of("amdgpu", &[&text(1), &text(2)]);
    assert_eq!(usage.vram.reading, Reading::Between { lower: 1600 * KIB, upper: 2000 * KIB });
    assert_eq!(usage.vram.kind, AmountKind::Allocated);
}

#[test]
fn an_apu_without_any_vram_is_unified() {
    let usage = of("amdgpu", &["drm-client-id: 1\ndrm-total-gtt: 10 MiB\ndrm-resident-gtt: 8 MiB\n"]);
    assert_eq!((usage.vram.reading, usage.vram.pool), (Reading::Known(8 * MIB), Pool::Unified));
}

#[test]
fn indistinguishable_clients_may_be_one() {
    let text = "drm-driver: v3d\ndrm-total-memory: 10\ndrm-resident-memory: 10\ndrm-shared-memory: 0\n";
    assert_eq!(of("v3d", &[text]).vram.reading, Reading::Known(10));
    assert_eq!(of("v3d", &[text, text]).vram.reading, Reading::Between { lower: 10, upper: 20 });
}

#[test]
fn a_client_without_figures_leaves_a_lower_bound() {
    let (reported, unreported) =
        ("drm-client-id: 1\ndrm-total-vram0: 10\ndrm-resident-vram0: 10\n", "drm-client-id: 2\n");
    let usage = of("xe", &[reported, unreported]);
    assert_eq!((usage.vram.reading, usage.vram.kind), (Reading::AtLeast(10), AmountKind::Resident));
    let mixed = of("xe", &[reported, "drm-client-id: 3\ndrm-total-vram0: 5\n"]);
    assert_eq!((mixed.vram.reading, mixed.vram.kind), (Reading::AtLeast(10), AmountKind::Allocated));
}

#[test]
fn a_text_that_could_not_be_read_gives_its_reason() {
    let usage = usage(7, &device("xe"), &[Err(Unavailable::PermissionDenied)]);
    assert_eq!(usage.vram.reading, Reading::Unknown(Unavailable::PermissionDenied));
}

#[test]
fn names_are_kept_as_they_are() {
    let names =
        of("xe", &["drm-client-id: 1\ndrm-client-name: \u{1b}[31mred\n", "drm-client-id: 2\n"]).client_names;
    assert_eq!(names, ["\u{1b}[31mred"]);
}

#[test]
fn huge_sums_do_not_overflow() {
    let text = |id| format!("drm-client-id: {id}\ndrm-total-vram0: {0}\ndrm-resident-vram0: {0}\n", u64::MAX);
    assert_eq!(of("xe", &[&text(1), &text(2)]).vram.reading, Reading::Known(u64::MAX));
}

proptest! {
    /// Buffers, each held by some of a process's three clients, by others too or not, with pages or without.
    /// The process's real memory lies within the bounds.
    #[test]
    fn the_truth_lies_within_the_bounds(buffers in prop::collection::vec((1_u64..1000, 1_u8..8, any::<bool>(), any::<bool>()), 0..12)) {
        let sum = |wanted: &dyn Fn(u8, bool, bool) -> bool| -> u64 {
            buffers.iter().filter(|(_, holders, others, pages)| wanted(*holders, *others, *pages)).map(|buffer| buffer.0).sum()
        };
        let texts: Vec<String> = (0..3).map(|client| {
            let holds = |holders: u8| holders >> client & 1 == 1;
            let total = sum(&|holders, _, _| holds(holders));
            let shared = sum(&|holders, others, _| holds(holders) && (others || holders.count_ones() > 1));
            let resident = sum(&|holders, _, pages| holds(holders) && pages);
            format!("drm-client-id: {client}\ndrm-total-vram0: {total}\ndrm-shared-vram0: {shared}\ndrm-resident-vram0: {resident}\n")
        }).collect();
        let truth = sum(&|_, _, pages| pages);
        let reading = of("xe", &texts.iter().map(String::as_str).collect::<Vec<_>>()).vram.reading;
        prop_assert!(reading.lower() <= Some(truth) && Some(truth) <= reading.upper(), "{} {:?}", truth, reading);
    }
}
