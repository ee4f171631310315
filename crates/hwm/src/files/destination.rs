//! A place to write to, checked before the job starts.

use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, bail};

#[cfg(unix)]
use super::pipe::{self, OPEN_PATIENCE, PatientPipe};
use super::{
    directory::{Directory, is_writable, status_of},
    entry::{EntryKind, EntryStatus, FileIdentity, WritePosition},
    location::{ExistingFile, Located, Location, locate},
    mode::NewFileMode,
    replacement::{Replacement, fill},
};
use crate::paths;

const UNWRITABLE: &str = "it cannot be written to";
const UNCREATABLE: &str = "no file can be created in its directory";

/// The target of one output.
#[derive(Debug)]
pub(crate) struct Destination {
    /// The name that the user gave, placeholders filled in.
    name: PathBuf,
    target: Target,
}

#[derive(Debug)]
enum Target {
    /// A regular file, there or not, replaced by rename so that it is always whole.
    Replaced(Location, NewFileMode),
    /// A device, a pipe, or a file in a directory where none can be created: written in place.
    InPlace(ExistingFile),
    /// A descriptor that hwm was given.
    Descriptor(i32, File),
}

/// A place that only one output may write to.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) enum OutputPlace {
    /// The name in a directory.
    Entry(FileIdentity, std::ffi::OsString),
    Descriptor(i32),
}

impl Destination {
    /// Finds out whether `path` can be written to. Creates nothing that stays, changes nothing.
    pub(crate) fn check(option: &str, path: &Path, mode: NewFileMode) -> anyhow::Result<Self> {
        let named = || format!("{option} {}", path.display());
        let name = paths::expand(path).with_context(named)?;
        let target = Target::find(&name, mode).with_context(named)?;
        Ok(Self { name, target })
    }

    /// Returns a destination in a directory that is open already.
    pub(crate) fn in_directory(directory: Arc<Directory>, name: &str, mode: NewFileMode) -> Self {
        let path = directory.path().join(name);
        Self { name: path, target: Target::Replaced(Location { directory, name: name.into() }, mode) }
    }

    /// Returns standard output as a destination.
    pub(crate) fn stdout() -> anyhow::Result<Self> {
        let target =
            Target::find(Path::new("/dev/stdout"), NewFileMode::Private).context("standard output")?;
        Ok(Self { name: "standard output".into(), target })
    }

    /// Returns the name for messages.
    pub(crate) fn name(&self) -> std::path::Display<'_> {
        self.name.display()
    }

    /// Returns the name.
    pub(crate) fn path(&self) -> &Path {
        &self.name
    }

    /// Returns whether two outputs would overwrite each other.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.place().is_some_and(|place| other.place() == Some(place))
    }

    /// Returns the place that no other output may share; `None` if sharing is allowed, as with a device.
    pub(crate) fn place(&self) -> Option<OutputPlace> {
        let entry = |location: &Location| {
            Some(OutputPlace::Entry(location.directory.identity().ok()?, location.name.clone()))
        };
        match &self.target {
            Target::Replaced(location, _) => entry(location),
            Target::InPlace(file) if file.kind() == EntryKind::CharacterDevice => None,
            Target::InPlace(file) => entry(&file.location),
            Target::Descriptor(number, _) => Some(OutputPlace::Descriptor(*number)),
        }
    }

    /// Returns whether the content will stand in a file under this name.
    pub(crate) fn is_file(&self) -> bool {
        match &self.target {
            Target::Replaced(..) => true,
            Target::InPlace(file) => file.kind() == EntryKind::Regular,
            Target::Descriptor(..) => false,
        }
    }

    /// Writes the whole content.
    pub(crate) fn write(&self, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        match &self.target {
            Target::Replaced(location, mode) => {
                let mut replacement = Replacement::create(location, *mode)?;
                replacement.write(content)?;
                replacement.put_in_place_or_keep()
            }
            #[cfg(unix)]
            Target::InPlace(file) if file.kind() == EntryKind::NamedPipe => {
                fill(PatientPipe::new(file, OPEN_PATIENCE), content).map(drop)
            }
            Target::InPlace(file) => {
                let file = file.open()?;
                truncate(&file)?;
                fill(file, content).map(drop)
            }
            Target::Descriptor(_, file) => fill(file, content).map(drop),
        }
    }

    /// Begins to write a file that is put in place later; `None` where the content cannot be replaced as a whole.
    pub(crate) fn begin_replacement(&self) -> Option<io::Result<Replacement>> {
        match &self.target {
            Target::Replaced(location, mode) => Some(Replacement::create(location, *mode)),
            Target::InPlace(_) | Target::Descriptor(..) => None,
        }
    }

    /// Returns whether the content is replaced as a whole, so that something can be put there before the end.
    pub(crate) fn is_replaced(&self) -> bool {
        matches!(self.target, Target::Replaced(..))
    }

    /// Returns the time for which a reader may take nothing once the job is over; `None` without a bound. An output
    /// that hwm was given open, such as a pager's pipe or a terminal, is waited for as by any other program.
    #[cfg_attr(not(unix), allow(clippy::unused_self))]
    pub(crate) fn reader_patience(&self) -> Option<Duration> {
        #[cfg(unix)]
        if self.named_pipe().is_some() {
            return Some(pipe::READER_PATIENCE);
        }
        None
    }

    /// Returns the reason why the target took no data for [`Self::reader_patience`].
    #[cfg_attr(not(unix), allow(clippy::unused_self))]
    pub(crate) fn why_given_up(&self) -> io::Error {
        #[cfg(unix)]
        if let Some(pipe) = self.named_pipe() {
            return pipe::why_given_up(pipe);
        }
        io::ErrorKind::TimedOut.into()
    }

    /// Returns the target, if it is a named pipe: opening it would wait for its reader (fifo(7)).
    #[cfg(unix)]
    pub(crate) fn named_pipe(&self) -> Option<&ExistingFile> {
        match &self.target {
            Target::InPlace(file) if file.kind() == EntryKind::NamedPipe => Some(file),
            _ => None,
        }
    }

    /// Opens a target that is written in place. Its former content stays until [`Self::begin_in_place`].
    pub(crate) fn open_in_place(&self) -> io::Result<File> {
        match &self.target {
            Target::InPlace(file) => file.open(),
            Target::Descriptor(_, file) => file.try_clone(),
            Target::Replaced(..) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Drops the former content of a regular file that [`Self::open_in_place`] opened.
    pub(crate) fn begin_in_place(&self, file: &File) -> io::Result<()> {
        match self.target {
            Target::InPlace(_) => truncate(file),
            Target::Descriptor(..) | Target::Replaced(..) => Ok(()),
        }
    }
}

impl Target {
    fn find(name: &Path, mode: NewFileMode) -> anyhow::Result<Self> {
        let (location, status) = match locate(name)? {
            Located::Descriptor(number) => {
                let file = duplicate(number).context("this descriptor is not open for writing")?;
                return Ok(Self::Descriptor(number, file));
            }
            Located::File(location, status) => (location, status),
        };
        match status {
            None => match Replacement::create(&location, mode) {
                Ok(_) => Ok(Self::Replaced(location, mode)),
                Err(error) => Err(error).context(UNCREATABLE),
            },
            Some(EntryStatus { kind: EntryKind::Directory, .. }) => {
                bail!("it is a directory; name a file in it")
            }
            #[cfg(unix)]
            Some(EntryStatus { kind: EntryKind::Socket, .. }) => bail!("it is a socket; name a file"),
            Some(EntryStatus { kind: EntryKind::Regular, .. }) => {
                let opened = location.directory.open_existing(&location.name, WritePosition::Start);
                opened.context(UNWRITABLE)?;
                match Replacement::create(&location, mode) {
                    Ok(_) => {}
                    // This user may not write to the directory. In a directory that is only full the file may be that
                    // of another user.
                    Err(error) if is_refusal(&error) => return Self::in_place(location),
                    Err(error) => return Err(error).context(UNCREATABLE),
                }
                if let Some(reason) = location.directory.refuses_to_replace(&location.name)? {
                    bail!("{reason}");
                }
                Ok(Self::Replaced(location, mode))
            }
            Some(_) => {
                // It is not opened to try: opening a pipe waits for its reader.
                is_writable(&location.directory, &location.name).context(UNWRITABLE)?;
                Self::in_place(location)
            }
        }
    }

    fn in_place(location: Location) -> anyhow::Result<Self> {
        Ok(Self::InPlace(ExistingFile::pin(location).context(UNWRITABLE)?))
    }
}

/// Returns whether the directory takes no new file from this user.
fn is_refusal(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

/// Pipes and devices have no former content.
fn truncate(file: &File) -> io::Result<()> {
    if status_of(file)?.kind == EntryKind::Regular { file.set_len(0) } else { Ok(()) }
}

/// Duplicates a descriptor. Writing through it goes on at its position, which opening its name would not.
#[cfg(unix)]
pub(super) fn duplicate(number: i32) -> io::Result<File> {
    use std::os::fd::BorrowedFd;

    use rustix::fs::{OFlags, fcntl_getfl};
    // SAFETY: it is used only for the two calls below, while nothing closes descriptors. The kernel answers EBADF for a
    // number that is not open. The standard ones are always open in Rust programs.
    let fd = unsafe { BorrowedFd::borrow_raw(number) };
    if fcntl_getfl(fd)?.intersection(OFlags::RWMODE) == OFlags::RDONLY {
        return Err(rustix::io::Errno::BADF.into());
    }
    Ok(fd.try_clone_to_owned()?.into())
}

/// Duplicates a standard handle: other handles have no numbers here.
#[cfg(windows)]
pub(super) fn duplicate(number: i32) -> io::Result<File> {
    use std::os::windows::io::AsHandle;
    let handle = match number {
        1 => io::stdout().as_handle().try_clone_to_owned(),
        2 => io::stderr().as_handle().try_clone_to_owned(),
        _ => Err(io::ErrorKind::Unsupported.into()),
    };
    Ok(handle?.into())
}
