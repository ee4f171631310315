//! The group that hwm runs in and shares with the job, where the job gets none of its own: in a container, whose cgroups are
//! read-only, or in a login session.
//!
//! All memory that the job's processes touch is charged to it, and so is that of other processes there, page cache and
//! kernel memory. So its high-water mark bounds the memory of the job from above, and proves nothing else. The mark is
//! never begun anew here, as others may read it.
//!
//! While only members and processes from before the job are in it, and these stand still, what its anonymous and shared
//! memory has risen since the start is the job's: as good as a pass over PSS, at the price of three small files.

use std::{collections::HashSet, fs::File, path::PathBuf};

use super::{
    super::proc_dir::{ProcDir, ProcPath},
    is_charged_elsewhere, left_over,
    memory::{number, parse},
    open_group::OpenGroup,
};
use crate::{
    Roots,
    bounded::read_kept,
    cgroup::{OwnGroup, Version, shown_path},
    process::linux::statm::Statm,
};

/// Most processes that are watched beside the job.
const MAX_NEIGHBORS: usize = 16;
/// Bytes, beside a share of the job's memory, by which the neighbors may have moved for a reading to count.
const NEIGHBOR_TOLERANCE_BYTES: u64 = 1 << 20;
const NEIGHBOR_TOLERANCE_DIVISOR: u64 = 64;

/// The group.
#[derive(Debug)]
pub(crate) struct SurroundingGroup {
    version: Version,
    /// Its path in the hierarchy, as `/proc/PID/cgroup` shows it.
    shown_path: PathBuf,
    mark: File,
    bound: ChargeBound,
    directory: OpenGroup,
    /// `None` if they are too many, or cannot all be seen.
    neighbors: Option<Neighbors>,
}

/// The processes that were in the group before the job, this one among them.
#[derive(Debug)]
struct Neighbors {
    stat: File,
    pids: Vec<u32>,
    /// Their anonymous memory when the job began, in bytes.
    anon: u64,
    /// Anonymous and shared memory of the group then, in bytes.
    charged: u64,
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
    pub(crate) fn find(roots: &Roots, proc: &ProcDir) -> Option<Self> {
        let (own, version) = OwnGroup::with_memory(roots)?;
        // The outer hwm begins the mark of its job's group anew at each reading.
        if version == Version::V1 && own.with_parents().any(left_over::is_job_group) {
            return None;
        }
        let group = OpenGroup::open(own.group()).ok()?;
        // In a container that was entered from outside, the mount may show only other groups.
        let pids = group.processes().ok()?;
        if !pids.contains(&std::process::id()) {
            return None;
        }
        // Version 1 leaves out processes outside this pid namespace (`pidlist_array_load`, kernel/cgroup/cgroup-v1.c). A
        // group that is mounted as the root of its hierarchy was made for the container.
        let lists_all = version == Version::V2 || own.with_parents().nth(1).is_none();
        let pids = lists_all.then_some(pids);
        Self::open(group, version, shown_path(roots, version, own.group())?, pids, proc)
    }

    fn open(
        directory: OpenGroup,
        version: Version,
        shown_path: PathBuf,
        pids: Option<Vec<u32>>,
        proc: &ProcDir,
    ) -> Option<Self> {
        let mark = directory
            .file(match version {
                Version::V1 => "memory.max_usage_in_bytes",
                // Linux 5.19. The root of the hierarchy has none.
                Version::V2 => "memory.peak",
            })
            .ok()?;
        let bound = ChargeBound::Holds(number(&mark)?);
        let neighbors = pids.and_then(|pids| Neighbors::begin(&directory, version, pids, proc));
        Some(Self { version, shown_path, mark, bound, directory, neighbors })
    }

    /// Returns the anonymous and shared memory of the job, if no other process can have changed that of the group since the
    /// job began. `members` are the pids of all its processes.
    pub(crate) fn memory_of_job(&self, proc: &ProcDir, members: &HashSet<u32>) -> Option<u64> {
        let neighbors = self.neighbors.as_ref().filter(|_| self.bound != ChargeBound::Lost)?;
        let charged = charged(&neighbors.stat, self.version)?;
        let is_known = |pid| members.contains(pid) || neighbors.pids.contains(pid);
        if !self.directory.has_no_groups() || !self.directory.processes().ok()?.iter().all(is_known) {
            return None;
        }
        let anon = anon_of(&neighbors.pids, proc)?;
        let risen = anon.saturating_sub(neighbors.anon);
        let job = charged.checked_sub(neighbors.charged)?.checked_sub(risen)?;
        let tolerance = job / NEIGHBOR_TOLERANCE_DIVISOR + NEIGHBOR_TOLERANCE_BYTES;
        (anon.abs_diff(neighbors.anon) <= tolerance).then_some(job)
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

impl Neighbors {
    fn begin(directory: &OpenGroup, version: Version, pids: Vec<u32>, proc: &ProcDir) -> Option<Self> {
        let stat = directory.file("memory.stat").ok()?;
        let is_seen = pids.len() <= MAX_NEIGHBORS && directory.has_no_groups();
        let anon = if is_seen { anon_of(&pids, proc)? } else { return None };
        Some(Self { charged: charged(&stat, version)?, stat, pids, anon })
    }
}

/// Reads the anonymous and shared memory of a group.
fn charged(stat: &File, version: Version) -> Option<u64> {
    let mut text = Vec::new();
    read_kept(stat, &mut text)?;
    parse(&text, version).map(|(reading, _)| reading.anon_and_shmem())
}

/// Reads the anonymous memory of processes. One that has exited holds none; one outside this pid namespace is unknown.
fn anon_of(pids: &[u32], proc: &ProcDir) -> Option<u64> {
    let page_size = rustix::param::page_size() as u64;
    let mut text = Vec::new();
    let mut anon = |&pid: &u32| {
        if pid == 0 {
            return None;
        }
        if !proc.read_into(ProcPath::of(pid, "statm"), &mut text) {
            return Some(0);
        }
        let statm = Statm::parse(&text)?;
        Some(statm.resident_pages.saturating_sub(statm.shared_pages) * page_size)
    };
    pids.iter().map(&mut anon).sum()
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    fn group_with(directory: &Path, mark: u64) -> SurroundingGroup {
        fs::write(directory.join("memory.peak"), format!("{mark}\n")).unwrap();
        open(directory, Version::V2).unwrap()
    }

    fn open(directory: &Path, version: Version) -> Option<SurroundingGroup> {
        let group = OpenGroup::open(directory).unwrap();
        let pids = Some(vec![std::process::id()]);
        SurroundingGroup::open(group, version, "/a".into(), pids, &ProcDir::of_this_machine())
    }

    #[test]
    fn what_the_group_rose_by_is_the_jobs_while_it_is_alone() {
        const MIB: u64 = 1 << 20;
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
        let hold = |mib: u64| {
            write("memory.stat", &format!("anon {}\nfile {MIB}\nshmem {MIB}\npgfault 1\n", mib * MIB));
        };
        let hwm = std::process::id();
        hold(9);
        let mut group = group_with(directory.path(), 100);
        let proc = ProcDir::of_this_machine();
        let members = HashSet::from([hwm + 1, hwm + 2]);
        let memory = |group: &SurroundingGroup| group.memory_of_job(&proc, &members);
        write("cgroup.procs", &format!("{hwm}\n{}\n", hwm + 2));
        hold(10_009);
        // This process may grow a little beside this test.
        let bytes = memory(&group).unwrap();
        assert!(bytes.abs_diff(10_000 * MIB) <= 100 * MIB, "{bytes}");
        write("cgroup.procs", &format!("{hwm}\n{}\n{}\n", hwm + 2, hwm + 3));
        assert_eq!(memory(&group), None, "another process came");
        write("cgroup.procs", &format!("{hwm}\n0\n"));
        assert_eq!(memory(&group), None, "another process came from outside the container");
        write("cgroup.procs", &format!("{hwm}\n"));
        assert!(memory(&group).is_some());
        hold(5);
        assert_eq!(memory(&group), None, "memory from before the job is gone");
        hold(10_009);
        assert!(memory(&group).is_some());
        group.lose();
        assert_eq!(memory(&group), None, "a member is charged elsewhere");
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
        assert!(open(directory.path(), Version::V1).is_none());
    }
}
