//! The resolution of a file name.

use std::{
    ffi::OsString,
    fs::File,
    io,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, bail};

use super::{
    directory::{Directory, status_of, wait_when_full},
    entry::{EntryKind, EntryStatus, MAX_LINKS, PinnedEntry, WritePosition, name_taken},
};
use crate::paths;

/// The object that a name stands for.
#[derive(Debug)]
pub(super) enum Located {
    /// A descriptor of this process: `/dev/stdout`, `/dev/fd/3`.
    Descriptor(i32),
    File(Location, Option<EntryStatus>),
}

/// A file name in a directory that is kept open.
#[derive(Debug, Clone)]
pub(super) struct Location {
    pub(super) directory: Arc<Directory>,
    pub(super) name: OsString,
}

/// Follows the links of a name, as far as they may be followed.
pub(super) fn locate(path: &Path) -> anyhow::Result<Located> {
    let mut directory: Option<Arc<Directory>> = None;
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        if let Some(number) = paths::descriptor(&path) {
            return Ok(Located::Descriptor(number));
        }
        let name = match path.components().next_back() {
            None => bail!("the file name is empty"),
            Some(Component::Normal(name)) => name.to_owned(),
            Some(_) => bail!("{} is a directory; name a file in it", path.display()),
        };
        let parent = parent(&path);
        let opened = match &directory {
            Some(from) => from.open_from(&parent),
            None => Directory::open(&parent),
        };
        let opened = opened
            .with_context(|| format!("the directory {} cannot be used; create it first", parent.display()))?;
        let location = Location { directory: Arc::new(opened), name };
        let status = location.directory.status(&location.name)?;
        if status.is_none_or(|status| status.kind != EntryKind::Link) {
            return Ok(Located::File(location, status));
        }
        path = PathBuf::from(location.directory.link_target(&location.name)?);
        directory = Some(location.directory);
    }
    bail!("too many symbolic links")
}

/// Makes a directory that the user named, unless it exists. Its parent must exist.
#[cfg(feature = "parquet")]
pub(crate) fn make_directory(path: &Path) -> io::Result<()> {
    let Some(name) = path.file_name() else { return Ok(()) };
    match Directory::open(&parent(path))?.make(name) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// A file that is opened in its place and not replaced. It is a device, a named pipe, or a file in a directory that
/// takes no new file.
#[derive(Debug, Clone)]
pub(crate) struct ExistingFile {
    pub(super) location: Location,
    entry: PinnedEntry,
}

impl ExistingFile {
    /// Keeps the file that has this name now.
    ///
    /// # Errors
    /// Fails if another user may have put it there.
    pub(super) fn pin(location: Location) -> io::Result<Self> {
        let entry = location.directory.pin(&location.name)?;
        Ok(Self { location, entry })
    }

    pub(super) fn kind(&self) -> EntryKind {
        self.entry.status.kind
    }

    /// Opens it for writing, without waiting for anything. Nothing is truncated. Writes to a named pipe do not wait, either.
    ///
    /// # Errors
    /// Fails if another file has its name by now.
    pub(super) fn open(&self) -> io::Result<File> {
        let file = self.location.directory.open_existing(&self.location.name, WritePosition::Start)?;
        self.verify(&file)?;
        if self.kind() != EntryKind::NamedPipe {
            wait_when_full(&file)?;
        }
        Ok(file)
    }

    /// Opens a named pipe, and waits until a program has it open for reading (fifo(7)). Writes wait for room.
    ///
    /// # Errors
    /// Fails if another file has its name by now.
    #[cfg(unix)]
    pub(super) fn open_for_reader(&self) -> io::Result<File> {
        let file = self.location.directory.open_waiting(&self.location.name)?;
        self.verify(&file)?;
        Ok(file)
    }

    fn verify(&self, opened: &File) -> io::Result<()> {
        let status = status_of(opened)?;
        let pinned = &self.entry.status;
        if (status.kind, status.identity) != (pinned.kind, pinned.identity) {
            return Err(name_taken());
        }
        Ok(())
    }
}
