//! A symbolic link whose owner and text are those of one inode.
//!
//! The owner of a directory can exchange two names at any moment (rename(2), `RENAME_EXCHANGE`). A second look-up by name
//! could then give the text of another link than the one whose owner was checked.

use std::{
    ffi::{OsStr, OsString},
    io,
    os::{fd::OwnedFd, unix::ffi::OsStringExt},
};

#[cfg(target_os = "linux")]
use rustix::fs::{Mode, OFlags, fstat, openat};
use rustix::{
    fs::{AtFlags, FileType, Stat, readlinkat, statat},
    io::Errno,
};

use super::entry::name_taken;

#[cfg(test)]
mod tests;

/// A link that was found in a directory.
#[derive(Debug)]
pub(super) struct Link<'a> {
    directory: &'a OwnedFd,
    name: &'a OsStr,
    #[cfg(target_os = "linux")]
    inode: OwnedFd,
    status: Stat,
}

impl<'a> Link<'a> {
    /// Finds the link of this name; `None` where the name is that of something else.
    pub(super) fn find(directory: &'a OwnedFd, name: &'a OsStr) -> Result<Option<Self>, Errno> {
        #[cfg(target_os = "linux")]
        let inode =
            openat(directory, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
        #[cfg(target_os = "linux")]
        let status = fstat(&inode)?;
        #[cfg(not(target_os = "linux"))]
        let status = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let is_link = FileType::from_raw_mode(status.st_mode) == FileType::Symlink;
        Ok(is_link.then_some(Self {
            directory,
            name,
            #[cfg(target_os = "linux")]
            inode,
            status,
        }))
    }

    /// Owner and identity of this link.
    pub(super) fn status(&self) -> &Stat {
        &self.status
    }

    /// Reads the text of this link, whatever its name stands for by now.
    #[cfg(target_os = "linux")]
    pub(super) fn target(&self) -> io::Result<OsString> {
        // The empty path is the descriptor itself (readlinkat(2)).
        Ok(OsString::from_vec(readlinkat(&self.inode, "", Vec::new())?.into_bytes()))
    }

    /// Reads the text of this link.
    ///
    /// # Errors
    /// Its name was given to another link in the meantime: macOS has no `O_PATH`.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn target(&self) -> io::Result<OsString> {
        let target = readlinkat(self.directory, self.name, Vec::new())?;
        self.check_name()?;
        Ok(OsString::from_vec(target.into_bytes()))
    }

    /// Refuses a link whose name stands for another one by now, or whose owner has changed.
    pub(super) fn check_name(&self) -> io::Result<()> {
        // A link that is renamed and put back has another time of change (inode(7)).
        let identity =
            |stat: &Stat| (stat.st_dev, stat.st_ino, stat.st_uid, stat.st_ctime, stat.st_ctime_nsec);
        let named = statat(self.directory, self.name, AtFlags::SYMLINK_NOFOLLOW)?;
        if identity(&named) == identity(&self.status) { Ok(()) } else { Err(name_taken()) }
    }
}
