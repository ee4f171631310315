//! The answer of a run: what ran and how it ended, how much memory it needed, which processes held it, and what to do next.

use std::io::{self, Write};

use highwater::record::{
    Certainty, ExitCause, LimitVerdict, MemoryHolders, MemorySource, Metric, PeakMemory, Record,
};

use super::{
    Tally, attached_to, groups,
    lines::{BOLD, LABEL_WIDTH, SummaryLayout, bad_end, line, rss_sum, with_certainty},
    write_beside_peaks, write_findings, write_listed_processes, write_still_running,
};
use crate::text;

/// A range that is wider than this part of the figure would change a decision.
const WIDE_RANGE: f64 = 0.05;
/// Least ratio of the sum of all processes to the memory for the sum to be shown: users of other tools know it.
const NOTABLE_SUM: f64 = 1.25;
/// Divisor of the peak: smaller holders stand together in one line.
const SMALL_HOLDER_DIVISOR: u64 = 100;
/// Shortest job for which the moment of its peak is shown.
const LEAST_SECONDS_WITH_MOMENT: f64 = 1.0;
/// Seconds that a peak may lie between for their middle to say when it was.
const MAX_SECONDS_OF_A_MOMENT: f64 = 1.0;
/// Columns that the command has at least in the first line.
const MIN_COMMAND_WIDTH: usize = 24;
/// Column at which the outcome begins if the command is short.
const OUTCOME_COLUMN: usize = 40;

/// Beginnings of the names of figures that were asked for, or that the answer itself needs. Others are missing on many machines
/// by default, and `hwm explain` names them.
const MATTERS_TO_ANSWER: [&str; 5] =
    ["GPU memory", "CPU time", "bytes read", "exact peaks", "memory of the job"];

/// The step that is offered after the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NextStep {
    /// The record was written, under a name by which other verbs find it.
    Record(String),
    /// There is no record.
    NoRecord,
}

/// Writes the answer.
pub(crate) fn write<P>(
    record: &Record<P>,
    tally: &Tally,
    layout: &SummaryLayout<'_>,
    next: &NextStep,
    out: &mut dyn Write,
) -> io::Result<()> {
    write_headline(record, layout, out)?;
    write_memory(record, layout, out)?;
    if let Some(attached) = &record.capture.attached {
        line(out, layout.width, "Attached to:", &attached_to(attached))?;
    }
    write_holders(record, tally, layout, out)?;
    write_beside_peaks(record, layout, out)?;
    for downgrade in &record.capture.downgrades {
        if MATTERS_TO_ANSWER.iter().any(|start| downgrade.wanted.starts_with(start)) {
            let missing = format!("{} ({})", downgrade.wanted, downgrade.reason);
            line(out, layout.width, "Missing:", &missing)?;
        }
    }
    write_findings(record, layout, out)?;
    if !layout.filter.is_all() {
        write_listed_processes(record, tally, layout, out)?;
    }
    groups::write_wanted(record, layout, out)?;
    write_still_running(record, tally, layout, out)?;
    let next = match next {
        NextStep::Record(name) => {
            let name = text::command_line(std::slice::from_ref(name));
            format!("hwm explain {name} (how sure is it?), hwm view {name} (memory over time)")
        }
        NextStep::NoRecord => {
            "-v shows all figures; --save keeps the run for hwm explain and hwm view".to_owned()
        }
    };
    line(out, layout.width, "More:", &next)
}

/// Writes what ran, how it ended, how long it took, and how many processes it had.
fn write_headline<P>(record: &Record<P>, layout: &SummaryLayout<'_>, out: &mut dyn Write) -> io::Result<()> {
    let outcome = outcome(record);
    let room = layout.width.saturating_sub(outcome.chars().count() + 2).max(MIN_COMMAND_WIDTH);
    let command = text::shorten(&text::command_of(record), room);
    let column = OUTCOME_COLUMN.min(room);
    writeln!(out, "{BOLD}{command:<column$}{BOLD:#}  {outcome}")
}

/// Returns how a job ended, after how long, and the number of its processes.
fn outcome<P>(record: &Record<P>) -> String {
    let ended = if is_ended_for_a_limit(record) {
        "ended for a limit after".to_owned()
    } else if record.exit.is_none() {
        "measured for".to_owned()
    } else {
        match record.exit.as_ref().and_then(bad_end) {
            None => "finished in".to_owned(),
            Some(_) if record.exit.as_ref().is_some_and(|exit| exit.cause == ExitCause::Unknown) => {
                "ended, how is unknown, after".to_owned()
            }
            Some(how) => format!("{how} after"),
        }
    };
    let capture = &record.capture;
    let sign = if capture.processes_seen_is == Certainty::Exact { "" } else { "≥ " };
    let plural = if capture.processes_seen == 1 { "process" } else { "processes" };
    let took = text::duration(record.duration_seconds);
    format!("{ended} {took}, {sign}{} {plural}", capture.processes_seen)
}

fn is_ended_for_a_limit<P>(record: &Record<P>) -> bool {
    record.exit.as_ref().is_some_and(|exit| exit.cause == ExitCause::Limit)
        || record.limits.iter().any(|limit| {
            matches!(record.verdict(limit), LimitVerdict::Exceeded(exceeded) if exceeded.ended_by.is_some())
        })
}

/// Writes the figure, and what would change a decision by it.
fn write_memory<P>(record: &Record<P>, layout: &SummaryLayout<'_>, out: &mut dyn Write) -> io::Result<()> {
    let label = format!("{:<width$} ", "Peak memory:", width = LABEL_WIDTH - 1);
    let Some(memory) = &record.peak.memory else {
        let total = rss_sum(record);
        let metric = text::metric(record.primary_metric);
        return writeln!(out, "{BOLD}{label}{total}{BOLD:#}  (the highest sum of its processes' {metric})");
    };
    let size = with_certainty(memory.bytes, memory.certainty);
    let sum = record.peak.rss.as_ref().map(|rss| rss.bytes);
    let sum = sum.filter(|&sum| sum as f64 > memory.bytes as f64 * NOTABLE_SUM);
    // The moment of a short job says nothing.
    let moment = if record.duration_seconds < LEAST_SECONDS_WITH_MOMENT { None } else { moment(memory) };
    let notes = [hedge(memory, sum), moment].into_iter().flatten().collect::<Vec<_>>().join("; ");
    let notes = if notes.is_empty() { notes } else { format!("  ({notes})") };
    writeln!(out, "{BOLD}{label}{size}{BOLD:#}{notes}")?;
    if let Some(sum) = sum {
        let metric = text::metric(Metric::Rss);
        let sentence =
            format!("{} if each process is counted in full ({metric}): they share memory", text::size(sum));
        line(out, layout.width, "", &sentence)?;
    }
    Ok(())
}

/// Returns how far the truth may lie from the figure, if that matters. The line of `sum` shows how high it may lie.
fn hedge(memory: &PeakMemory, sum: Option<u64>) -> Option<String> {
    let is_beyond = |bytes: u64, from: u64| bytes.abs_diff(from) as f64 > from as f64 * WIDE_RANGE;
    let is_far = |bytes: u64| is_beyond(bytes, memory.bytes);
    // The charge of a cgroup includes page cache, so its ends say little. A sign says the rest.
    if memory.source == MemorySource::Cgroup
        || matches!(memory.certainty, Certainty::AtLeast | Certainty::AtMost)
    {
        return None;
    }
    let (lower, upper) = (text::size(memory.lower_bytes), text::size(memory.upper_bytes));
    let is_upper_shown = sum.is_some_and(|sum| !is_beyond(memory.upper_bytes, sum));
    match (is_far(memory.lower_bytes), is_far(memory.upper_bytes) && !is_upper_shown) {
        (false, false) => None,
        (true, false) => Some(format!("an estimate; at least {lower}")),
        (false, true) => Some(format!("up to {upper} cannot be excluded")),
        (true, true) => Some(format!("an estimate; between {lower} and {upper}")),
    }
}

/// Returns when the peak was reached.
fn moment(memory: &PeakMemory) -> Option<String> {
    match (memory.at_seconds, memory.between_seconds) {
        (Some(at), _) => Some(format!("at {}", text::duration(at))),
        (None, Some([from, to])) if is_long_time(from, to) => {
            Some(format!("between {} and {}", text::duration(from), text::duration(to)))
        }
        (None, Some([from, to])) => Some(format!("around {}", text::duration(f64::midpoint(from, to)))),
        (None, None) => None,
    }
}

/// Returns whether the middle of a time would say too little of when something was.
fn is_long_time(from: f64, to: f64) -> bool {
    to - from > MAX_SECONDS_OF_A_MOMENT.max(to * WIDE_RANGE)
}

/// Processes of one name among the holders.
#[derive(Debug)]
struct NamedHolders {
    name: String,
    sizes: Vec<u64>,
}

impl NamedHolders {
    fn total(&self) -> u64 {
        self.sizes.iter().sum()
    }

    /// Returns the name with the number of processes, and the sizes.
    fn cells(&self) -> (String, String) {
        let name = text::printable(&self.name);
        match self.sizes.as_slice() {
            [one] => (name, text::size(*one)),
            [largest_bytes, .., least_bytes] => {
                let (least, largest) = (text::size(*least_bytes), text::size(*largest_bytes));
                let each = if *largest_bytes - *least_bytes <= *largest_bytes / 50 {
                    format!("{largest} each")
                } else {
                    format!("{least} to {largest} each")
                };
                (format!("{} × {name}", self.sizes.len()), each)
            }
            [] => (name, String::new()),
        }
    }
}

/// Writes the processes that held the memory at the peak, those of one name in one line.
fn write_holders<P>(
    record: &Record<P>,
    tally: &Tally,
    layout: &SummaryLayout<'_>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let Some(memory) = record.peak.memory.as_ref() else { return Ok(()) };
    let holders = memory.holders.as_ref();
    if let Some(holders) = holders.filter(|holders| holders.largest.len() as u64 + holders.others > 1) {
        write_named_holders(memory, holders, tally, layout, out)?;
    }
    let largest_holder = holders.and_then(|holders| holders.largest.first()).map_or(0, |holder| holder.bytes);
    let at_peak = largest_holder.max(memory.bytes / 20);
    let largest = tally.largest.as_ref().filter(|row| row.exceeds(at_peak + at_peak / 20));
    match largest.filter(|_| record.capture.processes_seen > 1) {
        Some(row) => {
            let when = if holders.is_some() { ", at another time" } else { "" };
            let value = format!("{} {}{when}", text::printable(&row.name), row.size());
            line(out, layout.width, "Largest process:", &value)
        }
        None => Ok(()),
    }
}

fn write_named_holders(
    memory: &PeakMemory,
    holders: &MemoryHolders,
    tally: &Tally,
    layout: &SummaryLayout<'_>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let (by_name, others) = holders_by_name(memory, holders, tally, layout.top);
    let mut rows: Vec<_> = by_name.iter().map(NamedHolders::cells).collect();
    if let Some((count, bytes)) = others {
        let plural = if count == 1 { "other" } else { "others" };
        rows.push((format!("{count} {plural}"), text::size(bytes)));
    }
    let sizes = rows.iter().map(|(_, size)| size.chars().count()).max().unwrap_or(0);
    let room = layout.width.saturating_sub(LABEL_WIDTH + sizes + 2).max(MIN_COMMAND_WIDTH);
    let widest = rows.iter().map(|(name, _)| name.chars().count().min(room)).max().unwrap_or(0);
    let mut label = "At the peak:";
    for (name, size) in &rows {
        let name = text::shorten(name, room);
        writeln!(out, "{BOLD}{label:<LABEL_WIDTH$}{BOLD:#}{name:<widest$}  {size}")?;
        label = "";
    }
    if holders.shared_counted_in_each {
        line(out, layout.width, "", "(memory that they share is counted in each of them)")?;
    }
    Ok(())
}

/// Returns the holders by name, the largest first, at most `top`, and the number and sum of all others.
fn holders_by_name(
    memory: &PeakMemory,
    holders: &MemoryHolders,
    tally: &Tally,
    top: usize,
) -> (Vec<NamedHolders>, Option<(u64, u64)>) {
    let mut named: Vec<NamedHolders> = Vec::new();
    let (mut others, mut others_bytes) = (holders.others, holders.others_bytes);
    for holder in &holders.largest {
        let name = tally.holder_name(holder.process);
        match name {
            Some(name) if holder.bytes >= memory.bytes / SMALL_HOLDER_DIVISOR => {
                match named.iter_mut().find(|known| known.name == name) {
                    Some(known) => known.sizes.push(holder.bytes),
                    None => named.push(NamedHolders { name: name.to_owned(), sizes: vec![holder.bytes] }),
                }
            }
            _ => (others, others_bytes) = (others + 1, others_bytes + holder.bytes),
        }
    }
    named.sort_by_key(|named| std::cmp::Reverse(named.total()));
    for left_out in named.drain(top.min(named.len())..) {
        others += left_out.sizes.len() as u64;
        others_bytes += left_out.total();
    }
    (named, (others > 0).then_some((others, others_bytes)))
}
