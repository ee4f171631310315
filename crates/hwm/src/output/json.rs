//! The record as JSON, streamed: never held as one text.

use std::io::{self, Write};

use highwater::record::Record;
use serde::Serialize;

/// Writes the record and a newline.
pub(crate) fn write<P: Serialize>(record: &Record<P>, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer(&mut *out, record)?;
    out.write_all(b"\n")
}
