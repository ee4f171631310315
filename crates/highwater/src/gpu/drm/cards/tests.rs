use std::{fs, os::unix::fs::symlink};

use super::*;

/// Searches a tree with the nodes of a class: (name, `dev`, name of the device or none, text of its uevent).
fn find(nodes: &[(&str, &str, &str)]) -> Cards {
    let tree = tempfile::tempdir().unwrap();
    for (path, device, uevent) in nodes {
        let node = tree.path().join("class").join(path);
        let directory = tree.path().join("devices").join(device);
        fs::create_dir_all(&node).unwrap();
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("uevent"), uevent).unwrap();
        fs::write(node.join("dev"), "226:7\n").unwrap();
        symlink(format!("../../../devices/{device}"), node.join("device")).unwrap();
    }
    Cards::find(&Roots { sys: tree.path().to_owned(), proc: tree.path().to_owned(), ..Roots::default() })
        .unwrap()
}

#[test]
fn nodes_of_one_device() {
    let uevent = "DRIVER=amdgpu\nPCI_SLOT_NAME=0000:C5:00.0\n";
    let cards = find(&[
        ("drm/card1", "0000:c5:00.0", uevent),
        ("drm/card1-HDMI-A-1", "card1", ""),
        ("drm/renderD128", "0000:c5:00.0", uevent),
        ("drm/version", "x", ""),
        ("accel/accel0", "0000:c5:00.1", "DRIVER=amdxdna\nPCI_SLOT_NAME=0000:c5:00.1\n"),
    ]);
    let [gpu, npu] = cards.listed.as_slice() else { panic!("{cards:?}") };
    assert_eq!((gpu.id.as_str(), gpu.name.as_str()), ("0000:c5:00.0", "amdgpu 0000:c5:00.0"));
    let paths: Vec<_> = gpu.nodes.iter().map(|node| node.path.as_str()).collect();
    assert_eq!(paths, ["dri/card1", "dri/renderD128"]);
    assert_eq!(gpu.nodes[0].number, Some((226, 7)));
    assert_eq!((gpu.unified, gpu.pool()), (None, Pool::Dedicated));
    assert_eq!((npu.id.as_str(), npu.unified, npu.pool()), ("0000:c5:00.1", Some(true), Pool::Unified));
}

#[test]
fn displays_are_no_gpus() {
    let cards = find(&[
        ("drm/card0", "fec00000.v3d", "DRIVER=v3d\nOF_FULLNAME=/soc/v3d@fec00000\n"),
        ("drm/renderD128", "fec00000.v3d", "DRIVER=v3d\nOF_FULLNAME=/soc/v3d@fec00000\n"),
        ("drm/card1", "gpu", "DRIVER=vc4-drm\nOF_FULLNAME=/gpu\n"),
        ("drm/card2", "0000:02:00.0", "DRIVER=ast\nPCI_SLOT_NAME=0000:02:00.0\n"),
        ("drm/card3", "vgem", ""),
        ("drm/renderD129", "vgem", ""),
        ("drm/card4", "simple-framebuffer.0", "DRIVER=simple-framebuffer\n"),
    ]);
    let names: Vec<_> = cards.listed.iter().map(|card| card.name.as_str()).collect();
    assert_eq!(names, ["v3d fec00000.v3d"]);
    assert_eq!(cards.listed[0].unified, Some(true));
    assert!(cards.ignored.contains(&"dri/card1".to_owned()), "{cards:?}");
}

#[test]
fn partitions_are_no_devices() {
    let uevent = "DRIVER=amdgpu\nPCI_SLOT_NAME=0000:05:00.0\n";
    let cards = find(&[
        ("drm/renderD128", "0000:05:00.0", uevent),
        ("drm/renderD129", "amdgpu_xcp_1", ""),
        ("drm/renderD130", "amdgpu_xcp.2", ""),
    ]);
    assert_eq!((cards.listed.len(), cards.ignored.len()), (1, 0));
}

#[test]
fn intel_in_the_processor_and_on_a_card() {
    let uevent = |address| format!("DRIVER=i915\nPCI_SLOT_NAME={address}\n");
    let cards = find(&[
        ("drm/card0", "0000:03:00.0", &uevent("0000:03:00.0")),
        ("drm/card1", "0000:00:02.0", &uevent("0000:00:02.0")),
    ]);
    let unified: Vec<_> = cards.listed.iter().map(|card| (card.id.as_str(), card.unified)).collect();
    assert_eq!(unified, [("0000:00:02.0", Some(true)), ("0000:03:00.0", Some(false))]);
}

#[test]
fn apus_of_amd_are_known_by_their_tables() {
    for (header, expected) in [
        (&[4, 1, 1, 3][..], Some(false)),
        (&[4, 1, 2, 1], Some(true)),
        (&[4, 1, 3, 0], Some(true)),
        (&[4], None),
    ] {
        let tree = tempfile::tempdir().unwrap();
        fs::write(tree.path().join("gpu_metrics"), header).unwrap();
        let card = Card { directory: tree.path().to_owned(), ..Card::read(tree.path(), "card0") };
        assert_eq!(card.is_amd_apu(), expected, "{header:?}");
        // A sleeping device is left alone.
        fs::create_dir(tree.path().join("power")).unwrap();
        fs::write(tree.path().join("power/runtime_status"), "suspended\n").unwrap();
        assert_eq!(card.is_amd_apu(), None);
    }
}

#[test]
fn nothing_at_all() {
    assert!(find(&[]).listed.is_empty());
}
