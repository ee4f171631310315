//! The record as three tables: `samples`, `processes` and `run`.

use ::parquet::data_type::ByteArray;
use highwater::record::{PeakFigure, Process, ProcessPeak, Record};
use serde::Serialize;

use super::{
    metric_word,
    parquet::{ParquetColumn, ParquetTable},
    unit, word,
};
use crate::series::{SeriesPoint, TimeSeries, time_series};

/// Returns memory over time, one row for each figure. `process` is the number of a row of `processes`.
pub(crate) fn samples(record: &Record) -> ParquetTable {
    let points = || time_series(record).flat_map(TimeSeries::points);
    let figures = |of: fn(SeriesPoint) -> Option<u64>| ParquetColumn::integers(points().map(of));
    let numbers =
        |of: &dyn Fn(TimeSeries<'_>) -> Option<u64>| ParquetColumn::integers(on_each_point(record, of));
    let texts = |of: &dyn Fn(TimeSeries<'_>) -> Option<String>| {
        // One text for all rows of a line; its copies share it.
        ParquetColumn::texts(on_each_point(record, |series| {
            of(series).map(|text| ByteArray::from(text.into_bytes()))
        }))
    };
    ParquetTable::new(
        "samples",
        vec![
            ("time", ParquetColumn::moments(points().map(|point| (record.start_time, point.at_seconds)))),
            ("elapsed_seconds", ParquetColumn::reals(points().map(|point| Some(point.at_seconds)))),
            ("metric", texts(&|series| metric_word(series.of))),
            ("unit", texts(&|series| unit(series.of))),
            ("scope", texts(&|series| word(&series.scope))),
            ("process", numbers(&|series| series.process().map(|index| index as u64))),
            ("device", numbers(&|series| series.device())),
            ("pid", numbers(&|series| series.row(record).map(|process| process.pid.into()))),
            ("command", texts(&|series| series.row(record).map(|process| process.command.clone()))),
            ("value", figures(|point| point.value)),
            ("min", figures(|point| point.min)),
            ("max", figures(|point| point.max)),
        ],
    )
}

/// Repeats a value of the whole line for each of its points.
fn on_each_point<'a, T: Clone + 'a>(
    record: &'a Record,
    of: impl Fn(TimeSeries<'a>) -> T + 'a,
) -> impl Iterator<Item = T> + 'a {
    time_series(record).flat_map(move |series| {
        let same = of(series);
        series.points().map(move |_| same.clone())
    })
}

/// Returns one row for each process, numbered as in the record.
pub(crate) fn processes(record: &Record) -> ParquetTable {
    let rows = || record.processes.iter();
    let integers = |of: fn(&Process) -> Option<i64>| ParquetColumn::integers(rows().map(of));
    let texts = |of: fn(&Process) -> Option<String>| {
        ParquetColumn::texts(rows().map(|row| of(row).map(String::into_bytes)))
    };
    let peak_bytes = |of: fn(&Process) -> Option<ProcessPeak>| {
        ParquetColumn::integers(rows().map(|row| of(row).map(|peak| peak.bytes)))
    };
    let peak_words = |of: fn(&Process) -> Option<ProcessPeak>, which: fn(ProcessPeak) -> Option<String>| {
        ParquetColumn::texts(rows().map(|row| of(row).and_then(which).map(String::into_bytes)))
    };
    let (rss, swap, vram) = (
        (|row: &Process| row.peak.rss) as fn(&Process) -> Option<ProcessPeak>,
        (|row: &Process| row.peak.swap) as fn(&Process) -> Option<ProcessPeak>,
        (|row: &Process| row.peak.vram) as fn(&Process) -> Option<ProcessPeak>,
    );
    ParquetTable::new(
        "processes",
        vec![
            ("process", ParquetColumn::integers((0..record.processes.len()).map(Some))),
            ("pid", integers(|row| Some(row.pid.into()))),
            ("ppid", integers(|row| Some(row.ppid.into()))),
            ("command", texts(|row| Some(row.command.clone()))),
            ("comm", texts(|row| Some(row.comm.clone()))),
            ("exe", texts(|row| row.exe.clone())),
            ("name", texts(|row| row.name.clone())),
            ("args", texts(|row| row.args.as_ref().and_then(json))),
            ("first_seen", ParquetColumn::moments(rows().map(|row| (row.first_seen, 0.0)))),
            ("last_seen", ParquetColumn::moments(rows().map(|row| (row.last_seen, 0.0)))),
            ("start_seconds", ParquetColumn::reals(rows().map(|row| Some(row.start_seconds)))),
            ("end_seconds", ParquetColumn::reals(rows().map(|row| row.end_seconds))),
            ("still_running", ParquetColumn::truths(rows().map(|row| Some(row.still_running)))),
            ("peak_rss_bytes", peak_bytes(rss)),
            ("peak_rss_source", peak_words(rss, |peak| word(&peak.source))),
            ("peak_rss_certainty", peak_words(rss, |peak| word(&peak.certainty))),
            ("peak_swap_bytes", peak_bytes(swap)),
            ("peak_swap_source", peak_words(swap, |peak| word(&peak.source))),
            ("peak_swap_certainty", peak_words(swap, |peak| word(&peak.certainty))),
            ("peak_vram_bytes", peak_bytes(vram)),
            ("peak_vram_source", peak_words(vram, |peak| word(&peak.source))),
            ("peak_vram_certainty", peak_words(vram, |peak| word(&peak.certainty))),
            ("mark_before_bytes", ParquetColumn::integers(rows().map(|row| row.mark_before_bytes))),
            ("usage", texts(|row| row.usage.as_ref().and_then(json))),
            ("exit_code", integers(|row| row.exit?.code.map(Into::into))),
            ("exit_signal", integers(|row| row.exit?.signal.map(Into::into))),
            ("images", texts(|row| json(&row.images))),
        ],
    )
}

/// Returns the run itself in one row. A value with parts is JSON.
pub(crate) fn run(record: &Record) -> ParquetTable {
    let (host, capture, exit) = (&record.host, &record.capture, record.exit.as_ref());
    let rss = record.peak.rss;
    let mut columns = vec![
        ("schema_major", integer(Some(record.schema.major.into()))),
        ("schema_minor", integer(Some(record.schema.minor.into()))),
        ("complete", truth(Some(record.complete))),
        ("tool_version", text(Some(record.tool.version.clone()))),
        ("tool_target", text(Some(record.tool.target.clone()))),
        ("host_name", text(host.name.clone())),
        ("host_os", text(Some(host.os.clone()))),
        ("host_kernel", text(host.kernel.clone())),
        ("host_cpus", integer(host.cpus.map(Into::into))),
        ("host_memory_bytes", integer(host.memory_bytes)),
        ("host_container_limit_bytes", integer(host.container_limit_bytes)),
        ("host_rank", integer(host.rank.map(Into::into))),
        ("command", text(json(&record.command))),
        ("start_time", ParquetColumn::moments([(record.start_time, 0.0)])),
        ("end_time", ParquetColumn::moments([(record.end_time, 0.0)])),
        ("duration_seconds", real(Some(record.duration_seconds))),
        ("interval_ms", integer(Some(record.interval_ms))),
        ("interval_mode", text(word(&record.interval_mode))),
        ("samples", integer(Some(record.samples))),
        ("exit_code", ParquetColumn::integers([exit.and_then(|exit| exit.code)])),
        ("exit_signal", ParquetColumn::integers([exit.and_then(|exit| exit.signal)])),
        ("exit_cause", text(exit.and_then(|exit| word(&exit.cause)))),
        ("primary_metric", text(word(&record.primary_metric))),
        ("peak_rss_bytes", integer(rss.map(|peak| peak.bytes))),
        ("peak_rss_lower_bytes", integer(rss.map(|peak| peak.lower_bytes))),
        ("peak_rss_upper_bytes", integer(rss.map(|peak| peak.upper_bytes))),
        ("peak_rss_lower_rigorous", truth(rss.map(|peak| peak.lower_rigorous))),
        ("peak_rss_upper_rigorous", truth(rss.map(|peak| peak.upper_rigorous))),
        ("peak_rss_slack_bytes", integer(rss.and_then(|peak| peak.slack_bytes))),
        ("peak_rss_certainty", text(rss.and_then(|peak| word(&peak.certainty)))),
        ("peak_rss_at_seconds", real(rss.and_then(|peak| peak.at_seconds))),
        ("peak_rss_from_seconds", real(rss.and_then(|peak| peak.between_seconds).map(|[from, _]| from))),
        ("peak_rss_to_seconds", real(rss.and_then(|peak| peak.between_seconds).map(|[_, to]| to))),
    ];
    columns.extend(figure(["peak_pss_bytes", "peak_pss_certainty", "peak_pss_at_seconds"], record.peak.pss));
    columns.extend(figure(
        ["peak_cgroup_bytes", "peak_cgroup_certainty", "peak_cgroup_at_seconds"],
        record.peak.cgroup,
    ));
    columns
        .extend(figure(["peak_swap_bytes", "peak_swap_certainty", "peak_swap_at_seconds"], record.peak.swap));
    columns.extend([
        ("peak_gpu", text(json(&record.peak.gpu))),
        ("usage", text(json(&record.usage))),
        ("oom", text(record.oom.as_ref().and_then(json))),
        ("attached", text(capture.attached.as_ref().and_then(json))),
        ("lineage", text(word(&capture.lineage))),
        ("peaks_from", text(word(&capture.peaks))),
        ("lost_events", integer(Some(capture.lost_events))),
        ("processes_seen", integer(Some(capture.processes_seen))),
        ("processes_seen_is", text(word(&capture.processes_seen_is))),
        ("processes_without_exact_peak", integer(Some(capture.processes_without_exact_peak))),
        ("images_without_last_mark", integer(capture.images_without_last_mark)),
        ("processes_left_out", integer(Some(capture.processes_left_out))),
        ("processes_still_running", integer(Some(capture.processes_still_running))),
        ("overhead_cpu_seconds", real(capture.overhead.map(|overhead| overhead.cpu_seconds))),
        ("downgrades", text(json(&capture.downgrades))),
        ("limits", text(json(&record.limits))),
        ("findings", text(json(&record.findings))),
    ]);
    ParquetTable::new("run", columns)
}

fn figure(names: [&'static str; 3], peak: Option<PeakFigure>) -> [(&'static str, ParquetColumn); 3] {
    let [bytes, certainty, at] = names;
    [
        (bytes, integer(peak.map(|peak| peak.bytes))),
        (certainty, text(peak.and_then(|peak| word(&peak.certainty)))),
        (at, real(peak.and_then(|peak| peak.at_seconds))),
    ]
}

fn integer(value: Option<u64>) -> ParquetColumn {
    ParquetColumn::integers([value])
}

fn real(value: Option<f64>) -> ParquetColumn {
    ParquetColumn::reals([value])
}

fn truth(value: Option<bool>) -> ParquetColumn {
    ParquetColumn::truths([value])
}

fn text(value: Option<String>) -> ParquetColumn {
    ParquetColumn::texts([value.map(String::into_bytes)])
}

fn json(value: &impl Serialize) -> Option<String> {
    serde_json::to_string(value).ok()
}
