//! Several runs of one job: a line for each, and how far they differ.

use std::io::{self, Write};

use highwater::{
    analysis::{Quantity, Side, totals_of_runs},
    record::Record,
};

use super::lines::{LABEL_WIDTH, bad_end, line, rss_sum, with_certainty};
use crate::{
    output::phrases,
    text::{command_of, duration, leaks, metric, shorten, size},
};

/// Writes the figures of one run.
pub(crate) fn one<P>(
    record: &Record<P>,
    number: u32,
    of: u32,
    width: usize,
    out: &mut dyn Write,
) -> io::Result<()> {
    let peak = match &record.peak.memory {
        Some(memory) => with_certainty(memory.bytes, memory.certainty),
        None => format!(
            "{} (the highest sum of its processes' {})",
            rss_sum(record),
            metric(record.primary_metric)
        ),
    };
    let ended = record.exit.as_ref().and_then(bad_end).map(|ended| format!(", {ended}")).unwrap_or_default();
    let took = duration(record.duration_seconds);
    line(out, width, &format!("Run {number} of {of}:"), &format!("{peak} in {took}{ended}"))?;
    for leak in leaks::among(&record.findings) {
        line(out, width, "  Leak:", &leaks::sentence(leak))?;
    }
    Ok(())
}

/// Quantities of several runs that are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunQuantities {
    /// The memory of the job, if it is known, and that of GPUs.
    Answer,
    All,
}

/// Writes median and spread of the runs that ended well.
pub(crate) fn write<P>(
    well: &[Record<P>],
    failed: usize,
    quantities: RunQuantities,
    width: usize,
    out: &mut dyn Write,
) -> io::Result<()> {
    writeln!(out)?;
    if let Some(record) = well.first() {
        let command = shorten(&command_of(record), width.saturating_sub(LABEL_WIDTH));
        line(out, width, "Job:", &command)?;
    }
    let runs = match (well.len(), failed) {
        (runs, 0) => format!("{runs} (median ± spread, and range)"),
        (0, failed) => format!("{failed}, all of them failed"),
        (runs, failed) => {
            format!("{} (median ± spread, and range, of {runs}; {failed} failed)", runs + failed)
        }
    };
    line(out, width, "Runs:", &runs)?;
    if well.is_empty() {
        return Ok(());
    }
    let totals = totals_of_runs(well);
    let is_memory_known = totals.iter().any(|(what, side)| *what == Quantity::Memory && side.bytes.is_some());
    for (what, side) in totals {
        let is_detail = matches!(what, Quantity::Total { .. } | Quantity::Cgroup) && is_memory_known;
        if is_detail && quantities == RunQuantities::Answer {
            continue;
        }
        let known: Vec<u64> = well
            .iter()
            .filter_map(|record| {
                let alone = totals_of_runs(std::slice::from_ref(record));
                alone.into_iter().find(|(other, _)| *other == what)?.1.bytes
            })
            .collect();
        line(out, width, &label(&what), &spread(&side, &known))?;
    }
    let mut times: Vec<f64> = well.iter().map(|record| record.duration_seconds).collect();
    if let Some(times) = course(&mut times) {
        line(out, width, "Duration:", &times)?;
    }
    let searched = well.iter().filter(|record| record.leak_search.is_some()).count();
    if searched > 0 {
        let leaky = well.iter().filter(|record| leaks::among(&record.findings).next().is_some()).count();
        line(out, width, "Leaks:", &format!("found in {leaky} of {searched} runs"))?;
    }
    Ok(())
}

fn label(what: &Quantity) -> String {
    match what {
        Quantity::Memory => "Peak memory:".to_owned(),
        Quantity::Total { metric: of } => format!("Max total {}:", metric(*of)),
        Quantity::Cgroup => "cgroup peak:".to_owned(),
        Quantity::Vram { index, .. } => format!("GPU {index}:"),
        Quantity::Gtt { index, .. } => format!("GPU {index} mapped:"),
        _ => "Something else:".to_owned(),
    }
}

fn spread(side: &Side, known: &[u64]) -> String {
    if side.bytes.is_none() {
        return "unknown".to_owned();
    }
    let mut text = phrases::side(side);
    if let (Some(least), Some(most), 2..) = (known.iter().min(), known.iter().max(), known.len()) {
        text = format!("{text}, {} to {}", size(*least), size(*most));
    }
    match side.runs - side.known {
        0 => text,
        unknown => format!("{text} (unknown in {unknown} of {})", side.runs),
    }
}

/// Times, with the same spread as amounts: 1.4826 times the median distance from the median.
fn course(times: &mut [f64]) -> Option<String> {
    let median = middle(times)?;
    let (least, most) = (times.first()?, times.last()?);
    if times.len() == 1 {
        return Some(duration(median));
    }
    let range = format!("{} to {}", duration(*least), duration(*most));
    let mut far: Vec<f64> = times.iter().map(|time| (time - median).abs()).collect();
    Some(format!("{} ± {}, {range}", duration(median), duration(middle(&mut far)? * 1.4826)))
}

/// Returns the median; the values are in order then.
fn middle(values: &mut [f64]) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    Some(f64::midpoint(values[last / 2], values[last.div_ceil(2)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_of_times() {
        assert_eq!(course(&mut []), None);
        assert_eq!(course(&mut [2.5]).as_deref(), Some("2.50 s"));
        assert_eq!(course(&mut [5.0, 1.0, 2.0, 3.0]).as_deref(), Some("2.50 s ± 1.48 s, 1.00 s to 5.00 s"));
    }
}
