pub(super) mod tree;

use std::collections::HashSet;

use self::tree::MachineTree;
use crate::{
    Error, Roots, Unavailable,
    gpu::{AmountKind, FigureScope, FigureSource, Listing, Pool, Reading},
};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

fn client(driver: &str, id: u32, memory: &str) -> String {
    format!("pos:\t0\nflags:\t02100002\ndrm-driver:\t{driver}\ndrm-client-id:\t{id}\n{memory}")
}

fn xe(id: u32, mib: u32) -> String {
    client(
        "xe",
        id,
        &format!(
            "drm-total-gtt:\t0\ndrm-resident-gtt:\t0\ndrm-total-vram0:\t{mib} MiB\ndrm-shared-vram0:\t0\ndrm-resident-vram0:\t{mib} MiB\n"
        ),
    )
}

/// (pid, device, VRAM) of each row.
fn rows(listing: &Listing) -> Vec<(u32, &str, Option<u64>)> {
    listing
        .usages
        .iter()
        .map(|usage| (usage.pid, usage.device.as_str(), usage.vram.reading.known()))
        .collect()
}

#[test]
fn two_cards_and_both_nodes_of_each() {
    let tree = MachineTree::new();
    tree.card(0, "0000:03:00.0", "xe");
    tree.card(1, "0000:83:00.0", "xe");
    tree.fd(40, 3, "/dev/dri/card0", &xe(1, 10));
    tree.fd(40, 4, "/dev/dri/renderD128", &xe(2, 20));
    tree.fd(40, 5, "/dev/dri/renderD129", &xe(3, 40));
    tree.fd(50, 9, "/dev/dri/card1", &xe(4, 80));
    tree.fd(60, 0, "/dev/null", "pos:\t0\n");
    let mut monitor = tree.monitor();
    let devices: Vec<_> = monitor.devices().into_iter().map(|device| device.id.to_string()).collect();
    assert_eq!(devices, ["0000:03:00.0", "0000:83:00.0"]);
    let listing = monitor.usages();
    let expected = [
        (40, "0000:03:00.0", Some(30 * MIB)),
        (40, "0000:83:00.0", Some(40 * MIB)),
        (50, "0000:83:00.0", Some(80 * MIB)),
    ];
    assert_eq!(rows(&listing), expected);
    assert!(listing.is_complete() && listing.vanished == 0, "{listing:?}");
    let of_50 = monitor.usages_of(&HashSet::from([50]));
    assert_eq!(rows(&of_50), expected[2..]);
    assert!(of_50.is_complete());
}

#[test]
fn no_sysfs_is_not_no_gpu() {
    let tree = MachineTree::new();
    tree.remove("sys");
    let mut monitor = tree.monitor();
    assert_eq!(monitor.count(), 0);
    assert!(monitor.gaps()[0].why.to_string().contains("is not sysfs"), "{:?}", monitor.gaps());
    tree.directory("sys/class/net");
    monitor.refresh();
    assert!(monitor.gaps().is_empty(), "{:?}", monitor.gaps());
}

#[test]
fn descriptors_of_one_client_count_once() {
    let tree = MachineTree::new();
    tree.card(0, "0000:03:00.0", "xe");
    for fd in 3..8 {
        tree.fd(40, fd, "/dev/dri/renderD128", &xe(1, 10));
    }
    assert_eq!(rows(&tree.monitor().usages()), [(40, "0000:03:00.0", Some(10 * MIB))]);
}

#[test]
fn a_process_without_main_thread_keeps_its_memory() {
    let tree = MachineTree::new();
    tree.card(0, "0000:03:00.0", "xe");
    tree.fd(40, 3, "/dev/dri/renderD128", &xe(1, 10));
    for directory in ["fd", "fdinfo"] {
        for thread in [41, 42] {
            let from = format!("proc/40/{directory}");
            tree.copy(&from, &format!("proc/40/task/{thread}/{directory}"));
        }
        tree.remove(&format!("proc/40/{directory}"));
        tree.directory(&format!("proc/40/{directory}"));
        tree.directory(&format!("proc/40/task/40/{directory}"));
    }
    let listing = tree.monitor().usages();
    assert_eq!(rows(&listing), [(40, "0000:03:00.0", Some(10 * MIB))]);
    assert!(listing.is_complete() && listing.vanished == 0, "{listing:?}");
}

#[test]
fn one_number_on_two_devices_is_two_clients() {
    let tree = MachineTree::new();
    tree.card(0, "0000:03:00.0", "xe");
    tree.card(1, "0000:83:00.0", "xe");
    tree.fd(40, 3, "/dev/dri/renderD128", &xe(1, 10));
    tree.fd(50, 3, "/dev/dri/renderD129", &xe(1, 20));
    let listing = tree.monitor().usages();
    assert!(listing.usages.iter().all(|usage| usage.shared_with.is_empty()), "{listing:?}");
}

#[test]
fn a_client_of_three_processes() {
    let tree = MachineTree::new();
    tree.card(0, "0000:03:00.0", "xe");
    for pid in [40, 50, 60] {
        tree.fd(pid, 7, "/dev/dri/card0", &xe(1, 10));
    }
    tree.fd(60, 8, "/dev/dri/renderD128", &xe(2, 5));
    let mut monitor = tree.monitor();
    let listing = monitor.usages();
    let shared: Vec<_> = listing.usages.iter().map(|usage| (usage.pid, usage.shared_with.clone())).collect();
    assert_eq!(shared, [(40, vec![50, 60]), (50, vec![40, 60]), (60, vec![40, 50])]);
    let vram: Vec<_> = listing.usages.iter().map(|usage| usage.vram.bytes()).collect();
    assert_eq!(vram, [Some(10 * MIB), Some(10 * MIB), Some(15 * MIB)]);
    // Only processes that are asked for are named.
    let some = monitor.usages_of(&HashSet::from([40, 60]));
    assert_eq!(some.usages[0].shared_with, [60]);
}

#[test]
fn more_than_there_is_is_no_figure() {
    let tree = MachineTree::new();
    tree.card(0, "0000:03:00.0", "amdgpu");
    for (file, mib) in [("vram_total", 8), ("vram_used", 9), ("gtt_total", 8), ("gtt_used", 1)] {
        tree.of_device("0000:03:00.0", &format!("mem_info_{file}"), &format!("{}\n", mib * MIB));
    }
    let regions = |resident| format!("drm-total-vram:\t20 MiB\ndrm-resident-vram:\t{resident} MiB\n");
    tree.fd(40, 3, "/dev/dri/renderD128", &client("amdgpu", 1, &regions(8)));
    tree.fd(50, 3, "/dev/dri/renderD128", &client("amdgpu", 2, &regions(9)));
    let mut monitor = tree.monitor();
    let device = &monitor.devices()[0];
    for figure in [&device.used, &device.free] {
        assert!(matches!(figure.reading, Reading::Unknown(Unavailable::Implausible(_))), "{figure:?}");
    }
    assert_eq!((device.total.bytes(), device.system_used.bytes()), (Some(8 * MIB), Some(MIB)));
    let id = "0000:03:00.0";
    assert_eq!(rows(&monitor.usages()), [(40, id, Some(8 * MIB)), (50, id, None)]);
    tree.of_device(id, "mem_info_vram_total", "0\n");
    tree.of_device(id, "mem_info_vram_used", "0\n");
    let device = &monitor.devices()[0];
    assert!(!device.is_readable(), "{device:?}");
}

#[test]
fn an_apu_has_its_model_in_gtt() {
    let tree = MachineTree::new();
    tree.card(1, "0000:c5:00.0", "amdgpu");
    tree.of_device("0000:c5:00.0", "gpu_metrics", "\u{8}\u{1}\u{3}\0");
    for (file, bytes) in [
        ("vram_total", 536_870_912_u64),
        ("vram_used", 400_000_000),
        ("gtt_total", 32 << 30),
        ("gtt_used", 26_000_000_000),
    ] {
        tree.of_device("0000:c5:00.0", &format!("mem_info_{file}"), &format!("{bytes}\n"));
    }
    let text = client("amdgpu", 9, include_str!("samples/amdgpu-apu-llm-gtt-lines.txt"));
    tree.fd(1234, 7, "/dev/dri/renderD129", &text);
    let mut monitor = tree.monitor();
    let device = &monitor.devices()[0];
    assert_eq!((device.unified, device.label()), (Some(true), "amdgpu 0000:c5:00.0"));
    assert_eq!(device.total.reading, Reading::Known(536_870_912));
    assert_eq!(device.free.reading, Reading::Known(136_870_912));
    assert_eq!(device.system_used.reading, Reading::Known(26_000_000_000));
    assert_eq!(device.system_total.reading, Reading::Known(32 << 30));
    assert_eq!((device.total.pool, device.total.scope), (Pool::Dedicated, FigureScope::Device));
    assert_eq!((device.used.source, device.system_used.pool), (FigureSource::AmdgpuSysfs, Pool::System));
    let usage = &monitor.usages().usages[0];
    assert_eq!(usage.system.reading, Reading::Known(25_258_000 * KIB));
    assert_eq!(usage.vram.reading, Reading::Known(5348 * KIB));
    assert_eq!((usage.vram.pool, usage.system.pool), (Pool::Dedicated, Pool::System));
}

#[test]
fn a_device_without_a_pci_address() {
    let tree = MachineTree::new();
    tree.device(0, "fec00000.v3d", "DRIVER=v3d\nOF_FULLNAME=/soc/v3d@fec00000\n");
    tree.fd(2390, 23, "/dev/dri/renderD128", include_str!("samples/v3d-rpi-utils.txt"));
    let mut monitor = tree.monitor();
    let device = &monitor.devices()[0];
    assert_eq!((device.id.as_str(), device.unified), ("fec00000.v3d", Some(true)));
    assert_eq!(device.total.reading, Reading::Known(16_000_000 * KIB));
    assert_eq!((device.total.pool, device.total.source), (Pool::Unified, FigureSource::SystemMemory));
    assert_eq!(device.used.reading, Reading::Unknown(Unavailable::NotProvided));
    assert_eq!(device.free.reading, Reading::Unknown(Unavailable::NotProvided));
    let usage = &monitor.usages().usages[0];
    assert_eq!((usage.vram.reading.known(), usage.vram.pool), (Some(43_264 * KIB), Pool::Unified));
    assert_eq!(usage.system.reading, Reading::Unknown(Unavailable::NotSupported));
}

#[test]
fn two_drivers_beside_each_other() {
    let tree = MachineTree::new();
    tree.card(0, "0000:00:02.0", "i915");
    tree.card(1, "0000:04:00.0", "amdgpu");
    tree.fd(40, 3, "/dev/dri/renderD128", include_str!("samples/i915-integrated-man-page.txt"));
    tree.fd(40, 4, "/dev/dri/renderD129", include_str!("samples/amdgpu-new-keys-6.13-patch.txt"));
    let mut monitor = tree.monitor();
    let [intel, amd] = &monitor.devices()[..] else { panic!() };
    assert_eq!((intel.unified, intel.total.reading.known()), (Some(true), Some(16_000_000 * KIB)));
    // No figure in this tree.
    assert_eq!((amd.unified, &amd.total.reading), (None, &Reading::Unknown(Unavailable::NotProvided)));
    let listing = monitor.usages();
    assert_eq!(
        rows(&listing),
        [(40, "0000:00:02.0", Some(6044 * KIB)), (40, "0000:04:00.0", Some(44_564 * KIB))]
    );
    assert_eq!(listing.usages[1].engines[0].name, "compute");
}

#[test]
fn the_driver_names_the_device_where_the_node_is_another() {
    let tree = MachineTree::new();
    tree.card(0, "0000:03:00.0", "xe");
    tree.card(1, "0000:83:00.0", "xe");
    let text = xe(1, 10) + "drm-pdev:\t0000:83:00.0\n";
    tree.fd(40, 3, "/dev/dri/renderD128", &text);
    // The nodes as a container sees them, and a node that sysfs lacks.
    tree.fd(50, 3, "/dev/dri/renderD200", &text.replace("drm-client-id:\t1", "drm-client-id:\t2"));
    tree.fd(60, 3, "/dev/dri/renderD200", &xe(3, 10));
    // A file that a user named so.
    tree.fd(70, 3, "/home/dri/card7", "pos:\t0\n");
    let listing = tree.monitor().usages();
    let expected = [(40, "0000:83:00.0", Some(10 * MIB)), (50, "0000:83:00.0", Some(10 * MIB))];
    assert_eq!(rows(&listing), expected);
    assert_eq!(listing.gaps.len(), 1, "{listing:?}");
    assert_eq!(listing.gaps[0].what, "/dev/dri/renderD200");
}

#[test]
fn a_process_that_ends_while_it_is_read() {
    let tree = MachineTree::new();
    tree.card(0, "0000:03:00.0", "xe");
    tree.fd(40, 3, "/dev/dri/renderD128", &xe(1, 10));
    tree.fd(50, 3, "/dev/dri/renderD128", &xe(2, 10));
    // Its files are gone but its name is still in the list, and a descriptor was closed in between.
    tree.remove("proc/50/fd");
    tree.link("proc/40/fd/4", "/dev/dri/renderD128");
    let listing = tree.monitor().usages();
    assert_eq!(rows(&listing), [(40, "0000:03:00.0", Some(10 * MIB))]);
    assert_eq!((listing.vanished, listing.is_complete()), (1, true));
    assert_eq!(tree.monitor().usages_of(&HashSet::from([77])).vanished, 1);
}

#[test]
fn a_process_that_may_not_be_read() {
    use std::os::unix::fs::PermissionsExt;
    let tree = MachineTree::new();
    tree.card(0, "0000:03:00.0", "xe");
    tree.fd(40, 3, "/dev/dri/renderD128", &xe(1, 10));
    tree.fd(50, 3, "/dev/dri/renderD128", &xe(2, 10));
    tree.fd(60, 3, "/dev/dri/renderD128", &xe(3, 10));
    let set = |path: &str, mode| {
        let path = tree.roots().proc.join(path);
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    set("50/fd", 0);
    set("60/fdinfo/3", 0);
    if std::fs::read_dir(tree.roots().proc.join("50/fd")).is_ok() {
        eprintln!("skipped: this user may read everything");
    } else {
        let listing = tree.monitor().usages();
        assert_eq!(listing.refused, [50, 60]);
        assert!(!listing.is_complete());
        // 60 is known to have a client.
        assert_eq!(rows(&listing), [(40, "0000:03:00.0", Some(10 * MIB)), (60, "0000:03:00.0", None)]);
        assert_eq!(listing.usages[1].vram.reading, Reading::Unknown(Unavailable::PermissionDenied));
    }
    set("50/fd", 0o700);
}

#[test]
fn others_that_are_hidden_are_said_to_be() {
    let tree = MachineTree::new();
    tree.card(0, "0000:03:00.0", "xe");
    tree.fd(40, 3, "/dev/dri/renderD128", &xe(1, 10));
    tree.remove("proc/1");
    let listing = tree.monitor().usages();
    assert_eq!(rows(&listing).len(), 1);
    assert_eq!(listing.gaps[0].why, Unavailable::PermissionDenied);
    // A query for some processes is complete once these are read.
    assert!(tree.monitor().usages_of(&HashSet::from([40])).is_complete());

    let empty = MachineTree::new();
    empty.card(0, "0000:03:00.0", "xe");
    empty.remove("proc");
    let listing = empty.monitor().usages();
    assert!(listing.usages.is_empty() && !listing.is_complete(), "{listing:?}");
}

#[test]
fn what_is_no_client() {
    let tree = MachineTree::new();
    tree.card(0, "0000:03:00.0", "xe");
    tree.fd(40, 101, "/dmabuf:", include_str!("samples/not-drm-dmabuf.txt"));
    tree.fd(40, 5, "anon_inode:sync_file", &xe(1, 10));
    tree.fd(40, 6, "/home/dri/card0.txt", &xe(1, 10));
    assert!(tree.monitor().usages().usages.is_empty());
}

#[test]
fn a_driver_without_figures_has_rows() {
    let tree = MachineTree::new();
    tree.card(0, "0000:03:00.0", "nouveau");
    tree.fd(40, 3, "/dev/dri/renderD128", "pos:\t0\nflags:\t02100002\nmnt_id:\t24\n");
    let listing = tree.monitor().usages();
    assert_eq!(rows(&listing), [(40, "0000:03:00.0", None)]);
    let [vram, system] = [&listing.usages[0].vram, &listing.usages[0].system];
    assert_eq!(vram.reading, Reading::Unknown(Unavailable::NotProvided));
    assert_eq!(system.reading, Reading::Unknown(Unavailable::NotProvided));
}

#[test]
fn a_card_of_nvidia_is_listed_as_unreported() {
    let tree = MachineTree::new();
    tree.card(0, "0000:01:00.0", "nvidia");
    tree.fd(40, 3, "/dev/dri/card0", "pos:\t0\n");
    let mut monitor = tree.monitor();
    let device = &monitor.devices()[0];
    assert!(matches!(device.used.reading, Reading::Unknown(Unavailable::NoBackend(_))));
    let listing = monitor.usages();
    assert!(listing.usages.is_empty() && !listing.is_complete(), "{listing:?}");
}

#[test]
fn no_device_no_sweep() {
    let tree = MachineTree::new();
    tree.fd(40, 3, "/dev/dri/card0", &xe(1, 10));
    let mut monitor = tree.monitor();
    assert_eq!(monitor.count(), 0);
    assert!(monitor.gaps().is_empty());
    assert!(monitor.usages().usages.is_empty());
    assert!(matches!(monitor.device(0), Err(Error::NoGpuSource)));
}

#[test]
fn kfd_stands_in_and_is_never_added() {
    let tree = MachineTree::new();
    tree.card(0, "0000:03:00.0", "amdgpu");
    tree.write("sys/class/kfd/kfd/topology/nodes/0/gpu_id", "0\n");
    tree.write("sys/class/kfd/kfd/topology/nodes/1/gpu_id", "30381\n");
    tree.write(
        "sys/class/kfd/kfd/topology/nodes/1/properties",
        "simd_count 240\nlocation_id 768\ndomain 0\n",
    );
    let value = include_str!("samples/kfd-vram-value.txt");
    for pid in [40, 50, 60] {
        tree.write(&format!("sys/class/kfd/kfd/proc/{pid}/vram_30381"), value);
        tree.write(&format!("sys/class/kfd/kfd/proc/{pid}/pasid"), "32770\n");
    }
    tree.write("sys/class/kfd/kfd/proc/70/vram_30381", "0\n");
    // fdinfo reports 40, and has no amounts of 50.
    tree.fd(
        40,
        3,
        "/dev/dri/renderD128",
        &client("amdgpu", 1, "drm-memory-vram:\t2048 KiB\ndrm-memory-gtt:\t0 KiB\n"),
    );
    tree.fd(50, 3, "/dev/dri/renderD128", &client("amdgpu", 2, ""));
    let listing = tree.monitor().usages();
    let found: Vec<_> = listing
        .usages
        .iter()
        .map(|usage| (usage.pid, usage.vram.reading.clone(), usage.vram.source))
        .collect();
    let of_kfd = Reading::AtLeast(1_610_571_776);
    let expected = [
        (40, Reading::Known(2 * MIB), FigureSource::Fdinfo),
        (50, of_kfd.clone(), FigureSource::Kfd),
        (60, of_kfd, FigureSource::Kfd),
    ];
    assert_eq!(found, expected);
    assert_eq!(listing.usages[2].vram.kind, AmountKind::Allocated);
    assert_eq!(listing.usages[2].system.reading, Reading::Unknown(Unavailable::NotProvided));
    assert_eq!(tree.monitor().usages_of(&HashSet::from([60])).usages.len(), 1);
}

#[test]
fn raw_lines_name_what_was_seen() {
    let tree = MachineTree::new();
    tree.card(0, "0000:03:00.0", "amdgpu");
    tree.of_device("0000:03:00.0", "mem_info_vram_used", "4096\n");
    tree.write("cgroup/dmem.current", "drm/0000:03:00.0/vram0 8192\n");
    tree.fd(40, 3, "/dev/dri/renderD128", &client("amdgpu", 1, "drm-client-name:\t\u{1b}[2J\n"));
    let lines = tree.monitor().raw().join("\n");
    for expected in ["mem_info_vram_used 4096", "drm/0000:03:00.0/vram0 8192", "pid 40", "renderD128"] {
        assert!(lines.contains(expected), "{expected} in {lines}");
    }
    assert!(!lines.contains('\u{1b}'), "{lines}");
}

#[test]
fn the_procfs_of_this_machine() {
    // A device in a tree, the real processes, and a descriptor of this test whose name ends like a device
    // node's.
    let tree = MachineTree::new();
    tree.card(4000, "0000:03:00.0", "xe");
    tree.write("dri/card4000", "");
    let file = std::fs::File::open(tree.roots().proc.join("../dri/card4000")).unwrap();
    let roots = Roots { sys: tree.roots().sys, ..Roots::default() };
    let mut monitor = crate::gpu::Monitor::with_roots(roots);
    let own = std::process::id();
    for listing in [monitor.usages(), monitor.usages_of(&HashSet::from([own]))] {
        assert_eq!(rows(&listing), [(own, "0000:03:00.0", None)]);
        assert!(!listing.refused.contains(&own));
    }
    drop(file);
    let listing = monitor.usages();
    assert_eq!(rows(&listing), []);
    // Processes that may not be read are reported, and so are hidden ones.
    if !std::path::Path::new("/proc/1").exists() {
        assert!(listing.gaps.iter().any(|gap| gap.why == Unavailable::PermissionDenied), "{listing:?}");
        return;
    }
    let is_open = std::fs::read_dir("/proc/1/fd")
        .is_ok_and(|mut fds| fds.next().is_none_or(|fd| fd.is_ok_and(|fd| fd.path().read_link().is_ok())));
    assert_eq!(listing.refused.contains(&1), !is_open);
}

#[test]
fn this_machine() {
    let mut monitor = crate::gpu::Monitor::with_roots(Roots::default());
    let listing = monitor.usages();
    assert!(listing.usages.iter().all(|usage| usage.pid > 0));
    let _ = monitor.raw();
}
