//! Records that verbs are given, which another program may have written. Each possible fault has one clear line.

use std::{
    fmt,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use highwater::record::{ReadError, Record};

use crate::{
    files::InputFile,
    paths,
    store::{RecordReference, RecordStore},
    text::{self, advice},
};

/// The most bytes that are read of a record. A record has 100,000 processes at most, however many there were, with some
/// 770 bytes each: 80 MB. Reading takes at most about four times the length of a text, so a made-up one takes 1 GiB.
const MAX_RECORD_BYTES: u64 = 256 << 20;

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
    /// The reference names a record that is not kept, or cannot be found out.
    NotKept(String),
    /// The reference names several runs, and one is needed.
    Several(usize),
}

impl CannotRead {
    /// Returns whether there is no such file.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(&self.why, Why::Io(error) if error.kind() == io::ErrorKind::NotFound)
    }
}

impl fmt::Display for CannotRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", name(&self.file), self.reason())
    }
}

impl CannotRead {
    /// Returns the fault in words.
    pub(crate) fn reason(&self) -> String {
        let file = name(&self.file);
        match &self.why {
            Why::Io(error) if self.is_missing() && is_bare(&self.file) => {
                format!("{error}; nor is a record kept by this name (hwm list shows those that are)")
            }
            Why::Io(error) => format!("{error}{}", advice(error)),
            Why::NoRecord(error @ ReadError::Json(_)) => {
                format!("{error}; was it cut short, or is it no output of hwm run --json?")
            }
            Why::NoRecord(error) => error.to_string(),
            Why::Checkpoint => {
                "a checkpoint, its job had not ended; compare the record of a run that ended".to_owned()
            }
            Why::NotKept(why) => why.clone(),
            Why::Several(runs) => format!("these are {runs} runs; name one of them, as in {file}#1"),
        }
    }
}

/// A record that was named: a file of the user's, or one that is kept.
#[derive(Debug, Clone)]
pub(crate) struct RecordSource {
    pub(crate) file: PathBuf,
    /// The name that the user gave.
    pub(crate) name: PathBuf,
}

/// Returns the records that an argument names: a file, `-`, or a record that `hwm run --save` keeps. Such a record is
/// `@last`, `@last~1`, `@NAME`, and `NAME` if there is no such file. There is more than one if `--repeat` made several
/// runs.
pub(crate) fn find(argument: &Path) -> Result<Vec<RecordSource>, CannotRead> {
    let itself = || vec![RecordSource { file: argument.to_owned(), name: argument.to_owned() }];
    let text = argument.to_str().unwrap_or_default();
    let reference = RecordReference::parse(text);
    let is_marked = text.starts_with('@');
    if is_stdin(argument) || !is_marked && (reference.is_none() || fs::symlink_metadata(argument).is_ok()) {
        return Ok(itself());
    }
    let failed = |why: String| CannotRead { file: argument.to_owned(), why: Why::NotKept(why) };
    let Some(reference) = reference else {
        return Err(failed(
            "no name of a record; there are @last, @last~1, @NAME and @NAME#1 (hwm list shows them)"
                .to_owned(),
        ));
    };
    let set = match RecordStore::of_user().and_then(|kept| kept.find(&reference)) {
        Ok(set) => set,
        Err(_) if !is_marked => None,
        Err(error) => return Err(failed(format!("{error:#}"))),
    };
    let Some(set) = set else {
        let hint = "no such record is kept; hwm list shows those that are, hwm run --save keeps one";
        return if is_marked { Err(failed(hint.to_owned())) } else { Ok(itself()) };
    };
    let is_alone = set.runs.len() == 1;
    let wanted = set.runs.into_iter().filter(|(number, _)| reference.run.is_none_or(|run| run == *number));
    let found: Vec<RecordSource> = wanted
        .map(|(number, file)| {
            let numbered = is_alone || reference.run.is_some();
            let name = if numbered { text.to_owned() } else { format!("{text}#{number}") };
            RecordSource { file, name: name.into() }
        })
        .collect();
    if found.is_empty() { Err(failed("there is no run of this number".to_owned())) } else { Ok(found) }
}

/// Returns the one record that an argument names.
fn find_one(argument: &Path) -> Result<RecordSource, CannotRead> {
    let mut found = find(argument)?;
    match found.len() {
        1 => Ok(found.remove(0)),
        several => Err(CannotRead { file: argument.to_owned(), why: Why::Several(several) }),
    }
}

/// Reads the record that an argument names, also that of a job that is still running.
pub(crate) fn read(argument: &Path) -> Result<Record, CannotRead> {
    read_source(&find_one(argument)?)
}

/// Reads the record of a job that has ended, named by an argument; with the content of its file.
pub(crate) fn read_ended_with_content(argument: &Path) -> Result<(Record, Vec<u8>), CannotRead> {
    let (record, content) = read_source_with_content(&find_one(argument)?)?;
    Ok((ended(record, argument)?, content))
}

/// Reads all the records that an argument names, of jobs that have ended.
pub(crate) fn read_all_ended(argument: &Path) -> Result<Vec<(PathBuf, Record)>, CannotRead> {
    let sources = find(argument)?.into_iter();
    sources.map(|source| Ok((source.name.clone(), ended(read_source(&source)?, &source.name)?))).collect()
}

/// Reads a file, whatever else its name could mean.
pub(crate) fn read_file(file: &Path) -> Result<Record, CannotRead> {
    read_source(&RecordSource { file: file.to_owned(), name: file.to_owned() })
}

fn ended(record: Record, name: &Path) -> Result<Record, CannotRead> {
    if record.complete { Ok(record) } else { Err(CannotRead { file: name.to_owned(), why: Why::Checkpoint }) }
}

fn read_source(source: &RecordSource) -> Result<Record, CannotRead> {
    Ok(read_source_with_content(source)?.0)
}

fn read_source_with_content(source: &RecordSource) -> Result<(Record, Vec<u8>), CannotRead> {
    let failed = |why| CannotRead { file: source.name.clone(), why };
    let text = content(&source.file).map_err(|error| failed(Why::Io(error)))?;
    let record = Record::from_json(&text).map_err(|error| failed(Why::NoRecord(error)))?;
    Ok((record, text))
}

/// Returns whether the argument can be the name of a record rather than of a file.
fn is_bare(file: &Path) -> bool {
    file.to_str().is_some_and(|text| !text.contains('.') && RecordReference::parse(text).is_some())
}

/// Returns the name that messages use.
pub(crate) fn name(file: &Path) -> std::path::Display<'_> {
    if is_stdin(file) { Path::new("standard input").display() } else { file.display() }
}

fn content(file: &Path) -> io::Result<Vec<u8>> {
    if is_stdin(file) {
        return read_stream(stdin()?);
    }
    // `<(command)` of a shell is a descriptor, and its writer is known: it is waited for as with standard input.
    if paths::descriptor(file).is_some() {
        return read_stream(File::open(file)?);
    }
    match InputFile::open(file)? {
        #[cfg(unix)]
        InputFile::Pipe(pipe) => read_up_to(pipe, MAX_RECORD_BYTES),
        InputFile::Other(file) => read_stream(file),
    }
}

fn read_stream(file: File) -> io::Result<Vec<u8>> {
    if is_endless(&file)? {
        return Err(io::Error::other("a device, which holds no record"));
    }
    // The length of a pipe is 0.
    if file.metadata()?.len() > MAX_RECORD_BYTES {
        return Err(too_long(MAX_RECORD_BYTES));
    }
    read_up_to(file, MAX_RECORD_BYTES)
}

/// Reads all of it; fails once it is longer than `most` bytes.
fn read_up_to(file: impl Read, most: u64) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    file.take(most + 1).read_to_end(&mut text)?;
    if text.len() as u64 > most {
        return Err(too_long(most));
    }
    Ok(text)
}

fn too_long(most: u64) -> io::Error {
    io::Error::other(format!("longer than {}, which no record is", text::size(most)))
}

#[cfg(unix)]
fn stdin() -> io::Result<File> {
    use std::os::fd::AsFd;
    Ok(io::stdin().as_fd().try_clone_to_owned()?.into())
}

#[cfg(windows)]
fn stdin() -> io::Result<File> {
    use std::os::windows::io::AsHandle;
    Ok(io::stdin().as_handle().try_clone_to_owned()?.into())
}

/// Returns whether the file may never end, as `/dev/zero`. A terminal is not endless: its user ends the input.
#[cfg(unix)]
fn is_endless(file: &File) -> io::Result<bool> {
    use std::{io::IsTerminal, os::unix::fs::FileTypeExt};
    let kind = file.metadata()?.file_type();
    Ok((kind.is_char_device() || kind.is_block_device()) && !file.is_terminal())
}

#[cfg(not(unix))]
#[allow(clippy::unnecessary_wraps)] // There are no such files.
fn is_endless(_: &File) -> io::Result<bool> {
    Ok(false)
}

fn is_stdin(file: &Path) -> bool {
    file == Path::new("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_ends_is_given_up() {
        assert_eq!(read_up_to(&b"{}"[..], 2).unwrap(), b"{}");
        let error = read_up_to(io::repeat(b' '), 1 << 20).unwrap_err().to_string();
        assert!(error.contains("1.00 MiB") || error.contains("1.0 MiB"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn a_device_is_no_record() {
        let error = read_file(Path::new("/dev/zero")).unwrap_err().to_string();
        assert_eq!(error, "/dev/zero: a device, which holds no record");
    }
}
