//! The summary for humans: what the job used, by whom, and how well that is known.

mod gpu;
pub(crate) mod groups;
pub(crate) mod limits;
mod measured;
pub(crate) mod runs;
mod tally;
mod usage;

use std::io::{self, Write};

use anstyle::Style;
use highwater::record::{Attached, Certainty, Exit, IntervalMode, Metric, PeakInterval, Record};

use super::{leaks, listed::Listed, text};
pub(crate) use measured::sentence as measured;
pub(crate) use tally::Tally;

pub(crate) const BOLD: Style = Style::new().bold();
/// Width of the labels in front of the figures.
const LABEL: usize = 18;
/// The interval around the peak is shown when it is wider than this part of it; two metrics differ by more.
const WORTH_SAYING: f64 = 0.02;

/// How to write a summary.
#[derive(Debug)]
pub(crate) struct Layout<'a> {
    /// Columns of the terminal.
    pub(crate) width: usize,
    /// How many processes and groups are listed.
    pub(crate) top: usize,
    /// Which of them.
    pub(crate) listed: &'a Listed,
    /// CPU time and page faults were asked for.
    pub(crate) with_cpu: bool,
    /// The file with all rows, if one is written.
    pub(crate) csv: Option<String>,
}

/// Writes the summary; colour is the writer's business.
pub(crate) fn write<P>(
    record: &Record<P>,
    tally: &Tally,
    layout: &Layout<'_>,
    out: &mut dyn Write,
) -> io::Result<()> {
    write_job(record, layout, out)?;
    write_figures(record, tally, layout, out)?;
    write_processes(record, tally, layout, out)?;
    groups::write(record, layout, out)?;
    write_still_running(record, tally, layout, out)?;
    writeln!(out)?;
    line(out, layout.width, "Measured:", &measured(record))
}

/// The peaks, what was used beside memory, what became of limits, and what was found.
pub(crate) fn write_figures<P>(
    record: &Record<P>,
    tally: &Tally,
    layout: &Layout<'_>,
    out: &mut dyn Write,
) -> io::Result<()> {
    write_peaks(record, tally, layout, out)?;
    for device in &record.peak.gpu {
        line(out, layout.width, &format!("GPU {}:", device.index), &gpu::sentence(device))?;
    }
    write_usage(record, layout, out)?;
    for limit in &record.limits {
        line(out, layout.width, "Limit:", &limits::sentence(limit, record.primary_metric))?;
    }
    write_findings(record, layout, out)
}

/// A label and its value, which goes on below itself when it is long. The value may be of any text.
pub(crate) fn line(out: &mut dyn Write, width: usize, label: &str, value: &str) -> io::Result<()> {
    let mut lines = text::wrap(&text::printable(value), width.saturating_sub(LABEL)).into_iter();
    // Some labels are longer than their column.
    let label = format!("{label:<width$} ", width = LABEL - 1);
    writeln!(out, "{BOLD}{label}{BOLD:#}{}", lines.next().unwrap_or_default())?;
    for more in lines {
        writeln!(out, "{:<LABEL$}{more}", "")?;
    }
    Ok(())
}

/// What ran, for how long, how it ended, and how often it was looked at.
pub(crate) fn write_job<P>(record: &Record<P>, layout: &Layout<'_>, out: &mut dyn Write) -> io::Result<()> {
    let command = text::shorten(&text::command_of(record), layout.width.saturating_sub(LABEL));
    line(out, layout.width, "Job:", &command)?;
    if let Some(attached) = &record.capture.attached {
        line(out, layout.width, "Attached to:", &attached_to(attached))?;
    }
    line(out, layout.width, "Duration:", &text::duration(record.duration_seconds))?;
    if let Some(ended) = record.exit.as_ref().and_then(bad_end) {
        line(out, layout.width, "Ended:", &ended)?;
    }
    let pace = match record.interval_mode {
        IntervalMode::Fixed => format!("every {} ms", record.interval_ms),
        _ => format!("adaptive, every {} ms on average", record.interval_ms),
    };
    line(out, layout.width, "Samples:", &format!("{} ({pace})", record.samples))
}

/// What ran already, and that its past is not in these figures.
fn attached_to(attached: &Attached) -> String {
    let ran = attached.ran_for_seconds.map(|ran| format!(", which had run for {}", text::duration(ran)));
    let marks = attached.marks_bytes.map(|bytes| match attached.processes {
        1 => format!("; until then it had reached {}", text::size(bytes)),
        many => format!(
            "; until then its {many} processes had reached {}, each at its own time",
            text::size(bytes)
        ),
    });
    format!(
        "pid {}{}; what happened before is in none of these figures{}",
        attached.pid,
        ran.unwrap_or_default(),
        marks.unwrap_or_default()
    )
}

/// How the job ended, unless well.
fn bad_end(exit: &Exit) -> Option<String> {
    match (exit.code, exit.signal) {
        (Some(0), _) => None,
        (Some(code), _) => Some(format!("exit code {code}")),
        (None, Some(signal)) => {
            let name = exit.signal_name.clone().unwrap_or_else(|| format!("signal {signal}"));
            Some(format!("killed by {name}"))
        }
        (None, None) => Some("unknown how".to_owned()),
    }
}

fn write_peaks<P>(
    record: &Record<P>,
    tally: &Tally,
    layout: &Layout<'_>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let label = format!("Max total {}:", text::metric(record.primary_metric));
    match &record.peak.rss {
        Some(peak) => line(out, layout.width, &label, &total_peak(peak))?,
        None => line(out, layout.width, &label, &text::size_or_unknown(record.total_peak_bytes()))?,
    }
    match &record.peak.pss {
        Some(pss) => {
            let mut value = with_certainty(pss.bytes, pss.certainty);
            if pss.certainty == Certainty::Sampled {
                value.push_str(" (too high: some processes are in it with their RSS)");
            } else if record.peak.rss.is_some_and(|rss| differ(rss.bytes, pss.bytes)) {
                value.push_str(" (shared pages counted once");
                if pss.certainty == Certainty::AtLeast {
                    value.push_str("; seen in samples only, it may have been higher");
                }
                value.push(')');
            }
            line(out, layout.width, "Max total PSS:", &value)?;
        }
        // Other systems have no such figure.
        None if record.primary_metric != Metric::Rss => {}
        None => line(out, layout.width, "Max total PSS:", "unknown")?,
    }
    if let Some(cgroup) = &record.peak.cgroup {
        let value = with_certainty(cgroup.bytes, cgroup.certainty);
        line(
            out,
            layout.width,
            "cgroup peak:",
            &format!("{value} (with page cache and kernel memory; shared pages once)"),
        )?;
    }
    let largest = tally.largest.as_ref().map_or_else(
        || "unknown".to_owned(),
        |row| format!("{} (pid {}, {})", row.size(), row.pid, text::printable(&row.command)),
    );
    line(out, layout.width, "Max per process:", &largest)
}

/// What was asked for beside memory, and what must be known of memory that RSS does not show.
fn write_usage<P>(record: &Record<P>, layout: &Layout<'_>, out: &mut dyn Write) -> io::Result<()> {
    let mut say = |label, value: Option<String>| match value {
        Some(value) => line(out, layout.width, label, &value),
        None => Ok(()),
    };
    let unknown = || Some("unknown".to_owned());
    let used = &record.usage;
    let swap = record.peak.swap.filter(|swap| swap.bytes > 0);
    say("Max total swap:", swap.map(|swap| with_certainty(swap.bytes, swap.certainty)))?;
    if layout.with_cpu {
        say("CPU time:", used.cpu.as_ref().map(usage::cpu).or_else(unknown))?;
        say("Page faults:", used.faults.as_ref().map(usage::faults).or_else(unknown))?;
    }
    say("I/O:", used.io.as_ref().map(usage::io))?;
    say("Out of memory:", record.oom.as_ref().and_then(usage::oom))?;
    let pressure = used.pressure.as_ref();
    say("Memory pressure:", pressure.and_then(|some| usage::pressure(some, record.duration_seconds)))
}

fn differ(one: u64, two: u64) -> bool {
    one.abs_diff(two) as f64 > one.max(two) as f64 * WORTH_SAYING
}

/// The estimate, its interval where it matters, and where it comes from.
pub(crate) fn total_peak(peak: &PeakInterval) -> String {
    if peak.certainty == Certainty::AtMost {
        return with_certainty(peak.bytes, peak.certainty);
    }
    let mut notes = Vec::new();
    if peak.certainty != Certainty::Exact {
        notes.push("estimate".to_owned());
    }
    if (peak.upper_bytes.saturating_sub(peak.lower_bytes)) as f64 > peak.bytes as f64 * WORTH_SAYING {
        let (lower, upper) = (text::size(peak.lower_bytes), text::size(peak.upper_bytes));
        notes.push(match (peak.lower_rigorous, peak.upper_rigorous) {
            (true, true) => format!("between {lower} and {upper}"),
            (true, false) => format!("at least {lower}, probably at most {upper}"),
            (false, true) => format!("at most {upper}, probably at least {lower}"),
            (false, false) => format!("probably between {lower} and {upper}"),
        });
    } else if peak.upper_rigorous && peak.certainty != Certainty::Exact {
        notes.push(format!("at most {}", text::size(peak.upper_bytes)));
    }
    if let Some([from, to]) = peak.between_seconds {
        notes.push(format!(
            "from the kernel's marks, between {} and {}",
            text::moment(from),
            text::moment(to)
        ));
    }
    let size = with_certainty(peak.bytes, peak.certainty);
    if notes.is_empty() { size } else { format!("{size} ({})", notes.join("; ")) }
}

/// `≥` and `≤` where the truth lies on one side.
fn with_certainty(bytes: u64, certainty: Certainty) -> String {
    let sign = match certainty {
        Certainty::AtLeast => "≥ ",
        Certainty::AtMost => "≤ ",
        _ => "",
    };
    format!("{sign}{}", text::size(bytes))
}

fn write_findings<P>(record: &Record<P>, layout: &Layout<'_>, out: &mut dyn Write) -> io::Result<()> {
    for leak in leaks::among(&record.findings) {
        line(out, layout.width, "Leak:", &leaks::sentence(leak))?;
    }
    match &record.leak_search {
        Some(search) if leaks::among(&record.findings).next().is_none() => {
            line(out, layout.width, "Leaks:", &leaks::nothing(search))
        }
        _ => Ok(()),
    }
}

fn write_processes<P>(
    record: &Record<P>,
    tally: &Tally,
    layout: &Layout<'_>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let rows = tally.rows();
    let more = tally.matching.saturating_sub(rows.len() as u64);
    if rows.is_empty() && more == 0 {
        return Ok(());
    }
    let only = if layout.listed.is_all() { "" } else { " (only those asked for; totals count all)" };
    writeln!(out, "\n{BOLD}Per-process peaks{BOLD:#}{only}")?;
    let pids = rows.iter().map(|row| row.pid.to_string().len()).max().unwrap_or(0);
    let sizes = rows.iter().map(|row| row.size().chars().count()).max().unwrap_or(0);
    for row in &rows {
        let room = layout.width.saturating_sub(pids + sizes + 10);
        let command = text::shorten(&text::printable(&row.command), room);
        writeln!(out, "  pid {:<pids$}  {:>sizes$}  {command}", row.pid, row.size())?;
    }
    if more > 0 {
        let place = layout.csv.as_deref().unwrap_or("--csv");
        writeln!(out, "  ... and {more} more (see {})", text::printable(place))?;
    }
    let left_out = record.capture.processes_left_out;
    if left_out > 0 {
        writeln!(out, "  ({left_out} of the smallest were not kept; totals and groups count them)")?;
    }
    Ok(())
}

/// Who outlived the measurement.
pub(crate) fn write_still_running<P>(
    record: &Record<P>,
    tally: &Tally,
    layout: &Layout<'_>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let count = record.capture.processes_still_running;
    if count == 0 {
        return Ok(());
    }
    let mut names: Vec<_> = tally
        .still_running
        .iter()
        .map(|(pid, command)| format!("{} (pid {pid})", text::printable(command)))
        .collect();
    let unnamed = count.saturating_sub(names.len() as u64);
    if unnamed > 0 {
        names.push(format!("{unnamed} more"));
    }
    writeln!(out)?;
    let names = names.join(", ");
    // Who was attached to and left is no straggler.
    let was_left = record.exit.is_none() && record.capture.attached.is_some();
    let hint = if was_left { "left as it was" } else { "--wait waits for them" };
    line(out, layout.width, "Still running:", &format!("{names}; {hint}"))
}

#[cfg(test)]
pub(crate) mod tests;
