//! `--live`: one line on standard error that says how the job stands.
//!
//! The follower leaves a few figures behind a lock now and then; a thread of its own writes, so that a terminal that
//! takes nothing stops no measurement. The job may write to the same terminal, and where it stands in its line there
//! nobody can know. So ours is drawn on the line below the cursor, and the cursor put back where it was: a prompt or a
//! line that the job has begun stays as it is. What the job writes next moves down over ours; of several lines within
//! one tick, one may bear the rest of ours at its end.

use std::{
    io::{self, IsTerminal, Write},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use highwater::job::{Limits, Progress};

use crate::output::{terminal, text};

/// On a terminal; quicker is hard to read.
const REDRAWN: Duration = Duration::from_millis(250);
/// In a file or a CI's log, where each line stays.
const LINE_EVERY: Duration = Duration::from_secs(30);
/// Makes room for a line below the cursor (ESC D goes down and keeps the column), goes there, and back after the text.
/// What the job has written over is rid of the rest of ours first.
const BELOW: (&str, &str) = ("\x1b[K\x1bD\x1b[A\x1b7\x1b[B\r\x1b[K", "\x1b8");
/// The rest of this line, and all below.
const ERASE_BELOW: &str = "\x1b[J";
/// Columns, where nobody says.
const WIDTH: usize = 80;

/// How the job stands.
#[derive(Debug, Clone, Default, PartialEq)]
struct Now {
    elapsed: Duration,
    total: Option<u64>,
    peak: Option<u64>,
    processes: u64,
    /// Who holds most: pid, name, bytes.
    top: Option<(u32, String, u64)>,
}

/// The line.
#[derive(Debug)]
pub(super) struct Live {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    /// When the figures were left behind last.
    told: Option<Instant>,
    every: Duration,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    /// It stands on the terminal now.
    drawn: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    now: Option<Now>,
    over: bool,
}

impl Live {
    /// Begins; `every`: as asked for.
    pub(super) fn start(every: Option<Duration>, limits: &Limits) -> io::Result<Self> {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        let redraws = cfg!(unix) && io::stderr().is_terminal() && !dumb;
        let every = every.unwrap_or(if redraws { REDRAWN } else { LINE_EVERY });
        let shared = Arc::<Shared>::default();
        let (theirs, limits) = (Arc::clone(&shared), limits.clone());
        let thread = thread::Builder::new()
            .name("live".to_owned())
            .stack_size(256 * 1024)
            .spawn(move || show(&theirs, every, redraws, &limits))?;
        Ok(Self { shared, thread: Some(thread), told: None, every })
    }

    /// What a sample showed.
    pub(super) fn tell(&mut self, progress: &Progress<'_>) {
        if self.told.is_some_and(|told| told.elapsed() < self.every / 2) {
            return;
        }
        self.told = Some(Instant::now());
        let now = Now {
            elapsed: progress.elapsed,
            total: progress.total_rss_bytes,
            peak: progress.peak_rss_bytes(),
            processes: progress.process_count,
            top: progress.largest(),
        };
        self.shared.lock().now = Some(now);
    }

    /// Takes the line away, as something else is to be said there.
    pub(super) fn clear(&self) {
        self.shared.erase();
    }

    /// Takes the line away; nothing is written after that.
    pub(super) fn finish(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        self.shared.lock().over = true;
        self.shared.wake.notify_all();
        // A panic there is no reason for one here.
        let _ = thread.join();
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn erase(&self) {
        if self.drawn.swap(false, Ordering::Relaxed) {
            let _ = io::stderr().write_all(ERASE_BELOW.as_bytes());
        }
    }
}

fn show(shared: &Shared, every: Duration, redraws: bool, limits: &Limits) {
    loop {
        let state = shared.lock();
        let (mut state, _) = shared
            .wake
            .wait_timeout_while(state, every, |state| !state.over)
            .unwrap_or_else(PoisonError::into_inner);
        let (now, over) = (state.now.take(), state.over);
        drop(state);
        if over {
            shared.erase();
            return;
        }
        let Some(now) = now else { continue };
        // Closed or full: then there is no line.
        let mut err = io::stderr().lock();
        if redraws {
            let width = terminal::width_of_stderr().unwrap_or(WIDTH) - 1;
            let line = text::shorten(&sentence(&now, limits), width);
            let _ = write!(err, "{}{line}{}", BELOW.0, BELOW.1);
            shared.drawn.store(true, Ordering::Relaxed);
        } else {
            let _ = writeln!(err, "hwm: {}", sentence(&now, limits));
        }
        let _ = err.flush();
    }
}

fn sentence(now: &Now, limits: &Limits) -> String {
    let mut parts = vec![
        elapsed(now.elapsed.as_secs()),
        format!("{} now", text::size_or_unknown(now.total)),
        format!("{} peak", text::size_or_unknown(now.peak)),
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

/// The limit of which most is used up, among those that a look can judge.
fn limit(now: &Now, limits: &Limits) -> Option<String> {
    let largest = now.top.as_ref().map(|(_, _, bytes)| *bytes);
    let shares = [(now.total, limits.total_rss_bytes), (largest, limits.process_rss_bytes)];
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
        let mut now = Now {
            elapsed: Duration::from_millis(72_900),
            total: Some(412 << 20),
            peak: Some(506 << 20),
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
        (now.total, now.peak, now.top) = (None, None, None);
        assert_eq!(sentence(&now, &limits), "00:01:12, unknown now, unknown peak, 12 processes");
    }
}
