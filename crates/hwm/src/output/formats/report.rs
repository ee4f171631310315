//! A record in one format.

use std::{
    fmt::Debug,
    io::{self, Write},
};

use highwater::{job::Rows, record::Record};

/// A record in one format.
pub(crate) trait Report: Debug {
    /// Writes the whole of it.
    fn write(&self, record: &Record<Rows>, out: &mut dyn Write) -> io::Result<()>;

    /// Returns whether it is the record itself, which can be read back.
    fn is_record(&self) -> bool {
        false
    }
}
