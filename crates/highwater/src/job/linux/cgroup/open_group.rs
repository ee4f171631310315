//! A group by its open directory: its files, and the processes directly in it (cgroups(7)).
//!
//! A path may come to name another group. The owner of the group above may rename this one (version 1), and root may mount
//! over the whole hierarchy.

use std::{
    ffi::{CStr, CString, OsStr},
    fs::File,
    io::{self, Write},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
};

use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, Stat, fstat, openat, statat};

use crate::bounded::{self, MAX_PID_LIST_BYTES, MAX_VALUE_BYTES};

/// A group that stays the same one whatever its path names.
#[derive(Debug)]
pub(crate) struct OpenGroup {
    directory: OwnedFd,
}

impl From<File> for OpenGroup {
    fn from(directory: File) -> Self {
        Self { directory: directory.into() }
    }
}

impl AsFd for OpenGroup {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}

impl OpenGroup {
    /// Opens the group at `path`, which need not be readable. No symbolic link is followed.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(Self { directory: openat(CWD, path, flags, Mode::empty())? })
    }

    /// Opens a file of the group for reading.
    pub(super) fn file(&self, name: &str) -> io::Result<File> {
        self.open_file(name, OFlags::RDONLY | OFlags::NONBLOCK)
    }

    /// Opens a file of the group for writing.
    pub(super) fn file_to_write(&self, name: &str) -> io::Result<File> {
        self.open_file(name, OFlags::WRONLY)
    }

    /// Opens a file of the group for both.
    pub(super) fn file_to_read_and_write(&self, name: &str) -> io::Result<File> {
        self.open_file(name, OFlags::RDWR)
    }

    fn open_file(&self, name: &str, flags: OFlags) -> io::Result<File> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(openat(&self.directory, name, flags, Mode::empty())?.into())
    }

    /// Reads a small file of the group.
    pub(super) fn text(&self, name: &str) -> io::Result<String> {
        let text = bounded::whole(self.file(name)?, MAX_VALUE_BYTES)?;
        String::from_utf8(text).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// Writes to a file of the group, in one write(2) as cgroupfs requires.
    pub(super) fn write(&self, name: &str, text: &str) -> io::Result<()> {
        self.file_to_write(name)?.write_all(text.as_bytes())
    }

    /// Returns whether no group lies below it: a directory has a link from each below it (`kernfs_refresh_inode`,
    /// fs/kernfs/inode.c).
    pub(super) fn has_no_groups(&self) -> bool {
        fstat(&self.directory).is_ok_and(|stat| stat.st_nlink <= 2)
    }

    /// Returns the processes directly in the group. 0 is one outside this pid namespace.
    pub(super) fn processes(&self) -> io::Result<Vec<u32>> {
        Ok(pids_in(&bounded::whole(self.file("cgroup.procs")?, MAX_PID_LIST_BYTES)?))
    }

    /// Moves process `pid` into the group. The kernel takes 0 for the writer, so no other process has this number.
    pub(super) fn admit(&self, pid: u32) -> io::Result<()> {
        if pid == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a process outside this pid namespace"));
        }
        self.write("cgroup.procs", &pid.to_string())
    }

    /// Moves this process into the group.
    pub(super) fn admit_self(&self) -> io::Result<()> {
        self.write("cgroup.procs", "0")
    }

    /// Moves all processes directly in the group that still live to the group `to`.
    pub(super) fn move_all(&self, to: &Self) -> io::Result<()> {
        for pid in self.processes()? {
            match to.admit(pid) {
                Err(error) if error.raw_os_error() != Some(libc::ESRCH) => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Finds the directory above and the name of the group there, which was `name` when it was made. `None` if it has been
    /// removed.
    pub(super) fn place(&self, name: &OsStr) -> io::Result<Option<(OwnedFd, CString)>> {
        let own = fstat(&self.directory)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let above = match openat(&self.directory, c"..", flags, Mode::empty()) {
            Ok(above) => above,
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        };
        let is_own = |name: &CStr| {
            statat(&above, name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|found| is_same(&found, &own))
        };
        let name = CString::new(name.as_bytes())?;
        if is_own(&name) {
            return Ok(Some((above, name)));
        }
        for entry in Dir::read_from(&above)? {
            let entry = entry?;
            if entry.ino() == own.st_ino && is_own(entry.file_name()) {
                return Ok(Some((above, entry.file_name().to_owned())));
            }
        }
        Ok(None)
    }
}

/// Returns whether two directories are one.
pub(super) fn is_same(one: &Stat, other: &Stat) -> bool {
    (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
}

fn pids_in(text: &[u8]) -> Vec<u32> {
    let lines = text.split(|&byte| byte == b'\n');
    lines.filter_map(|line| str::from_utf8(line).ok()?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn pids() {
        assert_eq!(pids_in(b"1\n0\n4194304\n"), [1, 0, 4_194_304]);
        assert_eq!(pids_in(b"\n-1\nx\n99999999999\n\xff\n7\n"), [7]);
    }

    #[test]
    fn zero_is_no_process() {
        let group = tempfile::tempdir().unwrap();
        let refused = OpenGroup::open(group.path()).unwrap().admit(0).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn a_group_that_was_renamed_is_found_and_its_successor_is_not_taken_for_it() {
        let above = tempfile::tempdir().unwrap();
        let path = above.path().join("highwater-1");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("memory.peak"), "7\n").unwrap();
        let group = OpenGroup::open(&path).unwrap();
        let place = || group.place(OsStr::new("highwater-1")).unwrap().map(|(_, name)| name);
        assert_eq!(place().as_deref(), Some(c"highwater-1"));
        fs::rename(&path, above.path().join("other")).unwrap();
        fs::create_dir(&path).unwrap();
        fs::write(path.join("memory.peak"), "9\n").unwrap();
        assert_eq!(place().as_deref(), Some(c"other"));
        assert_eq!(group.text("memory.peak").unwrap(), "7\n");
        fs::remove_dir_all(above.path().join("other")).unwrap();
        assert_eq!(place(), None);
    }

    #[test]
    fn a_link_is_no_group_and_no_file_of_one() {
        let tree = tempfile::tempdir().unwrap();
        let group = tree.path().join("group");
        fs::create_dir(&group).unwrap();
        std::os::unix::fs::symlink(&group, tree.path().join("link")).unwrap();
        std::os::unix::fs::symlink("/proc/version", group.join("memory.peak")).unwrap();
        assert!(OpenGroup::open(&tree.path().join("link")).is_err());
        assert!(OpenGroup::open(&group).unwrap().text("memory.peak").is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes(text in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..100)) {
            proptest::prop_assert!(pids_in(&text).len() <= text.len());
        }
    }
}
