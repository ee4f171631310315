//! The summary for people: the answer first, and with all details what the job used, which processes used it, and how
//! well that is known.

mod answer;
mod gpu;
pub(crate) mod groups;
pub(crate) mod limits;
mod lines;
mod measured;
pub(crate) mod runs;
mod tally;
mod usage;

use std::io::{self, Write};

use highwater::record::{Attached, Certainty, IntervalMode, Metric, Record};

use crate::text::{self, leaks};
pub(crate) use answer::NextStep;
pub(crate) use lines::{BOLD, SummaryDetail, SummaryLayout, line, peak_memory, rss_sum, total_peak};
use lines::{LABEL_WIDTH, NOTABLE_DIFFERENCE, bad_end, with_certainty};
pub(crate) use measured::sentence as measured;
pub(crate) use tally::Tally;

/// Writes the summary; colour is the writer's business.
pub(crate) fn write<P>(
    record: &Record<P>,
    tally: &Tally,
    layout: &SummaryLayout<'_>,
    out: &mut dyn Write,
) -> io::Result<()> {
    match &layout.detail {
        SummaryDetail::Answer(next) => answer::write(record, tally, layout, next, out),
        SummaryDetail::All => write_all(record, tally, layout, out),
    }
}

fn write_all<P>(
    record: &Record<P>,
    tally: &Tally,
    layout: &SummaryLayout<'_>,
    out: &mut dyn Write,
) -> io::Result<()> {
    write_job(record, layout, out)?;
    write_figures(record, tally, layout, out)?;
    write_listed_processes(record, tally, layout, out)?;
    groups::write(record, layout, out)?;
    if record.capture.processes_still_running > 0 {
        writeln!(out)?;
    }
    write_still_running(record, tally, layout, out)?;
    writeln!(out)?;
    line(out, layout.width, "Measured:", &measured(record))
}

/// Writes the peaks, the figures beside memory, the results of limits, and the findings.
pub(crate) fn write_figures<P>(
    record: &Record<P>,
    tally: &Tally,
    layout: &SummaryLayout<'_>,
    out: &mut dyn Write,
) -> io::Result<()> {
    write_peaks(record, tally, layout, out)?;
    write_beside_peaks(record, layout, out)?;
    write_findings(record, layout, out)
}

/// Writes the devices, the figures beside memory, and the results of limits.
fn write_beside_peaks<P>(
    record: &Record<P>,
    layout: &SummaryLayout<'_>,
    out: &mut dyn Write,
) -> io::Result<()> {
    for device in &record.peak.gpu {
        line(out, layout.width, &format!("GPU {}:", device.index), &gpu::sentence(device))?;
    }
    write_usage(record, layout, out)?;
    for limit in &record.limits {
        line(out, layout.width, "Limit:", &limits::sentence(limit, record))?;
    }
    Ok(())
}

/// Writes what ran, for how long, how it ended, and how many samples were taken.
pub(crate) fn write_job<P>(
    record: &Record<P>,
    layout: &SummaryLayout<'_>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let command = text::shorten(&text::command_of(record), layout.width.saturating_sub(LABEL_WIDTH));
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

/// Returns the phrase for a job that ran already, whose past is not in these figures.
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

fn write_peaks<P>(
    record: &Record<P>,
    tally: &Tally,
    layout: &SummaryLayout<'_>,
    out: &mut dyn Write,
) -> io::Result<()> {
    if let Some(memory) = &record.peak.memory {
        line(out, layout.width, "Peak memory:", &peak_memory(memory, record.peak.rss.as_ref()))?;
    }
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
        |row| format!("{} (pid {}, {})", row.size(), row.pid, text::printable(&row.name)),
    );
    line(out, layout.width, "Max per process:", &largest)
}

/// Writes the figures that were asked for beside memory, and facts about memory that RSS does not show.
fn write_usage<P>(record: &Record<P>, layout: &SummaryLayout<'_>, out: &mut dyn Write) -> io::Result<()> {
    let mut write = |label, value: Option<String>| match value {
        Some(value) => line(out, layout.width, label, &value),
        None => Ok(()),
    };
    let unknown = || Some("unknown".to_owned());
    let used = &record.usage;
    let swap = record.peak.swap.filter(|swap| swap.bytes > 0);
    write("Max total swap:", swap.map(|swap| with_certainty(swap.bytes, swap.certainty)))?;
    if layout.with_cpu {
        write("CPU time:", used.cpu.as_ref().map(usage::cpu).or_else(unknown))?;
        write("Page faults:", used.faults.as_ref().map(usage::faults).or_else(unknown))?;
    }
    write("I/O:", used.io.as_ref().map(usage::io))?;
    write("Out of memory:", record.oom.as_ref().and_then(usage::oom))?;
    let pressure = used.pressure.as_ref();
    write("Memory pressure:", pressure.and_then(|some| usage::pressure(some, record.duration_seconds)))
}

fn differ(one: u64, two: u64) -> bool {
    one.abs_diff(two) as f64 > one.max(two) as f64 * NOTABLE_DIFFERENCE
}

fn write_findings<P>(record: &Record<P>, layout: &SummaryLayout<'_>, out: &mut dyn Write) -> io::Result<()> {
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

fn write_listed_processes<P>(
    record: &Record<P>,
    tally: &Tally,
    layout: &SummaryLayout<'_>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let rows = tally.rows();
    let more = tally.matching.saturating_sub(rows.len() as u64 + tally.unread);
    if tally.matching == 0 {
        return Ok(());
    }
    let only = if layout.filter.is_all() { "" } else { " (only those asked for; totals count all)" };
    writeln!(out, "\n{BOLD}Per-process peaks{BOLD:#}{only}")?;
    let pids = rows.iter().map(|row| row.pid.to_string().len()).max().unwrap_or(0);
    let sizes = rows.iter().map(|row| row.size().chars().count()).max().unwrap_or(0);
    for row in &rows {
        let room = layout.width.saturating_sub(pids + sizes + 10);
        let command = text::shorten(&text::printable(&row.name), room);
        writeln!(out, "  pid {:<pids$}  {:>sizes$}  {command}", row.pid, row.size())?;
    }
    if more > 0 {
        let place = layout.csv.as_deref().unwrap_or("--csv");
        writeln!(out, "  ... and {more} more (see {})", text::printable(place))?;
    }
    match tally.unread {
        0 => {}
        1 => writeln!(out, "  1 process could not be read in time")?,
        unread => writeln!(out, "  {unread} processes could not be read in time")?,
    }
    let left_out = record.capture.processes_left_out;
    if left_out > 0 {
        writeln!(out, "  ({left_out} of the smallest were not kept; totals and groups count them)")?;
    }
    Ok(())
}

/// Writes the processes that outlived the measurement.
pub(crate) fn write_still_running<P>(
    record: &Record<P>,
    tally: &Tally,
    layout: &SummaryLayout<'_>,
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
    let names = names.join(", ");
    // An attached process that was left is no straggler.
    let was_left = record.exit.is_none() && record.capture.attached.is_some();
    let hint = if was_left { "left as it was" } else { "--wait waits for them" };
    line(out, layout.width, "Still running:", &format!("{names}; {hint}"))
}

#[cfg(test)]
pub(crate) mod tests;
