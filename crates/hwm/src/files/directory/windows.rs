//! Directories of Windows.
//!
//! There are no sticky directories here, and making a symbolic link takes a privilege. A directory is known by its
//! final path, which has no links in it. Before each use the path is resolved again and must lead to itself.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File, OpenOptions},
    io,
    path::{Component, Path, PathBuf},
    time::SystemTime,
};

use super::super::{
    entry::{EntryKind, EntryStatus, FileIdentity, PinnedEntry, WritePosition},
    mode::NewFileMode,
};

/// A directory, by its final path.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
}

impl Directory {
    /// Opens an existing directory that the user named.
    pub(in crate::files) fn open(path: &Path) -> io::Result<Self> {
        let path = canonical(path)?;
        if !path.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Self { path })
    }

    /// Opens a directory that is named relative to this one.
    pub(in crate::files) fn open_from(&self, path: &Path) -> io::Result<Self> {
        Self::open(&self.path.join(path))
    }

    /// Opens an existing directory for files that hwm keeps.
    pub(crate) fn open_private(path: &Path) -> io::Result<Self> {
        Self::open(path)
    }

    /// Opens a directory for files that hwm keeps, and makes what is missing of its path.
    pub(crate) fn open_or_make_private(path: &Path) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        Self::open(path)
    }

    /// Makes a directory in this one.
    #[cfg(feature = "parquet")]
    pub(in crate::files) fn make(&self, name: &OsStr) -> io::Result<()> {
        fs::create_dir(self.entry(name)?)
    }

    /// Makes a directory in this one, and opens it.
    pub(crate) fn make_private(&self, name: &str) -> io::Result<Self> {
        let path = self.entry(OsStr::new(name))?;
        fs::create_dir(&path)?;
        Ok(Self { path })
    }

    /// Opens a directory in this one. A link is refused.
    pub(crate) fn open_child(&self, name: &OsStr) -> io::Result<Self> {
        let path = self.entry(name)?;
        if !fs::symlink_metadata(&path)?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Self::open(&path)
    }

    /// Returns the names of all entries.
    pub(crate) fn names(&self) -> io::Result<Vec<OsString>> {
        fs::read_dir(self.entry(OsStr::new(""))?)?.map(|entry| Ok(entry?.file_name())).collect()
    }

    /// Returns the time at which an entry changed last.
    pub(crate) fn modified(&self, name: &OsStr) -> io::Result<SystemTime> {
        fs::symlink_metadata(self.entry(name)?)?.modified()
    }

    /// Returns the path, for messages.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns a number made of the path: the standard library has no stable file index.
    #[allow(clippy::unnecessary_wraps)] // Unix may fail.
    pub(in crate::files) fn identity(&self) -> io::Result<FileIdentity> {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        self.path.hash(&mut hasher);
        Ok(FileIdentity { device: 0, inode: hasher.finish() })
    }

    /// Returns the entry of this name; `None` if there is none.
    pub(in crate::files) fn status(&self, name: &OsStr) -> io::Result<Option<EntryStatus>> {
        match fs::symlink_metadata(self.entry(name)?) {
            Ok(metadata) => Ok(Some(status(&metadata))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Windows has no permission bits.
    #[allow(clippy::unnecessary_wraps, clippy::unused_self)] // Unix has them.
    pub(in crate::files) fn inherited_mode(&self, _name: &OsStr) -> io::Result<Option<u32>> {
        Ok(None)
    }

    /// Finds the entry of this name, to write to it as it is.
    pub(in crate::files) fn pin(&self, name: &OsStr) -> io::Result<PinnedEntry> {
        let status = self.status(name)?.ok_or(io::ErrorKind::NotFound)?;
        Ok(PinnedEntry { status, _inode: None })
    }

    /// Does nothing: Windows has no sticky directories.
    #[allow(clippy::unnecessary_wraps, clippy::unused_self)] // Unix may fail.
    pub(in crate::files) fn check_in_place(&self, _entry: &File) -> io::Result<()> {
        Ok(())
    }

    /// Returns the target of the link of this name.
    pub(in crate::files) fn link_target(&self, name: &OsStr) -> io::Result<OsString> {
        Ok(fs::read_link(self.entry(name)?)?.into_os_string())
    }

    /// Returns why the entry cannot be replaced although files can be made in this directory.
    #[allow(clippy::unnecessary_wraps, clippy::unused_self)] // Unix has sticky directories.
    pub(in crate::files) fn refuses_to_replace(&self, _name: &OsStr) -> io::Result<Option<String>> {
        Ok(None)
    }

    /// Creates a file that was not there before.
    pub(in crate::files) fn create(
        &self,
        name: &OsStr,
        _mode: NewFileMode,
        position: WritePosition,
    ) -> io::Result<File> {
        let mut options = OpenOptions::new();
        match position {
            WritePosition::Start => options.write(true),
            WritePosition::End => options.append(true),
        };
        options.create_new(true).open(self.entry(name)?)
    }

    /// Opens an existing file for writing.
    pub(in crate::files) fn open_existing(&self, name: &OsStr, position: WritePosition) -> io::Result<File> {
        let mut options = OpenOptions::new();
        match position {
            WritePosition::Start => options.write(true),
            WritePosition::End => options.append(true),
        };
        options.open(self.entry(name)?)
    }

    /// Gives the file of one name another one, in place of a file that may have that.
    pub(in crate::files) fn rename(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        fs::rename(self.entry(from)?, self.entry(to)?)
    }

    /// Removes a file.
    pub(crate) fn remove(&self, name: &OsStr) -> io::Result<()> {
        fs::remove_file(self.entry(name)?)
    }

    /// Removes an empty directory.
    pub(crate) fn remove_directory(&self, name: &OsStr) -> io::Result<()> {
        fs::remove_dir(self.entry(name)?)
    }

    /// Returns the path of an entry.
    ///
    /// # Errors
    /// Fails if the directory is another one by now.
    fn entry(&self, name: &OsStr) -> io::Result<PathBuf> {
        if canonical(&self.path)? == self.path {
            return Ok(self.path.join(name));
        }
        Err(io::Error::other(format!("{} is another directory now", self.path.display())))
    }
}

/// Returns the status of an open file. Its identity is not known here.
pub(in crate::files) fn status_of(file: &File) -> io::Result<EntryStatus> {
    Ok(status(&file.metadata()?))
}

/// Does nothing: Windows has no permission bits.
#[allow(clippy::unnecessary_wraps)] // Unix may fail.
pub(in crate::files) fn set_mode(_file: &File, _mode: u32) -> io::Result<()> {
    Ok(())
}

/// Does nothing: writes wait here.
#[allow(clippy::unnecessary_wraps)] // Unix may fail.
pub(in crate::files) fn wait_when_full(_file: &File) -> io::Result<()> {
    Ok(())
}

/// Does nothing: what is neither file nor directory here (NUL, CON) takes what comes.
#[allow(clippy::unnecessary_wraps)] // Unix may fail.
pub(in crate::files) fn is_writable(_directory: &Directory, _name: &OsStr) -> io::Result<()> {
    Ok(())
}

fn status(metadata: &fs::Metadata) -> EntryStatus {
    let kind = match metadata.file_type() {
        kind if kind.is_symlink() => EntryKind::Link,
        kind if kind.is_dir() => EntryKind::Directory,
        kind if kind.is_file() => EntryKind::Regular,
        _ => EntryKind::Other,
    };
    EntryStatus { kind, identity: FileIdentity { device: 0, inode: 0 } }
}

/// Returns the final path. Some drives (RAM disks, some of networks; those of Wine beyond 260 letters) do not report
/// it. A path with the prefix `\\?\` may have any length, whatever program opens it.
fn canonical(dir: &Path) -> io::Result<PathBuf> {
    use std::path::Prefix;
    dir.canonicalize().or_else(|error| {
        if !dir.is_dir() {
            return Err(error);
        }
        let whole = std::path::absolute(dir)?;
        Ok(match whole.components().next() {
            Some(Component::Prefix(prefix)) if matches!(prefix.kind(), Prefix::Disk(_)) => {
                let mut long = OsString::from(r"\\?\");
                long.push(whole);
                long.into()
            }
            _ => whole,
        })
    })
}
