use std::fmt::Write;

use proptest::prelude::*;

use super::*;
use crate::gpu::drm::fuzz_entry;

fn client(text: &str) -> DrmClient {
    DrmClient::parse(text.as_bytes()).expect("a client")
}

#[test]
fn keys_of_amdgpu() {
    let client = client(include_str!("../samples/amdgpu-new-keys-6.13-patch.txt"));
    assert_eq!(client.driver.as_deref(), Some("amdgpu"));
    assert_eq!((client.id, client.pdev.as_deref()), (Some(Id::Client(4)), Some("0000:04:00.0")));
    let expected = Region {
        total: Some(44564 << 10),
        shared: Some(31952 << 10),
        active: Some(0),
        resident: Some(44564 << 10),
        purgeable: Some(0),
        memory: Some(44564 << 10),
    };
    assert_eq!(client.regions["vram"], expected);
    assert_eq!(client.regions.keys().collect::<Vec<_>>(), ["cpu", "gtt", "vram"]);
    assert_eq!(client.engines["compute"].ns, Some(46_464_671));
}

#[test]
fn amdgpu_before_there_were_common_keys() {
    // The form of amdgpu_fdinfo.c in 5.14; no capture of it is known.
    let client = client(
        "pos:\t0\nflags:\t02100002\nmnt_id:\t24\npdev:\t0000:0a:00.0\npasid:\t32773\nvram mem:\t51200 kB\n\
         gtt mem:\t2048 kB\ncpu mem:\t0 kB\ngfx0:\t12.34%\n",
    );
    assert_eq!((client.id, client.pdev.as_deref()), (Some(Id::Pasid(32773)), Some("0000:0a:00.0")));
    assert_eq!(client.regions["vram"], Region { memory: Some(50 << 20), ..Region::default() });
    assert_eq!(client.regions["gtt"].memory, Some(2 << 20));
    assert_eq!(client.regions["cpu"].memory, Some(0));
    assert!(client.engines.is_empty() && client.driver.is_none());
}

#[test]
fn a_client_id_outweighs_a_pasid() {
    for text in ["pasid: 7\ndrm-client-id: 4\n", "drm-client-id: 4\npasid: 7\n"] {
        assert_eq!(client(text).id, Some(Id::Client(4)), "{text}");
    }
    assert_eq!(client("drm-driver: amdgpu\npasid: 0\n").id, None);
}

#[test]
fn two_client_ids_of_one_client() {
    for text in ["drm-client-id:\t30\ndrm-client-id:\t217\n", "drm-client-id:\t217\ndrm-client-id:\t30\n"] {
        assert_eq!(client(text).id, Some(Id::Client(217)), "{text}");
    }
}

#[test]
fn every_tile_of_xe_and_its_clocks() {
    let client = client(
        "drm-driver:\txe\ndrm-total-vram0:\t1 MiB\ndrm-total-vram1:\t2 MiB\ndrm-cycles-rcs:\t28257900\n\
         drm-total-cycles-rcs:\t7655183225\ndrm-engine-capacity-vcs:\t2\ndrm-maxfreq-rcs:\t800 MHz\n",
    );
    assert_eq!(client.regions.keys().collect::<Vec<_>>(), ["vram0", "vram1"]);
    let rcs =
        EngineTime { cycles: Some(28_257_900), total_cycles: Some(7_655_183_225), ..EngineTime::default() };
    assert_eq!(client.engines["rcs"], rcs);
    assert_eq!(client.engines["vcs"], EngineTime { capacity: Some(2), ..EngineTime::default() });
    assert_eq!(client.engines.len(), 2);
}

#[test]
fn units() {
    for (text, expected) in [
        ("0", Some(0)),
        ("4097", Some(4097)),
        ("16 KiB", Some(16 << 10)),
        ("16 kB", Some(16 << 10)),
        ("3 MiB", Some(3 << 20)),
        ("0 MiB", Some(0)),
        ("3 miles", None),
        ("-3", None),
        ("KiB", None),
        ("", None),
        ("18446744073709551615 KiB", None),
        ("18446744073709551616", None),
    ] {
        assert_eq!(size(text.as_bytes()), expected, "{text}");
    }
}

#[test]
fn what_is_no_client() {
    for text in [
        include_str!("../samples/not-drm-dmabuf.txt"),
        include_str!("../samples/kfd-vram-value.txt"),
        "pos:\t0\nflags:\t02\nmnt_id:\t10\npdev:\t1\npasid:\t4\n",
        "Drm-driver: x\ndrm-: 5\ndrm-total-:\t5\ndrm-driver:\n",
        "drm-driver: cut",
        "",
    ] {
        assert_eq!(DrmClient::parse(text.as_bytes()), None, "{text:?}");
    }
}

#[test]
fn a_long_name_is_cut_and_many_regions_are_not_kept() {
    let mut text = format!("drm-client-name:\t{}\n", "\u{1b}".repeat(500));
    for number in 0..1000 {
        writeln!(text, "drm-total-vram{number}:\t1\ndrm-engine-e{number}:\t1 ns").unwrap();
    }
    let client = client(&text);
    assert_eq!(client.name.map(|name| name.len()), Some(64));
    assert_eq!((client.regions.len(), client.engines.len()), (64, 64));
}

/// Lines that drivers write, each key once.
fn lines() -> impl Strategy<Value = Vec<String>> {
    let numbers = prop::collection::vec(any::<u32>(), 24);
    let stems = [
        "drm-client-id:\t#",
        "pasid:\t#",
        "pdev:\t0000:0#:00.0",
        "drm-pdev:\t0000:0#:00.0",
        "drm-driver:\tamdgpu",
        "drm-client-name:\t#",
        "vram mem:\t# kB",
        "drm-memory-vram:\t# KiB",
        "drm-total-vram:\t# KiB",
        "drm-shared-vram:\t# KiB",
        "drm-resident-vram:\t#",
        "drm-total-vram1:\t# MiB",
        "drm-resident-gtt: \t# KiB",
        "drm-total-cycles-rcs:\t#",
        "drm-cycles-rcs:\t#",
        "drm-engine-capacity-rcs:\t#",
        "drm-engine-gfx:\t# ns",
        "drm-maxfreq-gfx:\t# Hz",
        "amd-evicted-vram:\t# KiB",
        "pos:\t#",
        "nonsense",
        "drm-shared-gtt:\tnone",
        "drm-purgeable-gtt:\t# KiB",
        "drm-active-gtt:\t# KiB",
    ];
    (numbers, prop::sample::subsequence(stems.to_vec(), 0..=stems.len())).prop_map(|(numbers, stems)| {
        let filled = stems.iter().zip(numbers);
        filled.map(|(stem, number)| format!("{}\n", stem.replace('#', &number.to_string()))).collect()
    })
}

proptest! {
    #[test]
    fn any_bytes(text in prop::collection::vec(any::<u8>(), 0..400)) {
        fuzz_entry::parse(&text);
    }

    #[test]
    fn any_values(keys in prop::collection::vec("(drm-)?(total|resident|shared|memory|engine|cycles)-(vram|local|gtt|x)[01]?", 0..20),
                  values in prop::collection::vec(any::<u64>(), 20)) {
        let lines = keys.iter().zip(values).map(|(key, value)| format!("{key}:\t{value}\n"));
        fuzz_entry::parse(lines.collect::<String>().as_bytes());
    }

    #[test]
    fn order_does_not_matter(lines in lines(), seed in any::<u64>()) {
        let mut shuffled = lines.clone();
        // The key has nothing to do with the order.
        shuffled.sort_by_key(|line| line.bytes().fold(seed, |sum, byte| sum.rotate_left(7) ^ u64::from(byte)));
        prop_assert_eq!(DrmClient::parse(lines.concat().as_bytes()), DrmClient::parse(shuffled.concat().as_bytes()));
    }

    #[test]
    fn unknown_keys_are_ignored(lines in lines(), key in "[a-z]{1,9}-[a-z-]{0,9}", value in "[ -~]{0,20}", at in any::<prop::sample::Index>()) {
        prop_assume!(!key.starts_with("drm-"));
        let mut more = lines.clone();
        more.insert(at.index(lines.len() + 1), format!("{key}: {value}\n"));
        prop_assert_eq!(DrmClient::parse(lines.concat().as_bytes()), DrmClient::parse(more.concat().as_bytes()));
    }
}
