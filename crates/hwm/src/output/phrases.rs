//! A judgement in words, the same in each format.

use highwater::{
    analysis::{Comparison, ComparisonRow, Quantity, Reason, Side, Verdict},
    record::Metric,
};

use crate::{judgement::Judgement, text};

/// Returns the name of the quantity in a row.
pub(crate) fn name(what: &Quantity) -> String {
    match what {
        Quantity::Memory => "Peak memory".to_owned(),
        Quantity::Total { metric } => total(*metric),
        Quantity::Cgroup => "cgroup peak (page cache too)".to_owned(),
        Quantity::Vram { index, .. } => format!("GPU {index} memory"),
        Quantity::Gtt { index, .. } => format!("GPU {index} mapped RAM"),
        Quantity::Group { command } => command.clone(),
        _ => "something that this hwm does not know".to_owned(),
    }
}

/// Returns the job's total in a metric.
pub(crate) fn total(metric: Metric) -> String {
    format!("Peak {}", text::metric(metric))
}

/// Returns the figure of a side: its median, its certainty, and its spread.
pub(crate) fn side(side: &Side) -> String {
    let Some(bytes) = side.bytes else {
        return if side.runs > 0 && side.absent == side.runs { "-" } else { "unknown" }.to_owned();
    };
    let sign = match (side.lower_bytes, side.upper_bytes) {
        (_, None) => "≥ ",
        // The figure is the lower end itself, and the upper one is far.
        (Some(lower), Some(upper)) if lower == bytes && upper.saturating_sub(lower) > bytes / 50 => "≥ ",
        (Some(0), Some(_)) if bytes > 0 => "≤ ",
        _ => "",
    };
    let spread = side.spread_bytes.map_or_else(String::new, |spread| format!(" ± {}", text::size(spread)));
    format!("{sign}{}{spread}", text::size(bytes))
}

/// `+722 MiB (+100 %)`.
pub(crate) fn change(row: &ComparisonRow) -> String {
    let Some(change) = row.change_bytes else { return String::new() };
    if change == 0 {
        return "0".to_owned();
    }
    let sign = if change < 0 { '-' } else { '+' };
    let size = text::size(change.unsigned_abs());
    match row.change_percent {
        Some(percent) => format!("{sign}{size} ({})", percent_with_sign(percent)),
        None => format!("{sign}{size}"),
    }
}

fn percent_with_sign(percent: f64) -> String {
    if percent.abs() < 9.95 { format!("{percent:+.1} %") } else { format!("{percent:+.0} %") }
}

/// The last column.
pub(crate) fn verdict(row: &ComparisonRow) -> &'static str {
    match (row.verdict, row.reason) {
        (Verdict::Regression, Reason::New) if row.decides => "regression: new",
        (_, Reason::New) => "new",
        (_, Reason::Gone) => "gone",
        (Verdict::Regression, _) if row.decides => "regression",
        (Verdict::Regression, _) => "grew",
        (Verdict::Fine, _) => "fine",
        (_, Reason::IntervalsOverlap) => "no evidence: intervals overlap",
        (_, Reason::WithinSpread) => "no evidence: within the spread",
        (_, Reason::UnknownInBase) => "cannot tell: unknown in base",
        (_, Reason::UnknownInCandidate) => "cannot tell: unknown in candidate",
        (_, Reason::UnknownInBoth) => "cannot tell: unknown",
        (_, Reason::NotTheSame) => "cannot tell: not the same measure",
        _ => "cannot tell",
    }
}

/// Returns the result in one sentence or two.
pub(crate) fn conclusion(judgement: &Judgement) -> String {
    let leaks: usize = judgement.leaks.iter().flatten().map(|report| report.leaks.len()).sum();
    let mut parts = Vec::new();
    if leaks > 0 {
        parts.push(format!("Leak: {leaks} found."));
    }
    if let Some(comparison) = &judgement.comparison {
        let sentence = of_comparison(comparison);
        // The word "Fine" stands only for the whole.
        parts.push(match sentence.strip_prefix("Fine: ") {
            Some(rest) if leaks > 0 => format!("Beside that {rest}"),
            _ => sentence,
        });
    }
    parts.join(" ")
}

/// Returns the sentence about the comparison alone.
pub(crate) fn of_comparison(comparison: &Comparison) -> String {
    let rows = |verdict: Verdict| {
        let rows = comparison.totals.iter().chain(&comparison.groups);
        rows.filter(move |row| row.decides && row.verdict == verdict)
    };
    let rules = &comparison.rules;
    let unknown: Vec<_> = rows(Verdict::Unknown)
        .map(|row| format!("{} ({})", name(&row.what), verdict(row).trim_start_matches("cannot tell: ")))
        .collect();
    let allowed =
        format!("allowed are {} % and {}", rules.max_increase_percent, text::size(rules.floor_bytes));
    match comparison.verdict {
        Verdict::Regression => {
            let grown: Vec<_> = rows(Verdict::Regression).map(grown).collect();
            format!("Regression: {}; {allowed}.", list(&grown))
        }
        Verdict::NoEvidence => {
            let grown: Vec<_> = rows(Verdict::NoEvidence).map(grown).collect();
            let remedy = if rows(Verdict::NoEvidence).any(|row| row.reason == Reason::IntervalsOverlap) {
                "hwm run --exact narrows the intervals"
            } else {
                "more runs would show it"
            };
            format!("No evidence: {}, and what was measured does not prove it; {remedy}.", list(&grown))
        }
        Verdict::Fine if unknown.is_empty() => {
            format!("Fine: nothing that decides grew beyond what is allowed ({allowed}).")
        }
        Verdict::Fine => {
            let unknown = list(&unknown);
            format!(
                "Fine: nothing that is known grew beyond what is allowed ({allowed}). Not known: {unknown}."
            )
        }
        _ => format!("Cannot tell: {}.", list(&unknown)),
    }
}

/// `Peak RSS grew by 722 MiB (100 %)`.
pub(crate) fn grown(row: &ComparisonRow) -> String {
    let name = match &row.what {
        Quantity::Group { command } => format!("group {command}"),
        what => name(what),
    };
    match (row.reason, row.change_bytes) {
        (Reason::New, _) => format!("{name} is new ({})", side(&row.candidate)),
        (Reason::IntervalsOverlap, _) => {
            let highest = row.base.upper_bytes.map_or_else(|| "any height".to_owned(), text::size);
            let lowest = text::size_or_unknown(row.candidate.lower_bytes);
            let grown = change(row);
            let grown = grown.trim_start_matches('+');
            format!("{name} grew by {grown}, from up to {highest} to {lowest} or more")
        }
        (_, Some(_)) => format!("{name} grew by {}", change(row).trim_start_matches('+')),
        (_, None) => format!("{name}: {}", verdict(row)),
    }
}

fn list(parts: &[String]) -> String {
    const MAX_NAMED: usize = 5;
    match parts.len() {
        0 => "nothing is known".to_owned(),
        1..=MAX_NAMED => parts.join(", "),
        more => format!("{}, and {} more", parts[..MAX_NAMED].join(", "), more - MAX_NAMED),
    }
}

/// Returns the name of the candidate, if there is more than one.
pub(crate) fn file_of(judgement: &Judgement, place: usize) -> String {
    match judgement.candidate.get(place) {
        Some(file) if judgement.candidate.len() > 1 => {
            format!(" [{}]", text::printable(&file.display().to_string()))
        }
        _ => String::new(),
    }
}
