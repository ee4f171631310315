//! The value of a line in each column of a chart.

use std::ops::Range;

use crate::series::SeriesPoint;

/// The time that a chart shows, and its columns.
#[derive(Debug, Clone, Copy)]
pub(super) struct ChartWindow {
    end_seconds: f64,
    columns: usize,
}

/// The known values of one column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ColumnValue {
    /// Before it began, or after it ended.
    Outside,
    Unknown,
    /// The highest value in it.
    Known(u64),
}

impl ChartWindow {
    /// Returns the columns for a time that begins at the job's start.
    pub(super) fn new(end_seconds: f64, columns: usize) -> Self {
        Self { end_seconds, columns }
    }

    pub(super) fn columns(&self) -> usize {
        self.columns
    }

    /// Returns the column of a moment; a moment outside belongs to the nearest column.
    pub(super) fn place(&self, seconds: f64) -> usize {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // saturates; NaN, of 0 by 0, is 0
        let place = (seconds / self.end_seconds * self.columns as f64) as usize;
        place.min(self.columns.saturating_sub(1))
    }

    /// Returns the columns from one moment to another, at least one.
    pub(super) fn places(&self, from: f64, to: f64) -> Range<usize> {
        let from = self.place(from);
        from..self.place(to).max(from) + 1
    }

    /// Returns the values of a line that lasts until that moment. Each column has its highest value, so that no peak
    /// is lost. A column without a reading keeps the last value.
    pub(super) fn values(&self, points: impl Iterator<Item = SeriesPoint>, until: f64) -> Vec<ColumnValue> {
        let mut slots = vec![ColumnValue::Outside; self.columns];
        let (mut next, mut holds) = (0, ColumnValue::Outside);
        for point in points {
            let place = self.place(point.at_seconds);
            if place >= next {
                slots[next..place].fill(holds);
                next = place + 1;
            }
            let highest = point.value.max(point.max);
            slots[place] = match (slots[place], highest) {
                (ColumnValue::Known(before), now) => ColumnValue::Known(before.max(now.unwrap_or(before))),
                (_, Some(now)) => ColumnValue::Known(now),
                (_, None) => ColumnValue::Unknown,
            };
            holds = point.value.map_or(ColumnValue::Unknown, ColumnValue::Known);
        }
        let last = if self.columns == 0 { 0 } else { self.place(until) + 1 };
        if holds != ColumnValue::Outside && last > next {
            slots[next..last].fill(holds);
        }
        slots
    }
}

/// Returns the highest of the values, if any is known.
pub(super) fn highest(values: &[ColumnValue]) -> Option<u64> {
    values
        .iter()
        .filter_map(|slot| if let ColumnValue::Known(value) = slot { Some(*value) } else { None })
        .max()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        ColumnValue::{Known, Outside, Unknown},
        *,
    };

    fn point(at_seconds: f64, value: Option<u64>) -> SeriesPoint {
        SeriesPoint { at_seconds, value, min: value, max: value }
    }

    #[test]
    fn the_last_value_holds_until_the_next_or_the_end() {
        let window = ChartWindow::new(10.0, 10);
        let points = [point(2.0, Some(5)), point(4.5, None), point(6.0, Some(7)), point(6.1, Some(9))];
        let values = window.values(points.into_iter(), 8.0);
        let known = [Known(5), Known(5), Unknown, Unknown, Known(9), Known(9), Known(9)];
        assert_eq!(values[..2], [Outside; 2]);
        assert_eq!(values[2..9], known);
        assert_eq!(values[9..], [Outside]);
    }

    #[test]
    fn nothing_lasts_no_time() {
        assert_eq!(ChartWindow::new(0.0, 3).values([].into_iter(), 0.0), [Outside; 3]);
        let one = ChartWindow::new(0.0, 3).values([point(0.0, Some(4))].into_iter(), 0.0);
        assert_eq!(highest(&one), Some(4));
        assert!(ChartWindow::new(1.0, 0).values([].into_iter(), 1.0).is_empty());
    }

    proptest! {
        #[test]
        fn no_peak_is_lost(
            values in proptest::collection::vec((0.0f64..100.0, proptest::option::of(0u64..1000)), 1..200),
            columns in 1usize..80,
            is_sorted: bool,
        ) {
            let mut values = values;
            if is_sorted {
                values.sort_by(|one, two| one.0.total_cmp(&two.0));
            }
            let points = values.iter().map(|&(at, value)| point(at, value));
            let drawn = ChartWindow::new(100.0, columns).values(points, 100.0);
            prop_assert_eq!(highest(&drawn), values.iter().filter_map(|&(_, value)| value).max());
        }
    }
}
