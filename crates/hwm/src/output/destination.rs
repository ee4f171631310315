//! A place to write to, checked before the job starts.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};

use crate::paths;

/// Where one output goes.
#[derive(Debug)]
pub(crate) struct Destination {
    /// As the user named it, placeholders filled in.
    name: PathBuf,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// A regular file, there or not, replaced by rename so that it is always whole.
    Replace(PathBuf),
    /// A device, a pipe, or a file in a directory where none can be created: written in place.
    InPlace(PathBuf),
    /// A descriptor that we were given.
    Descriptor(i32, File),
}

impl Destination {
    /// Finds out whether `path` can be written to. Creates nothing that stays, changes nothing.
    pub(crate) fn check(option: &str, path: &Path) -> anyhow::Result<Self> {
        let named = || format!("{option} {}", path.display());
        let name = paths::expand(path).with_context(named)?;
        let kind = Kind::find(&name).with_context(named)?;
        Ok(Self { name, kind })
    }

    /// A file that we name ourselves.
    pub(crate) fn at(file: &Path) -> anyhow::Result<Self> {
        Ok(Self { name: file.to_owned(), kind: Kind::find(file)? })
    }

    /// Standard output.
    pub(crate) fn stdout() -> anyhow::Result<Self> {
        let kind = Kind::find(Path::new("/dev/stdout")).context("standard output")?;
        Ok(Self { name: "standard output".into(), kind })
    }

    /// The name for messages.
    pub(crate) fn name(&self) -> std::path::Display<'_> {
        self.name.display()
    }

    /// The name.
    pub(crate) fn path(&self) -> &Path {
        &self.name
    }

    /// Whether two outputs would overwrite each other.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.place().is_some_and(|place| other.place() == Some(place))
    }

    /// What no two outputs may have in common; `None` where they may, as a device.
    pub(crate) fn place(&self) -> Option<PathBuf> {
        match &self.kind {
            Kind::Replace(file) => Some(file.clone()),
            Kind::InPlace(file) => (!is_device(file)).then(|| file.clone()),
            Kind::Descriptor(number, _) => Some(format!("/dev/fd/{number}").into()),
        }
    }

    /// Whether it can be written again and again, each time as a whole.
    pub(crate) fn takes_checkpoints(&self) -> bool {
        matches!(self.kind, Kind::Replace(_))
    }

    /// The path, if it is that of a pipe (fifo(7)): opening it would wait for its reader.
    #[cfg(unix)]
    pub(crate) fn named_pipe(&self) -> Option<&Path> {
        use std::os::unix::fs::FileTypeExt;
        let Kind::InPlace(file) = &self.kind else { return None };
        fs::metadata(file).is_ok_and(|metadata| metadata.file_type().is_fifo()).then_some(file)
    }

    /// Writes the whole content.
    pub(crate) fn write(&self, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        match &self.kind {
            Kind::Replace(file) => replace(file, content),
            Kind::InPlace(file) => {
                fill(OpenOptions::new().write(true).truncate(true).open(file)?, content).map(drop)
            }
            Kind::Descriptor(_, file) => fill(file, content).map(drop),
        }
    }

    /// Opens for writing while the job runs. The content that was there goes with [`Self::begin`].
    pub(crate) fn open(&self) -> io::Result<File> {
        match &self.kind {
            Kind::Replace(file) => OpenOptions::new().write(true).create(true).truncate(false).open(file),
            Kind::InPlace(file) => OpenOptions::new().write(true).open(file),
            Kind::Descriptor(_, file) => file.try_clone(),
        }
    }

    /// Drops the former content of what [`Self::open`] opened; pipes and devices have none.
    pub(crate) fn begin(&self, file: &File) -> io::Result<()> {
        let regular = file.metadata()?.is_file() && !matches!(self.kind, Kind::Descriptor(..));
        if regular { file.set_len(0) } else { Ok(()) }
    }
}

impl Kind {
    fn find(name: &Path) -> anyhow::Result<Self> {
        if let Some(number) = paths::descriptor(name) {
            let file = duplicate(number).context("this descriptor is not open for writing")?;
            return Ok(Self::Descriptor(number, file));
        }
        let file = paths::resolve(name)?;
        let found = match fs::metadata(&file) {
            Ok(metadata) => Some(metadata),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        match found {
            Some(metadata) if metadata.is_dir() => bail!("it is a directory; name a file in it"),
            Some(metadata) if !metadata.is_file() => {
                // Not opened to try: opening a pipe waits for its reader.
                writable(&file).context("it cannot be written to")?;
                Ok(Self::InPlace(file))
            }
            found => {
                let exists = found.is_some();
                if exists {
                    OpenOptions::new().write(true).open(&file).context("it cannot be written to")?;
                }
                match beside(&file) {
                    Ok(_) => Ok(Self::Replace(file)),
                    Err(_) if exists => Ok(Self::InPlace(file)),
                    // The kind alone: the name of the temporary file would only puzzle.
                    Err(error) => bail!("no file can be created in its directory: {}", error.kind()),
                }
            }
        }
    }
}

/// A temporary file in the same directory, so that a rename can put it in place.
fn beside(file: &Path) -> io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".hwm-").suffix(".tmp");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // As any program creates files: the umask takes its part away.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(file.parent().unwrap_or(Path::new(".")))
}

fn replace(file: &Path, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut temporary = beside(file)?;
    fill(temporary.as_file_mut(), content)?;
    if let Ok(metadata) = fs::metadata(file) {
        temporary.as_file().set_permissions(metadata.permissions())?;
    }
    temporary.persist(file)?;
    Ok(())
}

fn fill<W: Write>(writer: W, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<W> {
    let mut buffered = BufWriter::with_capacity(64 * 1024, writer);
    let written = content(&mut buffered).and_then(|()| buffered.flush());
    // After an error what is left in the buffer must not be tried again on drop.
    let (writer, _) = buffered.into_parts();
    written.map(|()| writer)
}

/// Devices (`/dev/null`, a terminal) take what comes; nothing in them is overwritten.
#[cfg(unix)]
fn is_device(file: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    fs::metadata(file).is_ok_and(|metadata| metadata.file_type().is_char_device())
}

#[cfg(not(unix))]
fn is_device(_file: &Path) -> bool {
    false
}

#[cfg(unix)]
fn writable(file: &Path) -> io::Result<()> {
    use rustix::fs::{Access, AtFlags, CWD, accessat};
    Ok(accessat(CWD, file, Access::WRITE_OK, AtFlags::EACCESS)?)
}

#[cfg(not(unix))]
#[allow(clippy::unnecessary_wraps)] // What is neither file nor directory here (NUL, CON) takes what comes.
fn writable(_file: &Path) -> io::Result<()> {
    Ok(())
}

/// A duplicate: writing through it goes on where the descriptor stands, which opening its name would not.
#[cfg(unix)]
fn duplicate(number: i32) -> io::Result<File> {
    use std::os::fd::BorrowedFd;

    use rustix::fs::{OFlags, fcntl_getfl};
    // SAFETY: used only for the two calls below while nothing closes descriptors; the kernel answers EBADF for a
    // number that is not open, and the standard ones are always open in Rust programs.
    let fd = unsafe { BorrowedFd::borrow_raw(number) };
    if fcntl_getfl(fd)?.intersection(OFlags::RWMODE) == OFlags::RDONLY {
        return Err(rustix::io::Errno::BADF.into());
    }
    Ok(fd.try_clone_to_owned()?.into())
}

/// The same for the standard handles: others have no numbers here.
#[cfg(windows)]
fn duplicate(number: i32) -> io::Result<File> {
    use std::os::windows::io::AsHandle;
    let handle = match number {
        1 => io::stdout().as_handle().try_clone_to_owned(),
        2 => io::stderr().as_handle().try_clone_to_owned(),
        _ => Err(io::ErrorKind::Unsupported.into()),
    };
    Ok(handle?.into())
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn put(destination: &Destination, text: &str) -> io::Result<()> {
        destination.write(|out| out.write_all(text.as_bytes()))
    }

    #[test]
    fn checking_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let old = dir.path().join("old.json");
        fs::write(&old, "keep").unwrap();
        Destination::check("--json", &old).unwrap();
        Destination::check("--json", &dir.path().join("new.json")).unwrap();
        assert_eq!(fs::read_to_string(&old).unwrap(), "keep");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn replaces_whole_and_keeps_permissions_and_links() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("file"), dir.path().join("link"));
        fs::write(&file, "old and longer").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        symlink("file", &link).unwrap();
        put(&Destination::check("--json", &link).unwrap(), "new").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(link.is_symlink());
    }

    #[test]
    fn failed_write_leaves_the_old_content() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "old").unwrap();
        let destination = Destination::check("--json", &file).unwrap();
        let failed = destination.write(|out| {
            out.write_all(b"half")?;
            Err(io::Error::other("disk full"))
        });
        assert!(failed.is_err());
        assert_eq!(fs::read_to_string(&file).unwrap(), "old");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn refuses_what_cannot_be_written() {
        let dir = tempfile::tempdir().unwrap();
        for path in [dir.path().to_owned(), dir.path().join("no/x"), "/dev/fd/977".into(), "".into()] {
            assert!(Destination::check("--csv", &path).is_err(), "{path:?}");
        }
    }

    #[test]
    fn two_names_of_one_file_are_the_same() {
        let dir = tempfile::tempdir().unwrap();
        symlink("a", dir.path().join("b")).unwrap();
        let check = |name: &str| Destination::check("--csv", &dir.path().join(name)).unwrap();
        assert!(check("a").is_same(&check("b")));
        assert!(check("a").is_same(&check("./a")));
        assert!(!check("a").is_same(&check("c")));
        let null = || Destination::check("--csv", Path::new("/dev/null")).unwrap();
        assert!(!null().is_same(&null()));
    }

    #[test]
    fn full_device_is_an_error() {
        if !Path::new("/dev/full").exists() {
            return;
        }
        let full = Destination::check("--json", Path::new("/dev/full")).unwrap();
        assert!(!full.takes_checkpoints());
        assert_eq!(put(&full, "x").unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
}
