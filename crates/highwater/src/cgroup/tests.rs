//! Tests of limits in made-up trees: the texts of `/proc/self`, and the files that they lead to.

use std::fs;

use super::*;

const GIB: u64 = 1 << 30;
const V2: &str = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
const V1: &str = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n\
    32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n\
    35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n";
const HYBRID: &str = "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";

/// Returns the limit found with these texts in `/proc/self` and these files below `/sys/fs/cgroup`.
fn found(cgroup: &str, mountinfo: &str, files: &[(&str, &str)], physical: Option<u64>) -> Option<u64> {
    let tree = tempfile::tempdir().unwrap();
    let roots =
        Roots { proc: tree.path().join("proc"), cgroup: tree.path().join("cgroup"), ..Roots::default() };
    fs::create_dir_all(roots.proc.join("self")).unwrap();
    fs::write(roots.proc.join("self/cgroup"), cgroup).unwrap();
    fs::write(roots.proc.join("self/mountinfo"), mountinfo).unwrap();
    for (path, text) in files {
        let path = roots.cgroup.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    memory_limit(&roots, physical)
}

#[test]
fn v2_takes_the_tightest_up_the_tree() {
    let files = [
        ("a.slice/memory.max", "2147483648\n"),
        ("a.slice/b.scope/memory.max", "max\n"),
        ("other/memory.max", "4096\n"),
    ];
    assert_eq!(found("0::/a.slice/b.scope\n", V2, &files, None), Some(2 * GIB));
    assert_eq!(found("0::/a.slice/b.scope\n", V2, &files[1..], None), None);
    assert_eq!(found("0::/\n", V2, &files, None), None);
}

#[test]
fn v2_in_a_container_reads_the_mount_itself() {
    assert_eq!(found("0::/\n", V2, &[("memory.max", "1073741824\n")], None), Some(GIB));
    // The group was joined from outside the cgroup namespace, so the path leaves the mount.
    assert_eq!(found("0::/../x\n", V2, &[("memory.max", "1073741824\n")], None), Some(GIB));
}

#[test]
fn v1() {
    let cgroup = "5:cpu,cpuacct:/\n4:memory:/docker/abc\n0::/\n";
    let none = "9223372036854771712\n";
    let files = [
        ("memory/memory.limit_in_bytes", none),
        ("memory/docker/memory.limit_in_bytes", none),
        ("memory/docker/abc/memory.limit_in_bytes", "536870912\n"),
    ];
    assert_eq!(found(cgroup, V1, &files, None), Some(GIB / 2));
    assert_eq!(found(cgroup, V1, &files[..2], None), None);
}

#[test]
fn v1_bound_into_a_container() {
    let mountinfo = V1.replace("0:32 / ", "0:32 /docker/abc ");
    let files = [("memory/memory.limit_in_bytes", "536870912\n")];
    assert_eq!(found("4:memory:/docker/abc\n", &mountinfo, &files, None), Some(GIB / 2));
}

#[test]
fn hybrid_reads_both() {
    let cgroup = "4:memory:/\n0::/x\n";
    let mountinfo = format!("{V1}{HYBRID}");
    let v1 = ("memory/memory.limit_in_bytes", "1073741824\n");
    let v2 = ("unified/x/memory.max", "4096\n");
    assert_eq!(found(cgroup, &mountinfo, &[v1], None), Some(GIB));
    assert_eq!(found(cgroup, &mountinfo, &[v1, v2], None), Some(4096));
}

#[test]
fn more_than_the_machine_has_is_no_limit() {
    let files = [("memory.max", "2147483648\n")];
    assert_eq!(found("0::/\n", V2, &files, Some(GIB)), None);
    assert_eq!(found("0::/\n", V2, &files, Some(4 * GIB)), Some(2 * GIB));
}

#[test]
fn nothing_to_read() {
    assert_eq!(found("", "", &[], None), None);
    assert_eq!(found("0::/x\n", "garbage - \n\n", &[], None), None);
    assert_eq!(found("0::/x\n", V2, &[("x/memory.max", "lots\n")], None), None);
    let nowhere = Roots { proc: "/nonexistent".into(), ..Roots::default() };
    assert_eq!(memory_limit(&nowhere, None), None);
}

#[test]
fn escaped_mount_point() {
    assert_eq!(unescape(b"/mnt/a\\040b\\134c"), b"/mnt/a b\\c");
    assert_eq!(unescape(b"/x\\9\\04"), b"/x\\9\\04");
}

proptest::proptest! {
    #[test]
    fn any_bytes(text in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
        for version in [Version::V1, Version::V2] {
            let _ = (group_of(&text, version), mount_of(&text, version));
        }
        proptest::prop_assert!(unescape(&text).len() <= text.len());
    }
}
