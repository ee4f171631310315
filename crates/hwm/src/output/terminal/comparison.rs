//! The growth, as a table for the terminal.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use anstyle::{AnsiColor, Style};
use highwater::analysis::{ComparisonRow, Verdict};

use crate::judgement::Judgement;
use crate::{
    output::phrases,
    text::{self, leaks},
};

const BOLD_STYLE: Style = Style::new().bold();
const BAD_STYLE: Style = AnsiColor::Red.on_default().bold();
const UNSURE_STYLE: Style = AnsiColor::Yellow.on_default();
const GOOD_STYLE: Style = AnsiColor::Green.on_default();
const PLAIN_STYLE: Style = Style::new();

/// Longest name of a group that stays in its column.
const MAX_NAME_WIDTH: usize = 40;

/// Writes the table and what follows from it.
pub(crate) fn write(judgement: &Judgement, top: usize, out: &mut dyn Write) -> io::Result<()> {
    if let Some(comparison) = &judgement.comparison {
        let (base, candidate) = &judgement.commands;
        write_side("Base:", &judgement.base, base, out)?;
        write_side("Candidate:", &judgement.candidate, candidate, out)?;
        writeln!(out)?;
        let listed = &comparison.groups[..comparison.groups.len().min(top)];
        let cells: Vec<_> = comparison.totals.iter().chain(listed).map(ComparisonCells::of).collect();
        let widths = ComparisonWidths::of(&cells);
        let header = ["", "base", "candidate", "change"];
        write!(out, "{BOLD_STYLE}{:<1$}", header[0], widths.0[0])?;
        for (title, width) in header.iter().zip(widths.0).skip(1) {
            write!(out, "  {title:>width$}")?;
        }
        writeln!(out, "{BOLD_STYLE:#}")?;
        for cells in &cells[..comparison.totals.len()] {
            cells.write(&widths, out)?;
        }
        if !listed.is_empty() {
            let note = if comparison.rules.groups_decide { "" } else { "; they explain, the totals decide" };
            writeln!(out, "\n{BOLD_STYLE}Groups by command{BOLD_STYLE:#} (those that changed most{note})")?;
            for cells in &cells[comparison.totals.len()..] {
                cells.write(&widths, out)?;
            }
            let more = comparison.groups.len() - listed.len();
            if more > 0 {
                writeln!(out, "... and {more} more (see --top)")?;
            }
        }
        if !comparison.warnings.is_empty() {
            writeln!(out)?;
        }
        for warning in &comparison.warnings {
            writeln!(out, "{UNSURE_STYLE}Warning:{UNSURE_STYLE:#} {}", text::printable(&warning.text))?;
        }
        writeln!(out)?;
    }
    for (place, report) in judgement.leaks.iter().flatten().enumerate() {
        for line in leaks::lines(&report.search, &report.leaks) {
            let style = if report.leaks.is_empty() { PLAIN_STYLE } else { BAD_STYLE };
            let file = phrases::file_of(judgement, place);
            writeln!(out, "{style}{}{style:#}{file}", text::printable(&line))?;
        }
    }
    if judgement.comparison.is_some() {
        let style = style_of(judgement.verdict);
        writeln!(out, "{style}{}{style:#}", text::printable(&phrases::conclusion(judgement)))?;
    }
    Ok(())
}

fn write_side(label: &str, files: &[PathBuf], command: &str, out: &mut dyn Write) -> io::Result<()> {
    let names: Vec<_> = files.iter().map(|file| text::printable(&file.display().to_string())).collect();
    let command = text::shorten(command, 60);
    writeln!(out, "{BOLD_STYLE}{label:<11}{BOLD_STYLE:#}{} ({command})", names.join(", "))
}

fn style_of(verdict: Verdict) -> Style {
    match verdict {
        Verdict::Fine => GOOD_STYLE,
        Verdict::Regression => BAD_STYLE,
        _ => UNSURE_STYLE,
    }
}

/// One line of the table.
struct ComparisonCells {
    columns: [String; 4],
    verdict: String,
    style: Style,
}

impl ComparisonCells {
    fn of(row: &ComparisonRow) -> Self {
        let name = text::shorten(&text::printable(&phrases::name(&row.what)), MAX_NAME_WIDTH);
        let sides = [&row.base, &row.candidate].map(phrases::side);
        let [base, candidate] = sides;
        let quiet = !row.decides && row.verdict == Verdict::Fine;
        Self {
            columns: [name, base, candidate, phrases::change(row)],
            verdict: phrases::verdict(row).to_owned(),
            style: if quiet { PLAIN_STYLE } else { style_of(row.verdict) },
        }
    }

    fn write(&self, widths: &ComparisonWidths, out: &mut dyn Write) -> io::Result<()> {
        let [name, figures @ ..] = &self.columns;
        write!(out, "{name:<0$}", widths.0[0])?;
        for (figure, width) in figures.iter().zip(&widths.0[1..]) {
            write!(out, "  {figure:>width$}")?;
        }
        let style = self.style;
        writeln!(out, "  {style}{}{style:#}", self.verdict)
    }
}

struct ComparisonWidths([usize; 4]);

impl ComparisonWidths {
    fn of(cells: &[ComparisonCells]) -> Self {
        let mut widths = [0, 4, 9, 6];
        for (column, width) in widths.iter_mut().enumerate() {
            let longest = cells.iter().map(|cells| cells.columns[column].chars().count()).max();
            *width = longest.unwrap_or(0).max(*width);
        }
        Self(widths)
    }
}
