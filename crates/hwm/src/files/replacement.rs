//! A new file that takes the place of another one, or of none, once its content is whole.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    hash::{BuildHasher, RandomState},
    io::{self, BufWriter, Write},
    mem,
    sync::Arc,
};

use super::{
    directory::{Directory, set_mode},
    entry::WritePosition,
    location::Location,
    mode::NewFileMode,
};

/// The start of the names of temporary files. A file that was left behind is recognised by its start and end.
pub(crate) const TEMPORARY_PREFIX: &str = ".hwm-";
/// See [`TEMPORARY_PREFIX`].
pub(crate) const TEMPORARY_SUFFIX: &str = ".tmp";
/// The number of names that are tried. A name that another user guessed is only passed over.
const MAX_ATTEMPTS: usize = 100;

/// A file under a temporary name, in the directory where its final name will be. It is removed unless it was put in place.
#[derive(Debug)]
pub(crate) struct Replacement {
    directory: Arc<Directory>,
    file: File,
    state: TemporaryName,
    name: OsString,
    mode: NewFileMode,
}

/// The name that the file has.
#[derive(Debug)]
enum TemporaryName {
    Temporary(OsString),
    Final,
}

impl Replacement {
    /// Creates the file.
    pub(super) fn create(location: &Location, mode: NewFileMode) -> io::Result<Self> {
        let mut attempts = 0;
        let (file, temporary) = loop {
            let temporary = temporary_name();
            match location.directory.create(&temporary, mode, WritePosition::Start) {
                Ok(file) => break (file, temporary),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && attempts < MAX_ATTEMPTS => {
                    attempts += 1;
                }
                Err(error) => return Err(error),
            }
        };
        Ok(Self {
            directory: location.directory.clone(),
            file,
            state: TemporaryName::Temporary(temporary),
            name: location.name.clone(),
            mode,
        })
    }

    /// Writes a whole content.
    pub(crate) fn write(&mut self, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        fill(&mut self.file, content).map(drop)
    }

    /// Returns the file, for content that grows.
    pub(crate) fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Puts the file in place. From then on it has its final name, and what is written to it shows there.
    pub(crate) fn put_in_place(&mut self) -> io::Result<()> {
        let TemporaryName::Temporary(temporary) = &self.state else { return Ok(()) };
        let replaced = self.directory.inherited_mode(&self.name)?;
        if let Some(mode) = self.mode.for_chmod(replaced) {
            set_mode(&self.file, mode)?;
        }
        self.directory.rename(temporary, &self.name)?;
        self.state = TemporaryName::Final;
        Ok(())
    }

    /// Waits until the content is on the disk, then puts the file in place. After a crash of the machine the name stands
    /// for the old or for the new content, never for an empty file.
    pub(crate) fn put_in_place_durably(&mut self) -> io::Result<()> {
        self.sync()?;
        self.put_in_place()
    }

    /// Puts the last content of a job in place. If the name is taken by now, the content stays under its temporary
    /// name. Another user may have made a file of that name in a sticky directory while the job ran.
    pub(super) fn put_in_place_or_keep(mut self) -> io::Result<()> {
        self.sync()?;
        let error = match self.put_in_place() {
            Err(error) if error.kind() != io::ErrorKind::NotFound => error,
            placed => return placed,
        };
        let TemporaryName::Temporary(name) = mem::replace(&mut self.state, TemporaryName::Final) else {
            return Err(error);
        };
        let kept = self.directory.path().join(name);
        Err(io::Error::new(error.kind(), format!("{error}; what was written is kept in {}", kept.display())))
    }

    fn sync(&self) -> io::Result<()> {
        match self.file.sync_all() {
            Err(error) if is_unsupported(&error) => Ok(()),
            synced => synced,
        }
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        if let TemporaryName::Temporary(name) = &self.state {
            // A file that cannot be removed stays, and is recognised by its name.
            let _ = self.directory.remove(name);
        }
    }
}

/// Returns whether the file system cannot sync: some have no disk behind them (fsync(2), EINVAL and EROFS).
fn is_unsupported(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported | io::ErrorKind::ReadOnlyFilesystem
    )
}

/// Returns a name that another user cannot foresee.
fn temporary_name() -> OsString {
    // The standard library takes its random state from the system.
    let random = RandomState::new().hash_one(std::process::id());
    OsStr::new(&format!("{TEMPORARY_PREFIX}{random:016x}{TEMPORARY_SUFFIX}")).to_owned()
}

/// Writes a content through a buffer; the writer, once all of it is written.
pub(super) fn fill<W: Write>(
    writer: W,
    content: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<W> {
    let mut buffered = BufWriter::with_capacity(64 * 1024, writer);
    let written = content(&mut buffered).and_then(|()| buffered.flush());
    // After an error the rest of the buffer must not be written again on drop.
    let (writer, _) = buffered.into_parts();
    written.map(|()| writer)
}
