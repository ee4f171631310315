//! Messages of hwm itself, and texts that are printed.

use std::{
    fmt::Display,
    io::{self, Write},
};

use crate::{
    terminal,
    text::{self, advice, visible::escaped_json},
};

/// Prints one line on standard error, with control characters made visible. A closed standard error is no reason to
/// stop.
pub(crate) fn complain(message: impl Display) {
    let _ = writeln!(anstream::stderr(), "hwm: {}", text::printable(&message.to_string()));
}

/// Warns of a fault that does not touch the job's exit code.
pub(crate) fn warn(message: impl Display) {
    complain(format_args!("warning: {message}"));
}

/// Reports a failure that ends hwm, with its causes.
pub(crate) fn complain_of(error: &anyhow::Error) {
    complain(format_args!("{error:#}{}", advice(error.as_ref())));
}

/// Warns of an output that could not be written once the job was over.
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

/// The columns to use if standard error is no terminal.
const DEFAULT_TEXT_WIDTH: usize = 100;

/// Writes a text for people to standard error. As one write, so that it does not mix with what still-running processes
/// print.
pub(crate) fn print_to_stderr(write: impl FnOnce(usize, &mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut text = Vec::new();
    write(terminal::width_of_stderr().unwrap_or(DEFAULT_TEXT_WIDTH), &mut text)?;
    anstream::stderr().write_all(&text)
}

/// Prints a document and a newline, for people and programs.
pub(crate) fn print_json(document: &impl serde::Serialize) -> anyhow::Result<bool> {
    Ok(print(escaped_json(&(serde_json::to_string_pretty(document)? + "\n")).as_bytes())?)
}

/// Prints a document as one line.
pub(crate) fn print_json_line(document: &impl serde::Serialize) -> anyhow::Result<bool> {
    Ok(print(escaped_json(&(serde_json::to_string(document)? + "\n")).as_bytes())?)
}
