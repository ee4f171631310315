//! Compares records with earlier ones of the same job.

use std::collections::HashMap;

use serde::Serialize;

use super::{
    Warning,
    figure::{self, FigureInterval, FigureReading},
    judge::{Reason, Rules, Side, Verdict, judge, judge_new},
    warning,
};
use crate::record::{Certainty, GpuFigure, GpuPeak, GpuScope, GroupKey, MemorySource, Metric, Record};

/// The quantity of one row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Quantity {
    /// The job's memory, each page counted once.
    Memory,
    /// The job's total.
    Total {
        /// The metric.
        metric: Metric,
    },
    /// The kernel's peak of the job's cgroup, page cache included.
    Cgroup,
    /// Memory on a device.
    Vram {
        /// The device's position in the list of devices.
        index: u32,
        /// The identity of the device.
        id: String,
    },
    /// System RAM mapped for a device.
    Gtt {
        /// The device's position in the list of devices.
        index: u32,
        /// The identity of the device.
        id: String,
    },
    /// Processes that share a command.
    Group {
        /// The command.
        command: String,
    },
}

/// One quantity on both sides.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ComparisonRow {
    /// The quantity.
    pub what: Quantity,
    /// The base's records.
    pub base: Side,
    /// The candidate's records.
    pub candidate: Side,
    /// The change from the base's median to the candidate's.
    pub change_bytes: Option<i64>,
    /// The same in percent of the base; `null` also if the base is 0.
    pub change_percent: Option<f64>,
    /// The judgement.
    pub verdict: Verdict,
    /// The reason of the judgement.
    pub reason: Reason,
    /// True if a regression here makes the whole one; other rows only explain.
    pub decides: bool,
}

/// The result of [`compare`].
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Comparison {
    /// The verdict on all rows that decide.
    pub verdict: Verdict,
    /// The rules that were applied.
    pub rules: Rules,
    /// The totals; the one that decides first.
    pub totals: Vec<ComparisonRow>,
    /// The groups, those that changed most first.
    pub groups: Vec<ComparisonRow>,
    /// Facts that weaken the comparison.
    pub warnings: Vec<Warning>,
}

impl Comparison {
    /// Returns the total that decides: peak memory, or the total in the primary metric where a record lacks that.
    pub fn primary(&self) -> Option<&ComparisonRow> {
        self.totals.first()
    }
}

/// Compares records of a job with earlier ones. Several on a side are runs of the same job: their medians are
/// compared, and their spread is the noise.
///
/// The whole is a [`Verdict::Regression`] if one row that decides is. It is [`Verdict::Unknown`] if the
/// primary total cannot be judged, or the device memory that the base knows cannot be. Else it is
/// [`Verdict::NoEvidence`] if growth is not proven.
pub fn compare<P, Q>(base: &[Record<P>], candidate: &[Record<Q>], rules: Rules) -> Comparison {
    let mut totals = totals(base, candidate, &rules);
    totals.extend(devices(base, candidate, &rules));
    let groups = groups(base, candidate, &rules);
    let verdict = overall(&totals, &groups);
    Comparison { verdict, rules, totals, groups, warnings: warning::all(base, candidate) }
}

/// Returns median and spread of each total that is known in any of several runs of one job. Peak memory comes first if all
/// have it, then the primary metric, known or not.
pub fn totals_of_runs<P>(runs: &[Record<P>]) -> Vec<(Quantity, Side)> {
    let (nothing, rules) = (<&[Record<P>]>::default(), Rules::default());
    let rows = totals(nothing, runs, &rules).into_iter().chain(devices(nothing, runs, &rules));
    rows.map(|row| (row.what, row.candidate)).collect()
}

fn overall(totals: &[ComparisonRow], groups: &[ComparisonRow]) -> Verdict {
    let deciding = || totals.iter().chain(groups).filter(|row| row.decides);
    let is_undecided = |(place, row): (usize, &ComparisonRow)| {
        let lost = matches!(row.what, Quantity::Vram { .. }) && row.base.bytes.is_some();
        row.verdict == Verdict::Unknown && (place == 0 || lost)
    };
    if deciding().any(|row| row.verdict == Verdict::Regression) {
        Verdict::Regression
    } else if totals.is_empty() || totals.iter().enumerate().any(is_undecided) {
        Verdict::Unknown
    } else if deciding().any(|row| row.verdict == Verdict::NoEvidence) {
        Verdict::NoEvidence
    } else {
        Verdict::Fine
    }
}

impl ComparisonRow {
    fn judged(
        what: Quantity,
        base: &[FigureReading],
        candidate: &[FigureReading],
        rules: &Rules,
        decides: bool,
    ) -> Self {
        let (base, candidate) = (Side::of(base), Side::of(candidate));
        let judgement = judge(&base, &candidate, rules);
        Self::with(what, base, candidate, judgement, decides)
    }

    /// Marks the sides as incomparable: they count different things, so a difference means nothing.
    fn not_the_same(&mut self) {
        (self.verdict, self.reason) = (Verdict::Unknown, Reason::NotTheSame);
        (self.change_bytes, self.change_percent) = (None, None);
    }

    fn with(
        what: Quantity,
        base: Side,
        candidate: Side,
        (verdict, reason): (Verdict, Reason),
        decides: bool,
    ) -> Self {
        let both = base.bytes.zip(candidate.bytes);
        let change_bytes = both.map(|(before, after)| {
            let change = i128::from(after) - i128::from(before);
            i64::try_from(change).unwrap_or(if change < 0 { i64::MIN } else { i64::MAX })
        });
        let change_percent = both
            .filter(|(before, _)| *before > 0)
            .map(|(before, after)| (after as f64 - before as f64) / before as f64 * 100.0);
        Self { what, base, candidate, change_bytes, change_percent, verdict, reason, decides }
    }
}

/// Reads a figure of each record. Figures of a checkpoint may still rise, so they are unknown.
fn read<P>(
    records: &[Record<P>],
    figure: impl Fn(&Record<P>) -> Option<FigureInterval>,
) -> Vec<FigureReading> {
    records.iter().map(|record| FigureReading::from(figure(record).filter(|_| record.complete))).collect()
}

fn totals<P, Q>(base: &[Record<P>], candidate: &[Record<Q>], rules: &Rules) -> Vec<ComparisonRow> {
    let metrics = || base.iter().map(|r| r.primary_metric).chain(candidate.iter().map(|r| r.primary_metric));
    let metric = metrics().next().unwrap_or(Metric::Rss);
    let what = Quantity::Total { metric };
    let mut rows = Vec::new();
    // Where all records have it, it decides: the sums count a page as often as it is mapped.
    let of_memory = memory(base, candidate, rules);
    let sums_decide = of_memory.is_none();
    rows.extend(of_memory);
    let mut total = ComparisonRow::judged(
        what,
        &read(base, figure::total),
        &read(candidate, figure::total),
        rules,
        sums_decide,
    );
    if metrics().any(|other| other != metric) {
        total.not_the_same();
    }
    rows.push(total);
    let mut add = |what, base: Vec<FigureReading>, candidate: Vec<FigureReading>, decides| {
        let row = ComparisonRow::judged(what, &base, &candidate, rules, decides);
        // A quantity that no side measured is left out.
        if row.base.known + row.candidate.known > 0 {
            rows.push(row);
        }
    };
    let pss = Quantity::Total { metric: Metric::Pss };
    add(pss, read(base, figure::pss), read(candidate, figure::pss), sums_decide);
    // It includes page cache, which depends on earlier programs: it explains and does not decide.
    add(Quantity::Cgroup, read(base, figure::cgroup), read(candidate, figure::cgroup), false);
    rows
}

/// Compares the memory with each page counted once; `None` if a record does not have it.
fn memory<P, Q>(base: &[Record<P>], candidate: &[Record<Q>], rules: &Rules) -> Option<ComparisonRow> {
    let all =
        base.iter().map(|r| r.peak.memory.as_ref()).chain(candidate.iter().map(|r| r.peak.memory.as_ref()));
    let sources: Vec<MemorySource> = all.map(|memory| Some(memory?.source)).collect::<Option<_>>()?;
    let first = sources.first()?;
    let are_alike = sources.iter().all(|source| source == first);
    let (base, candidate) =
        (read(base, |r| figure::memory(r, are_alike)), read(candidate, |r| figure::memory(r, are_alike)));
    Some(ComparisonRow::judged(Quantity::Memory, &base, &candidate, rules, true))
}

/// Matches the devices of the two sides, by id or else by position in the list.
fn devices<P, Q>(base: &[Record<P>], candidate: &[Record<Q>], rules: &Rules) -> Vec<ComparisonRow> {
    let mut known: Vec<(u32, &str)> = Vec::new();
    let all = base.iter().flat_map(|r| &r.peak.gpu).chain(candidate.iter().flat_map(|r| &r.peak.gpu));
    for device in all {
        if !known.iter().any(|&(index, id)| id == device.id || index == device.index) {
            known.push((device.index, &device.id));
        }
    }
    let mut rows = Vec::new();
    for (index, id) in known {
        let row = |what, part: fn(&GpuPeak) -> (Option<GpuFigure>, Option<u64>), decides| {
            let of = |gpu: &[GpuPeak], complete: bool| {
                let device = find(gpu, index, id).filter(|_| complete)?;
                let (figure, cap) = part(device);
                Some((figure::on_gpu(device, figure, cap)?, figure?.scope))
            };
            let before: Vec<_> = base.iter().map(|r| of(&r.peak.gpu, r.complete)).collect();
            let after: Vec<_> = candidate.iter().map(|r| of(&r.peak.gpu, r.complete)).collect();
            let seen = |of: &[Option<(FigureInterval, GpuScope)>]| -> Vec<FigureReading> {
                of.iter().map(|one| FigureReading::from(one.map(|(figure, _)| figure))).collect()
            };
            let mut row = ComparisonRow::judged(what, &seen(&before), &seen(&after), rules, decides);
            let mut scopes = before.iter().chain(&after).flatten().map(|(_, scope)| *scope);
            let first = scopes.next();
            if scopes.any(|scope| Some(scope) != first) {
                row.not_the_same();
            }
            row
        };
        let id = id.to_owned();
        rows.push(row(Quantity::Vram { index, id: id.clone() }, |d| (d.vram, d.total_bytes), true));
        let gtt = row(Quantity::Gtt { index, id }, |d| (d.gtt, None), false);
        if gtt.base.known + gtt.candidate.known > 0 {
            rows.push(gtt);
        }
    }
    rows
}

fn find<'a>(gpu: &'a [GpuPeak], index: u32, id: &str) -> Option<&'a GpuPeak> {
    gpu.iter().find(|device| device.id == id).or_else(|| gpu.iter().find(|device| device.index == index))
}

fn groups<P, Q>(base: &[Record<P>], candidate: &[Record<Q>], rules: &Rules) -> Vec<ComparisonRow> {
    let (before, after) = (GroupReadings::of(base), GroupReadings::of(candidate));
    let base_saw_all = !base.is_empty()
        && base.iter().all(|r| r.complete && r.capture.processes_seen_is == Certainty::Exact);
    let only_after = after.order.iter().filter(|key| !before.seen.contains_key(*key));
    let mut rows: Vec<ComparisonRow> = before
        .order
        .iter()
        .chain(only_after)
        .map(|key| {
            let (one, two) = (Side::of(&before.get(key)), Side::of(&after.get(key)));
            let absent = |side: &Side| side.runs > 0 && side.absent == side.runs;
            let judgement = if absent(&one) {
                judge_new(&two, base_saw_all, rules)
            } else if absent(&two) {
                (Verdict::Fine, Reason::Gone)
            } else {
                judge(&one, &two, rules)
            };
            let what = Quantity::Group { command: key.0.to_owned() };
            ComparisonRow::with(what, one, two, judgement, rules.groups_decide)
        })
        .collect();
    // The sort is stable: if nothing changed, the largest group stays first.
    rows.sort_by_key(|row| std::cmp::Reverse(change(row)));
    rows
}

/// Returns how much a group changed; a new or lost group changed by all of it.
fn change(row: &ComparisonRow) -> u64 {
    match (row.base.bytes, row.candidate.bytes) {
        (Some(before), Some(after)) => before.abs_diff(after),
        (one, two) => one.or(two).unwrap_or(0),
    }
}

/// The groups of one side, by command, and by order if a record has one command more than once.
struct GroupReadings<'a> {
    order: Vec<(&'a str, usize)>,
    /// Readings by record; the vector ends with the last record that has the group.
    seen: HashMap<(&'a str, usize), Vec<FigureReading>>,
    /// The reading for groups that a record does not list.
    otherwise: Vec<FigureReading>,
}

impl<'a> GroupReadings<'a> {
    fn of<P>(records: &'a [Record<P>]) -> Self {
        let otherwise: Vec<FigureReading> = records
            .iter()
            .map(|r| if r.complete { FigureReading::Absent } else { FigureReading::Unknown })
            .collect();
        let mut groups = Self { order: Vec::new(), seen: HashMap::new(), otherwise };
        for (place, record) in records.iter().enumerate().filter(|(_, record)| record.complete) {
            let mut times: HashMap<&str, usize> = HashMap::new();
            for group in record.groups.iter().filter(|group| group.by == GroupKey::Command) {
                let nth = times.entry(&group.key).or_default();
                let key = (group.key.as_str(), *nth);
                *nth += 1;
                let order = &mut groups.order;
                let seen = groups.seen.entry(key).or_insert_with(|| {
                    order.push(key);
                    Vec::new()
                });
                seen.extend_from_slice(&groups.otherwise[seen.len()..place]);
                seen.push(FigureReading::from(group.peak_bytes.map(FigureInterval::point)));
            }
        }
        groups
    }

    fn get(&self, key: &(&str, usize)) -> Vec<FigureReading> {
        let mut seen = self.seen.get(key).cloned().unwrap_or_default();
        seen.extend_from_slice(&self.otherwise[seen.len()..]);
        seen
    }
}
