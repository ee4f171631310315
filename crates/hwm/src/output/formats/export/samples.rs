//! Memory over time as rows, one a figure.

use std::io::{self, Write};

use highwater::record::Record;
use serde::Serialize;

use super::{metric_word, unit, word};
use crate::{output::formats::csv_table::CsvTable, series::time_series, text::cell::CellStyle};

/// Fields in the order of [`SAMPLE_CSV_HEADER`]; what is unknown becomes an empty field.
#[derive(Serialize)]
struct SampleCsvRow<'a> {
    elapsed_seconds: f64,
    metric: Option<&'a str>,
    unit: Option<&'a str>,
    scope: Option<&'a str>,
    process: Option<usize>,
    device: Option<u64>,
    pid: Option<u32>,
    command: Option<&'a str>,
    value: Option<u64>,
    min: Option<u64>,
    max: Option<u64>,
}

const SAMPLE_CSV_HEADER: [&str; 11] = [
    "elapsed_seconds",
    "metric",
    "unit",
    "scope",
    "process",
    "device",
    "pid",
    "command",
    "value",
    "min",
    "max",
];

/// Writes CSV.
pub(crate) fn write(record: &Record, cells: CellStyle, out: &mut dyn Write) -> io::Result<()> {
    let mut table = CsvTable::begin(out, &SAMPLE_CSV_HEADER)?;
    for series in time_series(record) {
        let (metric, unit, scope) = (metric_word(series.of), unit(series.of), word(&series.scope));
        let row = series.row(record);
        let command = row.map(|row| cells.cell(&row.command));
        for point in series.points() {
            table.row(SampleCsvRow {
                elapsed_seconds: point.at_seconds,
                metric: metric.as_deref(),
                unit: unit.as_deref(),
                scope: scope.as_deref(),
                process: series.process(),
                device: series.device(),
                pid: row.map(|row| row.pid),
                command: command.as_deref(),
                value: point.value,
                min: point.min,
                max: point.max,
            })?;
        }
    }
    table.finish()
}

#[cfg(test)]
mod tests {
    use highwater::record::Record;
    use serde_json::json;

    use super::*;
    use crate::output::terminal::summary::tests::fixture;

    #[test]
    fn a_terminal_obeys_no_name() {
        let mut record = serde_json::to_value(fixture()).unwrap();
        record["timeline"]["series"][0]["scope"] = json!("process");
        record["timeline"]["series"][0]["id"] = json!(3);
        let record: Record = serde_json::from_value(record).unwrap();
        let mut out = Vec::new();
        write(&record, CellStyle::default(), &mut out).unwrap();
        assert!(String::from_utf8(out).unwrap().contains("\"odd\\x1b[31m,name\""));
    }
}
