//! The record in the formats of other tools. What is unknown is left out or null in each of them, never 0.

pub(crate) mod chrome_trace;
pub(crate) mod firefox_profiler;
#[cfg(feature = "parquet")]
mod parquet;
pub(crate) mod samples;
#[cfg(feature = "parquet")]
pub(crate) mod tables;

use highwater::record::{
    Capture, Exit, Finding, Host, IntervalMode, Limit, Metric, OomKills, Peaks, Record, SchemaVersion, Scope,
    Timestamp, Tool, Usage,
};
use serde::Serialize;

use crate::{
    series::{SeriesKind, TimeSeries},
    text,
};

/// Facts about the run as a whole. Formats that carry only time series carry these beside them.
#[derive(Debug, Serialize)]
struct About<'a> {
    schema: &'a SchemaVersion,
    complete: bool,
    tool: &'a Tool,
    host: &'a Host,
    command: &'a [String],
    start_time: Timestamp,
    end_time: Timestamp,
    duration_seconds: f64,
    interval_ms: u64,
    interval_mode: IntervalMode,
    samples: u64,
    exit: Option<&'a Exit>,
    primary_metric: Metric,
    peak: &'a Peaks,
    usage: &'a Usage,
    oom: Option<&'a OomKills>,
    capture: &'a Capture,
    limits: &'a [Limit],
    findings: &'a [Finding],
}

impl<'a> About<'a> {
    fn of(record: &'a Record) -> Self {
        Self {
            schema: &record.schema,
            complete: record.complete,
            tool: &record.tool,
            host: &record.host,
            command: &record.command,
            start_time: record.start_time,
            end_time: record.end_time,
            duration_seconds: record.duration_seconds,
            interval_ms: record.interval_ms,
            interval_mode: record.interval_mode,
            samples: record.samples,
            exit: record.exit.as_ref(),
            primary_metric: record.primary_metric,
            peak: &record.peak,
            usage: &record.usage,
            oom: record.oom.as_ref(),
            capture: &record.capture,
            limits: &record.limits,
            findings: &record.findings,
        }
    }
}

/// Returns the record's word for a value: `rss`, `at_least`, `exit_notify`.
fn word(name: &impl Serialize) -> Option<String> {
    match serde_json::to_value(name) {
        Ok(serde_json::Value::String(word)) => Some(word),
        _ => None,
    }
}

/// Returns the name of a line, without the name of its process.
fn line_name(series: TimeSeries<'_>) -> String {
    let what = match series.of {
        SeriesKind::Memory(metric) => text::metric(metric),
        SeriesKind::Used(metric, _) => text::counter_metric(metric),
    };
    match (series.scope, series.device()) {
        (Scope::Total | Scope::Process, _) => what.to_owned(),
        (Scope::Device, Some(device)) => format!("GPU {device} {what}"),
        (Scope::Other, _) => format!("{what} of all other processes"),
        _ => format!("{what} of something that this hwm does not know"),
    }
}

/// Returns the record's word for what a line is of.
fn metric_word(of: SeriesKind) -> Option<String> {
    match of {
        SeriesKind::Memory(metric) => word(&metric),
        SeriesKind::Used(metric, _) => word(&metric),
    }
}

/// Returns the unit of a line's values.
fn unit(of: SeriesKind) -> Option<String> {
    match of {
        SeriesKind::Memory(_) => Some("bytes".to_owned()),
        SeriesKind::Used(_, unit) => word(&unit),
    }
}
