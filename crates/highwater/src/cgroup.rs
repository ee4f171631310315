//! The memory limit of this process's cgroups, v1 and v2.
//!
//! `/proc/self/cgroup` names the group, `/proc/self/mountinfo` the mount point of its hierarchy
//! ([`cgroups(7)`](https://man7.org/linux/man-pages/man7/cgroups.7.html)). A limit counts for all groups
//! below, so the tightest one up to the mount point holds. Limits above it (outside the container) cannot be
//! seen.

use std::{
    ffi::OsString,
    os::unix::ffi::OsStringExt,
    path::{Path, PathBuf},
};

use crate::{
    Roots,
    bounded::{self, MAX_MOUNTS_BYTES, MAX_PROCESS_FILE_BYTES, MAX_VALUE_BYTES},
};

/// The two kinds of hierarchy that limit memory. A machine may have both mounted (hybrid).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// The hierarchy with the `memory` controller.
    V1,
    /// The unified hierarchy.
    V2,
}

impl Version {
    fn limit_file(self) -> &'static str {
        match self {
            Self::V1 => "memory.limit_in_bytes",
            Self::V2 => "memory.max",
        }
    }
}

/// Returns whether a v1 hierarchy controls memory here.
pub(crate) fn is_v1(roots: &Roots) -> bool {
    OwnGroup::find(roots, Version::V1).is_some()
}

/// Returns the directory of process `pid`'s group in the unified hierarchy, or the mount point if the mount does not show
/// the group.
#[cfg(feature = "job")]
pub(crate) fn unified_group_of(roots: &Roots, pid: u32) -> Option<PathBuf> {
    OwnGroup::find_of(roots, &pid.to_string(), Version::V2).map(|found| found.group)
}

/// Returns the path of the group with this directory, as `/proc/PID/cgroup` shows it to this process.
#[cfg(feature = "job")]
pub(crate) fn shown_path(roots: &Roots, version: Version, directory: &Path) -> Option<PathBuf> {
    let mounts = bounded::read(&roots.proc.join("self/mountinfo"), MAX_MOUNTS_BYTES).ok()?;
    let mount = mount_of(&mounts, version)?;
    let below = directory.strip_prefix(at_roots(roots, &mount.point)).ok()?;
    Some(mount.root.join(below))
}

/// One hierarchy as it is mounted.
#[derive(Debug, PartialEq, Eq)]
struct Mount {
    /// The group of the hierarchy at the mount point; other than `/` in containers.
    root: PathBuf,
    point: PathBuf,
}

/// This process's group in one hierarchy, as directories.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OwnGroup {
    group: PathBuf,
    mount_point: PathBuf,
}

impl OwnGroup {
    /// Finds the group; `None` if there is no such hierarchy, or none that limits memory.
    pub(crate) fn find(roots: &Roots, version: Version) -> Option<Self> {
        Self::find_of(roots, "self", version)
    }

    fn find_of(roots: &Roots, process: &str, version: Version) -> Option<Self> {
        GroupTexts::read(roots, process)?.find(roots, version)
    }

    /// Returns the group with the memory controller. One hierarchy has it alone: if v1 has it, v2 does not.
    pub(crate) fn with_memory(roots: &Roots) -> Option<(Self, Version)> {
        let texts = GroupTexts::read(roots, "self")?;
        [Version::V1, Version::V2]
            .into_iter()
            .find_map(|version| Some((texts.find(roots, version)?, version)))
    }

    /// Returns the group's directory, or the mount point if the mount does not show the group.
    pub(crate) fn group(&self) -> &Path {
        &self.group
    }

    /// Returns the group and its parents, up to the mount point.
    pub(crate) fn with_parents(&self) -> impl Iterator<Item = &Path> {
        self.group.ancestors().take_while(|directory| directory.starts_with(&self.mount_point))
    }
}

/// The texts that name a process's groups, read once for both versions.
struct GroupTexts {
    groups: Vec<u8>,
    mounts: Vec<u8>,
}

impl GroupTexts {
    fn read(roots: &Roots, process: &str) -> Option<Self> {
        Some(Self {
            groups: bounded::read(&roots.proc.join(process).join("cgroup"), MAX_PROCESS_FILE_BYTES).ok()?,
            mounts: bounded::read(&roots.proc.join("self/mountinfo"), MAX_MOUNTS_BYTES).ok()?,
        })
    }

    fn find(&self, roots: &Roots, version: Version) -> Option<OwnGroup> {
        let group = group_of(&self.groups, version)?;
        let mount = mount_of(&self.mounts, version)?;
        let mount_point = at_roots(roots, &mount.point);
        Some(OwnGroup { group: directory(roots, &mount, &group), mount_point })
    }
}

/// Returns the tightest memory limit in bytes; `None` if there is none or none can be read. A limit above the
/// machine's memory, if that is known, limits nothing.
pub(crate) fn memory_limit(roots: &Roots, physical_bytes: Option<u64>) -> Option<u64> {
    let texts = GroupTexts::read(roots, "self")?;
    [Version::V2, Version::V1]
        .into_iter()
        .filter_map(|version| tightest(&texts.find(roots, version)?, version))
        .min()
        .filter(|&limit| physical_bytes.is_none_or(|physical| limit <= physical))
}

/// Finds the number of processes that the kernel killed for want of memory: `oom_kill` of `memory.events`,
/// `memory.oom_control` (Linux 4.13) or `/proc/vmstat`.
#[cfg(feature = "job")]
pub(crate) fn oom_kills_in(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

/// Finds the group in lines `hierarchy-ID:controller-list:cgroup-path`.
fn group_of(text: &[u8], version: Version) -> Option<PathBuf> {
    text.split(|&byte| byte == b'\n').find_map(|line| {
        let mut fields = line.splitn(3, |&byte| byte == b':');
        let (id, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let is_wanted = match version {
            Version::V1 => lists(controllers, b"memory"),
            Version::V2 => id == b"0" && controllers.is_empty(),
        };
        is_wanted.then(|| path_from(path.to_vec()))
    })
}

/// Finds the mount of the hierarchy in lines
/// `36 35 98:0 /root /mount/point options optional-fields - fstype source super-options`
/// ([`proc_pid_mountinfo(5)`](https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html)).
fn mount_of(text: &[u8], version: Version) -> Option<Mount> {
    text.split(|&byte| byte == b'\n').find_map(|line| {
        let mut fields = line.split(|&byte| byte == b' ');
        let (root, point) = (fields.nth(3)?, fields.next()?);
        fields.find(|&field| field == b"-")?;
        let (fstype, options) = (fields.next()?, fields.nth(1)?);
        let is_wanted = match version {
            Version::V1 => fstype == b"cgroup" && lists(options, b"memory"),
            Version::V2 => fstype == b"cgroup2",
        };
        is_wanted.then(|| Mount { root: path_from(unescape(root)), point: path_from(unescape(point)) })
    })
}

/// Returns whether a comma-separated list holds `word`.
fn lists(list: &[u8], word: &[u8]) -> bool {
    list.split(|&byte| byte == b',').any(|item| item == word)
}

/// Returns the directory of the group. If the mount does not show it (`/../x`, outside the cgroup namespace),
/// the mount point stands for it.
fn directory(roots: &Roots, mount: &Mount, group: &Path) -> PathBuf {
    let point = at_roots(roots, &mount.point);
    match group.strip_prefix(&mount.root) {
        // Joining nothing would end the path with a slash.
        Ok(below) if below.as_os_str().is_empty() => point,
        Ok(below) if below.components().all(|part| matches!(part, std::path::Component::Normal(_))) => {
            point.join(below)
        }
        _ => point,
    }
}

/// Moves a mount point below `/sys/fs/cgroup` to the place of that in `roots`.
fn at_roots(roots: &Roots, point: &Path) -> PathBuf {
    match point.strip_prefix(Roots::default().cgroup) {
        Ok(below) => roots.cgroup.join(below),
        Err(_) => point.to_owned(),
    }
}

/// Returns the lowest limit from the group up to the mount point, both included.
fn tightest(own: &OwnGroup, version: Version) -> Option<u64> {
    own.with_parents()
        .filter_map(|directory| {
            limit(&bounded::read_to_string(&directory.join(version.limit_file()), MAX_VALUE_BYTES).ok()?)
        })
        .min()
}

/// Parses a limit. `max` is v2's word for none; v1 writes the largest multiple of the page size below 2^63.
fn limit(text: &str) -> Option<u64> {
    const LARGEST_PAGE: u64 = 1 << 16;
    const NONE_IN_V1: u64 = (1 << 63) - LARGEST_PAGE;
    text.trim().parse().ok().filter(|&bytes| bytes < NONE_IN_V1)
}

/// Decodes a path of mountinfo, which writes space, tab, newline and backslash as three octal digits
/// (`mangle` in `fs/proc_namespace.c`).
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        let escaped = match rest {
            [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..] => {
                Some(((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'), after))
            }
            _ => None,
        };
        let (byte, after) = escaped.unwrap_or((byte, after));
        path.push(byte);
        rest = after;
    }
    path
}

fn path_from(bytes: Vec<u8>) -> PathBuf {
    OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests;
