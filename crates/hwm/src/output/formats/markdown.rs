//! A judgement as Markdown.

use std::io::{self, Write};

use highwater::analysis::{ComparisonRow, Verdict};

use crate::judgement::Judgement;
use crate::{
    output::phrases,
    text::{self, leaks},
};

/// Writes the tables.
pub(crate) fn write(judgement: &Judgement, top: usize, out: &mut dyn Write) -> io::Result<()> {
    if let Some(comparison) = &judgement.comparison {
        writeln!(out, "{}\n", escape(&phrases::conclusion(judgement)))?;
        head("", out)?;
        for row in &comparison.totals {
            line(row, out)?;
        }
        let listed = &comparison.groups[..comparison.groups.len().min(top)];
        if !listed.is_empty() {
            let more = comparison.groups.len() - listed.len();
            let more = if more > 0 { format!(", {more} more not shown") } else { String::new() };
            writeln!(out, "\n<details><summary>Groups by command{more}</summary>\n")?;
            head("group", out)?;
            for row in listed {
                line(row, out)?;
            }
            writeln!(out, "\n</details>")?;
        }
        if !comparison.warnings.is_empty() {
            writeln!(out)?;
        }
        for warning in &comparison.warnings {
            writeln!(out, "- Warning: {}", escape(&warning.text))?;
        }
    }
    let reports = judgement.leaks.iter().flatten().enumerate();
    let mut lines = reports
        .flat_map(|(place, report)| {
            leaks::lines(&report.search, &report.leaks).into_iter().map(move |line| (place, line))
        })
        .peekable();
    if lines.peek().is_some() {
        writeln!(out)?;
    }
    for (place, line) in lines {
        writeln!(out, "- {}{}", escape(&line), escape(&phrases::file_of(judgement, place)))?;
    }
    Ok(())
}

fn head(first: &str, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "| {first} | base | candidate | change | verdict |")?;
    writeln!(out, "|---|---:|---:|---:|---|")
}

fn line(row: &ComparisonRow, out: &mut dyn Write) -> io::Result<()> {
    let verdict = phrases::verdict(row);
    let strong = if row.decides && row.verdict == Verdict::Regression { "**" } else { "" };
    let (base, candidate) = (phrases::side(&row.base), phrases::side(&row.candidate));
    let name = escape(&phrases::name(&row.what));
    writeln!(out, "| {name} | {base} | {candidate} | {} | {strong}{verdict}{strong} |", phrases::change(row))
}

/// Escapes text so that it stands for itself: a process may be called `|<b>*x*`, `www.example.org` or `@name`.
pub(crate) fn escape(plain: &str) -> String {
    let plain = text::printable(plain);
    let mut escaped = String::with_capacity(plain.len());
    for (place, character) in plain.char_indices() {
        let (before, after) = (&plain[..place], &plain[place..]);
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            // An escaped character is still a mention or an address to programs that read the finished page. An empty
            // element is not.
            '@' => escaped.push_str("@<b></b>"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' => {
                escaped.push('\\');
                escaped.push(character);
            }
            // Bare addresses become links (GitHub Flavored Markdown, section 6.9).
            ':' if after.starts_with("://") => escaped.push_str("\\:"),
            '.' if ends_with_www(before) => escaped.push_str("\\."),
            other => escaped.push(other),
        }
    }
    escaped
}

fn ends_with_www(text: &str) -> bool {
    text.len().checked_sub(3).and_then(|at| text.get(at..)).is_some_and(|end| end.eq_ignore_ascii_case("www"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_for_themselves() {
        assert_eq!(escape("a|b <i>*x*\n`"), "a\\|b &lt;i&gt;\\*x\\*\\\\n\\`");
    }

    #[test]
    fn no_name_is_a_link_or_a_mention() {
        assert_eq!(escape("www.x.org WWW.x.org é.www.x"), "www\\.x.org WWW\\.x.org é.www\\.x");
        assert_eq!(escape("https://x.org std::vec a: b"), "https\\://x.org std::vec a: b");
        assert_eq!(escape("@all a@b.org #1"), "@<b></b>all a@<b></b>b.org \\#1");
    }
}
