//! A record's lines over time, with the moments of their values.

use highwater::record::{CounterMetric, CounterUnit, Metric, Process, Record, Scope, Timeline};

/// One line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TimeSeries<'a> {
    pub(crate) of: SeriesKind,
    pub(crate) scope: Scope,
    id: Option<u64>,
    /// The column of its first value.
    pub(crate) first: usize,
    /// The moments from its first value on.
    seconds: &'a [f64],
    values: &'a [Option<u64>],
    min: &'a [Option<u64>],
    max: &'a [Option<u64>],
}

/// The kind of the values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SeriesKind {
    /// Memory at each moment, in bytes.
    Memory(Metric),
    /// The use up to each moment.
    Used(CounterMetric, CounterUnit),
}

/// The known values at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct SeriesPoint {
    pub(crate) at_seconds: f64,
    pub(crate) value: Option<u64>,
    /// The least and the most of the samples that were merged into this one.
    pub(crate) min: Option<u64>,
    pub(crate) max: Option<u64>,
}

/// Returns all lines of a record; none if it has no timeline.
pub(crate) fn time_series(record: &Record) -> impl Iterator<Item = TimeSeries<'_>> {
    record.timeline.iter().flat_map(|timeline| memory_series(timeline).chain(used(timeline)))
}

fn memory_series(timeline: &Timeline) -> impl Iterator<Item = TimeSeries<'_>> {
    timeline.series.iter().map(|series| TimeSeries {
        of: SeriesKind::Memory(series.metric),
        scope: series.scope,
        id: series.id,
        first: series.first,
        seconds: from(series.first, timeline),
        values: &series.bytes,
        min: &series.min,
        max: &series.max,
    })
}

fn used(timeline: &Timeline) -> impl Iterator<Item = TimeSeries<'_>> {
    timeline.counters.iter().map(|counter| TimeSeries {
        of: SeriesKind::Used(counter.metric, counter.unit),
        scope: counter.scope,
        id: counter.id,
        first: counter.first,
        seconds: from(counter.first, timeline),
        values: &counter.values,
        min: &[],
        max: &[],
    })
}

fn from(first: usize, timeline: &Timeline) -> &[f64] {
    timeline.seconds.get(first..).unwrap_or_default()
}

impl<'a> TimeSeries<'a> {
    /// Returns the points in the order of time. Values without a column are skipped, and columns without a value are
    /// unknown: a record that another program wrote may have them of different lengths.
    pub(crate) fn points(self) -> impl Iterator<Item = SeriesPoint> + 'a {
        let length = self.values.len().max(self.min.len()).max(self.max.len());
        let at = |values: &[Option<u64>], place: usize| values.get(place).copied().flatten();
        self.seconds.iter().zip(0..length).map(move |(&at_seconds, place)| SeriesPoint {
            at_seconds,
            value: at(self.values, place),
            min: at(self.min, place),
            max: at(self.max, place),
        })
    }

    /// Returns the index of the process that the line belongs to.
    pub(crate) fn process(self) -> Option<usize> {
        self.id_in(Scope::Process).and_then(|id| usize::try_from(id).ok())
    }

    /// Returns the index of the device that the line belongs to.
    pub(crate) fn device(self) -> Option<u64> {
        self.id_in(Scope::Device)
    }

    /// Returns the row of the process that the line belongs to, if the record has it.
    pub(crate) fn row(self, record: &'a Record) -> Option<&'a Process> {
        record.processes.get(self.process()?)
    }

    fn id_in(self, scope: Scope) -> Option<u64> {
        self.id.filter(|_| self.scope == scope)
    }
}
