//! Records as the page reads them: a JSON head and columns of numbers, zlib, base64.
//!
//! The order is: the head's length (4 bytes, little-endian), the head, then the numbers that the head names. Each
//! number is a varint (LEB128). The moments of each run come first (microseconds, each from the one before), then the
//! values of each series. A value is 0 where none was read, else 1 + zigzag(steps from the one known before), in units
//! of `unit` bytes. A series marked `rest` is a total, and its values are what is left of it beside all processes'
//! (mostly 0). Series in which samples were merged have two more columns: the steps from the value down to the minimum
//! and up to the maximum. Each is 0 for none, otherwise 1 + steps. Without a value the maximum is counted from 0. What
//! is counted up comes after the series, in the same form. `viewer/src/payload.ts` reads it.

use std::io::{self, Write};

use base64::{engine::general_purpose::STANDARD, write::EncoderWriter};
use highwater::record::{Counter, CounterMetric, Metric, Process, Record, Scope, Series, Timeline};
use miniz_oxide::deflate::core::{
    CompressionStrategy, CompressorOxide, TDEFLFlush, TDEFLStatus, compress_to_output,
    create_comp_flags_from_zip_params,
};
use serde::Serialize;
use serde_json::{Value, json};

/// zlib's own default.
const COMPRESSION_LEVEL: i32 = 6;
/// A positive window asks for zlib's header and checksum.
const ZLIB_WINDOW_BITS: i32 = 15;

/// One run, ready to be written.
#[derive(Debug)]
pub(crate) struct Packed {
    head: Value,
    columns: Vec<u8>,
}

/// Writes the runs as base64 text.
pub(crate) fn write(runs: &[Packed], out: &mut dyn Write) -> io::Result<()> {
    let heads: Vec<&Value> = runs.iter().map(|run| &run.head).collect();
    let head = serde_json::to_vec(&json!({ "format": 1, "runs": heads }))?;
    let length = u32::try_from(head.len()).map_err(|_| io::Error::other("too much for one page"))?;
    let mut base64 = EncoderWriter::new(out, &STANDARD);
    let parts = [&length.to_le_bytes(), &head[..]];
    compress(parts.into_iter().chain(runs.iter().map(|run| &run.columns[..])), &mut base64)?;
    base64.finish().map(drop)
}

/// Compresses the parts into one zlib stream. Readings that hardly repeat compress by a tenth better if short matches
/// are left alone, and lines that stand still as well as ever.
fn compress<'a>(parts: impl Iterator<Item = &'a [u8]>, out: &mut dyn Write) -> io::Result<()> {
    let flags = create_comp_flags_from_zip_params(
        COMPRESSION_LEVEL,
        ZLIB_WINDOW_BITS,
        CompressionStrategy::Filtered as i32,
    );
    let mut compressor = CompressorOxide::new(flags);
    let mut failed = None;
    let mut feed = |input: &[u8], flush| {
        let mut at = 0;
        loop {
            let (status, read, ..) = compress_to_output(&mut compressor, &input[at..], flush, |chunk| {
                failed = failed.take().or(out.write_all(chunk).err());
                failed.is_none()
            });
            at += read;
            match (status, failed.take()) {
                (_, Some(error)) => return Err(error),
                (TDEFLStatus::Done, _) => return Ok(()),
                (TDEFLStatus::Okay, _) if at == input.len() && flush == TDEFLFlush::None => return Ok(()),
                (TDEFLStatus::Okay, _) => {}
                (TDEFLStatus::BadParam | TDEFLStatus::PutBufFailed, _) => {
                    return Err(io::Error::other("compressing failed"));
                }
            }
        }
    };
    for part in parts {
        feed(part, TDEFLFlush::None)?;
    }
    feed(&[], TDEFLFlush::Finish)
}

impl Packed {
    /// Packs a record, with its rows from where they are.
    pub(crate) fn new<P>(
        record: &Record<P>,
        rows: impl Iterator<Item = io::Result<Process>>,
    ) -> io::Result<Self> {
        let mut processes = Columns::default();
        for row in rows {
            processes.push(row?);
        }
        let mut columns = Vec::new();
        let timeline = record.timeline.as_ref().map(|timeline| pack_timeline(timeline, &mut columns));
        let head = json!({
            "schema": record.schema,
            "newer_minor": record.schema.is_newer_minor(),
            "complete": record.complete,
            "tool": record.tool,
            "host": record.host,
            "command": record.command,
            "start_time": record.start_time,
            "end_time": record.end_time,
            "duration_seconds": record.duration_seconds,
            "interval_ms": record.interval_ms,
            "interval_mode": record.interval_mode,
            "samples": record.samples,
            "exit": record.exit,
            "primary_metric": record.primary_metric,
            "max_total_rss_kib": record.max_total_rss_kib,
            "peak": record.peak,
            "capture": record.capture,
            "groups": record.groups,
            "limits": record.limits,
            "findings": record.findings,
            "leak_search": record.leak_search,
            "usage": record.usage,
            "oom": record.oom,
            "processes": processes,
            "timeline": timeline,
        });
        Ok(Self { head, columns })
    }
}

/// The rows, column by column; texts as indices into `texts`.
#[derive(Debug, Default, Serialize)]
struct Columns {
    texts: Texts,
    pid: Vec<u32>,
    ppid: Vec<u32>,
    command: Vec<usize>,
    name: Vec<Option<usize>>,
    exe: Vec<Option<usize>>,
    args: Vec<Option<usize>>,
    start: Vec<f64>,
    /// `null`: still running.
    end: Vec<Option<f64>>,
    peak: Vec<Option<u64>>,
    certainty: Vec<Option<usize>>,
    source: Vec<Option<usize>>,
    vram: Vec<Option<u64>>,
    /// The programs it ran one after the other, joined.
    images: Vec<Option<usize>>,
    code: Vec<Option<i32>>,
    signal: Vec<Option<i32>>,
}

impl Columns {
    fn push(&mut self, row: Process) {
        let peak = row.peak.rss;
        let word = |value: Option<Value>| Some(value?.as_str()?.to_owned());
        let certainty = word(peak.and_then(|peak| serde_json::to_value(peak.certainty).ok()));
        let source = word(peak.and_then(|peak| serde_json::to_value(peak.source).ok()));
        let programs: Vec<&str> = row.images.iter().map(|image| image.command.as_str()).collect();
        self.pid.push(row.pid);
        self.ppid.push(row.ppid);
        self.images.push((!programs.is_empty()).then(|| self.texts.add(programs.join(" → "))));
        self.command.push(self.texts.add(row.command));
        self.name.push(row.name.map(|name| self.texts.add(name)));
        self.exe.push(row.exe.map(|exe| self.texts.add(exe)));
        self.args.push(row.args.map(|args| self.texts.add(args.join(" "))));
        self.start.push(row.start_seconds);
        self.end.push(row.end_seconds);
        self.peak.push(peak.map(|peak| peak.bytes));
        self.certainty.push(certainty.map(|word| self.texts.add(word)));
        self.source.push(source.map(|word| self.texts.add(word)));
        self.vram.push(row.peak.vram.map(|peak| peak.bytes));
        self.code.push(row.exit.and_then(|exit| exit.code));
        self.signal.push(row.exit.and_then(|exit| exit.signal));
    }
}

/// Each text once.
#[derive(Debug, Default)]
struct Texts {
    list: Vec<String>,
    places: std::collections::HashMap<String, usize>,
}

impl Texts {
    fn add(&mut self, text: String) -> usize {
        if let Some(&place) = self.places.get(&text) {
            return place;
        }
        self.list.push(text.clone());
        self.places.insert(text, self.list.len() - 1);
        self.list.len() - 1
    }
}

impl Serialize for Texts {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.list.serialize(serializer)
    }
}

/// Packs the series that the page can draw. Series that only a newer version knows are left out and counted.
fn pack_timeline(timeline: &Timeline, columns: &mut Vec<u8>) -> Value {
    let mut before = 0;
    for &seconds in &timeline.seconds {
        let now = micros(seconds).max(before);
        varint(now - before, columns);
        before = now;
    }
    let is_known = |series: &&Series| series.metric != Metric::Other && series.scope != Scope::Unknown;
    let mut known: Vec<&Series> = timeline.series.iter().filter(is_known).collect();
    known.sort_by_key(|series| series.scope == Scope::Total);
    let is_known =
        |counter: &&Counter| counter.metric != CounterMetric::Other && counter.scope != Scope::Unknown;
    let counters: Vec<&Counter> = timeline.counters.iter().filter(is_known).collect();
    let all = timeline.series.len() + timeline.counters.len();
    let mut series: Vec<Value> = known.iter().map(|series| pack_series(series, &known, columns)).collect();
    series.extend(counters.iter().map(|counter| pack_counter(counter, columns)));
    json!({
        "columns": timeline.seconds.len(),
        "unknown_series": all - known.len() - counters.len(),
        "series": series,
    })
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // A float that does not fit saturates.
fn micros(seconds: f64) -> u64 {
    (seconds * 1e6).round() as u64
}

fn pack_series(series: &Series, all: &[&Series], columns: &mut Vec<u8>) -> Value {
    let unit = unit_of(&[&series.bytes, &series.min, &series.max]);
    let parts = if series.scope == Scope::Total { sums(series, all) } else { Vec::new() };
    let values = series.bytes.iter().enumerate().map(|(place, value)| {
        let part = parts.get(place).copied().unwrap_or_default();
        Some((*value)?.wrapping_sub(part).cast_signed())
    });
    // Both are multiples of the unit, or the parts are left alone.
    let is_rest = parts.iter().any(|part| *part > 0) && parts.iter().all(|part| part.is_multiple_of(unit));
    if is_rest {
        pack_values(values, unit, columns);
    } else {
        pack_values(series.bytes.iter().map(|value| value.map(u64::cast_signed)), unit, columns);
    }
    let is_merged = series.min != series.bytes || series.max != series.bytes;
    if is_merged {
        for (bound, is_min) in [(&series.min, true), (&series.max, false)] {
            for (place, bytes) in series.bytes.iter().enumerate() {
                let distance = bound.get(place).copied().flatten().map(|bound| match bytes {
                    None => bound,
                    Some(bytes) if is_min => bytes.saturating_sub(bound),
                    Some(bytes) => bound.saturating_sub(*bytes),
                });
                varint(distance.map_or(0, |distance| (distance / unit).saturating_add(1)), columns);
            }
        }
    }
    json!({
        "metric": series.metric,
        "scope": series.scope,
        "id": series.id,
        "first": series.first,
        "length": series.bytes.len(),
        "unit": unit,
        "merged": is_merged,
        "rest": is_rest,
    })
}

/// Returns the sum of all processes' values, for each value of the total.
fn sums(total: &Series, all: &[&Series]) -> Vec<u64> {
    let mut sums = vec![0_u64; total.bytes.len()];
    for part in all {
        if part.metric == total.metric && matches!(part.scope, Scope::Process | Scope::Other) {
            // Both lie within the columns, and each may begin before the other.
            let before = total.first.saturating_sub(part.first);
            let places = sums.iter_mut().skip(part.first.saturating_sub(total.first));
            for (sum, value) in places.zip(part.bytes.iter().skip(before)) {
                *sum = sum.wrapping_add(value.unwrap_or_default());
            }
        }
    }
    sums
}

fn pack_counter(counter: &Counter, columns: &mut Vec<u8>) -> Value {
    let unit = unit_of(&[&counter.values]);
    pack_values(counter.values.iter().map(|value| value.map(u64::cast_signed)), unit, columns);
    json!({
        "metric": counter.metric,
        "scope": counter.scope,
        "id": counter.id,
        "first": counter.first,
        "length": counter.values.len(),
        "unit": unit,
        "merged": false,
        "counted": counter.unit,
    })
}

fn pack_values(values: impl Iterator<Item = Option<i64>>, unit: u64, columns: &mut Vec<u8>) {
    // A unit beyond 2^63 would be that of a nonsensical record.
    let unit = i64::try_from(unit).unwrap_or(i64::MAX);
    let mut before = 0_i64;
    for value in values {
        match value {
            None => columns.push(0),
            Some(value) => {
                let steps = value / unit;
                varint(zigzag(steps.wrapping_sub(before)).saturating_add(1), columns);
                before = steps;
            }
        }
    }
}

/// Returns the largest number of which all values are multiples.
fn unit_of(columns: &[&[Option<u64>]]) -> u64 {
    columns.iter().flat_map(|values| values.iter().flatten()).fold(0, |unit, &value| gcd(unit, value)).max(1)
}

fn gcd(mut one: u64, mut other: u64) -> u64 {
    while other != 0 {
        (one, other) = (other, one % other);
    }
    one
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    loop {
        let byte = value.to_le_bytes()[0] & 0x7f;
        value >>= 7;
        if value == 0 {
            return out.push(byte);
        }
        out.push(byte | 0x80);
    }
}

#[cfg(test)]
mod tests;
