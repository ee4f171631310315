//! The lines of a summary: a label and its value.

use std::io::{self, Write};

use anstyle::Style;
use highwater::record::{Certainty, Exit, MemorySource, PeakInterval, PeakMemory, Record};

use super::NextStep;
use crate::{filter::RowFilter, text};

pub(crate) const BOLD: Style = Style::new().bold();
/// Width of the labels in front of the figures.
pub(super) const LABEL_WIDTH: usize = 18;
/// The interval around the peak is shown when it is wider than this part of it. Two metrics differ by more.
pub(super) const NOTABLE_DIFFERENCE: f64 = 0.02;

/// The layout of a summary.
#[derive(Debug)]
pub(crate) struct SummaryLayout<'a> {
    /// Columns of the terminal.
    pub(crate) width: usize,
    /// The largest number of processes and of groups that are listed.
    pub(crate) top: usize,
    /// The ones among them that are listed.
    pub(crate) filter: &'a RowFilter,
    /// CPU time and page faults were asked for.
    pub(crate) with_cpu: bool,
    /// The file with all rows, if one is written.
    pub(crate) csv: Option<String>,
    pub(crate) detail: SummaryDetail,
}

/// The amount of detail in a summary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SummaryDetail {
    /// The answer, and the step after it.
    Answer(NextStep),
    /// All figures with their evidence.
    All,
}

/// Writes a label and its value, which goes on below itself if it is long. The value may be of any text.
pub(crate) fn line(out: &mut dyn Write, width: usize, label: &str, value: &str) -> io::Result<()> {
    let mut lines = text::wrap(&text::printable(value), width.saturating_sub(LABEL_WIDTH)).into_iter();
    // Some labels are longer than their column.
    let label = format!("{label:<width$} ", width = LABEL_WIDTH - 1);
    writeln!(out, "{BOLD}{label}{BOLD:#}{}", lines.next().unwrap_or_default())?;
    for more in lines {
        writeln!(out, "{:<LABEL_WIDTH$}{more}", "")?;
    }
    Ok(())
}

/// Returns how the job ended; `None` if it ended well.
pub(super) fn bad_end(exit: &Exit) -> Option<String> {
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

/// Returns the estimate, its interval if that matters, and its source.
pub(crate) fn total_peak(peak: &PeakInterval) -> String {
    if peak.certainty == Certainty::AtMost {
        return with_certainty(peak.bytes, peak.certainty);
    }
    let mut notes = Vec::new();
    if peak.certainty != Certainty::Exact {
        notes.push("estimate".to_owned());
    }
    if (peak.upper_bytes.saturating_sub(peak.lower_bytes)) as f64 > peak.bytes as f64 * NOTABLE_DIFFERENCE {
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

/// Returns the memory with each page counted once, and what would change a decision by it. `rss` is the sum beside it.
pub(crate) fn peak_memory(memory: &PeakMemory, rss: Option<&PeakInterval>) -> String {
    /// A range that is wider than this part of the figure matters.
    const WIDE_RANGE: f64 = 0.05;
    let is_far = |bytes: u64| bytes.abs_diff(memory.bytes) as f64 > memory.bytes as f64 * WIDE_RANGE;
    let mut notes = Vec::new();
    if rss.is_some_and(|rss| is_far(rss.bytes)) {
        notes.push("shared pages counted once".to_owned());
    }
    if is_far(memory.lower_bytes) {
        notes.push(format!("at least {}", text::size(memory.lower_bytes)));
    }
    // The charge of a cgroup includes page cache, so its upper end says little.
    if memory.source != MemorySource::Cgroup && is_far(memory.upper_bytes) {
        let probably = if memory.upper_rigorous { "" } else { "probably " };
        notes.push(format!("{probably}at most {}", text::size(memory.upper_bytes)));
    }
    let size = with_certainty(memory.bytes, memory.certainty);
    if notes.is_empty() { size } else { format!("{size} ({})", notes.join("; ")) }
}

/// Returns the peak of the sum over all processes, with a sign where only a bound of it is known.
pub(crate) fn rss_sum<P>(record: &Record<P>) -> String {
    match record.peak.rss {
        Some(rss) if rss.certainty == Certainty::AtMost => with_certainty(rss.bytes, rss.certainty),
        _ => text::size_or_unknown(record.total_peak_bytes()),
    }
}

/// Returns the size, with `≥` or `≤` if the truth lies on one side.
pub(super) fn with_certainty(bytes: u64, certainty: Certainty) -> String {
    let sign = match certainty {
        Certainty::AtLeast => "≥ ",
        Certainty::AtMost => "≤ ",
        _ => "",
    };
    format!("{sign}{}", text::size(bytes))
}
