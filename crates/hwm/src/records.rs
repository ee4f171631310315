//! Records that verbs are given, which somebody else may have written: one clear line for each thing that can be wrong.

use std::{
    fmt, fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use highwater::record::{ReadError, Record};

use crate::kept::{Kept, Reference};

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
    /// It names a record that is not kept, or cannot be found out.
    NotKept(String),
    /// It names several runs, and one is needed.
    Several(usize),
}

impl CannotRead {
    /// There is no such file.
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
    /// What is wrong with it.
    pub(crate) fn reason(&self) -> String {
        let file = name(&self.file);
        match &self.why {
            Why::Io(error) if self.is_missing() && is_bare(&self.file) => {
                format!("{error}; nor is a record kept by this name (hwm list shows those that are)")
            }
            Why::Io(error) => error.to_string(),
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
pub(crate) struct Source {
    pub(crate) file: PathBuf,
    /// As the user knows it.
    pub(crate) name: PathBuf,
}

/// The records that an argument names: a file, `-`, or what `hwm run --save` keeps (`@last`, `@last~1`, `@NAME`, and
/// `NAME` where there is no such file). More than one where `--repeat` made several runs.
pub(crate) fn find(argument: &Path) -> Result<Vec<Source>, CannotRead> {
    let itself = || vec![Source { file: argument.to_owned(), name: argument.to_owned() }];
    let text = argument.to_str().unwrap_or_default();
    let reference = Reference::parse(text);
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
    let set = match Kept::of_user().and_then(|kept| kept.find(&reference)) {
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
    let found: Vec<Source> = wanted
        .map(|(number, file)| {
            let numbered = is_alone || reference.run.is_some();
            let name = if numbered { text.to_owned() } else { format!("{text}#{number}") };
            Source { file, name: name.into() }
        })
        .collect();
    if found.is_empty() { Err(failed("there is no run of this number".to_owned())) } else { Ok(found) }
}

/// The one record that an argument names.
fn find_one(argument: &Path) -> Result<Source, CannotRead> {
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

/// Reads the record of a job that has ended, named by an argument.
pub(crate) fn read_ended(argument: &Path) -> Result<Record, CannotRead> {
    ended(read(argument)?, argument)
}

/// Reads all the records that an argument names, of jobs that have ended.
pub(crate) fn read_all_ended(argument: &Path) -> Result<Vec<(PathBuf, Record)>, CannotRead> {
    let sources = find(argument)?.into_iter();
    sources.map(|source| Ok((source.name.clone(), ended(read_source(&source)?, &source.name)?))).collect()
}

/// Reads a file, whatever else its name could mean.
pub(crate) fn read_file(file: &Path) -> Result<Record, CannotRead> {
    read_source(&Source { file: file.to_owned(), name: file.to_owned() })
}

fn ended(record: Record, name: &Path) -> Result<Record, CannotRead> {
    if record.complete { Ok(record) } else { Err(CannotRead { file: name.to_owned(), why: Why::Checkpoint }) }
}

fn read_source(source: &Source) -> Result<Record, CannotRead> {
    let failed = |why| CannotRead { file: source.name.clone(), why };
    let text = content(&source.file).map_err(|error| failed(Why::Io(error)))?;
    Record::from_json(&text).map_err(|error| failed(Why::NoRecord(error)))
}

/// Whether it looks like a name, and not like a file.
fn is_bare(file: &Path) -> bool {
    file.to_str().is_some_and(|text| !text.contains('.') && Reference::parse(text).is_some())
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
