//! Files of a CI system to which several programs append, such as that of `GITHUB_OUTPUT`.

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
};

use anyhow::{Context, bail};

use super::{
    destination::duplicate,
    directory::{status_of, wait_when_full},
    entry::{EntryKind, WritePosition},
    location::{Located, locate},
    mode::NewFileMode,
};

/// A file that is appended to.
#[derive(Debug)]
pub(crate) struct Appender {
    file: File,
}

impl Appender {
    /// Opens the file, and creates it if there is none.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let (location, status) = match locate(path)? {
            Located::Descriptor(number) => {
                let file = duplicate(number).context("this descriptor is not open for writing")?;
                return Ok(Self { file });
            }
            Located::File(location, status) => (location, status),
        };
        let file = match status {
            None => location.directory.create(&location.name, NewFileMode::Shared, WritePosition::End)?,
            Some(_) => location.directory.open_existing(&location.name, WritePosition::End)?,
        };
        location.directory.check_in_place(&file)?;
        // The identity is read from the open file: its name may be that of another file by now.
        match status_of(&file)?.kind {
            EntryKind::Regular | EntryKind::CharacterDevice => {}
            _ => bail!("it is no regular file"),
        }
        wait_when_full(&file)?;
        Ok(Self { file })
    }

    /// Appends the content as one write, since other programs append to the same file.
    pub(crate) fn append(&mut self, content: &[u8]) -> io::Result<()> {
        self.file.write_all(content)
    }
}
