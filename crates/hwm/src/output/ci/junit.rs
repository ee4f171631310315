//! A check as `JUnit` XML: a case for the job, for each figure that decides, and for leaks.

use std::io::{self, Write};

use highwater::analysis::{Row, Verdict};

use super::{Report, figures};
use crate::output::{comparison::words, leaks, text::printable};

/// How a case went.
enum Outcome {
    Passed(String),
    Failed(String),
    Skipped(String),
    Error(String),
}

pub(crate) fn write(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    let cases = cases(report);
    let count = |of: fn(&Outcome) -> bool| cases.iter().filter(|(_, outcome)| of(outcome)).count();
    let failures = count(|outcome| matches!(outcome, Outcome::Failed(_)));
    let errors = count(|outcome| matches!(outcome, Outcome::Error(_)));
    let skipped = count(|outcome| matches!(outcome, Outcome::Skipped(_)));
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
            Outcome::Passed(said) => {
                writeln!(out, "    {head}<system-out>{}</system-out></testcase>", escape(said))?;
                continue;
            }
            Outcome::Failed(message) => ("failure", message),
            Outcome::Skipped(message) => ("skipped", message),
            Outcome::Error(message) => ("error", message),
        };
        writeln!(out, r#"    {head}<{element} message="{}"/></testcase>"#, escape(message))?;
    }
    writeln!(out, "  </testsuite>\n</testsuites>")
}

fn cases(report: &Report<'_>) -> Vec<(String, Outcome)> {
    let ended = report.failure().map_or_else(|| Outcome::Passed("It ended well.".to_owned()), Outcome::Error);
    let mut cases = vec![("job".to_owned(), ended)];
    if let Some(comparison) = &report.judgement.comparison {
        let rows = comparison.totals.iter().chain(&comparison.groups).filter(|row| row.decides);
        cases.extend(rows.map(|row| (words::name(&row.what), of_row(row))));
    } else {
        let no_base = report.about_baseline().unwrap_or_default();
        for figure in figures(report.record) {
            let said = format!("{}. {no_base}", figure.shown());
            cases.push((figure.name, Outcome::Skipped(said)));
        }
    }
    for found in report.judgement.leaks.iter().flatten() {
        let said = leaks::lines(&found.search, &found.leaks).join("; ");
        cases.push((
            "leaks".to_owned(),
            match found.leaks.is_empty() {
                false => Outcome::Failed(said),
                true if found.search.total_judged => Outcome::Passed(said),
                true => Outcome::Skipped(said),
            },
        ));
    }
    cases
}

fn of_row(row: &Row) -> Outcome {
    let (base, candidate) = (words::side(&row.base), words::side(&row.candidate));
    let said = format!("{base} in the base, {candidate} now: {}", words::verdict(row));
    match row.verdict {
        Verdict::Regression => Outcome::Failed(format!("{} ({said})", words::grown(row))),
        Verdict::Unknown => Outcome::Skipped(said),
        _ => Outcome::Passed(said),
    }
}

/// For text and attributes. XML 1.0 cannot hold control characters, nor two of the characters that are none.
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
