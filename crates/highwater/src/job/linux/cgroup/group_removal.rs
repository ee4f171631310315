//! Removing a group with all groups below it, which the job may have nested deeper than any path can name (`PATH_MAX`).
//!
//! It goes from descriptor to descriptor, and keeps only the present one open: neither the depth of the tree nor its
//! width uses up the stack or the descriptors of this process.

use std::{
    ffi::{CStr, CString, OsStr},
    io,
    os::fd::{AsFd, OwnedFd},
    time::Instant,
};

use rustix::{
    fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, fstat, openat, unlinkat},
    io::Errno,
};

use super::open_group::{OpenGroup, is_same};

/// Deepest nesting that is followed. The names on the way down are kept, up to 255 bytes each (`NAME_MAX`).
const MAX_GROUP_DEPTH: usize = 1 << 16;

/// A group above the present one.
struct GroupAbove {
    /// The directory to which `..` must lead back.
    id: Stat,
    /// Name of the group in it that is being removed.
    name: CString,
}

/// Removes `group`, which was made as `name`, and the groups below it, lowest first.
///
/// It is refused (`EBUSY`) if one of them holds a process: rmdir(2) removes a cgroup with its files, but never with a
/// process. What is left at the `deadline` stays (`TimedOut`). No symbolic link is followed.
pub(super) fn remove(group: &OpenGroup, name: &OsStr, deadline: Instant) -> io::Result<()> {
    let Some((above, name)) = group.place(name)? else { return Ok(()) };
    remove_below(open(group, c".")?, deadline)?;
    Ok(unlinkat(above, &name, AtFlags::REMOVEDIR)?)
}

fn remove_below(top: OwnedFd, deadline: Instant) -> io::Result<()> {
    let mut levels: Vec<GroupAbove> = Vec::new();
    let mut present = top;
    loop {
        if let Some(name) = remove_children(&present, deadline)? {
            if levels.len() == MAX_GROUP_DEPTH {
                return Err(io::Error::other(format!("groups are nested more than {MAX_GROUP_DEPTH} deep")));
            }
            let below = open(&present, &name)?;
            levels.push(GroupAbove { id: fstat(&present)?, name });
            present = below;
        } else {
            let Some(GroupAbove { id: above, name }) = levels.pop() else { return Ok(()) };
            present = open(&present, c"..")?;
            // A directory that was moved meanwhile leads elsewhere, where nothing may be removed.
            if !is_same(&fstat(&present)?, &above) {
                return Err(io::Error::other("a group was moved while it was removed"));
            }
            unlinkat(&present, &name, AtFlags::REMOVEDIR)?;
        }
    }
}

/// Removes the groups in `directory` until one is not empty, and returns the name of that one.
fn remove_children(directory: &OwnedFd, deadline: Instant) -> io::Result<Option<CString>> {
    loop {
        let mut has_removed = false;
        for entry in Dir::read_from(directory)? {
            let entry = entry?;
            let name = entry.file_name();
            if !matches!(entry.file_type(), FileType::Directory | FileType::Unknown)
                || matches!(name.to_bytes(), b"." | b"..")
            {
                continue;
            }
            if Instant::now() >= deadline {
                return Err(io::ErrorKind::TimedOut.into());
            }
            match unlinkat(directory, name, AtFlags::REMOVEDIR) {
                Ok(()) => has_removed = true,
                // It holds groups or a process; directories of other filesystems may hold files.
                Err(Errno::BUSY | Errno::NOTEMPTY) => return Ok(Some(name.to_owned())),
                Err(Errno::NOENT | Errno::NOTDIR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        // Entries may be passed over while others are removed (readdir(3)).
        if !has_removed {
            return Ok(None);
        }
    }
}

fn open(directory: &impl AsFd, name: &CStr) -> io::Result<OwnedFd> {
    Ok(openat(directory, name, directory_flags(), Mode::empty())?)
}

fn directory_flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

#[cfg(test)]
pub(super) mod tests {
    use std::{fs, path::Path, time::Duration};

    use rustix::fs::{CWD, mkdirat};

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    /// Makes a chain of directories in `top`, with a name each that makes the whole far longer than `PATH_MAX`.
    pub(in super::super) fn nest(top: &Path, depth: usize) {
        let mut present = openat(CWD, top, directory_flags(), Mode::empty()).unwrap();
        for _ in 0..depth {
            mkdirat(&present, c"nested", Mode::RWXU).unwrap();
            present = open(&present, c"nested").unwrap();
        }
    }

    fn remove(group: &Path, deadline: Instant) -> io::Result<()> {
        super::remove(&OpenGroup::open(group)?, group.file_name().unwrap(), deadline)
    }

    fn group_in(parent: &Path) -> std::path::PathBuf {
        let group = parent.join("highwater-1");
        fs::create_dir(&group).unwrap();
        group
    }

    #[test]
    fn a_chain_longer_than_a_path_is_removed() {
        let parent = tempfile::tempdir().unwrap();
        let group = group_in(parent.path());
        nest(&group, 3_000);
        fs::create_dir(group.join("nested/beside")).unwrap();
        remove(&group, soon()).unwrap();
        assert!(!group.exists());
    }

    #[test]
    fn many_groups_on_each_level_are_removed() {
        let parent = tempfile::tempdir().unwrap();
        let group = group_in(parent.path());
        for number in 0..500 {
            fs::create_dir_all(group.join(format!("{number}/{}/deep", number % 7))).unwrap();
        }
        remove(&group, soon()).unwrap();
        assert!(!group.exists());
    }

    #[test]
    fn no_link_is_followed() {
        let parent = tempfile::tempdir().unwrap();
        let outside = parent.path().join("outside");
        fs::create_dir_all(outside.join("kept")).unwrap();
        let group = group_in(parent.path());
        std::os::unix::fs::symlink(&outside, group.join("link")).unwrap();
        assert!(remove(&group, soon()).is_err(), "a link is no group");
        let link = parent.path().join("highwater-2");
        std::os::unix::fs::symlink(&outside, &link).unwrap();
        assert!(remove(&link, soon()).is_err());
        assert!(outside.join("kept").exists() && link.is_symlink());
    }

    #[test]
    fn what_is_left_at_the_deadline_stays() {
        let parent = tempfile::tempdir().unwrap();
        let group = group_in(parent.path());
        nest(&group, 3);
        let error = remove(&group, Instant::now()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(group.join("nested/nested/nested").exists());
    }
}
