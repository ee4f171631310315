//! GitHub's workflow commands (annotations) and outputs of a step.

use std::{
    fmt::Display,
    io::{self, Write},
};

use highwater::analysis::{Verdict, WarningKind};

use super::{BaselineState, CheckReport, figures};
use crate::{
    output::phrases,
    text::{leaks, printable},
};

/// Annotations of one step are cut off by GitHub after ten of a kind.
const MAX_ANNOTATIONS: usize = 10;

/// Writes annotations: `::error title=...::...` and the like.
pub(crate) fn annotations(report: &CheckReport<'_>, out: &mut dyn Write) -> io::Result<()> {
    let mut annotate = |kind: &str, title: &str, message: &str| {
        let title = format!("{title} ({})", report.name);
        writeln!(out, "::{kind} title={}::{}", property(&printable(&title)), data(&printable(message)))
    };
    if let Some(failure) = report.failure() {
        annotate("error", "Job failed", &failure)?;
    }
    let found = report.judgement.leaks.iter().flatten().flat_map(|report| &report.leaks);
    for leak in found.take(MAX_ANNOTATIONS) {
        annotate("error", "Memory leak", &format!("Leak: {}", leaks::sentence(leak)))?;
    }
    if let Some(comparison) = &report.judgement.comparison {
        let sentence = phrases::of_comparison(comparison);
        match comparison.verdict {
            Verdict::Fine if comparison.totals.iter().all(|row| row.verdict != Verdict::Unknown) => {}
            Verdict::Fine | Verdict::NoEvidence => annotate("warning", "Memory", &sentence)?,
            Verdict::Regression => annotate("error", "Memory regression", &sentence)?,
            _ => annotate("error", "Memory cannot be compared", &sentence)?,
        }
        // A single run is the rule in CI.
        let weighty = comparison.warnings.iter().filter(|warning| warning.kind != WarningKind::SingleRun);
        for warning in weighty.take(MAX_ANNOTATIONS) {
            annotate("warning", "Memory", &warning.text)?;
        }
    }
    match (&report.baseline, report.about_baseline()) {
        (BaselineState::Missing { .. } | BaselineState::NotGiven, Some(sentence)) => {
            annotate("notice", "Memory baseline", &sentence)
        }
        _ => Ok(()),
    }
}

/// Writes the step's outputs: `key=value`, one a line; an unknown value is `unknown`.
pub(crate) fn outputs(report: &CheckReport<'_>, out: &mut dyn Write) -> io::Result<()> {
    let figures = figures(report.record);
    let peak = figures.first();
    let row = report.judgement.comparison.as_ref().and_then(|comparison| comparison.primary());
    writeln!(out, "verdict={}", report.word())?;
    writeln!(out, "peak_bytes={}", or_unknown(peak.and_then(|peak| peak.bytes)))?;
    writeln!(out, "peak_lower_bytes={}", or_unknown(peak.and_then(|peak| peak.lower)))?;
    writeln!(out, "peak_upper_bytes={}", or_unknown(peak.and_then(|peak| peak.upper)))?;
    writeln!(out, "peak={}", peak.map_or_else(|| "unknown".to_owned(), super::CheckFigure::shown))?;
    writeln!(out, "container_limit_bytes={}", or_unknown(report.record.host.container_limit_bytes))?;
    writeln!(out, "baseline_bytes={}", or_unknown(row.and_then(|row| row.base.bytes)))?;
    writeln!(out, "increase_bytes={}", or_unknown(row.and_then(|row| row.change_bytes)))?;
    let percent = row.and_then(|row| row.change_percent).map(|percent| format!("{percent:.2}"));
    writeln!(out, "increase_percent={}", or_unknown(percent))?;
    let leaks = report.judgement.leaks.as_ref().map(|leaks| {
        let all_judged = leaks.iter().all(|report| report.search.total_judged);
        let found: usize = leaks.iter().map(|report| report.leaks.len()).sum();
        // Without anything that could be judged the number of leaks is unknown, not 0.
        (found > 0 || all_judged).then_some(found)
    });
    writeln!(out, "leaks={}", or_unknown(leaks.flatten()))
}

fn or_unknown(value: Option<impl Display>) -> String {
    value.map_or_else(|| "unknown".to_owned(), |value| value.to_string())
}

/// Escapes the text of a command as `@actions/core` does.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Escapes a property as `@actions/core` does.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_escaped() {
        assert_eq!(data("5 %\r\n::error::x"), "5 %25%0D%0A::error::x");
        assert_eq!(property("a: b, 5%\n"), "a%3A b%2C 5%25%0A");
    }
}
