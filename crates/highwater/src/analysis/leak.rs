//! Finds memory that grew steadily while a job ran, from the floor of each series after warm-up.

use serde::Serialize;

use super::floor::{self, FloorPoint};
use crate::record::{
    Confidence, Finding, Leak, LeakSearch, Metric, Process, Record, Scope, Series, Timeline,
};

/// The rules for a leak.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LeakRules {
    /// The least growth of the floor, in percent of its value after warm-up.
    pub min_growth_percent: f64,
    /// The least time of the growth, in seconds.
    pub min_duration_seconds: f64,
    /// The least growth in bytes.
    pub floor_bytes: u64,
}

impl Default for LeakRules {
    fn default() -> Self {
        Self { min_growth_percent: 50.0, min_duration_seconds: 60.0, floor_bytes: 1 << 20 }
    }
}

/// The result of [`find_leaks`], with what it could not judge.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LeakReport {
    /// The rules, and the number of series that were searched.
    pub search: LeakSearch,
    /// The leaks: the job's total first, then by rate.
    pub leaks: Vec<Leak>,
}

impl LeakReport {
    /// Stores the result in the record that it is about, in place of an earlier search's.
    pub fn enter<P>(self, record: &mut Record<P>) {
        record.findings.retain(|finding| !matches!(finding, Finding::Leak(_)));
        record.findings.extend(self.leaks.into_iter().map(Finding::Leak));
        record.leak_search = Some(self.search);
    }
}

/// Searches for steady growth in the job's total, each process that has a series, and each device.
pub fn find_leaks(record: &Record<Vec<Process>>, rules: LeakRules) -> LeakReport {
    let process = |row: usize| record.processes.get(row);
    find_leaks_in(record, rules, |row| process(row).map(|process| (process.pid, process.command.clone())))
}

/// As [`find_leaks`], for a record whose rows are not in memory. `who` returns pid and command of the row at
/// an index, and is called only for processes that leak.
pub fn find_leaks_in<P>(
    record: &Record<P>,
    rules: LeakRules,
    mut who: impl FnMut(usize) -> Option<(u32, String)>,
) -> LeakReport {
    let LeakRules { min_growth_percent, min_duration_seconds, floor_bytes } = rules;
    let mut search = LeakSearch {
        min_growth_percent,
        min_duration_seconds,
        floor_bytes,
        judged: 0,
        too_short: 0,
        total_judged: false,
    };
    let mut leaks = Vec::new();
    let Some(timeline) = &record.timeline else { return LeakReport { search, leaks } };
    let judged = |series: &&Series| {
        let is_judged = matches!(series.scope, Scope::Total | Scope::Process | Scope::Device);
        // Memory with each page counted once grows as the sum of RSS does: one leak would be found twice.
        is_judged && series.metric != Metric::Memory
    };
    for series in timeline.series.iter().filter(judged) {
        let points = without_teardown(points(timeline, series));
        let Some(course) = Course::of(&points, &rules) else {
            search.too_short += 1;
            continue;
        };
        search.judged += 1;
        search.total_judged |= series.scope == Scope::Total;
        let Some(growth) = course.growth(&rules) else { continue };
        let process = match (series.scope, series.id.and_then(|id| usize::try_from(id).ok())) {
            (Scope::Process, Some(row)) => who(row),
            _ => None,
        };
        let (pid, command) = process.unzip();
        leaks.push(Leak {
            scope: series.scope,
            metric: series.metric,
            id: series.id,
            pid,
            command,
            bytes_per_minute: bytes(growth.bytes_per_second * 60.0),
            began_seconds: growth.from.at,
            until_seconds: growth.to.at,
            from_bytes: bytes(growth.from.bytes),
            to_bytes: bytes(growth.to.bytes),
            sureness: growth.sureness,
        });
    }
    let fastest = |leak: &Leak| (leak.scope != Scope::Total, std::cmp::Reverse(leak.bytes_per_minute));
    leaks.sort_by_key(fastest);
    LeakReport { search, leaks }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Casts of floats saturate.
fn bytes(value: f64) -> u64 {
    value.round() as u64
}

/// Returns the series as points in order of time, with the lowest reading of each column. Invalid points are
/// skipped.
fn points(timeline: &Timeline, series: &Series) -> Vec<FloorPoint> {
    let seconds = timeline.seconds.get(series.first..).unwrap_or_default();
    let mut points: Vec<FloorPoint> = Vec::with_capacity(series.bytes.len());
    for (index, &at) in seconds.iter().enumerate().take(series.bytes.len().max(series.min.len())) {
        let reading = |values: &[Option<u64>]| values.get(index).copied().flatten();
        let Some(bytes) = reading(&series.min).or_else(|| reading(&series.bytes)) else { continue };
        if at.is_finite() && points.last().is_none_or(|last| last.at < at) {
            points.push(FloorPoint { at, bytes: bytes as f64 });
        }
    }
    points
}

/// The part of the time at the end in which a fall is the end of the job, and not a release.
const TEARDOWN_PART: f64 = 0.1;
/// The least fall at the very end that counts as the end of the job, as a part of the memory. Freeing takes
/// the kernel time, so a sample may be taken in its middle.
const MIN_TEARDOWN_FALL: f64 = 0.05;

/// Drops the last readings of a process that frees its memory because it exits.
fn without_teardown(mut points: Vec<FloorPoint>) -> Vec<FloorPoint> {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return points };
    let begin = last.at - (last.at - first.at) * TEARDOWN_PART;
    // It starts at the last reading before that part, which may contain few.
    let begin = points.partition_point(|point| point.at < begin).saturating_sub(1);
    let highest = points[begin..].iter().map(|point| point.bytes).fold(0.0, f64::max);
    if points.last().is_some_and(|last| last.bytes > highest * (1.0 - MIN_TEARDOWN_FALL)) {
        return points;
    }
    while points.len() > begin + 1 && points.last().is_some_and(|last| last.bytes < highest / 2.0) {
        points.pop();
    }
    // These were sampled during the fall.
    while points.len() > begin + 1 && points[points.len() - 1].bytes <= points[points.len() - 2].bytes {
        points.pop();
    }
    points
}

/// A series with fewer windows that have a reading is not judged.
const MIN_WINDOWS: usize = 12;
/// The number of parts of the time after warm-up.
const GROWTH_PARTS: usize = 8;
/// The parts of a series that are tried as warm-up, whose length is unknown.
const WARM_UPS: [f64; 5] = [0.1, 0.2, 0.3, 0.4, 0.5];
/// The share of an even growth that makes a part count as grown.
const MIN_PART_GROWTH: f64 = 0.25;
/// The number of parts that must have grown.
const MIN_GROWN_PARTS: usize = 5;
/// The largest share of the growth in one part: more would be one large allocation.
const MAX_PART_GROWTH: f64 = 1.0 / 3.0;
/// The largest part of the time between two bottoms that still shows growth between them.
const MAX_BOTTOM_DISTANCE: f64 = 0.3;
/// The least rise of the floor, as a part of the usual distance of the series above it. The lowest points of
/// mere noise rise and fall by less.
const MIN_RISE_OVER_SCATTER: f64 = 0.5;
/// The least rise of the whole series, as a part of the rise of its floor.
const MIN_SERIES_RISE: f64 = 0.7;
/// The least rate in the last quarter, as a part of the mean rate: a lower one means that growth ends.
const MIN_LAST_RATE: f64 = 0.65;

/// A series that is long enough to be judged.
struct Course {
    minima: Vec<FloorPoint>,
}

/// A stretch of steady growth.
struct Growth {
    from: FloorPoint,
    to: FloorPoint,
    bytes_per_second: f64,
    sureness: Confidence,
}

impl Course {
    fn of(points: &[FloorPoint], rules: &LeakRules) -> Option<Self> {
        let length = points.last()?.at - points.first()?.at;
        let minima = floor::window_minima(points);
        // After the shortest warm-up enough must be left.
        let left = length * (1.0 - WARM_UPS[0]);
        (left > 0.0 && left >= rules.min_duration_seconds && minima.len() >= MIN_WINDOWS)
            .then_some(Self { minima })
    }

    /// Returns the longest stretch to the end in which it grew steadily.
    fn growth(&self, rules: &LeakRules) -> Option<Growth> {
        let (first, last) = (self.minima.first()?, self.minima.last()?);
        WARM_UPS.iter().find_map(|warm_up| {
            let begin = first.at + (last.at - first.at) * warm_up;
            let begin = self.minima.partition_point(|point| point.at < begin);
            growth_of(&self.minima[begin..], rules)
        })
    }
}

/// Returns the median distance of the series above its floor.
fn scatter(minima: &[FloorPoint], kept: &[FloorPoint], end: f64) -> f64 {
    let judged = minima.iter().filter(|point| point.at <= end);
    let mut above: Vec<f64> =
        judged.map(|point| point.bytes - floor::at(kept, point.at, f64::INFINITY)).collect();
    if above.is_empty() {
        return 0.0;
    }
    let middle = above.len() / 2;
    above.select_nth_unstable_by(middle, f64::total_cmp).1.max(0.0)
}

fn growth_of(minima: &[FloorPoint], rules: &LeakRules) -> Option<Growth> {
    let kept = floor::kept(minima);
    let (begin, end) = (minima.first()?.at, kept.last()?.at);
    let length = end - begin;
    if length <= 0.0 || length < rules.min_duration_seconds {
        return None;
    }
    let border = |part: usize| {
        floor::at(&kept, begin + length * part as f64 / GROWTH_PARTS as f64, length * MAX_BOTTOM_DISTANCE)
    };
    let (low, high) = (border(0), border(GROWTH_PARTS));
    let gain = high - low;
    // The least growth that counts is a byte, whatever the rules say.
    if gain < (rules.floor_bytes as f64).max(1.0) || gain < low * rules.min_growth_percent.max(0.0) / 100.0 {
        return None;
    }
    if gain < scatter(minima, &kept, end) * MIN_RISE_OVER_SCATTER {
        return None;
    }
    let parts: Vec<f64> = (0..GROWTH_PARTS).map(|part| (border(part + 1) - border(part)) / gain).collect();
    let even = 1.0 / GROWTH_PARTS as f64;
    let grown = parts.iter().filter(|part| **part >= MIN_PART_GROWTH * even).count();
    let last_quarter: f64 = parts[GROWTH_PARTS - GROWTH_PARTS / 4..].iter().sum();
    let goes_on = last_quarter >= MIN_LAST_RATE / 4.0;
    let is_spread = grown >= MIN_GROWN_PARTS && parts.iter().all(|part| *part <= MAX_PART_GROWTH);
    if !goes_on || !is_spread {
        return None;
    }
    // The values above the floor must have risen with it. The floor of noise rises by construction, as it is
    // the least of ever fewer readings.
    let judged: Vec<FloorPoint> = minima.iter().filter(|point| point.at <= end).copied().collect();
    if floor::slope(&judged).is_none_or(|slope| slope * length < gain * MIN_SERIES_RISE) {
        return None;
    }
    // The growth begins where the floor was last at its first height, or nearly so.
    let start = kept.iter().rev().find(|point| point.bytes <= low + gain / 20.0);
    let from =
        start.copied().filter(|point| point.at > begin).unwrap_or(FloorPoint { at: begin, bytes: low });
    let rising: Vec<FloorPoint> = kept.iter().filter(|point| point.at >= from.at).copied().collect();
    let bytes_per_second = floor::slope(&rising).filter(|slope| *slope > 0.0).unwrap_or(gain / length);
    let clear = grown == GROWTH_PARTS && length >= 2.0 * rules.min_duration_seconds;
    let sureness = if clear { Confidence::Clear } else { Confidence::Probable };
    Some(Growth { from, to: FloorPoint { at: end, bytes: high }, bytes_per_second, sureness })
}
