//! The writer of CSV: the crate's, with errors as the other formats have them.

use std::io::{self, Write};

use serde::Serialize;

/// A table of CSV that is being written.
pub(super) struct CsvTable<W: Write>(csv::Writer<W>);

impl<W: Write> CsvTable<W> {
    /// Begins with the line of headers.
    pub(super) fn begin(out: W, header: &[&str]) -> io::Result<Self> {
        let mut table = Self(csv::WriterBuilder::new().has_headers(false).from_writer(out));
        table.0.write_record(header).map_err(io_error)?;
        Ok(table)
    }

    /// Writes one row.
    pub(super) fn row(&mut self, row: impl Serialize) -> io::Result<()> {
        self.0.serialize(row).map_err(io_error)
    }

    /// Writes what is still in the buffer.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Returns the failure of the file itself, if it is one: a closed pipe and a full disk are told by their kinds, which
/// `From<csv::Error>` hides.
fn io_error(error: csv::Error) -> io::Error {
    if !error.is_io_error() {
        return io::Error::other(error);
    }
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pipe without a reader.
    struct ClosedPipe;

    impl Write for ClosedPipe {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_closed_pipe_is_known_by_its_kind() {
        let long = "x".repeat(1 << 16);
        let begun = CsvTable::begin(ClosedPipe, &[&long]).map(|_| ());
        assert_eq!(begun.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        let mut table = CsvTable::begin(ClosedPipe, &["a"]).unwrap();
        assert_eq!(table.row([&long]).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn what_is_no_row_is_an_error_of_its_own() {
        let mut table = CsvTable::begin(Vec::new(), &["a"]).unwrap();
        assert_eq!(table.row(["1", "2"]).unwrap_err().kind(), io::ErrorKind::Other);
    }
}
