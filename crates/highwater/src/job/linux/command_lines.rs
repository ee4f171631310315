//! Command lines of members: for their names, and for a pattern.

use std::time::{Duration, Instant};

use super::{
    map_reader::{MapOutcome, MapReader},
    proc_dir::{ProcDir, ProcPath},
};
use crate::{
    bounded::{Extent, MAX_COMMAND_LINE_BYTES},
    job::{GroupBy, Job},
    record::Downgrade,
};

/// Longest wait for a process that holds its memory map locked. Each timeout halves it, so that all of them together
/// delay the polls by less than half a second.
const MAX_LINE_TIMEOUT: Duration = Duration::from_millis(200);
const MIN_LINE_TIMEOUT: Duration = Duration::from_micros(100);
/// Longest time for which processes together may delay the polls, those that answer before the timeout included.
const MAX_LINE_WAITS: Duration = Duration::from_millis(400);
/// Divisor of the time: the share of it that such waits may take in the long run.
const LINE_WAITS_DIVISOR: u32 = 20;

/// The purpose of reading command lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineUse {
    /// None: they may hold secrets, so they are not read.
    LeftOut,
    /// The name of the program.
    Name,
    /// The name, and the text that a pattern finds in them.
    Pattern,
}

impl LineUse {
    fn of(job: &Job) -> Self {
        let is_pattern = |by: &GroupBy| matches!(by, GroupBy::CommandLine(_));
        match () {
            () if job.leaves_out_arguments => Self::LeftOut,
            () if job.group_by.iter().any(is_pattern) => Self::Pattern,
            () => Self::Name,
        }
    }
}

/// A reader of the beginnings of command lines, which counts the missing ones.
#[derive(Debug)]
pub(super) struct CommandLines {
    /// The purpose of reading them.
    pub(super) line_use: LineUse,
    source: LineSource,
    timeout: Duration,
    /// Time for which processes were waited for, less what is forgotten of it.
    waited: Duration,
    /// Time of the last reading of a line.
    last: Instant,
    cut: u64,
    late: u64,
}

/// The thread that reads command lines.
#[derive(Debug)]
enum LineSource {
    /// The thread that polls the job. A process that holds its memory map locked stops it.
    Direct,
    /// A thread that may be left behind, since a limit must be enforced in time. Each line costs a switch to that
    /// thread, which takes long on a busy machine.
    Bounded(MapReader),
}

impl CommandLines {
    /// Makes a reader. A process may delay the poll unless a limit is enforced by it.
    pub(super) fn new(job: &Job) -> Self {
        let on_time = job.limits.are_sampled();
        let source = if on_time { LineSource::Bounded(MapReader::default()) } else { LineSource::Direct };
        Self {
            line_use: LineUse::of(job),
            source,
            timeout: MAX_LINE_TIMEOUT,
            waited: Duration::ZERO,
            last: Instant::now(),
            cut: 0,
            late: 0,
        }
    }

    /// Reads the beginning of a command line into `text`; `None` if that fails, or if none is to be read.
    pub(super) fn read(&mut self, proc: &ProcDir, path: ProcPath, text: &mut Vec<u8>) -> Option<Extent> {
        if self.line_use == LineUse::LeftOut {
            return None;
        }
        let outcome = match &mut self.source {
            LineSource::Direct => proc
                .read_start(path, MAX_COMMAND_LINE_BYTES, text)
                .map_or(MapOutcome::Failed, MapOutcome::Read),
            LineSource::Bounded(reader) => {
                let now = Instant::now();
                let forgotten =
                    now.duration_since(std::mem::replace(&mut self.last, now)) / LINE_WAITS_DIVISOR;
                self.waited = self.waited.saturating_sub(forgotten);
                if self.waited >= MAX_LINE_WAITS {
                    self.late += 1;
                    return None;
                }
                let before = reader.waited();
                let outcome = reader.read(proc, path, MAX_COMMAND_LINE_BYTES, text, self.timeout);
                self.waited += reader.waited().saturating_sub(before);
                outcome
            }
        };
        match outcome {
            MapOutcome::Read(extent) => {
                self.cut += u64::from(self.line_use == LineUse::Pattern && extent == Extent::Cut);
                Some(extent)
            }
            MapOutcome::Failed => None,
            MapOutcome::Late => {
                self.timeout = (self.timeout / 2).max(MIN_LINE_TIMEOUT);
                self.late += 1;
                None
            }
        }
    }

    /// Returns the CPU time of separate reading threads.
    pub(super) fn reader_cpu(&self) -> Duration {
        match &self.source {
            LineSource::Direct => Duration::ZERO,
            LineSource::Bounded(reader) => reader.cpu(),
        }
    }

    /// Returns a downgrade for each kind of missing text.
    pub(super) fn unread(&self) -> impl Iterator<Item = Downgrade> {
        let cut = (self.cut > 0).then(|| Downgrade {
            wanted: "whole command lines".to_owned(),
            reason: format!(
                "{} of them exceed {MAX_COMMAND_LINE_BYTES} bytes; only their beginning was searched for the pattern",
                self.cut
            ),
        });
        let late = (self.late > 0).then(|| Downgrade {
            wanted: "names from command lines".to_owned(),
            reason: format!(
                "{} were not read in time (a process may hold its memory map locked); the kernel's name of at most \
                 15 bytes is shown for them",
                self.late
            ),
        });
        cut.into_iter().chain(late)
    }
}
