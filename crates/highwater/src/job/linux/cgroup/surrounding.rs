//! The group that hwm runs in and shares with the job, where the job gets none of its own: in a container, whose cgroups are
//! read-only, or in a login session.
//!
//! All memory that the job's processes touch is charged to it, and so is that of other processes there, page cache and
//! kernel memory. So its high-water mark bounds the memory of the job from above, and proves nothing else. The mark is
//! never begun anew here, as others may read it.

use std::{fs::File, path::PathBuf};

use super::{
    super::proc_dir::ProcDir, is_charged_elsewhere, left_over, memory::number, open_group::OpenGroup,
};
use crate::{
    Roots,
    cgroup::{OwnGroup, Version, shown_path},
};

/// The group.
#[derive(Debug)]
pub(crate) struct SurroundingGroup {
    version: Version,
    /// Its path in the hierarchy, as `/proc/PID/cgroup` shows it.
    shown_path: PathBuf,
    mark: File,
    bound: ChargeBound,
}

/// The bound that its mark is for the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ChargeBound {
    /// The highest charge up to the last reading, in bytes.
    Holds(u64),
    /// Another process began the mark anew (version 1), or a member is charged elsewhere.
    Lost,
}

impl SurroundingGroup {
    /// Finds the group, if this process is seen to be in it.
    pub(crate) fn find(roots: &Roots) -> Option<Self> {
        let (own, version) = OwnGroup::with_memory(roots)?;
        // The outer hwm begins the mark of its job's group anew at each reading.
        if version == Version::V1 && own.with_parents().any(left_over::is_job_group) {
            return None;
        }
        let group = OpenGroup::open(own.group()).ok()?;
        // In a container that was entered from outside, the mount may show only other groups.
        if !group.processes().ok()?.contains(&std::process::id()) {
            return None;
        }
        Self::open(&group, version, shown_path(roots, version, own.group())?)
    }

    fn open(group: &OpenGroup, version: Version, shown_path: PathBuf) -> Option<Self> {
        let mark = group
            .file(match version {
                Version::V1 => "memory.max_usage_in_bytes",
                // Linux 5.19. The root of the hierarchy has none.
                Version::V2 => "memory.peak",
            })
            .ok()?;
        let bound = ChargeBound::Holds(number(&mark)?);
        Some(Self { version, shown_path, mark, bound })
    }

    /// Reads the mark.
    pub(crate) fn read(&mut self) {
        let ChargeBound::Holds(before) = self.bound else { return };
        self.bound = match number(&self.mark) {
            Some(mark) if mark >= before => ChargeBound::Holds(mark),
            _ => ChargeBound::Lost,
        };
    }

    /// Returns whether process `pid` is charged to another group; `None` if that is not known.
    pub(crate) fn has_left(&self, proc: &ProcDir, pid: u32) -> Option<bool> {
        is_charged_elsewhere(proc, pid, self.version, &self.shown_path)
    }

    /// Notes that a member is charged to another group.
    pub(crate) fn lose(&mut self) {
        self.bound = ChargeBound::Lost;
    }

    /// Reads the mark for the last time. Returns the most that was charged for the job and all others in the group.
    pub(crate) fn end(mut self) -> Option<u64> {
        self.read();
        match self.bound {
            ChargeBound::Holds(bytes) => Some(bytes),
            ChargeBound::Lost => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    fn group_with(directory: &Path, mark: u64) -> SurroundingGroup {
        fs::write(directory.join("memory.peak"), format!("{mark}\n")).unwrap();
        let group = OpenGroup::open(directory).unwrap();
        SurroundingGroup::open(&group, Version::V2, "/a".into()).unwrap()
    }

    #[test]
    fn the_highest_charge_is_the_bound() {
        let directory = tempfile::tempdir().unwrap();
        let mut group = group_with(directory.path(), 100);
        group.read();
        fs::write(directory.path().join("memory.peak"), "300\n").unwrap();
        assert_eq!(group.end(), Some(300));
        assert_eq!(fs::read_to_string(directory.path().join("memory.peak")).unwrap(), "300\n", "never reset");
    }

    #[test]
    fn a_mark_that_was_begun_anew_is_no_bound() {
        let directory = tempfile::tempdir().unwrap();
        let mut group = group_with(directory.path(), 100);
        fs::write(directory.path().join("memory.peak"), "50\n").unwrap();
        group.read();
        fs::write(directory.path().join("memory.peak"), "300\n").unwrap();
        assert_eq!(group.end(), None);
        let mut group = group_with(directory.path(), 100);
        group.lose();
        group.read();
        assert_eq!(group.end(), None, "a member was charged elsewhere");
    }

    #[test]
    fn a_group_without_a_mark_is_no_bound() {
        let directory = tempfile::tempdir().unwrap();
        let group = OpenGroup::open(directory.path()).unwrap();
        assert!(SurroundingGroup::open(&group, Version::V1, "/a".into()).is_none());
    }
}
