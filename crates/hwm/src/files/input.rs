//! Files that are read. Another user may put a named pipe in their place at any moment, and opening it would wait.

use std::{fs::File, io, path::Path};

#[cfg(unix)]
use super::pipe::PatientReader;

/// A file that was opened to be read.
#[derive(Debug)]
pub(crate) enum InputFile {
    #[cfg(unix)]
    Pipe(PatientReader),
    Other(File),
}

impl InputFile {
    /// Opens a file, and waits for nothing. Its kind is that of the open file: the name may be that of another one by now.
    #[cfg(unix)]
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};

        use super::directory::wait_when_full;

        // Without O_NONBLOCK a named pipe would wait for its writer (fifo(7)).
        let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
        let file = File::options().read(true).custom_flags(flags).open(path)?;
        if file.metadata()?.file_type().is_fifo() {
            return Ok(Self::Pipe(PatientReader::new(file)));
        }
        wait_when_full(&file)?;
        Ok(Self::Other(file))
    }

    #[cfg(not(unix))]
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        File::open(path).map(Self::Other)
    }

    /// Returns the file, unless it is a named pipe.
    #[cfg_attr(not(unix), allow(clippy::unnecessary_wraps))] // Unix has named pipes.
    pub(crate) fn unless_pipe(self) -> Option<File> {
        match self {
            #[cfg(unix)]
            Self::Pipe(_) => None,
            Self::Other(file) => Some(file),
        }
    }
}
