//! Reading records that somebody else may have written, with one clear line for each thing that can be wrong.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use highwater::record::{ReadError, Record};

/// A file that cannot be compared.
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
        let file = self.file.display();
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

/// Reads the record of a job that has ended.
pub(crate) fn read(file: &Path) -> Result<Record, CannotRead> {
    let failed = |why| CannotRead { file: file.to_owned(), why };
    let text = fs::read(file).map_err(|error| failed(Why::Io(error)))?;
    let record = Record::from_json(&text).map_err(|error| failed(Why::NoRecord(error)))?;
    if record.complete { Ok(record) } else { Err(failed(Why::Checkpoint)) }
}
