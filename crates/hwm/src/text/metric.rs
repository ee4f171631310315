//! The names of metrics for human eyes: one for each, in every output and on the page.

use highwater::record::{CounterMetric, Metric};

/// Returns the common name of a metric.
pub(crate) fn metric(metric: Metric) -> &'static str {
    match metric {
        Metric::Rss => "RSS",
        Metric::Pss => "PSS",
        Metric::Swap => "swap",
        Metric::WorkingSet => "working set",
        Metric::PhysFootprint => "phys_footprint",
        Metric::Vram => "VRAM",
        Metric::Memory => "memory",
        _ => "unknown memory",
    }
}

/// Returns the common name of a metric that is counted up.
pub(crate) fn counter_metric(metric: CounterMetric) -> &'static str {
    match metric {
        CounterMetric::CpuTime => "CPU time",
        CounterMetric::Read => "read",
        CounterMetric::Written => "written",
        CounterMetric::StorageRead => "read from storage",
        CounterMetric::StorageWritten => "written to storage",
        _ => "used",
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use regex_lite::Regex;
    use serde_json::{from_value, json};

    use super::*;

    /// Returns the names in `viewer/src/format.ts`, each with the word that stands in a record. A published crate has
    /// no viewer.
    fn names_on_the_page() -> Option<Vec<(String, String)>> {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../viewer/src/format.ts");
        let source = fs::read_to_string(file).ok()?;
        let table = source.split_once("const METRICS")?.1.split_once("};")?.0;
        let row = Regex::new(r#"(\w+): \["([^"]+)""#).unwrap();
        Some(row.captures_iter(table).map(|row| (row[1].to_owned(), row[2].to_owned())).collect())
    }

    #[test]
    fn the_page_has_the_same_names() {
        let Some(names) = names_on_the_page() else { return };
        assert_eq!(names.len(), 12, "{names:?}");
        for (word, name) in names {
            let memory: Metric = from_value(json!(word)).unwrap();
            let counter: CounterMetric = from_value(json!(word)).unwrap();
            let known = if memory == Metric::Other { counter_metric(counter) } else { metric(memory) };
            assert_eq!(name, known, "{word}");
        }
    }
}
