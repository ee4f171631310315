//! Directories of Linux and macOS.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::{OsStrExt, OsStringExt},
    },
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use rustix::{
    fs::{
        AtFlags, Dir, FileType, Mode, OFlags, RawMode, Stat, fcntl_getfl, fcntl_setfl, fstat, openat,
        renameat, statat, unlinkat,
    },
    io::Errno,
    process::geteuid,
};

use super::super::{
    entry::{EntryKind, EntryStatus, FileIdentity, PinnedEntry, WritePosition, name_taken},
    link::Link,
    mode::NewFileMode,
    trust::{self, LinkTrust},
    walk::{self, MissingDirectory},
};

/// A directory, by its descriptor.
#[derive(Debug)]
pub(crate) struct Directory {
    fd: OwnedFd,
    /// The path by which it was reached, for messages only.
    path: PathBuf,
}

impl Directory {
    /// Opens an existing directory that the user named.
    pub(in crate::files) fn open(path: &Path) -> io::Result<Self> {
        let (fd, path) = walk::open_directory(None, path, LinkTrust::StickyRule, MissingDirectory::Refuse)?;
        Ok(Self { fd, path })
    }

    /// Opens a directory that is named relative to this one.
    pub(in crate::files) fn open_from(&self, path: &Path) -> io::Result<Self> {
        let (fd, path) = walk::open_directory(
            Some((&self.fd, &self.path)),
            path,
            LinkTrust::StickyRule,
            MissingDirectory::Refuse,
        )?;
        Ok(Self { fd, path })
    }

    /// Opens an existing directory for files that hwm keeps.
    ///
    /// # Errors
    /// Fails if the directory belongs to neither this user nor root.
    pub(crate) fn open_private(path: &Path) -> io::Result<Self> {
        let (fd, path) = walk::open_directory(None, path, LinkTrust::OwnOrRoot, MissingDirectory::Refuse)?;
        Ok(Self { fd, path })
    }

    /// Opens a directory for files that hwm keeps, and makes the missing part of its path.
    ///
    /// # Errors
    /// Fails if the directory, or an existing part of its path, belongs to neither this user nor root.
    pub(crate) fn open_or_make_private(path: &Path) -> io::Result<Self> {
        let (fd, path) =
            walk::open_directory(None, path, LinkTrust::OwnOrRoot, MissingDirectory::MakePrivate)?;
        Ok(Self { fd, path })
    }

    /// Makes a directory in this one, as most programs do (0777, less the umask).
    #[cfg(feature = "parquet")]
    pub(in crate::files) fn make(&self, name: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::mkdirat(&self.fd, name, Mode::RWXU | Mode::RWXG | Mode::RWXO)?)
    }

    /// Makes a directory in this one, for its owner alone.
    pub(crate) fn make_private(&self, name: &str) -> io::Result<Self> {
        walk::make_private(&self.fd, OsStr::new(name))?;
        self.open_child(OsStr::new(name))
    }

    /// Opens a directory in this one. A link is refused.
    pub(crate) fn open_child(&self, name: &OsStr) -> io::Result<Self> {
        let fd = walk::open_child(&self.fd, name)?;
        Ok(Self { fd, path: self.path.join(name) })
    }

    /// Returns the names of all entries.
    pub(crate) fn names(&self) -> io::Result<Vec<OsString>> {
        // The descriptor may be one of O_PATH, which cannot be read.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let readable = openat(&self.fd, ".", flags, Mode::empty())?;
        let names = Dir::new(readable)?
            .map(|entry| entry.map(|entry| OsString::from_vec(entry.file_name().to_bytes().to_vec())));
        let names =
            names.filter(|name| !matches!(name.as_ref().map(|name| name.as_bytes()), Ok(b"." | b"..")));
        Ok(names.collect::<Result<_, Errno>>()?)
    }

    /// Returns the time at which an entry changed last.
    #[allow(clippy::unnecessary_fallible_conversions)] // The types differ between systems.
    pub(crate) fn modified(&self, name: &OsStr) -> io::Result<SystemTime> {
        let stat = statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(stat.st_mtime).unwrap_or(0)))
    }

    /// Returns the path, for messages.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns device and inode.
    pub(in crate::files) fn identity(&self) -> io::Result<FileIdentity> {
        Ok(identity(&fstat(&self.fd)?))
    }

    /// Returns the entry of this name; `None` if there is none.
    pub(in crate::files) fn status(&self, name: &OsStr) -> io::Result<Option<EntryStatus>> {
        match statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(status(&stat))),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Returns the permission bits that a file inherits when it replaces the entry of this name.
    ///
    /// They are those of a regular file of this user, in a directory that no other user can bring a file into.
    pub(in crate::files) fn inherited_mode(&self, name: &OsStr) -> io::Result<Option<u32>> {
        let stat = match statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        };
        let is_regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        // Another user may have made the second name (link(2)).
        let is_own = is_regular && stat.st_uid == geteuid().as_raw() && stat.st_nlink == 1;
        Ok((is_own && trust::is_exclusive(&fstat(&self.fd)?)).then(|| mode(&stat)))
    }

    /// Keeps the entry of this name, to write to it as it is.
    ///
    /// # Errors
    /// Fails if another user may have put it there.
    pub(in crate::files) fn pin(&self, name: &OsStr) -> io::Result<PinnedEntry> {
        #[cfg(target_os = "linux")]
        let (stat, inode) = {
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let entry = File::from(openat(&self.fd, name, flags, Mode::empty())?);
            (fstat(&entry)?, Some(entry.into()))
        };
        #[cfg(not(target_os = "linux"))]
        let (stat, inode) = (statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW)?, None);
        trust::check_in_place(&fstat(&self.fd)?, &stat)?;
        Ok(PinnedEntry { status: status(&stat), _inode: inode })
    }

    /// Refuses an open file of this directory that another user may have put there.
    pub(in crate::files) fn check_in_place(&self, entry: &File) -> io::Result<()> {
        trust::check_in_place(&fstat(&self.fd)?, &fstat(entry)?)
    }

    /// Returns the target of the link of this name, if it may be followed.
    pub(in crate::files) fn link_target(&self, name: &OsStr) -> io::Result<OsString> {
        let link = Link::find(&self.fd, name)?.ok_or_else(name_taken)?;
        if !trust::is_followed(LinkTrust::StickyRule, &fstat(&self.fd)?, link.status()) {
            return Err(trust::refused_link(&self.path.join(name), link.status()));
        }
        // The link's text is not the way to its target, which may be a pipe or in another mount namespace
        // (proc_pid_fd(5)).
        if walk::is_procfs(&self.fd) {
            return Err(io::Error::other(
                "it is a link of /proc; name the file that it leads to, or a descriptor as in /dev/fd/3",
            ));
        }
        link.target()
    }

    /// Returns why the entry cannot be replaced although files can be made in this directory. The sticky bit keeps the
    /// files of other users (unlink(2), EPERM).
    pub(in crate::files) fn refuses_to_replace(&self, name: &OsStr) -> io::Result<Option<String>> {
        let directory = fstat(&self.fd)?;
        let sticky = RawMode::try_from(libc::S_ISVTX).unwrap_or_default();
        let user = geteuid();
        if directory.st_mode & sticky == 0 || user.is_root() || directory.st_uid == user.as_raw() {
            return Ok(None);
        }
        let owner = statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW)?.st_uid;
        Ok((owner != user.as_raw()).then(|| {
            format!(
                "it belongs to another user (uid {owner}) and the directory is sticky; choose another name"
            )
        }))
    }

    /// Creates a file that was not there before.
    pub(in crate::files) fn create(
        &self,
        name: &OsStr,
        mode: NewFileMode,
        position: WritePosition,
    ) -> io::Result<File> {
        let mode = Mode::from_raw_mode(RawMode::try_from(mode.for_open()).unwrap_or(0o600));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | position.flags();
        Ok(openat(&self.fd, name, flags | OFlags::CLOEXEC, mode)?.into())
    }

    /// Opens an existing file for writing, and waits for nothing. A link is refused.
    pub(in crate::files) fn open_existing(&self, name: &OsStr, position: WritePosition) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | position.flags();
        Ok(openat(&self.fd, name, flags | OFlags::CLOEXEC, Mode::empty())?.into())
    }

    /// Opens an existing file for writing, and waits for the reader of a named pipe (fifo(7)). A link is refused.
    pub(in crate::files) fn open_waiting(&self, name: &OsStr) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NOCTTY | OFlags::CLOEXEC;
        Ok(openat(&self.fd, name, flags, Mode::empty())?.into())
    }

    /// Gives the file of one name another one, in place of a file that may have that.
    pub(in crate::files) fn rename(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        Ok(renameat(&self.fd, from, &self.fd, to)?)
    }

    /// Removes a file.
    pub(crate) fn remove(&self, name: &OsStr) -> io::Result<()> {
        Ok(unlinkat(&self.fd, name, AtFlags::empty())?)
    }

    /// Removes an empty directory.
    pub(crate) fn remove_directory(&self, name: &OsStr) -> io::Result<()> {
        Ok(unlinkat(&self.fd, name, AtFlags::REMOVEDIR)?)
    }
}

/// Returns the status of an open file.
pub(in crate::files) fn status_of(file: &File) -> io::Result<EntryStatus> {
    Ok(status(&fstat(file.as_fd())?))
}

/// Sets permission bits.
pub(in crate::files) fn set_mode(file: &File, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(mode))
}

/// Lets reads and writes wait.
pub(in crate::files) fn wait_when_full(file: &File) -> io::Result<()> {
    let flags = fcntl_getfl(file)?;
    Ok(fcntl_setfl(file, flags - OFlags::NONBLOCK)?)
}

/// Returns whether a file may be written to by this user, without opening it.
pub(in crate::files) fn is_writable(directory: &Directory, name: &OsStr) -> io::Result<()> {
    use rustix::fs::{Access, accessat};
    Ok(accessat(&directory.fd, name, Access::WRITE_OK, AtFlags::EACCESS)?)
}

fn status(stat: &Stat) -> EntryStatus {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => EntryKind::Regular,
        FileType::Directory => EntryKind::Directory,
        FileType::Symlink => EntryKind::Link,
        FileType::Fifo => EntryKind::NamedPipe,
        FileType::CharacterDevice => EntryKind::CharacterDevice,
        FileType::Socket => EntryKind::Socket,
        _ => EntryKind::Other,
    };
    EntryStatus { kind, identity: identity(stat) }
}

// The types differ between systems.
#[allow(clippy::useless_conversion)]
fn mode(stat: &Stat) -> u32 {
    u32::from(stat.st_mode)
}

// The types differ between systems.
#[allow(clippy::unnecessary_cast, clippy::cast_sign_loss)]
fn identity(stat: &Stat) -> FileIdentity {
    FileIdentity { device: stat.st_dev as u64, inode: stat.st_ino as u64 }
}

impl WritePosition {
    fn flags(self) -> OFlags {
        match self {
            Self::Start => OFlags::empty(),
            Self::End => OFlags::APPEND,
        }
    }
}
