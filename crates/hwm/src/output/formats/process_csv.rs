//! One row a process, as memwatch wrote it, with more columns behind.

use std::{
    borrow::Borrow,
    io::{self, Write},
};

use highwater::{
    job::Rows,
    record::{Certainty, PeakSource, Process, Record},
};
use serde::Serialize;

use super::{csv_table::CsvTable, report::Report};
use crate::{
    filter::RowFilter,
    text::{self, cell::CellStyle},
};

const PROCESS_CSV_HEADER: [&str; 24] = [
    "pid",
    "ppid",
    "command",
    "max_rss_kib",
    "max_rss_mib",
    "first_seen",
    "last_seen",
    "start_seconds",
    "end_seconds",
    "peak_source",
    "certainty",
    "max_vram_kib",
    "max_swap_kib",
    "user_seconds",
    "system_seconds",
    "mean_processors",
    "cpu_certainty",
    "minor_faults",
    "major_faults",
    "read_bytes",
    "written_bytes",
    "storage_read_bytes",
    "storage_written_bytes",
    "io_certainty",
];

/// Fields in the order of [`PROCESS_CSV_HEADER`]; what is unknown becomes an empty field.
#[derive(Serialize)]
struct ProcessCsvRow {
    pid: u32,
    ppid: u32,
    command: String,
    max_rss_kib: Option<u64>,
    max_rss_mib: Option<String>,
    first_seen: String,
    last_seen: String,
    start_seconds: String,
    end_seconds: Option<String>,
    peak_source: Option<PeakSource>,
    certainty: Option<Certainty>,
    max_vram_kib: Option<u64>,
    max_swap_kib: Option<u64>,
    user_seconds: Option<f64>,
    system_seconds: Option<f64>,
    mean_processors: Option<f64>,
    cpu_certainty: Option<Certainty>,
    minor_faults: Option<u64>,
    major_faults: Option<u64>,
    read_bytes: Option<u64>,
    written_bytes: Option<u64>,
    storage_read_bytes: Option<u64>,
    storage_written_bytes: Option<u64>,
    io_certainty: Option<Certainty>,
}

/// The listed processes of a run.
#[derive(Debug)]
pub(crate) struct ProcessCsv {
    pub(crate) filter: RowFilter,
    pub(crate) cells: CellStyle,
}

impl Report for ProcessCsv {
    fn write(&self, record: &Record<Rows>, out: &mut dyn Write) -> io::Result<()> {
        write(record.processes.iter(), &self.filter, self.cells, out)
    }
}

/// Writes the listed rows.
pub(crate) fn write<P: Borrow<Process>>(
    rows: impl IntoIterator<Item = io::Result<P>>,
    filter: &RowFilter,
    cells: CellStyle,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut table = CsvTable::begin(out, &PROCESS_CSV_HEADER)?;
    for process in rows {
        let process = process?;
        let process = process.borrow();
        if !filter.lists(&process.command) {
            continue;
        }
        let usage = process.usage.unwrap_or_default();
        let (cpu, io, faults) = (usage.cpu, usage.io, usage.faults);
        table.row(ProcessCsvRow {
            pid: process.pid,
            ppid: process.ppid,
            command: cells.cell(&process.command),
            max_rss_kib: process.max_rss_kib,
            max_rss_mib: process.max_rss_kib.map(text::mib),
            first_seen: process.first_seen.to_string(),
            last_seen: process.last_seen.to_string(),
            start_seconds: format!("{:.3}", process.start_seconds),
            end_seconds: process.end_seconds.map(|seconds| format!("{seconds:.3}")),
            peak_source: process.peak.rss.map(|peak| peak.source),
            certainty: process.peak.rss.map(|peak| peak.certainty),
            max_vram_kib: process.peak.vram.map(|peak| peak.bytes / 1024),
            max_swap_kib: process.peak.swap.map(|peak| peak.bytes / 1024),
            user_seconds: cpu.map(|cpu| cpu.user_seconds),
            system_seconds: cpu.map(|cpu| cpu.system_seconds),
            mean_processors: cpu.and_then(|cpu| cpu.mean_processors),
            cpu_certainty: cpu.map(|cpu| cpu.certainty),
            minor_faults: faults.and_then(|faults| faults.minor),
            major_faults: faults.and_then(|faults| faults.major),
            read_bytes: io.and_then(|io| io.read_bytes),
            written_bytes: io.and_then(|io| io.written_bytes),
            storage_read_bytes: io.and_then(|io| io.storage_read_bytes),
            storage_written_bytes: io.and_then(|io| io.storage_written_bytes),
            io_certainty: io.map(|io| io.certainty),
        })?;
    }
    table.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::terminal::summary::tests::fixture;

    fn written(filter: &RowFilter) -> String {
        let mut out = Vec::new();
        write(fixture().processes.iter().map(Ok), filter, CellStyle::default(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn rows_start_as_memwatch_wrote_them() {
        let text = written(&RowFilter::default());
        let mut lines = text.lines();
        let header = "pid,ppid,command,max_rss_kib,max_rss_mib,first_seen,last_seen,";
        assert!(lines.next().unwrap().starts_with(header));
        let row = "8473,8470,rustc,933888,912.00,2025-11-20T18:02:35Z,2025-11-20T18:05:50Z,1.204,196.310,";
        let found = lines.find(|line| line.starts_with("8473,")).unwrap();
        assert_eq!(found, format!("{row}mark_sampled,at_least,{}", ",".repeat(12)));
    }

    #[test]
    fn unknown_is_empty_and_odd_names_are_quoted() {
        let text = written(&RowFilter::default());
        assert!(text.contains("8490,8470,\"odd\\x1b[31m,name\",,,"), "{text}");
    }

    #[test]
    fn lists_only_what_is_asked_for() {
        let filter = RowFilter::new(vec![regex_lite::Regex::new("^rustc$").unwrap()], vec![]);
        let text = written(&filter);
        assert!(text.lines().skip(1).all(|line| line.contains(",rustc,")));
        assert!(text.lines().count() > 1);
    }
}
