//! Tries an own cgroup with the memory controller: it makes an empty one, as a job would, and removes it.

use std::path::Path;

use rustix::fs::{StatVfsMountFlags, statvfs};

use crate::{
    Roots,
    cgroup::{OwnGroup, Version},
    doctor::MechanismState,
    job::JobGroup,
};

/// Directory that exists where systemd manages the machine (`sd_booted(3)`).
const RUN_BY_SYSTEMD: &str = "/run/systemd/system";

pub(super) fn examine(roots: &Roots) -> MechanismState {
    let made = JobGroup::make(roots).map_err(|why| why.to_string()).and_then(|group| {
        let parent = group.path().parent().unwrap_or(group.path()).display().to_string();
        group.remove().map(|()| parent).map_err(|error| format!("the group cannot be removed again: {error}"))
    });
    match made {
        Ok(parent) => MechanismState::works_with(format!("in {parent}")),
        Err(why) => MechanismState::missing(why).or(remedy(roots, Path::new(RUN_BY_SYSTEMD).is_dir())),
    }
}

/// Returns what would give a job a group here.
fn remedy(roots: &Roots, is_run_by_systemd: bool) -> &'static str {
    const TO_WRITE: &str = "start the container as root with cgroups that it may write: podman run --cgroupns=host \
        -v /sys/fs/cgroup:/sys/fs/cgroup:rw ...";
    let Some((own, version)) = OwnGroup::with_memory(roots) else { return TO_WRITE };
    let is_read_only =
        statvfs(own.group()).is_ok_and(|mount| mount.f_flag.contains(StatVfsMountFlags::RDONLY));
    match version {
        _ if is_read_only => TO_WRITE,
        // A scope has no memory controller on v1.
        Version::V1 => "run as root, outside any namespace of users",
        Version::V2 if is_run_by_systemd => {
            "let hwm ask systemd for a scope: hwm run --cgroup ..., or run under a delegated group: \
             systemd-run --user --scope -p Delegate=yes hwm run ..."
        }
        Version::V2 => "run as root, or in a group that is delegated to this user",
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Makes roots of a machine with cgroups of one kind.
    fn machine(directory: &Path, group: &str, mount: &str) -> Roots {
        let at = |name: &str| directory.join(name);
        fs::create_dir_all(at("proc/self")).unwrap();
        fs::create_dir_all(at("cgroup")).unwrap();
        fs::write(at("proc/self/cgroup"), group).unwrap();
        fs::write(at("proc/self/mountinfo"), format!("36 35 0:30 / /sys/fs/cgroup rw - {mount}\n")).unwrap();
        Roots { proc: at("proc"), sys: at("sys"), cgroup: at("cgroup") }
    }

    #[test]
    fn a_scope_is_named_only_where_it_helps() {
        let directory = tempfile::tempdir().unwrap();
        let v2 = machine(directory.path(), "0::/\n", "cgroup2 cgroup2 rw");
        assert!(remedy(&v2, true).contains("systemd"));
        assert!(!remedy(&v2, false).contains("systemd"));
        let directory = tempfile::tempdir().unwrap();
        let v1 = machine(directory.path(), "4:memory:/\n", "cgroup cgroup rw,memory");
        assert!(!remedy(&v1, true).contains("systemd"));
        let nowhere = Roots { proc: "/nowhere".into(), sys: "/nowhere".into(), cgroup: "/nowhere".into() };
        assert!(remedy(&nowhere, true).contains("container"));
    }
}
