//! The record as JSON, streamed: it is never kept as one text.

use std::io::{self, Write};

use highwater::{job::Rows, record::Record};
use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

use super::report::Report;
use crate::text::visible::escaped_json;

/// The record as one line of JSON.
#[derive(Debug)]
pub(crate) struct JsonReport;

impl Report for JsonReport {
    fn write(&self, record: &Record<Rows>, out: &mut dyn Write) -> io::Result<()> {
        write(record, out)
    }

    fn is_record(&self) -> bool {
        true
    }
}

/// Writes the record and a newline.
pub(crate) fn write<P: Serialize>(record: &Record<P>, out: &mut dyn Write) -> io::Result<()> {
    write_line(record, out)
}

/// Writes a value over many lines, and a newline; nothing obeys the names in it.
pub(crate) fn write_pretty(value: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(escaped_json(&(serde_json::to_string_pretty(value)? + "\n")).as_bytes())
}

/// Writes a value on one line; nothing obeys the names in it.
pub(crate) fn write_line(value: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    value.serialize(&mut Serializer::with_formatter(&mut *out, Guarded))?;
    out.write_all(b"\n")
}

/// Compact, with escapes for what JSON leaves as it is and a terminal or a CI system would obey.
struct Guarded;

impl Formatter for Guarded {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        out.write_all(escaped_json(fragment).as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_terminal_obeys_a_line() {
        let mut out = Vec::new();
        write_line(&["a\u{9b}31m\"\u{202e}\x1b"], &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "[\"a\\u009b31m\\\"\\u202e\\u001b\"]\n");
    }
}
