//! What a run leaves behind: each format writes to an `io::Write` and knows no files; a
//! [`Destination`](crate::files::Destination) knows the file and no format.

mod advice;
pub(crate) mod cell;
pub(crate) mod checkpoint;
pub(crate) mod ci;
pub(crate) mod comparison;
pub(crate) mod csv;
pub(crate) mod curve;
pub(crate) mod devices;
pub(crate) mod document;
pub(crate) mod export;
pub(crate) mod figure;
pub(crate) mod group_csv;
pub(crate) mod html;
pub(crate) mod json;
pub(crate) mod leaks;
pub(crate) mod listed;
pub(crate) mod privilege;
pub(crate) mod processes;
pub(crate) mod report;
pub(crate) mod summary;
pub(crate) mod table;
pub(crate) mod terminal;
pub(crate) mod text;
pub(crate) mod timeline;
pub(crate) mod view;
pub(crate) mod visible;

use std::{
    fmt::Display,
    io::{self, Write},
};

pub(crate) use advice::advice;

/// One line on standard error, with control characters made visible. A closed standard error is no reason to
/// stop.
pub(crate) fn complain(message: impl Display) {
    let _ = writeln!(anstream::stderr(), "hwm: {}", text::printable(&message.to_string()));
}

/// Something went wrong that does not touch the job's exit code.
pub(crate) fn warn(message: impl Display) {
    complain(format_args!("warning: {message}"));
}

/// A failure that ends hwm, with its causes.
pub(crate) fn complain_of(error: &anyhow::Error) {
    complain(format_args!("{error:#}{}", advice(error.as_ref())));
}

/// An output that could not be written once the job was over.
pub(crate) fn warn_unwritten(name: impl Display, error: &io::Error) {
    warn(format_args!("cannot write {name}: {error}{}", advice(error)));
}

/// Writes all of it to standard output. `false`: the reader has seen enough (`| head -1`), which is no failure.
pub(crate) fn print(text: &[u8]) -> io::Result<bool> {
    let mut stdout = anstream::stdout().lock();
    match stdout.write_all(text).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        other => other.map(|()| true),
    }
}

/// Columns to use where standard error is no terminal.
const WIDTH: usize = 100;

/// Writes a text for people to standard error. As one write, so that it does not mix with what still-running processes
/// print.
pub(crate) fn print_to_stderr(write: impl FnOnce(usize, &mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut text = Vec::new();
    write(terminal::width_of_stderr().unwrap_or(WIDTH), &mut text)?;
    anstream::stderr().write_all(&text)
}

/// A document and a newline, for people and programs.
pub(crate) fn print_json(document: &impl serde::Serialize) -> anyhow::Result<bool> {
    Ok(print(document::escaped(&(serde_json::to_string_pretty(document)? + "\n")).as_bytes())?)
}

/// A document as one line.
pub(crate) fn print_json_line(document: &impl serde::Serialize) -> anyhow::Result<bool> {
    Ok(print(document::escaped(&(serde_json::to_string(document)? + "\n")).as_bytes())?)
}
