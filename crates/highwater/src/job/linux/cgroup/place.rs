//! A place for the job's group, which gets the memory controller and to which this process may move the job.

use std::path::{Path, PathBuf};

use rustix::{
    fs::{Access, access},
    io::Errno,
};

use super::{
    leaf::{self, Leaf, Stay},
    left_over,
    open_group::OpenGroup,
};
use crate::{
    Roots,
    bounded::{self, MAX_VALUE_BYTES},
    cgroup::{OwnGroup, Version},
};

/// The place that was found.
#[derive(Debug)]
pub(super) struct CgroupPlace {
    pub(super) version: Version,
    /// The group's parent.
    pub(super) parent: PathBuf,
    /// The group of this process.
    pub(super) home: PathBuf,
    /// The move to a leaf that was needed for it.
    pub(super) stay: Option<Stay>,
}

impl CgroupPlace {
    /// Finds a place.
    pub(super) fn find(roots: &Roots) -> Result<Self, String> {
        let mut own_leaf = leaf::lock();
        let (own, version) = OwnGroup::with_memory(roots).ok_or(
            "no cgroup hierarchy with the memory controller is mounted where this process can see it",
        )?;
        let group = own.group();
        let members = OpenGroup::open(group)
            .and_then(|group| group.processes())
            .map_err(|error| refusal(&group.join("cgroup.procs"), &error))?;
        // In a container that was entered from outside, the mount may show only other groups.
        if !members.contains(&std::process::id()) {
            return Err(format!(
                "{}: this process is not in it; its own cgroup cannot be seen from here",
                group.display()
            ));
        }
        if version == Version::V2 {
            return unified(&own, &members, &mut own_leaf);
        }
        writable(group)?;
        Ok(Self { version, parent: group.to_owned(), home: group.to_owned(), stay: None })
    }
}

/// Returns the group of this process, if a job in a scope would be missing in no other job's figure.
pub(super) fn home_outside_jobs(roots: &Roots) -> Result<PathBuf, String> {
    let (own, version) = OwnGroup::with_memory(roots).ok_or("no cgroup can be seen from here")?;
    if version == Version::V1 {
        return Err("the memory controller is on cgroup v1, where a scope has none".to_owned());
    }
    if own.with_parents().any(left_over::is_job_group) {
        return Err("it was not asked, as another job must count this one, too".to_owned());
    }
    Ok(own.group().to_owned())
}

/// Finds a place in v2: cgroups(7), "Cgroups delegation" and "no internal processes".
fn unified(own: &OwnGroup, members: &[u32], own_leaf: &mut Option<Leaf>) -> Result<CgroupPlace, String> {
    let group = own.group();
    let place = |parent: &Path, stay| CgroupPlace {
        version: Version::V2,
        parent: parent.to_owned(),
        home: group.to_owned(),
        stay,
    };
    if let Some(stay) = leaf::again(own_leaf, group) {
        return Ok(place(&stay.group.clone(), Some(stay)));
    }
    if !names_memory(&group.join("cgroup.controllers")) {
        return Err(format!("{}: the memory controller is not delegated to it", group.display()));
    }
    let subtree = group.join("cgroup.subtree_control");
    if names_memory(&subtree) {
        return writable(group).map(|()| place(group, None));
    }
    // Every group but the root has a type, and only the root may hold processes and delegate controllers. It is left
    // delegating memory, as other programs may rely on it from now on.
    if !group.join("cgroup.type").exists() {
        writable(group)?;
        OpenGroup::open(group)
            .and_then(|group| group.write("cgroup.subtree_control", "+memory"))
            .map_err(|error| refusal(&subtree, &error))?;
        return Ok(place(group, None));
    }
    if members == [std::process::id()] {
        return writable(group)
            .and_then(|()| leaf::enter(own_leaf, group).map_err(|error| refusal(group, &error)))
            .map(|stay| CgroupPlace { home: stay.path.clone(), ..place(group, Some(stay)) });
    }
    beside(own).map(|parent| place(parent, None)).map_err(|why| {
        format!("{}: other processes are in it, so no group can be made below it; {why}", group.display())
    })
}

/// Returns the parent of this process's group, if a group there would do: only the accounting of the job may change.
fn beside(own: &OwnGroup) -> Result<&Path, String> {
    let group = own.group();
    if left_over::is_job_group(group) {
        return Err("and it belongs to another job, which must count this one, too".to_owned());
    }
    let parent = own.with_parents().nth(1).ok_or("and the group above it cannot be seen")?;
    if let Some(setting) = SETTINGS.iter().find(|setting| !setting.is_neutral(group)) {
        return Err(format!("and its {} must still apply to the job", setting.file));
    }
    writable(parent).map_err(|why| format!("and above it, {why}"))?;
    Ok(parent)
}

/// A setting that a group can impose on its processes.
struct Setting {
    file: &'static str,
    neutral: &'static str,
}

impl Setting {
    fn is_neutral(&self, group: &Path) -> bool {
        // Without the file there is no such controller here.
        bounded::read_to_string(&group.join(self.file), MAX_VALUE_BYTES).map_or_else(
            |error| error.kind() == std::io::ErrorKind::NotFound,
            |text| text.split_ascii_whitespace().next().unwrap_or_default() == self.neutral,
        )
    }
}

const fn setting(file: &'static str, neutral: &'static str) -> Setting {
    Setting { file, neutral }
}

const SETTINGS: &[Setting] = &[
    setting("memory.max", "max"),
    setting("memory.high", "max"),
    setting("memory.swap.max", "max"),
    setting("memory.swap.high", "max"),
    setting("memory.zswap.max", "max"),
    setting("memory.min", "0"),
    setting("memory.low", "0"),
    setting("memory.oom.group", "0"),
    setting("pids.max", "max"),
    setting("cpu.max", "max"),
    setting("cpu.weight", "100"),
    setting("cpuset.cpus", ""),
    setting("cpuset.mems", ""),
    setting("io.max", ""),
    setting("io.latency", ""),
];

/// Returns whether this process may make groups in `group` and move processes there. A process may be moved only by one
/// that may write `cgroup.procs` of the nearest common ancestor: cgroups(7), "Delegation containment".
fn writable(group: &Path) -> Result<(), String> {
    for path in [group.to_owned(), group.join("cgroup.procs")] {
        access(&path, Access::WRITE_OK).map_err(|error| match error {
            Errno::ROFS => refusal(&path, &error.into()),
            _ => format!("{}: this user may not write there: {error}", path.display()),
        })?;
    }
    Ok(())
}

/// Returns whether a file with a list of controllers names memory.
fn names_memory(file: &Path) -> bool {
    bounded::read_to_string(file, MAX_VALUE_BYTES)
        .is_ok_and(|text| text.split_ascii_whitespace().any(|name| name == "memory"))
}

fn refusal(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", path.display())
}

#[cfg(test)]
mod tests;
