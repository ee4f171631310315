//! The bounded timeline: columns of readings that merge pairwise once they exceed their budget.
//!
//! A merged column keeps the whole sample with the highest total of the job, so stacks stay consistent and the true
//! peak is always drawn. It also keeps each member's minimum and maximum, so short dips and single peaks survive.

use std::{collections::BTreeMap, time::Duration};

use super::{
    events::Sample, identity::MemberId, moment::rounded_seconds, peak_memory::MemoryNow,
    resource_use::UsageWanted,
};
use crate::record;

mod counters;

pub(crate) use self::counters::UsedAt;

/// Most cells (one member in one column). Each takes 24 bytes here and about 40 while the record is made.
const MAX_CELLS: usize = 32_000;
/// Most columns.
const MAX_COLUMNS: usize = 2_000;
/// Fewest columns, however many members there are.
const MIN_COLUMNS: usize = 20;
/// Most members that a merged column keeps although they were absent at its own moment, the largest ones.
const MAX_ABSENT_CELLS: usize = 500;
/// Most series of single processes in the record; the smaller ones are summed up in one series.
const MAX_PROCESS_SERIES: usize = 2_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cell {
    id: MemberId,
    /// KiB at the column's own moment; `None` if it was absent then but seen in a merged sample.
    kib: Option<u32>,
    min_kib: u32,
    max_kib: u32,
}

#[derive(Debug, Clone, PartialEq)]
struct TimelineColumn {
    at: Duration,
    total: u64,
    min_total: u64,
    max_total: u64,
    cells: Vec<Cell>,
    gpus: Vec<OnGpu>,
    /// Memory with each page counted once.
    memory: Option<ColumnAmount>,
    swap: Option<ColumnAmount>,
    /// Usage, if it was read in the sample that is shown.
    used: Option<UsedAt>,
}

/// An amount of the whole job: at the column's own moment, and the lowest and highest in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ColumnAmount {
    bytes: u64,
    min: u64,
    max: u64,
}

impl ColumnAmount {
    fn of(memory: MemoryNow) -> Self {
        Self { bytes: memory.now, min: memory.now, max: memory.highest.max(memory.now) }
    }

    /// Merges a later amount into an earlier one.
    fn absorb(earlier: &mut Option<Self>, later: Option<Self>, later_is_shown: bool) {
        *earlier = match (*earlier, later) {
            (Some(one), Some(two)) => Some(Self {
                bytes: if later_is_shown { two.bytes } else { one.bytes },
                min: one.min.min(two.min),
                max: one.max.max(two.max),
            }),
            (one, two) => one.or(two),
        };
    }
}

/// Memory of the job on one device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct OnGpu {
    index: u32,
    bytes: u64,
    min: u64,
    max: u64,
}

/// Amounts of the whole job in a sample, beside its total.
#[derive(Debug, Default)]
pub(crate) struct BesideTotal {
    /// Memory with each page counted once.
    pub(crate) memory: Option<MemoryNow>,
    /// The last reading of swap.
    pub(crate) swap: Option<u64>,
    /// Usage, if it was read in this sample.
    pub(crate) used: Option<UsedAt>,
}

/// Memory over time, in a fixed amount of memory.
#[derive(Debug, Default)]
pub(crate) struct TimelineFold {
    columns: Vec<TimelineColumn>,
    cells: usize,
    /// Samples in one column, a power of two.
    stride: usize,
    /// Samples already merged into the last column.
    filled: usize,
    /// The last reading: devices are read at their own times.
    gpus: Vec<OnGpu>,
    wanted: UsageWanted,
}

impl TimelineFold {
    pub(crate) fn new(wanted: UsageWanted) -> Self {
        Self { wanted, ..Self::default() }
    }

    /// Adds a sample whose counted readings sum up to `total` bytes.
    pub(crate) fn add(&mut self, sample: &Sample<'_>, total: u64, beside: BesideTotal) {
        let BesideTotal { memory, swap, used } = beside;
        let cells: Vec<Cell> = sample
            .readings
            .iter()
            .filter(|reading| !reading.shares_map)
            .map(|reading| {
                let kib = u32::try_from(reading.rss / 1024).unwrap_or(u32::MAX);
                Cell { id: reading.id, kib: Some(kib), min_kib: kib, max_kib: kib }
            })
            .collect();
        let column = TimelineColumn {
            at: sample.at,
            total,
            min_total: total,
            max_total: total,
            cells,
            gpus: self.gpus.clone(),
            memory: memory.map(ColumnAmount::of),
            swap: swap.map(|bytes| ColumnAmount { bytes, min: bytes, max: bytes }),
            used,
        };
        self.stride = self.stride.max(1);
        self.cells += column.cells.len();
        match self.columns.last_mut() {
            Some(last) if self.filled < self.stride => {
                let before = last.cells.len() + column.cells.len();
                last.absorb(column);
                self.cells = self.cells + last.cells.len() - before;
                self.filled += 1;
            }
            _ => {
                self.columns.push(column);
                self.filled = 1;
            }
        }
        while self.columns.len() > MAX_COLUMNS || (self.cells > MAX_CELLS && self.columns.len() > MIN_COLUMNS)
        {
            self.halve();
        }
    }

    /// Adds a reading of memory between two samples to the column of the sample before.
    pub(crate) fn memory_between_samples(&mut self, memory: MemoryNow) {
        if let Some(last) = self.columns.last_mut() {
            ColumnAmount::absorb(&mut last.memory, Some(ColumnAmount::of(memory)), false);
        }
    }

    /// Sets the memory of the job on each device from now on.
    pub(crate) fn gpu(&mut self, now: impl Iterator<Item = (u32, u64)>) {
        self.gpus = now.map(|(index, bytes)| OnGpu { index, bytes, min: bytes, max: bytes }).collect();
        if let Some(last) = self.columns.last_mut() {
            absorb_gpus(&mut last.gpus, &self.gpus, false);
        }
    }

    fn halve(&mut self) {
        let mut merged: Vec<TimelineColumn> = Vec::with_capacity(self.columns.len() / 2 + 1);
        let odd = self.columns.len() % 2 == 1;
        for (index, column) in std::mem::take(&mut self.columns).into_iter().enumerate() {
            match merged.last_mut() {
                Some(last) if index % 2 == 1 => last.absorb(column),
                _ => merged.push(column),
            }
        }
        // The last column of an odd number stays single and is filled further.
        self.filled = if odd { self.filled } else { self.stride + self.filled };
        self.stride *= 2;
        self.columns = merged;
        self.cells = self.columns.iter().map(|column| column.cells.len()).sum();
    }

    /// Returns the timeline in the form of the record. `peak_of` gives each member's peak, by which the series are
    /// chosen. `memory_peak` is the peak of memory: an estimate from before a reading that lowered it may exceed that.
    pub(crate) fn finish(
        &self,
        memory_peak: Option<u64>,
        peak_of: impl Fn(MemberId) -> u64,
        row_of: impl Fn(MemberId) -> Option<u64>,
    ) -> record::Timeline {
        let seconds = self.columns.iter().map(|column| rounded_seconds(column.at)).collect();
        let mut series = vec![record::Series {
            metric: record::Metric::Rss,
            scope: record::Scope::Total,
            id: None,
            first: 0,
            bytes: self.columns.iter().map(|column| Some(column.total)).collect(),
            min: self.columns.iter().map(|column| Some(column.min_total)).collect(),
            max: self.columns.iter().map(|column| Some(column.max_total)).collect(),
        }];
        let mut members: BTreeMap<MemberId, record::Series> = BTreeMap::new();
        let kept = self.largest(&peak_of, &row_of);
        let mut other: Option<record::Series> = None;
        for (index, column) in self.columns.iter().enumerate() {
            for cell in &column.cells {
                let bytes = |kib: u32| u64::from(kib) * 1024;
                if kept.binary_search(&cell.id).is_ok() {
                    let line = members
                        .entry(cell.id)
                        .or_insert_with(|| series_from(record::Scope::Process, row_of(cell.id), index));
                    line.fill_to(index);
                    line.bytes.push(cell.kib.map(bytes));
                    line.min.push(Some(bytes(cell.min_kib)));
                    line.max.push(Some(bytes(cell.max_kib)));
                } else {
                    let line = other.get_or_insert_with(|| series_from(record::Scope::Other, None, index));
                    line.fill_to(index + 1);
                    // Minima and maxima of different processes do not add up. Only the sum at the column's moment is
                    // valid.
                    if let (Some(kib), Some(slot)) = (cell.kib, line.bytes.get_mut(index - line.first)) {
                        *slot = Some(slot.unwrap_or(0) + bytes(kib));
                    }
                }
            }
        }
        series.extend(self.memory_series(memory_peak));
        series.extend(self.swap_series());
        series.extend(self.gpu_series());
        series.extend(members.into_values());
        series.extend(other);
        let is_kept = |id| kept.binary_search(&id).is_ok();
        let counters = counters::counters(&self.columns, self.wanted, is_kept, row_of);
        record::Timeline { seconds, series, counters }
    }

    /// Returns the series of memory with each page counted once, if it is known.
    fn memory_series(&self, peak: Option<u64>) -> Option<record::Series> {
        let peak = peak?;
        self.columns.iter().find(|column| column.memory.is_some())?;
        Some(self.series_of(record::Metric::Memory, |column| {
            let ColumnAmount { bytes, min, max } = column.memory?;
            Some(ColumnAmount { bytes: bytes.min(peak), min: min.min(peak), max: max.min(peak) })
        }))
    }

    /// Returns the series of swap, if any was used.
    fn swap_series(&self) -> Option<record::Series> {
        self.columns.iter().find(|column| column.swap.is_some_and(|swap| swap.max > 0))?;
        Some(self.series_of(record::Metric::Swap, |column| column.swap))
    }

    /// Returns the series of an amount of the whole job.
    fn series_of(
        &self,
        metric: record::Metric,
        amount: impl Fn(&TimelineColumn) -> Option<ColumnAmount>,
    ) -> record::Series {
        let values = |value: fn(ColumnAmount) -> u64| {
            self.columns.iter().map(|column| amount(column).map(value)).collect::<Vec<_>>()
        };
        record::Series {
            metric,
            bytes: values(|amount| amount.bytes),
            min: values(|amount| amount.min),
            max: values(|amount| amount.max),
            ..series_from(record::Scope::Total, None, 0)
        }
    }

    fn gpu_series(&self) -> impl Iterator<Item = record::Series> {
        let mut devices: BTreeMap<u32, record::Series> = BTreeMap::new();
        for (place, column) in self.columns.iter().enumerate() {
            for on in &column.gpus {
                let line = devices.entry(on.index).or_insert_with(|| record::Series {
                    metric: record::Metric::Vram,
                    ..series_from(record::Scope::Device, Some(on.index.into()), place)
                });
                line.fill_to(place);
                line.bytes.push(Some(on.bytes));
                line.min.push(Some(on.min));
                line.max.push(Some(on.max));
            }
        }
        devices.into_values()
    }

    /// Returns the ids of the members with the largest peaks, sorted.
    fn largest(
        &self,
        peak_of: &impl Fn(MemberId) -> u64,
        row_of: &impl Fn(MemberId) -> Option<u64>,
    ) -> Vec<MemberId> {
        let mut ids: Vec<MemberId> =
            self.columns.iter().flat_map(|column| column.cells.iter().map(|cell| cell.id)).collect();
        ids.sort_unstable();
        ids.dedup();
        ids.retain(|&id| row_of(id).is_some());
        if ids.len() > MAX_PROCESS_SERIES {
            ids.sort_unstable_by_key(|&id| std::cmp::Reverse(peak_of(id)));
            ids.truncate(MAX_PROCESS_SERIES);
            ids.sort_unstable();
        }
        ids
    }
}

fn series_from(scope: record::Scope, id: Option<u64>, first: usize) -> record::Series {
    record::Series {
        metric: record::Metric::Rss,
        scope,
        id,
        first,
        bytes: Vec::new(),
        min: Vec::new(),
        max: Vec::new(),
    }
}

impl record::Series {
    /// Fills columns without a reading, up to but not including column `index`.
    fn fill_to(&mut self, index: usize) {
        let length = index - self.first;
        if self.bytes.len() < length {
            for values in [&mut self.bytes, &mut self.min, &mut self.max] {
                values.resize(length, None);
            }
        }
    }
}

/// Merges later readings of the devices into earlier ones.
fn absorb_gpus(gpus: &mut Vec<OnGpu>, later: &[OnGpu], later_is_shown: bool) {
    for on in later {
        match gpus.iter_mut().find(|known| known.index == on.index) {
            Some(known) => {
                (known.min, known.max) = (known.min.min(on.min), known.max.max(on.max));
                if later_is_shown {
                    known.bytes = on.bytes;
                }
            }
            None => gpus.push(*on),
        }
    }
}

/// Drops the smallest absent members. In a job that starts thousands of processes a second, most are absent at a
/// column's own moment.
fn keep_largest_absent(cells: &mut Vec<Cell>) {
    let mut absent: Vec<_> =
        cells.iter().filter(|cell| cell.kib.is_none()).map(|cell| (cell.max_kib, cell.id)).collect();
    let Some(excess) = absent.len().checked_sub(MAX_ABSENT_CELLS).filter(|&excess| excess > 0) else {
        return;
    };
    let (_, &mut smallest, _) = absent.select_nth_unstable(excess);
    cells.retain(|cell| cell.kib.is_some() || (cell.max_kib, cell.id) >= smallest);
}

impl TimelineColumn {
    /// Merges a later column into this one.
    fn absorb(&mut self, later: TimelineColumn) {
        let later_is_higher = later.total > self.total;
        let mut cells = Vec::with_capacity(self.cells.len().max(later.cells.len()));
        let (mut old, mut new) = (self.cells.iter().peekable(), later.cells.iter().peekable());
        loop {
            let cell = match (old.peek(), new.peek()) {
                (Some(a), Some(b)) if a.id == b.id => {
                    let cell = Cell {
                        id: a.id,
                        kib: if later_is_higher { b.kib } else { a.kib },
                        min_kib: a.min_kib.min(b.min_kib),
                        max_kib: a.max_kib.max(b.max_kib),
                    };
                    old.next();
                    new.next();
                    cell
                }
                (Some(a), b) if b.is_none_or(|b| a.id < b.id) => {
                    let cell = Cell { kib: if later_is_higher { None } else { a.kib }, ..**a };
                    old.next();
                    cell
                }
                (_, Some(b)) => {
                    let cell = Cell { kib: if later_is_higher { b.kib } else { None }, ..**b };
                    new.next();
                    cell
                }
                _ => break,
            };
            cells.push(cell);
        }
        keep_largest_absent(&mut cells);
        cells.shrink_to_fit();
        self.cells = cells;
        absorb_gpus(&mut self.gpus, &later.gpus, later_is_higher);
        ColumnAmount::absorb(&mut self.memory, later.memory, later_is_higher);
        ColumnAmount::absorb(&mut self.swap, later.swap, later_is_higher);
        self.min_total = self.min_total.min(later.min_total);
        self.max_total = self.max_total.max(later.max_total);
        if later_is_higher {
            self.at = later.at;
            self.total = later.total;
            self.used = later.used;
        }
    }
}

#[cfg(test)]
mod tests;
