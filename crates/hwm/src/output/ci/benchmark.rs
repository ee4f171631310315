//! The peaks for tools that keep benchmarks over time. What is not known is left out.

use std::io::{self, Write};

use serde_json::{Map, Value, json};

use super::{CheckFigure, CheckReport, figures};
use crate::{
    output::formats::json,
    text::{program_of, size},
};

/// Writes the format of github-action-benchmark, `customSmallerIsBetter`.
pub(crate) fn github(report: &CheckReport<'_>, out: &mut dyn Write) -> io::Result<()> {
    let entry = |figure: CheckFigure| {
        let mib = |bytes: u64| (bytes as f64 / 1_048_576.0 * 1000.0).round() / 1000.0;
        let mut entry = json!({
            "name": format!("{}: {}", report.name, figure.name),
            "unit": "MiB",
            "value": mib(figure.bytes?),
            "extra": program_of(report.record),
        });
        let range = match (figure.lower, figure.upper) {
            (Some(lower), Some(upper)) if lower == upper => None,
            (Some(lower), Some(upper)) => Some(format!("{} to {}", size(lower), size(upper))),
            (Some(_), None) => Some("at least".to_owned()),
            (None, Some(_)) => Some("at most".to_owned()),
            (None, None) => None,
        };
        if let Some(range) = range {
            entry["range"] = json!(range);
        }
        Some(entry)
    };
    let entries: Vec<Value> = figures(report.record).into_iter().filter_map(entry).collect();
    json::write_pretty(&entries, out)
}

/// Writes Bencher Metric Format, in bytes.
pub(crate) fn bencher(report: &CheckReport<'_>, out: &mut dyn Write) -> io::Result<()> {
    let mut measures = Map::new();
    for figure in figures(report.record) {
        let Some(bytes) = figure.bytes else { continue };
        let mut measure = json!({"value": bytes});
        for (end, bytes) in [("lower_value", figure.lower), ("upper_value", figure.upper)] {
            if let Some(bytes) = bytes {
                measure[end] = json!(bytes);
            }
        }
        measures.insert(figure.slug, measure);
    }
    let mut document = Map::new();
    document.insert(report.name.clone(), Value::Object(measures));
    json::write_pretty(&document, out)
}
