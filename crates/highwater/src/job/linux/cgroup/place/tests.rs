//! Made-up trees with plain files in place of cgroupfs: the place of a group, and every refusal.

use std::fs;

use super::*;

const V2_MOUNT: &str = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
const V1_MOUNT: &str = "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n";

struct MadeCgroups {
    _dir: tempfile::TempDir,
    roots: Roots,
}

impl MadeCgroups {
    /// Makes a tree with this process in `own`, in the form of `/proc/self/cgroup`.
    fn new(mount: &str, own: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let roots = Roots { proc: at("proc"), sys: at("sys"), cgroup: at("cgroup") };
        fs::create_dir_all(roots.proc.join("self")).unwrap();
        fs::write(roots.proc.join("self/cgroup"), own).unwrap();
        fs::write(roots.proc.join("self/mountinfo"), mount).unwrap();
        Self { _dir: dir, roots }
    }

    fn v2(own: &str) -> Self {
        Self::new(V2_MOUNT, &format!("0::{own}\n"))
    }

    /// Adds a group that is not the root, with these controllers, delegated controllers and processes.
    fn group(self, path: &str, controllers: &str, handed_down: &str, pids: &str) -> Self {
        self.file(path, "cgroup.type", "domain\n")
            .file(path, "cgroup.controllers", controllers)
            .file(path, "cgroup.subtree_control", handed_down)
            .file(path, "cgroup.procs", pids)
    }

    fn file(self, group: &str, name: &str, text: &str) -> Self {
        let group = self.at(group);
        fs::create_dir_all(&group).unwrap();
        fs::write(group.join(name), text).unwrap();
        self
    }

    fn at(&self, group: &str) -> PathBuf {
        self.roots.cgroup.join(group)
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.at(file)).unwrap()
    }

    fn refusal(&self) -> String {
        CgroupPlace::find(&self.roots).unwrap_err()
    }
}

fn this_pid() -> String {
    format!("{}\n", std::process::id())
}

/// Returns the pid of another process.
fn other() -> String {
    format!("{}\n", std::process::id() + 1)
}

fn this_and_other_pids() -> String {
    this_pid() + &other()
}

#[test]
fn v1_below_the_own_group() {
    let tree = MadeCgroups::new(V1_MOUNT, "4:memory:/docker/abc\n0::/x\n");
    let tree = tree.file("memory/docker/abc", "cgroup.procs", &this_and_other_pids());
    let place = CgroupPlace::find(&tree.roots).unwrap();
    assert_eq!((place.version, &place.parent), (Version::V1, &tree.at("memory/docker/abc")));
    assert_eq!(place.home, place.parent);
}

#[test]
fn the_root_of_v2_holds_processes_and_delegates() {
    let root = |handed_down| {
        MadeCgroups::v2("/")
            .file("", "cgroup.controllers", "cpu memory pids\n")
            .file("", "cgroup.subtree_control", handed_down)
            .file("", "cgroup.procs", &this_and_other_pids())
    };
    let tree = root("memory\n");
    assert_eq!(CgroupPlace::find(&tree.roots).unwrap().parent, tree.at(""));
    assert_eq!(tree.read("cgroup.subtree_control"), "memory\n", "nothing to write");
    let tree = root("cpu\n");
    assert_eq!(CgroupPlace::find(&tree.roots).unwrap().parent, tree.at(""));
    // A plain file takes the place of the kernel's list.
    assert!(tree.read("cgroup.subtree_control").contains("+memory"));
}

#[test]
fn beside_the_own_group_if_others_are_in_it() {
    let tree = MadeCgroups::v2("/app.slice/a.scope")
        .group("app.slice", "memory pids\n", "memory pids\n", "")
        .group("app.slice/a.scope", "memory pids\n", "\n", &this_and_other_pids())
        .file("app.slice/a.scope", "memory.max", "max\n")
        .file("app.slice/a.scope", "cpu.max", "max 100000\n")
        .file("app.slice/a.scope", "cpuset.cpus", "\n");
    let place = CgroupPlace::find(&tree.roots).unwrap();
    assert_eq!(place.parent, tree.at("app.slice"));
    assert_eq!(place.home, tree.at("app.slice/a.scope"));
    // The settings of the scope would be lost for the job there.
    for (file, text) in
        [("memory.max", "1073741824\n"), ("cpu.max", "50000 100000\n"), ("cpuset.cpus", "0-1\n")]
    {
        let neutral = tree.read(&format!("app.slice/a.scope/{file}"));
        fs::write(tree.at("app.slice/a.scope").join(file), text).unwrap();
        let why = tree.refusal();
        assert!(why.contains(file) && why.contains("a.scope"), "{why}");
        fs::write(tree.at("app.slice/a.scope").join(file), neutral).unwrap();
    }
    assert!(CgroupPlace::find(&tree.roots).is_ok());
}

#[test]
fn never_out_of_another_jobs_group() {
    let tree = MadeCgroups::v2("/app.slice/highwater-77")
        .group("app.slice", "memory\n", "memory\n", "")
        .group("app.slice/highwater-77", "memory\n", "\n", &this_and_other_pids());
    let why = tree.refusal();
    assert!(why.contains("another job"), "{why}");
}

#[test]
fn refusals_say_why() {
    let nowhere = Roots { proc: "/nonexistent".into(), ..Roots::default() };
    assert!(CgroupPlace::find(&nowhere).unwrap_err().contains("memory controller"));

    let tree = MadeCgroups::v2("/a").group("a", "cpu pids\n", "", &this_pid());
    assert!(tree.refusal().contains("not delegated"), "{}", tree.refusal());

    let tree = MadeCgroups::v2("/a").group("a", "memory\n", "", &other());
    assert!(tree.refusal().contains("this process is not in it"), "{}", tree.refusal());

    // A process outside this pid namespace is another one, too; and above this container nothing can be seen.
    let tree = MadeCgroups::v2("/").group("", "memory\n", "", &format!("0\n{}", this_pid()));
    assert!(tree.refusal().contains("other processes"), "{}", tree.refusal());
    assert!(tree.refusal().contains("cannot be seen"), "{}", tree.refusal());

    let tree = MadeCgroups::v2("/a/b").group("a/b", "memory\n", "", &this_and_other_pids());
    assert!(tree.refusal().contains("cgroup.procs"), "no such file above: {}", tree.refusal());
}

#[test]
fn a_leaf_that_cannot_be_entered_is_not_left_behind() {
    // A plain directory has no cgroup.procs to write to.
    let tree = MadeCgroups::v2("/a").group("a", "memory\n", "", &this_pid());
    let why = tree.refusal();
    assert!(why.contains("No such file"), "{why}");
    assert!(fs::read_dir(tree.at("a")).unwrap().all(|entry| entry.unwrap().file_type().unwrap().is_file()));
}

#[test]
fn every_setting_has_a_neutral_text() {
    let dir = tempfile::tempdir().unwrap();
    for setting in SETTINGS {
        assert!(setting.is_neutral(dir.path()), "{} is not there", setting.file);
        fs::write(dir.path().join(setting.file), format!("{}\n", setting.neutral)).unwrap();
        assert!(setting.is_neutral(dir.path()), "{}", setting.file);
        fs::write(dir.path().join(setting.file), "4096\n").unwrap();
        assert!(!setting.is_neutral(dir.path()), "{}", setting.file);
    }
}

#[test]
fn a_scope_is_requested_for_a_job_in_no_other_job_only() {
    let home = |own: &str| {
        let made = MadeCgroups::v2(own).group(own.trim_start_matches('/'), "memory", "", &this_pid());
        home_outside_jobs(&made.roots).map(|home| home.strip_prefix(&made.roots.cgroup).unwrap().to_owned())
    };
    let session = "/user.slice/user-1000.slice/session-1.scope";
    assert_eq!(home(session), Ok(PathBuf::from(&session[1..])));
    for inside in
        ["/a.slice/highwater-7", "/a.slice/highwater-7-0123456789abcdef.scope/highwater-7/of-the-job"]
    {
        assert!(home(inside).unwrap_err().contains("another job"), "{inside}");
    }
}

#[test]
fn no_scope_is_requested_where_it_would_have_no_memory_controller() {
    let made = MadeCgroups::new(V1_MOUNT, "9:memory:/user.slice\n");
    assert!(home_outside_jobs(&made.roots).unwrap_err().contains("cgroup v1"));
    let made = MadeCgroups::new("", "0::/\n");
    assert!(home_outside_jobs(&made.roots).is_err());
}
