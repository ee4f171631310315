//! The job's own cgroup, whose peak the kernel itself keeps: a figure that is independent of the sums of RSS.
//!
//! It counts the memory that the kernel *charges* ([cgroup-v2.rst](https://docs.kernel.org/admin-guide/cgroup-v2.html),
//! "Memory"; [cgroup-v1/memory.rst](https://docs.kernel.org/admin-guide/cgroup-v1/memory.html)). That is anonymous
//! memory, page cache of files read and written, tmpfs and shared memory. Kernel memory is charged, too: stacks, page
//! tables, slab and socket buffers (in v1 as well, section 2.7.1). A shared page is charged once, to the group that
//! touched it first. So it includes neither files that other groups had cached already, nor memory of the command from
//! before it entered. Swap is not included (`memory.swap.*`, v1 `memsw`). Cache is dropped when memory is short, so the
//! job may run with less.
//!
//! The kernel charges up to 64 pages a CPU in advance (`MEMCG_CHARGE_BATCH`, mm/memcontrol.c), so the peak reads high
//! by as much. CPUs that raise it at the same moment may lose one such step (`page_counter_try_charge`,
//! `mm/page_counter.c`, racy on purpose).
//!
//! Existing limits still apply, since the group lies below the groups that have them. The job can see it:
//! `/proc/self/cgroup` names the group, and groups that the job itself makes lie below it.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    },
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};

pub(crate) use self::{
    charged::ChargedGroup,
    entry::{CgroupEntry, clone_into, enter},
    memory::{GroupMemory, anon_and_shared_bytes},
    surrounding::SurroundingGroup,
};
use self::{
    leaf::Stay,
    open_group::OpenGroup,
    place::{CgroupPlace, home_outside_jobs},
};
use super::{
    proc_dir::{ProcDir, ProcPath},
    scope::SystemdScope,
};
use crate::{
    Roots,
    cgroup::{Version, oom_kills_in, shown_path},
};

mod charged;
mod entry;
mod group_removal;
mod leaf;
mod left_over;
mod memory;
mod open_group;
mod place;
mod surrounding;
mod touched;

/// The group. It is also ended when dropped.
#[derive(Debug)]
pub(crate) struct JobGroup {
    /// Its path when it was made.
    path: PathBuf,
    version: Version,
    /// Its path in the hierarchy, as `/proc/PID/cgroup` shows it; `None` if it is not known.
    shown_path: Option<PathBuf>,
    /// The group of this process: remaining processes of the job are moved there at the end, where they would have been
    /// without it.
    home: OpenGroup,
    /// The open directory; its lock shows that the owner lives, see [`left_over`].
    directory: OpenGroup,
    /// The file into which a child writes itself (v1).
    tasks: Option<File>,
    ended: bool,
    /// The leaf to which this process had to move for the group, until all groups there have ended.
    _stay: Option<Stay>,
    /// The scope of the service manager in which it lies.
    scope: Option<SystemdScope>,
}

/// The reason why a job has no group of its own.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoGroup {
    /// This process may make none where it is.
    #[error("{0}")]
    NoPlace(String),
    /// There is a place for one, and it could not be made or has no peak.
    #[error("{0}")]
    Refused(String),
}

const NO_PEAK_KEPT: &str = "this kernel keeps no peak of a cgroup (memory.peak: Linux 5.19)";

impl JobGroup {
    /// Makes an empty group with the memory controller, or returns why none can be made. Groups that killed owners left
    /// behind in the same place are removed.
    pub(crate) fn make(roots: &Roots) -> Result<Self, NoGroup> {
        let place = CgroupPlace::find(roots).map_err(NoGroup::NoPlace)?;
        let (version, parent) = (place.version, place.parent.clone());
        left_over::sweep(&parent);
        let mut group = Self::at(roots, place).map_err(NoGroup::Refused)?;
        if group.peak_bytes().is_none() {
            return Err(NoGroup::Refused(group.without_peak()));
        }
        if version == Version::V1 {
            let tasks = group.directory.file_to_write("tasks");
            group.tasks = Some(tasks.map_err(|error| NoGroup::Refused(refused_below(&parent, &error)))?);
        }
        Ok(group)
    }

    /// Makes a group in a scope that the service manager is asked for, and moves the waiting `child`, which becomes
    /// `program`, into it.
    pub(crate) fn make_in_scope(roots: &Roots, program: &OsStr, child: u32) -> Result<Self, String> {
        let home = home_outside_jobs(roots)?;
        // The root of the hierarchy has neither file.
        if home.join("memory.current").exists() && !home.join("memory.peak").exists() {
            return Err(NO_PEAK_KEPT.to_owned());
        }
        let scope = SystemdScope::request(roots, program, child).map_err(|why| why.to_string())?;
        let parent = scope.directory().to_owned();
        let holder = scope.holder_pid();
        let place = CgroupPlace { version: Version::V2, parent: parent.clone(), home, stay: None };
        let mut group = Self::at(roots, place)?;
        group.scope = Some(scope);
        // Where processes are, controllers are not handed down: cgroups(7), "no internal processes".
        let leaf = parent.join(left_over::leaf_name());
        make_directory(&leaf)
            .and_then(|()| OpenGroup::open(&leaf)?.admit(holder))
            .and_then(|()| group.admit(child))
            .and_then(|()| OpenGroup::open(&parent)?.write("cgroup.subtree_control", "+memory"))
            .map_err(|error| refused_below(&parent, &error))?;
        if group.peak_bytes().is_none() {
            return Err(group.without_peak());
        }
        Ok(group)
    }

    /// Makes an empty group at `place`.
    fn at(roots: &Roots, place: CgroupPlace) -> Result<Self, String> {
        let CgroupPlace { version, parent, home, stay } = place;
        let home = OpenGroup::open(&home).map_err(|error| format!("{}: {error}", home.display()))?;
        let (path, directory) = make_locked(&parent).map_err(|error| refused_below(&parent, &error))?;
        Ok(Self {
            shown_path: shown_path(roots, version, &path),
            path,
            version,
            home,
            directory: directory.into(),
            tasks: None,
            ended: false,
            _stay: stay,
            scope: None,
        })
    }

    /// Moves the waiting child `pid` into the group if it was to start there and does not ([`clone_into`] was refused).
    ///
    /// In version 1 the child enters by itself later on, unless it `must_be_in` the group before it goes on.
    pub(crate) fn let_in(&self, pid: u32, must_be_in: bool) -> Result<(), String> {
        let is_in = || self.directory.processes().is_ok_and(|members| members.contains(&pid));
        if self.version == Version::V1 && !must_be_in || is_in() {
            return Ok(());
        }
        self.admit(pid).map_err(|error| error.to_string())
    }

    /// Returns the pid of a child of this process that keeps the group and is not part of the job.
    pub(crate) fn holder_pid(&self) -> Option<u32> {
        self.scope.as_ref().map(SystemdScope::holder_pid)
    }

    /// Moves process `pid` with all its threads into the group. The kernel waits for all of its CPUs meanwhile
    /// (`cgroup_attach_lock`, kernel/cgroup/cgroup.c), which takes 5 to 15 ms unless other processes are moved just
    /// then. Earlier charges of the process stay where they were.
    fn admit(&self, pid: u32) -> io::Result<()> {
        self.directory.admit(pid)
    }

    /// Returns the quick way in, some 15 us, for a child that is about to be forked.
    pub(crate) fn entry(&self) -> CgroupEntry<'_> {
        match &self.tasks {
            Some(tasks) => CgroupEntry::Write(tasks.as_fd()),
            None => CgroupEntry::Clone(self.directory()),
        }
    }

    fn directory(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }

    /// Returns the path of the group.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns whether process `pid` was moved to a group that does not lie in this one, and so is charged elsewhere.
    /// `None` if that is not known.
    pub(crate) fn has_left(&self, proc: &ProcDir, pid: u32) -> Option<bool> {
        is_charged_elsewhere(proc, pid, self.version, self.shown_path.as_deref()?)
    }

    /// Makes the kernel keep the charge below `bytes`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn limit(&self, bytes: u64) -> io::Result<()> {
        let file = match self.version {
            Version::V1 => "memory.limit_in_bytes",
            Version::V2 => "memory.max",
        };
        self.directory.write(file, &bytes.to_string())?;
        if self.version == Version::V2 {
            // The kernel then kills the whole job (Linux 4.19), and without this setting the largest process.
            let _ = self.directory.write("memory.oom.group", "1");
        }
        Ok(())
    }

    /// Returns the number of processes that the kernel killed because of a limit of this group.
    pub(crate) fn oom_kills(&self) -> Option<u64> {
        let file = match self.version {
            Version::V1 => "memory.oom_control", // `oom_kill`: Linux 4.13
            Version::V2 => "memory.events",
        };
        oom_kills_in(&self.directory.text(file).ok()?)
    }

    /// Returns the highest charge so far.
    pub(crate) fn peak_bytes(&self) -> Option<u64> {
        let file = match self.version {
            Version::V1 => "memory.max_usage_in_bytes",
            Version::V2 => "memory.peak", // Linux 5.19
        };
        self.directory.text(file).ok()?.trim().parse().ok()
    }

    /// Opens the files by which its memory is read while the job runs.
    pub(crate) fn memory(&self, proc: &ProcDir, sys: &Path) -> io::Result<GroupMemory> {
        GroupMemory::open(&self.directory, self.version, proc, sys)
    }

    /// Opens the file of its figures in which [`anon_and_shared_bytes`] finds them.
    pub(crate) fn stat_file(&self) -> io::Result<File> {
        self.directory.file("memory.stat")
    }

    /// Ends the group: survivors go to the group of this process, then it is removed. Empty groups that the job made
    /// inside are removed, too. If one of them still holds processes, everything stays for the next owner's sweep. Survivors
    /// in a scope stay there if this user may not move them, and the scope ends with them.
    pub(crate) fn remove(mut self) -> io::Result<()> {
        self.end()
    }

    fn end(&mut self) -> io::Result<()> {
        if std::mem::replace(&mut self.ended, true) {
            return Ok(());
        }
        let ended = left_over::end(&self.directory, self.path.file_name().unwrap_or_default(), &self.home);
        // The manager removes what is left of a scope.
        if self.scope.is_some() { Ok(()) } else { ended }
    }

    /// Returns why a new group has no peak.
    fn without_peak(&self) -> String {
        let parent = self.path.parent().unwrap_or(&self.path).display();
        if self.directory.file("memory.current").is_ok() {
            NO_PEAK_KEPT.to_owned()
        } else {
            format!("{parent}: groups made there do not get the memory controller")
        }
    }
}

impl Drop for JobGroup {
    fn drop(&mut self) {
        // The error cannot be reported any more; the next owner's sweep removes the rest.
        let _ = self.end();
    }
}

fn refused_below(parent: &Path, error: &io::Error) -> String {
    format!("{}: no group can be made there: {error}", parent.display())
}

/// Returns whether process `pid` is in no group at or below `own`, a path as `/proc/PID/cgroup` shows it. `None` if that is not
/// known.
fn is_charged_elsewhere(proc: &ProcDir, pid: u32, version: Version, own: &Path) -> Option<bool> {
    let mut text = Vec::new();
    let is_read = proc.read_into(ProcPath::of(pid, "cgroup"), &mut text);
    let text = str::from_utf8(&text).ok().filter(|_| is_read)?;
    // proc_cgroup(5): hierarchy:controllers:path
    let path = text.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (hierarchy, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let has_memory = match version {
            Version::V1 => controllers.split(',').any(|controller| controller == "memory"),
            Version::V2 => hierarchy == "0",
        };
        has_memory.then_some(path)
    })?;
    // Anywhere else a job may make a group of the same name.
    Some(!Path::new(path).starts_with(own))
}

/// Makes a new group and locks it. If another process was quicker to lock it, another name is tried.
fn make_locked(parent: &Path) -> io::Result<(PathBuf, File)> {
    let mut result = Err(io::ErrorKind::AlreadyExists.into());
    for name in left_over::names().take(100) {
        let path = parent.join(name);
        match make_directory(&path).and_then(|()| lock_new(&path)) {
            Ok(Some(directory)) => return Ok((path, directory)),
            Ok(None) => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::NotFound) => {
                result = Err(error);
            }
            Err(error) => return Err(error),
        }
    }
    result
}

/// Makes a directory that other users cannot open, and so cannot lock (flock(2)).
///
/// They may pass through it, as programs of the job that change their user read their limits there by name.
fn make_directory(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().mode(0o711).create(path)?;
    // mkdir(2) takes the umask away from the mode.
    fs::set_permissions(path, fs::Permissions::from_mode(0o711)).inspect_err(|_| {
        let _ = fs::remove_dir(path);
    })
}

/// Locks the directory of a new group. `None` if another process holds the lock, or has put a group of its own there, as the
/// owner of the group above may; nothing is left behind then.
fn lock_new(path: &Path) -> io::Result<Option<File>> {
    let locked = File::open(path)
        .map(|directory| {
            Some(directory)
                .filter(|open| is_own(open) && flock(open, FlockOperation::NonBlockingLockExclusive).is_ok())
        })
        // A sweep of another process may have removed it as left over.
        .map(|directory| directory.filter(|_| path.exists()));
    if !matches!(locked, Ok(Some(_))) {
        // It is refused while a process is in the group, which is not the job's then.
        let _ = fs::remove_dir(path);
    }
    locked
}

fn is_own(directory: &File) -> bool {
    directory.metadata().is_ok_and(|metadata| metadata.uid() == rustix::process::geteuid().as_raw())
}

#[cfg(test)]
mod tests;
