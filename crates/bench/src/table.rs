//! The result: a Markdown table.

use std::io::{self, Write};

use crate::stats::Estimate;

/// One line of the result.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ResultRow {
    what: String,
    unit: &'static str,
    measured: Option<Estimate>,
    bound: Option<Bound>,
    note: String,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Bound {
    /// The figure itself must not be above this.
    Figure(f64),
    /// The lower end of its interval must not be above this: only a sure excess fails.
    LowerEnd(f64),
}

impl ResultRow {
    /// Makes a row; `None` if the figure could not be measured (the note says why).
    pub(crate) fn new(what: impl Into<String>, unit: &'static str, measured: Option<Estimate>) -> Self {
        Self { what: what.into(), unit, measured, bound: None, note: String::new() }
    }

    /// Makes a row of a figure without an interval, such as a quantile.
    pub(crate) fn plain(what: impl Into<String>, unit: &'static str, value: Option<f64>) -> Self {
        let only = |mid| Estimate { mid, low: f64::NEG_INFINITY, high: f64::INFINITY };
        Self::new(what, unit, value.map(only))
    }

    /// Asks that the figure be at most this.
    pub(crate) fn at_most(mut self, bound: f64) -> Self {
        self.bound = Some(Bound::Figure(bound));
        self
    }

    /// Asks that the lower end of the interval be at most this.
    pub(crate) fn lower_end_at_most(mut self, bound: f64) -> Self {
        self.bound = Some(Bound::LowerEnd(bound));
        self
    }

    /// Adds a note beside the figure.
    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    /// Returns whether the bound is kept; `None` if there is no bound or no figure.
    fn within(&self) -> Option<bool> {
        let measured = self.measured?;
        match self.bound? {
            Bound::Figure(bound) => Some(measured.mid <= bound),
            Bound::LowerEnd(bound) => measured.low.is_finite().then_some(measured.low <= bound),
        }
    }
}

/// Writes the rows as a Markdown table.
pub(crate) fn write(out: &mut dyn Write, rows: &[ResultRow]) -> io::Result<()> {
    writeln!(out, "| what | measured | 95 % interval | target | kept | beside it |")?;
    writeln!(out, "|---|---|---|---|---|---|")?;
    for row in rows {
        let unit = if row.unit.is_empty() { String::new() } else { format!(" {}", row.unit) };
        let measured = row.measured.map_or_else(|| "unknown".into(), |m| format!("{}{unit}", digits(m.mid)));
        let interval = row
            .measured
            .filter(|m| m.low.is_finite() && m.high.is_finite())
            .map_or_else(|| "-".into(), |m| format!("{} .. {}", digits(m.low), digits(m.high)));
        let asked = match row.bound {
            None => "-".into(),
            Some(Bound::Figure(bound)) => format!("<= {bound}{unit}"),
            Some(Bound::LowerEnd(bound)) => format!("lower end <= {bound}{unit}"),
        };
        let kept = row.within().map_or("-", |kept| if kept { "yes" } else { "**no**" });
        writeln!(out, "| {} | {measured} | {interval} | {asked} | {kept} | {} |", row.what, row.note)?;
    }
    Ok(())
}

/// Three significant digits, and never fewer than the whole part has.
pub(crate) fn digits(value: f64) -> String {
    let size = value.abs();
    if size >= 100.0 {
        format!("{value:.0}")
    } else if size >= 10.0 {
        format!("{value:.1}")
    } else if size >= 0.1 || size == 0.0 {
        format!("{value:.2}")
    } else {
        format!("{value:.4}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around_1_1(low: f64) -> ResultRow {
        ResultRow::new("", "", Some(Estimate { mid: 1.1, low, high: 1.2 }))
    }

    #[test]
    fn a_row_says_whether_its_bound_is_kept() {
        assert_eq!(around_1_1(1.04).at_most(1.05).within(), Some(false));
        assert_eq!(around_1_1(1.04).lower_end_at_most(1.05).within(), Some(true));
        assert_eq!(around_1_1(1.06).lower_end_at_most(1.05).within(), Some(false));
        assert_eq!(ResultRow::new("", "", None).at_most(1.0).within(), None);
        assert_eq!(ResultRow::plain("", "", Some(1.0)).lower_end_at_most(1.05).within(), None);
        assert_eq!(around_1_1(1.04).within(), None);
    }

    #[test]
    fn unknown_is_not_written_as_zero() {
        let mut out = Vec::new();
        write(&mut out, &[ResultRow::new("x", "ms", None).at_most(5.0).note("no clock")]).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.lines().last(), Some("| x | unknown | - | <= 5 ms | - | no clock |"));
    }

    #[test]
    fn figures_keep_about_three_digits() {
        let shown: Vec<String> = [0.0, 0.001_26, 0.456, 1.049, 12.34, 5234.6].map(digits).into();
        assert_eq!(shown, ["0.00", "0.0013", "0.46", "1.05", "12.3", "5235"]);
    }
}
