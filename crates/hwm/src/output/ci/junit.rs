//! A check as `JUnit` XML: a case for the job, for each figure that decides, and for leaks.

use std::io::{self, Write};

use highwater::analysis::{ComparisonRow, Verdict};

use super::{CheckReport, figures};
use crate::{
    output::phrases,
    text::{leaks, printable},
};

/// The outcome of a case.
enum JunitOutcome {
    Passed(String),
    Failed(String),
    Skipped(String),
    Error(String),
}

pub(crate) fn write(report: &CheckReport<'_>, out: &mut dyn Write) -> io::Result<()> {
    let cases = cases(report);
    let count = |of: fn(&JunitOutcome) -> bool| cases.iter().filter(|(_, outcome)| of(outcome)).count();
    let failures = count(|outcome| matches!(outcome, JunitOutcome::Failed(_)));
    let errors = count(|outcome| matches!(outcome, JunitOutcome::Error(_)));
    let skipped = count(|outcome| matches!(outcome, JunitOutcome::Skipped(_)));
    let (tests, name) = (cases.len(), escape(&report.name));
    writeln!(out, r#"<?xml version="1.0" encoding="UTF-8"?>"#)?;
    writeln!(out, r#"<testsuites name="hwm">"#)?;
    writeln!(
        out,
        r#"  <testsuite name="memory of {name}" tests="{tests}" failures="{failures}" errors="{errors}" skipped="{skipped}" time="{:.3}">"#,
        report.record.duration_seconds
    )?;
    for (case, outcome) in &cases {
        let head = format!(r#"<testcase classname="hwm.{name}" name="{}">"#, escape(case));
        let (element, message) = match outcome {
            JunitOutcome::Passed(detail) => {
                writeln!(out, "    {head}<system-out>{}</system-out></testcase>", escape(detail))?;
                continue;
            }
            JunitOutcome::Failed(message) => ("failure", message),
            JunitOutcome::Skipped(message) => ("skipped", message),
            JunitOutcome::Error(message) => ("error", message),
        };
        writeln!(out, r#"    {head}<{element} message="{}"/></testcase>"#, escape(message))?;
    }
    writeln!(out, "  </testsuite>\n</testsuites>")
}

fn cases(report: &CheckReport<'_>) -> Vec<(String, JunitOutcome)> {
    let ended = report
        .failure()
        .map_or_else(|| JunitOutcome::Passed("It ended well.".to_owned()), JunitOutcome::Error);
    let mut cases = vec![("job".to_owned(), ended)];
    if let Some(comparison) = &report.judgement.comparison {
        let rows = comparison.totals.iter().chain(&comparison.groups).filter(|row| row.decides);
        cases.extend(rows.map(|row| (phrases::name(&row.what), of_row(row))));
    } else {
        let no_base = report.about_baseline().unwrap_or_default();
        for figure in figures(report.record) {
            let detail = format!("{}. {no_base}", figure.shown());
            cases.push((figure.name, JunitOutcome::Skipped(detail)));
        }
    }
    for found in report.judgement.leaks.iter().flatten() {
        let detail = leaks::lines(&found.search, &found.leaks).join("; ");
        cases.push((
            "leaks".to_owned(),
            match found.leaks.is_empty() {
                false => JunitOutcome::Failed(detail),
                true if found.search.total_judged => JunitOutcome::Passed(detail),
                true => JunitOutcome::Skipped(detail),
            },
        ));
    }
    cases
}

fn of_row(row: &ComparisonRow) -> JunitOutcome {
    let (base, candidate) = (phrases::side(&row.base), phrases::side(&row.candidate));
    let detail = format!("{base} in the base, {candidate} now: {}", phrases::verdict(row));
    match row.verdict {
        Verdict::Regression => JunitOutcome::Failed(format!("{} ({detail})", phrases::grown(row))),
        Verdict::Unknown => JunitOutcome::Skipped(detail),
        _ => JunitOutcome::Passed(detail),
    }
}

/// Escapes text and attributes. XML 1.0 cannot hold control characters, nor two other characters.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in printable(text).chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\u{fffe}' | '\u{ffff}' => escaped.push('?'),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_for_themselves() {
        assert_eq!(escape("a<b>&\"\x1b\n"), "a&lt;b&gt;&amp;&quot;\\x1b\\n");
    }
}
