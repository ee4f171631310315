//! What a run leaves behind: each format writes to an `io::Write` and knows no files; a [`Destination`] knows
//! the file and no format.

pub(crate) mod checkpoint;
pub(crate) mod ci;
pub(crate) mod comparison;
pub(crate) mod csv;
pub(crate) mod destination;
pub(crate) mod json;
pub(crate) mod listed;
pub(crate) mod summary;
pub(crate) mod text;
pub(crate) mod timeline;

use std::{fmt::Display, io::Write};

pub(crate) use destination::Destination;

/// One line on standard error, with control characters made visible. A closed standard error is no reason to
/// stop.
pub(crate) fn complain(message: impl Display) {
    let _ = writeln!(anstream::stderr(), "hwm: {}", text::printable(&message.to_string()));
}

/// Something went wrong that does not touch the job's exit code.
pub(crate) fn warn(message: impl Display) {
    complain(format_args!("warning: {message}"));
}
