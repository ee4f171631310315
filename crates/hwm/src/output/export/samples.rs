//! Memory over time as rows, one a figure.

use std::{
    borrow::Cow,
    io::{self, Write},
};

use highwater::record::Record;
use serde::Serialize;

use super::{metric_word, unit, word};
use crate::output::{curve::curves, text};

/// Fields in the order of [`HEADER`]; what is unknown becomes an empty field.
#[derive(Serialize)]
struct Row<'a> {
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

const HEADER: [&str; 11] = [
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

/// Writes CSV. For a terminal control characters in names become visible; a program gets names as they are.
pub(crate) fn write(record: &Record, for_terminal: bool, out: &mut dyn Write) -> io::Result<()> {
    let mut csv = csv::WriterBuilder::new().has_headers(false).from_writer(out);
    csv.write_record(HEADER)?;
    for curve in curves(record) {
        let (metric, unit, scope) = (metric_word(curve.of), unit(curve.of), word(&curve.scope));
        let row = curve.row(record);
        let command = row.map(|row| {
            if for_terminal { text::printable(&row.command).into() } else { Cow::Borrowed(&*row.command) }
        });
        for point in curve.points() {
            csv.serialize(Row {
                elapsed_seconds: point.at_seconds,
                metric: metric.as_deref(),
                unit: unit.as_deref(),
                scope: scope.as_deref(),
                process: curve.process(),
                device: curve.device(),
                pid: row.map(|row| row.pid),
                command: command.as_deref(),
                value: point.value,
                min: point.min,
                max: point.max,
            })?;
        }
    }
    csv.flush()
}
