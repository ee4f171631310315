//! Tries an own cgroup with the memory controller: it makes an empty one, as a job would, and removes it.

use crate::{Roots, doctor::MechanismState, job::JobGroup};

pub(super) fn examine(roots: &Roots) -> MechanismState {
    const REMEDY: &str = "let hwm ask systemd for a scope: hwm run --cgroup ..., or run under a delegated group: \
        systemd-run --user --scope -p Delegate=yes hwm run ...";
    let made = JobGroup::make(roots, None).and_then(|group| {
        let parent = group.path().parent().unwrap_or(group.path()).display().to_string();
        group.remove().map(|()| parent).map_err(|error| format!("the group cannot be removed again: {error}"))
    });
    match made {
        Ok(parent) => MechanismState::works_with(format!("in {parent}")),
        Err(why) => MechanismState::missing(why).or(REMEDY),
    }
}
