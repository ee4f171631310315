//! `doctor::examine` on the machine that runs the tests.
#![cfg(all(target_os = "linux", feature = "job"))]

use std::{collections::BTreeSet, fs, path::Path};

use highwater::{
    Roots,
    doctor::{Examined, MechanismState, examine},
};

/// One test does all, because it watches the resources of this process, which tests share.
#[test]
fn examines_every_mechanism_once_and_leaves_nothing_behind() {
    let before = holdings();
    let examined = examine(&Roots::default());
    assert_eq!(holdings(), before);

    let names: BTreeSet<&str> = examined.iter().map(|one| one.mechanism).collect();
    assert_eq!(names.len(), examined.len(), "a mechanism stands twice");
    for needed in ["rss", "high-water marks", "child subreaper"] {
        let state = &find(&examined, needed).state;
        assert!(matches!(state, MechanismState::Works { .. }), "the tests need {needed}: {state:?}");
    }
    for one in &examined {
        assert!(!one.gives.is_empty());
        if let MechanismState::Missing { why, .. } = &one.state {
            assert!(!why.is_empty(), "{} is missing without a reason", one.mechanism);
        }
    }

    // The same mechanisms are listed without procfs: those that need it say why they are missing.
    let empty = tempfile::tempdir().unwrap();
    let at = |name: &str| empty.path().join(name);
    let nowhere = examine(&Roots { proc: at("proc"), sys: at("sys"), cgroup: at("cgroup") });
    assert_eq!(holdings(), before);
    assert_eq!(nowhere.iter().map(|one| one.mechanism).collect::<BTreeSet<_>>(), names);
    for name in
        ["rss", "high-water marks", "pss", "processes of others", "children files", "pid cursor", "cgroup"]
    {
        let MechanismState::Missing { why, remedy } = &find(&nowhere, name).state else {
            panic!("{name} works without procfs");
        };
        assert!(!why.is_empty() && remedy.is_some(), "{name}: {why:?}, {remedy:?}");
    }
}

fn find<'a>(examined: &'a [Examined], mechanism: &str) -> &'a Examined {
    examined.iter().find(|one| one.mechanism == mechanism).expect(mechanism)
}

/// Children, descriptors, cgroups, and settings that stay with a process.
#[derive(Debug, PartialEq, Eq)]
struct Holdings {
    children: String,
    descriptors: usize,
    subreaper: bool,
    no_new_privileges: Option<String>,
    cgroups: Vec<String>,
}

fn holdings() -> Holdings {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let mut cgroups = Vec::new();
    left_over_groups(Path::new("/sys/fs/cgroup"), &mut cgroups);
    Holdings {
        children: tasks
            .filter_map(|task| fs::read_to_string(task.ok()?.path().join("children")).ok())
            .collect(),
        descriptors: fs::read_dir("/proc/self/fd").unwrap().count(),
        subreaper: rustix::process::child_subreaper().unwrap().is_some(),
        no_new_privileges: status.lines().find(|line| line.starts_with("NoNewPrivs")).map(str::to_owned),
        cgroups,
    }
}

/// Finds groups with the names that this process would use (a job's, or a leaf for itself). Those of other
/// runs do not count.
fn left_over_groups(dir: &Path, found: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let own = format!("-{}", std::process::id());
        if name.strip_prefix("highwater").is_some_and(|rest| rest.contains(&own)) {
            found.push(name);
        }
        left_over_groups(&entry.path(), found);
    }
}
