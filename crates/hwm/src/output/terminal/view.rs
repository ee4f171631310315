//! A record in the terminal: the summary, and memory over time drawn with characters.

mod chart;
mod columns;
mod groups;

use std::{
    borrow::Cow,
    io::{self, Write},
    ops::Range,
};

use highwater::record::{GroupKey, Limited, Metric, PeakInterval, PeakMemory, Record, Scope};

use self::{
    chart::{ASCII_INK, Chart, Ink, UNICODE_INK, sparkline},
    columns::{ChartWindow, highest},
};
use super::summary::{self, BOLD, SummaryDetail, Tally};
use crate::{
    filter::RowFilter,
    series::{SeriesKind, SeriesPoint, TimeSeries, time_series},
    text,
};

/// Rows of the chart.
const CHART_ROWS: usize = 10;
/// The width in front of the chart: a figure such as `1023 MiB`, and the axis.
const CHART_MARGIN: usize = 11;
/// The largest ratio of a limit to the peak at which the limit is drawn. Beyond it the line of the job would be flat.
const MAX_LIMIT_TIMES_PEAK: u64 = 2;

/// The layout of the view.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ViewLayout {
    /// Columns of the terminal.
    pub(crate) width: usize,
    /// The largest number of processes and of groups that are listed.
    pub(crate) top: usize,
    /// True if it shows more than ASCII.
    pub(crate) is_utf8: bool,
}

/// Writes it; colour is the writer's business.
pub(crate) fn write(record: &Record, layout: ViewLayout, out: &mut dyn Write) -> io::Result<()> {
    let mut text = Vec::new();
    View { record, layout, ink: if layout.is_utf8 { &UNICODE_INK } else { &ASCII_INK } }.write(&mut text)?;
    if layout.is_utf8 {
        return out.write_all(&text);
    }
    out.write_all(text::ascii(&String::from_utf8_lossy(&text)).as_bytes())
}

/// The content of the chart.
struct Charted<'a> {
    title: String,
    series: Option<TimeSeries<'a>>,
    peak: Option<ChartPeak>,
    /// The limit that is drawn beside it.
    limited: Limited,
}

/// The peak of a chart, and its time.
#[derive(Debug, Clone, Copy)]
struct ChartPeak {
    bytes: u64,
    at_seconds: Option<f64>,
    between_seconds: Option<[f64; 2]>,
}

impl ChartPeak {
    fn of_memory(peak: &PeakMemory) -> Self {
        let &PeakMemory { bytes, at_seconds, between_seconds, .. } = peak;
        Self { bytes, at_seconds, between_seconds }
    }

    fn of_total(peak: &PeakInterval) -> Self {
        let &PeakInterval { bytes, at_seconds, between_seconds, .. } = peak;
        Self { bytes, at_seconds, between_seconds }
    }
}

struct View<'a> {
    record: &'a Record,
    layout: ViewLayout,
    ink: &'static Ink,
}

impl View<'_> {
    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let (record, width) = (self.record, self.layout.width);
        let listed = RowFilter::default();
        let tally = Tally::of(
            record.processes.iter().map(Ok),
            self.layout.top,
            &listed,
            record.peak.memory.as_ref(),
        )?;
        let layout = summary::SummaryLayout {
            width,
            top: self.layout.top,
            filter: &listed,
            with_cpu: record.usage.cpu.is_some(),
            csv: None,
            detail: SummaryDetail::All,
        };
        summary::write_job(record, &layout, out)?;
        summary::line(out, width, "Host:", &host(record))?;
        if record.exit.as_ref().is_some_and(|exit| exit.code == Some(0)) {
            summary::line(out, width, "Ended:", "exit code 0")?;
        }
        if !record.complete {
            summary::line(out, width, "Checkpoint:", "the job had not ended when this was written")?;
        }
        summary::write_figures(record, &tally, &layout, out)?;
        self.chart(out)?;
        self.processes(&tally, out)?;
        self.groups(&layout, out)?;
        if record.capture.processes_still_running > 0 {
            writeln!(out)?;
        }
        summary::write_still_running(record, &tally, &layout, out)?;
        writeln!(out)?;
        summary::line(out, width, "Measured:", &summary::measured(record))
    }

    /// Returns the time from the start to the end of the measurement, or to the last sample if that is later.
    fn end(&self) -> f64 {
        let last = self.record.timeline.as_ref().and_then(|timeline| timeline.seconds.last());
        self.record.duration_seconds.max(last.copied().unwrap_or(self.record.duration_seconds))
    }

    /// Returns the line of the record's primary metric.
    fn primary(&self) -> impl Iterator<Item = TimeSeries<'_>> {
        time_series(self.record).filter(|series| series.of == SeriesKind::Memory(self.record.primary_metric))
    }

    /// Returns what the chart shows: memory with each page counted once where it is known, else the total of the primary
    /// metric.
    fn charted(&self) -> Charted<'_> {
        let record = self.record;
        let series = |metric| {
            let is_total = move |series: &TimeSeries<'_>| {
                series.scope == Scope::Total && series.of == SeriesKind::Memory(metric)
            };
            time_series(record).find(is_total)
        };
        match (&record.peak.memory, series(Metric::Memory)) {
            (Some(memory), Some(of_memory)) => Charted {
                title: "Memory over time".to_owned(),
                series: Some(of_memory),
                peak: Some(ChartPeak::of_memory(memory)),
                limited: Limited::Memory,
            },
            _ => Charted {
                title: format!("Total {} over time", text::metric(record.primary_metric)),
                series: series(record.primary_metric),
                peak: record.peak.rss.as_ref().map(ChartPeak::of_total),
                limited: Limited::TotalRss,
            },
        }
    }

    fn chart(&self, out: &mut dyn Write) -> io::Result<()> {
        let Charted { title, series, peak, limited } = self.charted();
        writeln!(out, "\n{BOLD}{title}{BOLD:#}")?;
        let window = ChartWindow::new(self.end(), self.layout.width - CHART_MARGIN);
        let values = series.map(|series| window.values(series.points(), self.end()));
        let Some((values, sampled)) =
            values.and_then(|values| highest(&values).map(|highest| (values, highest)))
        else {
            return writeln!(out, "  not known: the record has no samples of it");
        };
        let at = peak.and_then(|peak| match (peak.at_seconds, peak.between_seconds) {
            (Some(at), _) => Some(window.places(at, at)),
            (None, Some([from, to])) => Some(window.places(from, to)),
            (None, None) => None,
        });
        let highest = peak.map_or(sampled, |peak| peak.bytes.max(sampled));
        let limit = self.limit(limited).filter(|limit| *limit / MAX_LIMIT_TIMES_PEAK <= highest);
        let top = highest.max(limit.unwrap_or(highest));
        let chart = Chart { values: &values, top, rows: CHART_ROWS, peak: at.clone(), limit, ink: self.ink };
        self.rows(&chart, out)?;
        self.axis(out)?;
        let what = peak_phrase(peak, highest, sampled);
        match at {
            Some(at) => self.mark(&at, &what, out),
            None => writeln!(out, "{:CHART_MARGIN$}{what}", ""),
        }
    }

    fn limit(&self, of: Limited) -> Option<u64> {
        let limits = self.record.limits.iter().filter(|limit| limit.of == of);
        limits.map(|limit| limit.limit_bytes).min()
    }

    fn rows(&self, chart: &Chart<'_>, out: &mut dyn Write) -> io::Result<()> {
        let limit = chart.limit.map(|limit| (chart.row(limit), limit));
        for row in 0..chart.rows {
            let label = match limit {
                Some((at, limit)) if at == row => Some(limit),
                _ if row == 0 => Some(chart.top),
                _ if row == chart.rows / 2 => Some(chart.top / 2),
                _ => None,
            };
            let side = if label.is_some() { self.ink.tick } else { self.ink.side };
            let label = label.map(text::size).unwrap_or_default();
            writeln!(out, "{label:>9} {side}{}", chart.draw(row))?;
        }
        Ok(())
    }

    /// Draws the axis of time: its start, middle and end.
    fn axis(&self, out: &mut dyn Write) -> io::Result<()> {
        let columns = self.layout.width - CHART_MARGIN;
        let middle = columns / 2;
        let mut base = vec![self.ink.base; columns];
        base[middle] = self.ink.notch;
        base[columns - 1] = self.ink.notch;
        writeln!(out, "{:>9} {}{}", "0", self.ink.corner, base.iter().collect::<String>())?;
        let (half, end) = (text::moment(self.end() / 2.0), text::moment(self.end()));
        let room = middle.saturating_sub(half.len() / 2);
        let rest = columns.saturating_sub(room + half.len());
        writeln!(out, "{:CHART_MARGIN$}{:<room$}{half}{end:>rest$}", "", "0 s")
    }

    /// Points at the peak, with the text on the side that has room.
    fn mark(&self, at: &Range<usize>, what: &str, out: &mut dyn Write) -> io::Result<()> {
        let marks: String = at.clone().map(|_| self.ink.mark).collect();
        let words = what.chars().count() + 1;
        let columns = self.layout.width - CHART_MARGIN;
        if at.end + words <= columns {
            writeln!(out, "{:left$}{marks} {what}", "", left = CHART_MARGIN + at.start)
        } else if words <= at.start {
            writeln!(out, "{:left$}{what} {marks}", "", left = CHART_MARGIN + at.start - words)
        } else {
            writeln!(out, "{:left$}{marks}", "", left = CHART_MARGIN + at.start)?;
            writeln!(out, "{:CHART_MARGIN$}{what}", "")
        }
    }

    fn processes(&self, tally: &Tally, out: &mut dyn Write) -> io::Result<()> {
        if tally.matching == 0 {
            return Ok(());
        }
        let rows = tally.rows();
        let lines = rows.iter().map(|row| {
            let series = self.primary().find(|series| series.process() == Some(row.index()));
            let process = self.record.processes.get(row.index());
            Line {
                size: row.size(),
                points: series.map(|series| series.points().collect()),
                until: process.and_then(|process| process.end_seconds).unwrap_or(self.end()),
                name: format!("{} (pid {})", text::printable(&row.name), row.pid),
            }
        });
        self.table("Largest processes", "peak", &lines.collect::<Vec<_>>(), out)?;
        let more = tally.matching.saturating_sub(rows.len() as u64);
        if more > 0 {
            writeln!(out, "  ... and {more} more (--top N lists more)")?;
        }
        match self.record.capture.processes_left_out {
            0 => Ok(()),
            few => writeln!(out, "  ({few} of the smallest were not kept; totals and groups count them)"),
        }
    }

    fn groups(&self, layout: &summary::SummaryLayout<'_>, out: &mut dyn Write) -> io::Result<()> {
        for (kind, groups) in summary::groups::kinds(self.record) {
            if kind == GroupKey::Tree {
                summary::groups::write_tree(&groups, layout, out)?;
                continue;
            }
            let shown = &groups[..groups.len().min(self.layout.top)];
            let mut courses = groups::courses(self.record, kind, shown);
            let lines = shown.iter().map(|group| Line {
                size: text::size_or_unknown(group.peak_bytes),
                points: courses.remove(&group.key),
                until: self.end(),
                name: format!("{} ({})", text::printable(&group.key), summary::groups::processes(group)),
            });
            let title = format!("Groups by {}", summary::groups::by(kind));
            self.table(&title, "peak at one instant", &lines.collect::<Vec<_>>(), out)?;
            let more = groups.len().saturating_sub(self.layout.top);
            if more > 0 {
                writeln!(out, "  ... and {more} more (--top N lists more)")?;
            }
        }
        Ok(())
    }

    /// Returns the text as the terminal shows it.
    fn plain<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if self.layout.is_utf8 { text.into() } else { text::ascii(text).into() }
    }

    /// Writes sizes, sparklines and names below each other.
    fn table(&self, title: &str, size_is: &str, lines: &[Line], out: &mut dyn Write) -> io::Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        let has_courses = lines.iter().any(|line| line.points.is_some());
        let courses_are = if has_courses { "; course on its own scale" } else { "" };
        writeln!(out, "\n{BOLD}{title}{BOLD:#} ({size_is}{courses_are})")?;
        let window = ChartWindow::new(self.end(), if has_courses { self.layout.width * 2 / 5 } else { 0 });
        let sizes = lines.iter().map(|line| self.plain(&line.size).chars().count()).max().unwrap_or(0);
        for line in lines {
            let (size, name) = (self.plain(&line.size), self.plain(&line.name));
            let points = line.points.iter().flatten().copied();
            let values = window.values(points, line.until);
            let values = highest(&values).map(|top| sparkline(&values, top, self.ink)).unwrap_or_default();
            let gap = if has_courses { "  " } else { "" };
            let front = format!("  {size:>sizes$}{gap}{values:<columns$}  ", columns = window.columns());
            let room = self.layout.width.saturating_sub(front.chars().count());
            writeln!(out, "{front}{}", text::shorten(&name, room))?;
        }
        Ok(())
    }
}

/// Returns the peak, when it was, and whether samples saw it.
fn peak_phrase(peak: Option<ChartPeak>, highest: u64, sampled: u64) -> String {
    let when = match peak.map(|peak| (peak.at_seconds, peak.between_seconds)) {
        Some((Some(at), _)) => format!(" at {}", text::moment(at)),
        Some((None, Some([from, to]))) => {
            format!(" between {} and {}", text::moment(from), text::moment(to))
        }
        _ => ", its moment is not known".to_owned(),
    };
    let (highest, sampled) = (text::size(highest), text::size(sampled));
    let seen = if highest == sampled { String::new() } else { format!(" (samples saw {sampled})") };
    format!("peak {highest}{when}{seen}")
}

/// A line of a table.
struct Line {
    size: String,
    points: Option<Vec<SeriesPoint>>,
    /// The time of its end.
    until: f64,
    name: String,
}

/// Returns the host of the run.
fn host(record: &Record) -> String {
    let host = &record.host;
    let mut parts = vec![host.name.as_deref().unwrap_or("unknown name").to_owned()];
    parts.push(host.kernel.as_ref().map_or(host.os.clone(), |kernel| format!("{} {kernel}", host.os)));
    parts.extend(
        host.cpus.map(|cpus| format!("{cpus} {}", if cpus == 1 { "processor" } else { "processors" })),
    );
    parts.extend(host.memory_bytes.map(|bytes| format!("{} of RAM", text::size(bytes))));
    parts.extend(host.container_limit_bytes.map(|bytes| format!("container limit {}", text::size(bytes))));
    parts.extend(host.rank.map(|rank| format!("rank {rank}")));
    text::printable(&format!("{}; started {}", parts.join(", "), record.start_time))
}
