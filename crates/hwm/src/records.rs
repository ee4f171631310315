//! Records that verbs are given, which somebody else may have written: one clear line for each thing that can be wrong.

use std::{
    fmt, fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use highwater::record::{ReadError, Record};

/// A file that is no record, or not the one that is needed.
#[derive(Debug)]
pub(crate) struct CannotRead {
    file: PathBuf,
    why: Why,
}

#[derive(Debug)]
enum Why {
    Io(io::Error),
    NoRecord(ReadError),
    Checkpoint,
}

impl CannotRead {
    /// There is no such file.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(&self.why, Why::Io(error) if error.kind() == io::ErrorKind::NotFound)
    }
}

impl fmt::Display for CannotRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = name(&self.file);
        match &self.why {
            Why::Io(error) => write!(f, "{file}: {error}"),
            Why::NoRecord(error @ ReadError::Json(_)) => {
                write!(f, "{file}: {error}; was it cut short, or is it no output of hwm run --json?")
            }
            Why::NoRecord(error) => write!(f, "{file}: {error}"),
            Why::Checkpoint => {
                write!(
                    f,
                    "{file}: a checkpoint, its job had not ended; compare the record of a run that ended"
                )
            }
        }
    }
}

/// Reads a record, that of a job that is still running too. `-` is standard input.
pub(crate) fn read(file: &Path) -> Result<Record, CannotRead> {
    let failed = |why| CannotRead { file: file.to_owned(), why };
    let text = content(file).map_err(|error| failed(Why::Io(error)))?;
    Record::from_json(&text).map_err(|error| failed(Why::NoRecord(error)))
}

/// Reads the record of a job that has ended.
pub(crate) fn read_ended(file: &Path) -> Result<Record, CannotRead> {
    let record = read(file)?;
    if record.complete { Ok(record) } else { Err(CannotRead { file: file.to_owned(), why: Why::Checkpoint }) }
}

/// What messages call it.
pub(crate) fn name(file: &Path) -> std::path::Display<'_> {
    if is_stdin(file) { Path::new("standard input").display() } else { file.display() }
}

fn content(file: &Path) -> io::Result<Vec<u8>> {
    if !is_stdin(file) {
        return fs::read(file);
    }
    let mut text = Vec::new();
    io::stdin().lock().read_to_end(&mut text)?;
    Ok(text)
}

fn is_stdin(file: &Path) -> bool {
    file == Path::new("-")
}
