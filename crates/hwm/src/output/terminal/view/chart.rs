//! Courses drawn with characters.

use std::{fmt::Write as _, ops::Range};

use anstyle::{AnsiColor, Style};

use super::columns::ColumnValue;

/// The peak's columns.
const PEAK_STYLE: Style = AnsiColor::Red.on_default().bold();
/// The line of a limit.
const LIMIT_STYLE: Style = AnsiColor::Yellow.on_default();

/// The characters to draw with.
#[derive(Debug)]
pub(super) struct Ink {
    /// The levels from an eighth (or less) of a cell to all of it.
    levels: &'static [char],
    pub(super) tick: char,
    pub(super) side: char,
    pub(super) corner: char,
    pub(super) base: char,
    pub(super) notch: char,
    pub(super) limit: char,
    pub(super) mark: char,
}

pub(super) const UNICODE_INK: Ink = Ink {
    levels: &['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'],
    tick: '┤',
    side: '│',
    corner: '┼',
    base: '─',
    notch: '┬',
    limit: '╌',
    mark: '▲',
};

pub(super) const ASCII_INK: Ink = Ink {
    levels: &['.', ':', '#'],
    tick: '+',
    side: '|',
    corner: '+',
    base: '-',
    notch: '+',
    limit: '-',
    mark: '^',
};

/// A chart of several rows.
#[derive(Debug)]
pub(super) struct Chart<'a> {
    pub(super) values: &'a [ColumnValue],
    /// The value at the upper edge.
    pub(super) top: u64,
    pub(super) rows: usize,
    /// The columns of the peak.
    pub(super) peak: Option<Range<usize>>,
    /// A line across.
    pub(super) limit: Option<u64>,
    pub(super) ink: &'static Ink,
}

impl Chart<'_> {
    /// Returns the row in which a value's end lies, counted from the top.
    pub(super) fn row(&self, value: u64) -> usize {
        let from_below = (value as f64 / self.top.max(1) as f64 * self.rows as f64).ceil();
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        // within the rows, and casts saturate
        let from_below = (from_below as usize).clamp(1, self.rows);
        self.rows - from_below
    }

    /// Returns the cells of a row, counted from the top, with their styles.
    pub(super) fn draw(&self, row: usize) -> String {
        let is_limit = self.limit.is_some_and(|limit| self.row(limit) == row);
        let mut text = String::new();
        let mut now = Style::new();
        for (column, slot) in self.values.iter().enumerate() {
            let cell = self.cell(*slot, row);
            let (cell, style) = match cell {
                ' ' if is_limit => (self.ink.limit, LIMIT_STYLE),
                ' ' => (' ', now),
                cell if self.peak.as_ref().is_some_and(|peak| peak.contains(&column)) => (cell, PEAK_STYLE),
                cell => (cell, Style::new()),
            };
            if style != now {
                let _ = write!(text, "{now:#}{style}");
                now = style;
            }
            text.push(cell);
        }
        let end = text.trim_end().len();
        text.truncate(end);
        let _ = write!(text, "{now:#}");
        text
    }

    fn cell(&self, slot: ColumnValue, row: usize) -> char {
        let from_below = self.rows - 1 - row;
        match slot {
            ColumnValue::Known(value) => {
                let height = value as f64 / self.top.max(1) as f64 * self.rows as f64 - from_below as f64;
                level(self.ink, height, value > 0 && from_below == 0)
            }
            ColumnValue::Unknown if from_below == 0 => '?',
            _ => ' ',
        }
    }
}

/// Draws the values of a line in one row, on a scale of its own. A value far below the highest still shows.
pub(super) fn sparkline(values: &[ColumnValue], highest: u64, ink: &Ink) -> String {
    let cell = |slot: &ColumnValue| match slot {
        ColumnValue::Known(value) => level(ink, *value as f64 / highest.max(1) as f64, *value > 0),
        ColumnValue::Unknown => '?',
        ColumnValue::Outside => ' ',
    };
    values.iter().map(cell).collect()
}

/// Returns a cell that is filled to this part.
fn level(ink: &Ink, part: f64, at_least_one: bool) -> char {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // casts saturate
    let level =
        ((part * ink.levels.len() as f64).round() as usize).clamp(at_least_one.into(), ink.levels.len());
    level.checked_sub(1).map_or(' ', |level| ink.levels[level])
}

#[cfg(test)]
#[allow(clippy::needless_raw_string_hashes)] // snapbox writes its snapshots with them
mod tests {
    use snapbox::{assert_data_eq, str};

    use super::*;

    fn drawn(chart: &Chart<'_>) -> String {
        let rows = (0..chart.rows).map(|row| chart.draw(row) + "\n").collect::<String>();
        anstream::adapter::strip_str(&rows).to_string()
    }

    fn values() -> Vec<ColumnValue> {
        let values = [1, 5, 20, 40, 60, 79, 80, 70, 35, 33, 0, 2];
        let mut values: Vec<ColumnValue> = values.map(ColumnValue::Known).to_vec();
        values.insert(0, ColumnValue::Outside);
        values.push(ColumnValue::Unknown);
        values
    }

    #[test]
    fn charts() {
        let values = values();
        let chart =
            Chart { values: &values, top: 80, rows: 4, peak: Some(7..8), limit: None, ink: &UNICODE_INK };
        assert_data_eq!(
            drawn(&chart),
            str![[r#"
      ██▄
     ████
    █████▆▅
 ▁▂████████ ▁?

"#]]
        );
        let limited = Chart { limit: Some(90), top: 90, ..chart };
        assert_data_eq!(
            drawn(&limited),
            str![[r#"
╌╌╌╌╌╌▄▄▁╌╌╌╌╌
     ▅███
    ▆████▄▄
 ▁▂▇███████ ▁?

"#]]
        );
        assert_data_eq!(
            drawn(&Chart { ink: &ASCII_INK, ..limited }),
            str![[r#"
------::------
     :###
    :####:.
 ..######## .?

"#]]
        );
    }

    #[test]
    fn the_peak_has_a_colour() {
        let values = [ColumnValue::Known(1), ColumnValue::Known(2), ColumnValue::Known(1)];
        let chart =
            Chart { values: &values, top: 2, rows: 1, peak: Some(1..2), limit: None, ink: &UNICODE_INK };
        assert_eq!(chart.draw(0), format!("▄{PEAK_STYLE}█{PEAK_STYLE:#}▄"));
    }

    #[test]
    fn sparklines() {
        assert_eq!(sparkline(&values(), 80, &UNICODE_INK), " ▁▁▂▄▆██▇▄▃ ▁?");
        assert_eq!(sparkline(&values(), 80, &ASCII_INK), " ...::###.. .?");
        assert_eq!(sparkline(&[ColumnValue::Known(0)], 0, &UNICODE_INK), " ");
    }
}
