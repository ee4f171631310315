//! One row a group.

use std::io::{self, Write};

use highwater::{
    job::Rows,
    record::{Group, GroupKey, Record},
};
use serde::Serialize;

use super::{csv_table::CsvTable, report::Report};
use crate::{filter::RowFilter, text::cell::CellStyle};

/// A row of the CSV. An unknown value becomes an empty field.
#[derive(Serialize)]
struct GroupCsvRow {
    by: GroupKey,
    key: String,
    processes: u64,
    peak_kib: Option<u64>,
    at_seconds: Option<f64>,
    /// The row of the process in the record (from 0) and of its parent, for groups by tree.
    id: Option<u64>,
    parent: Option<u64>,
}

/// The listed groups of a run.
#[derive(Debug)]
pub(crate) struct GroupCsv {
    pub(crate) filter: RowFilter,
    pub(crate) cells: CellStyle,
}

impl Report for GroupCsv {
    fn write(&self, record: &Record<Rows>, out: &mut dyn Write) -> io::Result<()> {
        write(&record.groups, &self.filter, self.cells, out)
    }
}

/// Writes the listed groups. Those by tree lie within each other: never add them up.
pub(crate) fn write(
    groups: &[Group],
    filter: &RowFilter,
    cells: CellStyle,
    out: &mut dyn Write,
) -> io::Result<()> {
    let header = ["by", "key", "processes", "peak_kib", "at_seconds", "id", "parent"];
    let mut table = CsvTable::begin(out, &header)?;
    for group in groups.iter().filter(|group| filter.lists(&group.key)) {
        table.row(GroupCsvRow {
            by: group.by,
            key: cells.cell(&group.key),
            processes: group.processes,
            peak_kib: group.peak_bytes.map(|bytes| bytes / 1024),
            at_seconds: group.at_seconds,
            id: group.id,
            parent: group.parent,
        })?;
    }
    table.finish()
}
