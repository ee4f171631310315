//! The record as three tables: `samples`, `processes` and `run`.

use ::parquet::data_type::ByteArray;
use highwater::record::{PeakFigure, Process, ProcessPeak, Record};
use serde::Serialize;

use super::{
    metric_word,
    parquet::{Column, Table},
    unit, word,
};
use crate::output::curve::{Curve, Point, curves};

/// Memory over time, one row a figure. `process` is the number of a row of `processes`.
pub(crate) fn samples(record: &Record) -> Table {
    let points = || curves(record).flat_map(Curve::points);
    let figures = |of: fn(Point) -> Option<u64>| Column::integers(points().map(of));
    let numbers = |of: &dyn Fn(Curve<'_>) -> Option<u64>| Column::integers(on_each_point(record, of));
    let texts = |of: &dyn Fn(Curve<'_>) -> Option<String>| {
        // One text for all rows of a line; its copies share it.
        Column::texts(on_each_point(record, |curve| of(curve).map(|text| ByteArray::from(text.into_bytes()))))
    };
    Table::new(
        "samples",
        vec![
            ("time", Column::moments(points().map(|point| (record.start_time, point.at_seconds)))),
            ("elapsed_seconds", Column::reals(points().map(|point| Some(point.at_seconds)))),
            ("metric", texts(&|curve| metric_word(curve.of))),
            ("unit", texts(&|curve| unit(curve.of))),
            ("scope", texts(&|curve| word(&curve.scope))),
            ("process", numbers(&|curve| curve.process().map(|index| index as u64))),
            ("device", numbers(&|curve| curve.device())),
            ("pid", numbers(&|curve| curve.row(record).map(|process| process.pid.into()))),
            ("command", texts(&|curve| curve.row(record).map(|process| process.command.clone()))),
            ("value", figures(|point| point.value)),
            ("min", figures(|point| point.min)),
            ("max", figures(|point| point.max)),
        ],
    )
}

/// What holds for a whole line, once for each of its points.
fn on_each_point<'a, T: Clone + 'a>(
    record: &'a Record,
    of: impl Fn(Curve<'a>) -> T + 'a,
) -> impl Iterator<Item = T> + 'a {
    curves(record).flat_map(move |curve| {
        let same = of(curve);
        curve.points().map(move |_| same.clone())
    })
}

/// One row a process, numbered as in the record.
pub(crate) fn processes(record: &Record) -> Table {
    let rows = || record.processes.iter();
    let integers = |of: fn(&Process) -> Option<i64>| Column::integers(rows().map(of));
    let texts =
        |of: fn(&Process) -> Option<String>| Column::texts(rows().map(|row| of(row).map(String::into_bytes)));
    let peak_bytes = |of: fn(&Process) -> Option<ProcessPeak>| {
        Column::integers(rows().map(|row| of(row).map(|peak| peak.bytes)))
    };
    let peak_words = |of: fn(&Process) -> Option<ProcessPeak>, which: fn(ProcessPeak) -> Option<String>| {
        Column::texts(rows().map(|row| of(row).and_then(which).map(String::into_bytes)))
    };
    let (rss, swap, vram) = (
        (|row: &Process| row.peak.rss) as fn(&Process) -> Option<ProcessPeak>,
        (|row: &Process| row.peak.swap) as fn(&Process) -> Option<ProcessPeak>,
        (|row: &Process| row.peak.vram) as fn(&Process) -> Option<ProcessPeak>,
    );
    Table::new(
        "processes",
        vec![
            ("process", Column::integers((0..record.processes.len()).map(Some))),
            ("pid", integers(|row| Some(row.pid.into()))),
            ("ppid", integers(|row| Some(row.ppid.into()))),
            ("command", texts(|row| Some(row.command.clone()))),
            ("comm", texts(|row| Some(row.comm.clone()))),
            ("exe", texts(|row| row.exe.clone())),
            ("args", texts(|row| row.args.as_ref().and_then(json))),
            ("first_seen", Column::moments(rows().map(|row| (row.first_seen, 0.0)))),
            ("last_seen", Column::moments(rows().map(|row| (row.last_seen, 0.0)))),
            ("start_seconds", Column::reals(rows().map(|row| Some(row.start_seconds)))),
            ("end_seconds", Column::reals(rows().map(|row| row.end_seconds))),
            ("still_running", Column::truths(rows().map(|row| Some(row.still_running)))),
            ("peak_rss_bytes", peak_bytes(rss)),
            ("peak_rss_source", peak_words(rss, |peak| word(&peak.source))),
            ("peak_rss_certainty", peak_words(rss, |peak| word(&peak.certainty))),
            ("peak_swap_bytes", peak_bytes(swap)),
            ("peak_swap_source", peak_words(swap, |peak| word(&peak.source))),
            ("peak_swap_certainty", peak_words(swap, |peak| word(&peak.certainty))),
            ("peak_vram_bytes", peak_bytes(vram)),
            ("peak_vram_source", peak_words(vram, |peak| word(&peak.source))),
            ("peak_vram_certainty", peak_words(vram, |peak| word(&peak.certainty))),
            ("mark_before_bytes", Column::integers(rows().map(|row| row.mark_before_bytes))),
            ("usage", texts(|row| row.usage.as_ref().and_then(json))),
            ("exit_code", integers(|row| row.exit?.code.map(Into::into))),
            ("exit_signal", integers(|row| row.exit?.signal.map(Into::into))),
            ("images", texts(|row| json(&row.images))),
        ],
    )
}

/// The run itself, one row. What has parts is JSON.
pub(crate) fn run(record: &Record) -> Table {
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
        ("start_time", Column::moments([(record.start_time, 0.0)])),
        ("end_time", Column::moments([(record.end_time, 0.0)])),
        ("duration_seconds", real(Some(record.duration_seconds))),
        ("interval_ms", integer(Some(record.interval_ms))),
        ("interval_mode", text(word(&record.interval_mode))),
        ("samples", integer(Some(record.samples))),
        ("exit_code", Column::integers([exit.and_then(|exit| exit.code)])),
        ("exit_signal", Column::integers([exit.and_then(|exit| exit.signal)])),
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
    Table::new("run", columns)
}

fn figure(names: [&'static str; 3], peak: Option<PeakFigure>) -> [(&'static str, Column); 3] {
    let [bytes, certainty, at] = names;
    [
        (bytes, integer(peak.map(|peak| peak.bytes))),
        (certainty, text(peak.and_then(|peak| word(&peak.certainty)))),
        (at, real(peak.and_then(|peak| peak.at_seconds))),
    ]
}

fn integer(value: Option<u64>) -> Column {
    Column::integers([value])
}

fn real(value: Option<f64>) -> Column {
    Column::reals([value])
}

fn truth(value: Option<bool>) -> Column {
    Column::truths([value])
}

fn text(value: Option<String>) -> Column {
    Column::texts([value.map(String::into_bytes)])
}

fn json(value: &impl Serialize) -> Option<String> {
    serde_json::to_string(value).ok()
}
