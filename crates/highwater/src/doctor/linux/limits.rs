//! Limits that affect measuring.

use rustix::process::{Resource, getrlimit};

use crate::{
    Roots,
    cgroup::{OwnGroup, Version, memory_limit},
    doctor::MechanismState,
};

/// Reads `RLIMIT_NOFILE`, getrlimit(2). Each process takes one kept descriptor; past the limit files are
/// opened each time.
pub(super) fn open_files(_: &Roots) -> MechanismState {
    let limit = getrlimit(Resource::Nofile);
    let figure = |value: Option<u64>| value.map_or_else(|| "unlimited".to_owned(), |value| value.to_string());
    MechanismState::works_with(format!("soft {}, hard {}", figure(limit.current), figure(limit.maximum)))
}

/// Reads the tightest memory limit among the cgroups of this process.
pub(super) fn memory(roots: &Roots) -> MechanismState {
    if [Version::V1, Version::V2].into_iter().all(|version| OwnGroup::find(roots, version).is_none()) {
        return MechanismState::missing("no cgroup hierarchy with a memory limit is visible")
            .or("outside of a container nothing is lost");
    }
    match memory_limit(roots, None) {
        Some(bytes) => MechanismState::works_with(format!("{bytes} bytes")),
        None => MechanismState::works_with("no limit"),
    }
}
