//! `--live`: one line on standard error with the job's present memory.
//!
//! The job may write to the same terminal, and its place in the line there is not known. So the line is drawn below the
//! cursor, and the cursor is put back. A prompt or a line that the job has begun stays as it is. The next output of the
//! job moves down over it. If the job writes several lines within one tick, one may keep the rest of hwm's line at its
//! end.

use std::{
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

use highwater::job::{Limits, Progress};

use crate::{args::LivePace, terminal, text};

/// The interval on a terminal; quicker is hard to read.
const REDRAW_INTERVAL: Duration = Duration::from_millis(250);
/// The interval in a file or a CI's log, where each line stays.
const LINE_INTERVAL: Duration = Duration::from_secs(30);
/// The sequences that make room for a line below the cursor, go there, and come back after the text. ESC D goes down
/// and keeps the column. If the job has written over the old line, the rest of that is erased first.
const DRAW_BELOW: (&str, &str) = ("\x1b[K\x1bD\x1b[A\x1b7\x1b[B\r\x1b[K", "\x1b8");
/// The rest of this line, and all below.
const ERASE_BELOW: &str = "\x1b[J";
/// The width in columns if the terminal does not report one.
const DEFAULT_TERMINAL_WIDTH: usize = 80;

/// The present figures of the job.
#[derive(Debug, Default)]
pub(super) struct LiveFigures {
    elapsed: Duration,
    memory: Option<u64>,
    memory_peak: Option<u64>,
    /// The sum of RSS.
    total: Option<u64>,
    processes: u64,
    /// The process that holds most: pid, name, bytes.
    top: Option<(u32, String, u64)>,
}

/// The timing and the text of the line.
#[derive(Debug)]
pub(super) struct LiveLine {
    every: Duration,
    due: Instant,
    redraws: bool,
}

impl LiveLine {
    pub(super) fn new(pace: LivePace) -> Self {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        let redraws = cfg!(unix) && io::stderr().is_terminal() && !dumb;
        let every = pace.unwrap_or(if redraws { REDRAW_INTERVAL } else { LINE_INTERVAL });
        Self { every, due: Instant::now() + every, redraws }
    }

    /// Returns the present figures of the job, if they are to be drawn now.
    pub(super) fn next(&mut self, progress: &Progress<'_>) -> Option<LiveFigures> {
        let at = Instant::now();
        if at < self.due {
            return None;
        }
        self.due = at + self.every;
        Some(LiveFigures {
            elapsed: progress.elapsed,
            memory: progress.memory_bytes.or(progress.total_rss_bytes),
            memory_peak: progress.peak_memory_bytes().or_else(|| progress.peak_rss_bytes()),
            total: progress.total_rss_bytes,
            processes: progress.process_count,
            top: progress.largest().map(|top| (top.pid, top.name, top.rss_bytes)),
        })
    }

    pub(super) fn drawing(&self, limits: &Limits) -> LiveDrawing {
        LiveDrawing { redraws: self.redraws, limits: limits.clone(), is_shown: false }
    }
}

/// The line on standard error. Its methods may block.
#[derive(Debug)]
pub(super) struct LiveDrawing {
    redraws: bool,
    limits: Limits,
    /// True if the line stands on the terminal now.
    is_shown: bool,
}

impl LiveDrawing {
    pub(super) fn draw(&mut self, now: &LiveFigures) {
        // Standard error may be closed or full: then no line is drawn.
        let mut err = io::stderr().lock();
        if self.redraws {
            let width = terminal::width_of_stderr().unwrap_or(DEFAULT_TERMINAL_WIDTH) - 1;
            let line = text::shorten(&sentence(now, &self.limits), width);
            // The line is one write: a line in two writes could be seen by half.
            let _ = err.write_all(format!("{}{line}{}", DRAW_BELOW.0, DRAW_BELOW.1).as_bytes());
            self.is_shown = true;
        } else {
            let _ = err.write_all(format!("hwm: {}\n", sentence(now, &self.limits)).as_bytes());
        }
    }

    /// Takes the line away.
    pub(super) fn erase(&mut self) {
        if std::mem::take(&mut self.is_shown) {
            let _ = io::stderr().write_all(ERASE_BELOW.as_bytes());
        }
    }
}

fn sentence(now: &LiveFigures, limits: &Limits) -> String {
    let mut parts = vec![
        elapsed(now.elapsed.as_secs()),
        format!("{} now", text::size_or_unknown(now.memory)),
        format!("{} peak", text::size_or_unknown(now.memory_peak)),
    ];
    parts.extend(limit(now, limits));
    let plural = if now.processes == 1 { "process" } else { "processes" };
    parts.push(format!("{} {plural}", now.processes));
    if let Some((pid, name, bytes)) = &now.top {
        parts.push(format!("most in {} (pid {pid}): {}", text::printable(name), text::size(*bytes)));
    }
    parts.join(", ")
}

fn elapsed(seconds: u64) -> String {
    if seconds < 60 { format!("{seconds} s") } else { text::duration(seconds as f64) }
}

/// Returns the limit of which most is used up, among those that a sample can judge.
fn limit(now: &LiveFigures, limits: &Limits) -> Option<String> {
    let largest = now.top.as_ref().map(|(_, _, bytes)| *bytes);
    let shares = [
        (now.memory, limits.memory_bytes),
        (now.total, limits.total_rss_bytes),
        (largest, limits.process_rss_bytes),
    ];
    let shares = shares.into_iter().filter_map(|(used, limit)| {
        let (used, limit) = (used?, limit?);
        Some((used as f64 / limit as f64 * 100.0, limit))
    });
    let (share, limit) = shares.max_by(|one, two| one.0.total_cmp(&two.0))?;
    Some(format!("{share:.0} % of the limit of {}", text::size(limit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences() {
        let mut now = LiveFigures {
            elapsed: Duration::from_millis(72_900),
            memory: Some(412 << 20),
            memory_peak: Some(506 << 20),
            total: Some(412 << 20),
            processes: 12,
            top: Some((7212, "rustc\n".to_owned(), 220 << 20)),
        };
        let mut limits = Limits::default();
        assert_eq!(
            sentence(&now, &limits),
            "00:01:12, 412 MiB now, 506 MiB peak, 12 processes, most in rustc\\n (pid 7212): 220 MiB"
        );
        limits.total_rss_bytes = Some(1 << 30);
        limits.process_rss_bytes = Some(256 << 20);
        assert!(sentence(&now, &limits).contains(", 86 % of the limit of 256 MiB, 12 processes"));
        limits.memory_bytes = Some(413 << 20);
        assert!(sentence(&now, &limits).contains(", 100 % of the limit of 413 MiB, 12 processes"));
        now = LiveFigures { elapsed: now.elapsed, processes: now.processes, ..LiveFigures::default() };
        assert_eq!(sentence(&now, &limits), "00:01:12, unknown now, unknown peak, 12 processes");
    }
}
