//! A check for the log of a CI job.

use std::io::{self, Write};

use super::{CheckReport, figures};
use crate::{output::terminal::comparison, text::printable};

pub(crate) fn write(report: &CheckReport<'_>, out: &mut dyn Write) -> io::Result<()> {
    if report.judgement.comparison.is_none() {
        for figure in figures(report.record) {
            writeln!(out, "{}: {}", figure.name, figure.shown())?;
        }
    }
    comparison::write(report.judgement, report.top, out)?;
    let more = [report.beside_limit(), report.failure(), report.about_baseline()];
    for line in more.into_iter().flatten() {
        writeln!(out, "{}", printable(&line))?;
    }
    Ok(())
}
