//! A cgroup of our own with the memory controller: tried by making an empty group and removing it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    Roots,
    cgroup::{Own, Version},
    doctor::State,
};

pub(super) fn examine(roots: &Roots) -> State {
    const REMEDY: &str =
        "run under a delegated group: systemd-run --user --scope -p Delegate=yes hwm run ...";
    // The memory controller is on one hierarchy only; where v1 has it, v2 does not.
    let find = |version| Own::find(roots, version).map(|own| (own, version));
    let Some((own, version)) = find(Version::V1).or_else(|| find(Version::V2)) else {
        return State::missing("no cgroup hierarchy with the memory controller is mounted").or(REMEDY);
    };
    let mut first_refusal = None;
    for group in own.with_parents() {
        match attempt(group, version) {
            Ok(()) => return State::works_with(format!("in {}", group.display())),
            Err(why) => first_refusal = first_refusal.or(Some(why)),
        }
    }
    State::missing(first_refusal.unwrap_or_else(|| "our group is not to be seen".to_owned())).or(REMEDY)
}

/// A process may move into a new group only if it may write `cgroup.procs` there and in the nearest group
/// around both: cgroups(7), "Delegation containment".
fn attempt(parent: &Path, version: Version) -> Result<(), String> {
    let refused = |what: &Path, error: &dyn std::fmt::Display| format!("{}: {error}", what.display());
    let procs = parent.join("cgroup.procs");
    rustix::fs::access(&procs, rustix::fs::Access::WRITE_OK).map_err(|error| refused(&procs, &error))?;
    let group = Group::make(parent).map_err(|error| refused(parent, &error))?;
    let peak = group.0.join(match version {
        Version::V1 => "memory.max_usage_in_bytes",
        Version::V2 => "memory.peak", // Linux 5.19
    });
    match fs::read_to_string(&peak) {
        Ok(_) => Ok(()),
        Err(_) if version == Version::V2 => Err(format!(
            "{}: its groups have no memory.peak (controller not delegated, or old)",
            parent.display()
        )),
        Err(error) => Err(refused(&peak, &error)),
    }
}

/// An empty group; removed when it goes out of scope.
struct Group(PathBuf);

impl Group {
    /// Named by this thread, so that two threads may try at once.
    fn make(parent: &Path) -> io::Result<Self> {
        let path = parent.join(format!("hwm-doctor-{}", rustix::thread::gettid().as_raw_nonzero()));
        fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // An empty group that we made goes at once; rmdir(2) takes nothing else with it.
        let _ = fs::remove_dir(&self.0);
    }
}
