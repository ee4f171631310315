//! A check as Markdown: for a step's summary, or a comment.

use std::io::{self, Write};

use super::{CheckReport, figures};
use crate::output::formats::markdown::{escape, write as write_comparison};

pub(crate) fn write(report: &CheckReport<'_>, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "### Memory: {} ({})\n", escape(&report.name), report.word().replace('_', " "))?;
    for line in [report.failure(), report.about_baseline(), report.beside_limit()].into_iter().flatten() {
        writeln!(out, "{}\n", escape(&line))?;
    }
    if report.judgement.comparison.is_none() {
        writeln!(out, "| | this run |\n|---|---:|")?;
        for figure in figures(report.record) {
            writeln!(out, "| {} | {} |", figure.name, figure.shown())?;
        }
    }
    write_comparison(report.judgement, report.top, out)?;
    // Text that other programs append begins a paragraph of its own.
    writeln!(out)
}
