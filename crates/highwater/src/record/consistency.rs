//! Rules between the fields of a record: one part must not contradict another.
//!
//! A record may come from anywhere. These rules are checked once, after reading, so that no analysis and no
//! output has to check whether a row or column exists. `docs/record.md` lists them.

use std::collections::HashSet;

use super::{
    Counter, CounterMetric, Finding, GpuFigure, Group, GroupKey, Metric, Record, Scope, Series, Timeline,
};

/// The most columns of a timeline: fifty times as many as this version writes.
const MAX_COLUMNS: usize = 100_000;

/// Entries of a list at most: outputs take up to some KiB for each. This version writes 100,000 processes, and 10,000 groups
/// of each kind.
const MAX_ENTRIES: usize = 1 << 18;

/// A rule that a record breaks.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Inconsistency {
    /// Path of the field, such as `timeline.series[3].first`.
    pub(super) field: String,
    /// The fault; the text continues after the field's name.
    pub(super) why: String,
}

type Checked = Result<(), Inconsistency>;

fn wrong(field: impl Into<String>, why: impl Into<String>) -> Inconsistency {
    Inconsistency { field: field.into(), why: why.into() }
}

/// Checks all rules.
pub(super) fn check(record: &Record) -> Checked {
    let rows = record.processes.len();
    check_lengths(record)?;
    check_moment("duration_seconds", record.duration_seconds)?;
    check_peaks(record)?;
    let bytes = record.peak.rss.map(|rss| rss.bytes);
    check_kib(record.max_total_rss_kib, bytes, || "max_total_rss_kib".to_owned())?;
    for (place, process) in record.processes.iter().enumerate() {
        let bytes = process.peak.rss.map(|rss| rss.bytes);
        check_kib(process.max_rss_kib, bytes, || format!("processes[{place}].max_rss_kib"))?;
        check_moment_at("processes", place, "start_seconds", Some(process.start_seconds))?;
        check_moment_at("processes", place, "end_seconds", process.end_seconds)?;
    }
    for (place, group) in record.groups.iter().enumerate() {
        check_moment_at("groups", place, "at_seconds", group.at_seconds)?;
    }
    check_tree(&record.groups, rows)?;
    for (place, limit) in record.limits.iter().enumerate() {
        let at_seconds = limit.exceeded.as_ref().and_then(|exceeded| exceeded.at_seconds);
        check_moment_at("limits", place, "exceeded.at_seconds", at_seconds)?;
    }
    for (place, finding) in record.findings.iter().enumerate() {
        let Finding::Leak(leak) = finding else { continue };
        check_moment_at("findings", place, "began_seconds", Some(leak.began_seconds))?;
        check_moment_at("findings", place, "until_seconds", Some(leak.until_seconds))?;
        if leak.scope == Scope::Process {
            check_row(leak.id, rows, || format!("findings[{place}].id"))?;
        }
    }
    record.timeline.as_ref().map_or(Ok(()), |timeline| check_timeline(timeline, rows))
}

fn check_lengths(record: &Record) -> Checked {
    let lines =
        record.timeline.as_ref().map_or(0, |timeline| timeline.series.len() + timeline.counters.len());
    let holders = record.peak.memory.as_ref().and_then(|memory| memory.holders.as_ref());
    let lists = [
        ("processes", record.processes.len()),
        ("groups", record.groups.len()),
        ("limits", record.limits.len()),
        ("findings", record.findings.len()),
        ("peak.gpu", record.peak.gpu.len()),
        ("peak.memory.holders.largest", holders.map_or(0, |holders| holders.largest.len())),
        ("oom.victims", record.oom.as_ref().map_or(0, |oom| oom.victims.len())),
        ("capture.downgrades", record.capture.downgrades.len()),
        ("timeline", lines),
    ];
    match lists.into_iter().find(|(_, length)| *length > MAX_ENTRIES) {
        Some((field, length)) => Err(wrong(field, format!("has {length} entries, more than {MAX_ENTRIES}"))),
        None => Ok(()),
    }
}

fn check_peaks(record: &Record) -> Checked {
    let peak = &record.peak;
    if let Some(rss) = &peak.rss {
        check_at_most(rss.lower_bytes, rss.bytes, || "peak.rss.lower_bytes".to_owned())?;
        check_at_most(rss.bytes, rss.upper_bytes, || "peak.rss.bytes".to_owned())?;
        check_moment("peak.rss.at_seconds", rss.at_seconds.unwrap_or_default())?;
        for end in rss.between_seconds.into_iter().flatten() {
            check_moment("peak.rss.between_seconds", end)?;
        }
    }
    if let Some(memory) = &peak.memory {
        check_at_most(memory.lower_bytes, memory.bytes, || "peak.memory.lower_bytes".to_owned())?;
        check_at_most(memory.bytes, memory.upper_bytes, || "peak.memory.bytes".to_owned())?;
        check_moment("peak.memory.at_seconds", memory.at_seconds.unwrap_or_default())?;
        for end in memory.between_seconds.into_iter().flatten() {
            check_moment("peak.memory.between_seconds", end)?;
        }
        let rows = record.processes.len();
        for (place, holder) in memory.holders.iter().flat_map(|holders| &holders.largest).enumerate() {
            check_row(Some(holder.process), rows, || {
                format!("peak.memory.holders.largest[{place}].process")
            })?;
        }
    }
    let figures = [("pss", peak.pss), ("cgroup", peak.cgroup), ("commit", peak.commit), ("swap", peak.swap)];
    for (name, figure) in figures {
        if let Some(at) = figure.and_then(|figure| figure.at_seconds) {
            check_moment(&format!("peak.{name}.at_seconds"), at)?;
        }
    }
    for (place, device) in peak.gpu.iter().enumerate() {
        for (name, figure) in [("vram", device.vram), ("gtt", device.gtt)] {
            let Some(GpuFigure { bytes, lower_bytes, at_seconds, .. }) = figure else { continue };
            check_at_most(lower_bytes, bytes, || format!("peak.gpu[{place}].{name}.lower_bytes"))?;
            check_moment_at("peak.gpu", place, &format!("{name}.at_seconds"), at_seconds)?;
        }
    }
    Ok(())
}

/// Checks that a figure in KiB is the one in bytes beside it, without what is less than a KiB.
fn check_kib(kib: Option<u64>, bytes: Option<u64>, field: impl Fn() -> String) -> Checked {
    match kib.zip(bytes) {
        Some((kib, bytes)) if kib != bytes / 1024 => {
            Err(wrong(field(), format!("is {kib}, and the same peak in bytes is {bytes}")))
        }
        _ => Ok(()),
    }
}

/// Checks one step of `lower_bytes <= bytes <= upper_bytes`.
fn check_at_most(figure: u64, most: u64, field: impl Fn() -> String) -> Checked {
    if figure <= most { Ok(()) } else { Err(wrong(field(), format!("is {figure}, above {most}"))) }
}

fn check_timeline(timeline: &Timeline, rows: usize) -> Checked {
    let columns = timeline.seconds.len();
    if columns > MAX_COLUMNS {
        return Err(wrong("timeline.seconds", format!("has {columns} columns, more than {MAX_COLUMNS}")));
    }
    let mut before = 0.0;
    for (place, &at) in timeline.seconds.iter().enumerate() {
        if !(at >= before && at.is_finite()) {
            return Err(wrong(
                format!("timeline.seconds[{place}]"),
                format!("is {at}, not a moment at or after {before}"),
            ));
        }
        before = at;
    }
    let mut lines = HashSet::new();
    for (place, series) in timeline.series.iter().enumerate() {
        let Series { metric, scope, id, first, bytes, min, max } = series;
        let at = |name: &str| format!("timeline.series[{place}].{name}");
        check_span(*first, bytes.len(), columns, || at("first"))?;
        for (name, values) in [("min", min), ("max", max)] {
            if values.len() != bytes.len() {
                let why = format!("has {} values beside {} of bytes", values.len(), bytes.len());
                return Err(wrong(at(name), why));
            }
        }
        check_owner(*scope, *id, rows, || at("id"))?;
        // A newer version may have values that all read as unknown here, so these may repeat.
        let is_known = *metric != Metric::Other && *scope != Scope::Unknown;
        if is_known && !lines.insert((*metric, *scope, *id)) {
            return Err(wrong(format!("timeline.series[{place}]"), "is there twice"));
        }
    }
    let mut lines = HashSet::new();
    for (place, counter) in timeline.counters.iter().enumerate() {
        let Counter { metric, unit: _, scope, id, first, values } = counter;
        let at = |name: &str| format!("timeline.counters[{place}].{name}");
        check_span(*first, values.len(), columns, || at("first"))?;
        check_owner(*scope, *id, rows, || at("id"))?;
        let is_known = *metric != CounterMetric::Other && *scope != Scope::Unknown;
        if is_known && !lines.insert((*metric, *scope, *id)) {
            return Err(wrong(format!("timeline.counters[{place}]"), "is there twice"));
        }
    }
    Ok(())
}

/// Checks that a line's values all have a column.
fn check_span(first: usize, length: usize, columns: usize, field: impl Fn() -> String) -> Checked {
    match first.checked_add(length) {
        Some(end) if end <= columns => Ok(()),
        _ => {
            let why = format!("is {first} with {length} values, beyond the {columns} columns");
            Err(wrong(field(), why))
        }
    }
}

/// Checks that a line names its owner where its scope needs one.
fn check_owner(scope: Scope, id: Option<u64>, rows: usize, field: impl Fn() -> String) -> Checked {
    if scope == Scope::Process { check_row(id, rows, field) } else { Ok(()) }
}

fn check_row(id: Option<u64>, rows: usize, field: impl Fn() -> String) -> Checked {
    match id {
        Some(id) => row_of(id, rows).map(drop).ok_or_else(|| beyond(id, rows, field())),
        // The process is not in the record.
        None => Ok(()),
    }
}

fn row_of(id: u64, rows: usize) -> Option<usize> {
    usize::try_from(id).ok().filter(|&row| row < rows)
}

fn beyond(id: u64, rows: usize, field: String) -> Inconsistency {
    wrong(field, format!("is {id}, and there are {rows} processes"))
}

/// Checks that the groups by tree form a tree: each process once, each parent a process, and no cycle.
fn check_tree(groups: &[Group], rows: usize) -> Checked {
    let mut tree: Vec<BranchNode> = Vec::new();
    let is_tree = |(_, group): &(usize, &Group)| group.by == GroupKey::Tree;
    for (place, group) in groups.iter().enumerate().filter(is_tree) {
        if tree.is_empty() {
            tree.resize(rows, BranchNode::default());
        }
        let inside = |name: &str, id: Option<u64>| {
            let row =
                |id| row_of(id, rows).ok_or_else(|| beyond(id, rows, format!("groups[{place}].{name}")));
            id.map(row).transpose()
        };
        let parent = inside("parent", group.parent)?;
        let Some(row) = inside("id", group.id)? else { continue };
        if tree[row].place.replace(place).is_some() {
            return Err(wrong(format!("groups[{place}].id"), "is there twice"));
        }
        tree[row].parent = parent;
    }
    for start in 0..tree.len() {
        let mut next = Some(start);
        while let Some(row) = next.filter(|&row| tree[row].seen_from.is_none()) {
            tree[row].seen_from = Some(start);
            next = tree[row].parent;
        }
        if let Some(row) = next.filter(|&row| tree[row].seen_from == Some(start)) {
            let place = tree[row].place.unwrap_or_default();
            return Err(wrong(format!("groups[{place}].parent"), "leads back to the group itself"));
        }
    }
    Ok(())
}

/// A row of the record within the tree.
#[derive(Debug, Clone, Default)]
struct BranchNode {
    /// The index of its group.
    place: Option<usize>,
    parent: Option<usize>,
    /// The row from which a walk to the root came.
    seen_from: Option<usize>,
}

fn check_moment_at(list: &str, place: usize, name: &str, seconds: Option<f64>) -> Checked {
    match seconds {
        Some(seconds) if !is_moment(seconds) => {
            Err(wrong(format!("{list}[{place}].{name}"), format!("is {seconds}, not a time")))
        }
        _ => Ok(()),
    }
}

fn check_moment(field: &str, seconds: f64) -> Checked {
    if is_moment(seconds) { Ok(()) } else { Err(wrong(field, format!("is {seconds}, not a time"))) }
}

/// Returns whether a time is valid; times count from the start of the job.
fn is_moment(seconds: f64) -> bool {
    seconds.is_finite() && seconds >= 0.0
}
