//! The record so far, written to the file of `--json=FILE` while the job runs, so that something is left when
//! hwm is killed.

use std::{
    io::{self, Write},
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    background::BackgroundWriter,
    files::{Destination, Replacement},
    text::advice,
};

const FIRST_CHECKPOINT_AFTER: Duration = Duration::from_secs(1);
const MAX_CHECKPOINT_GAP: Duration = Duration::from_secs(60);
/// Checkpoints take at most this part of the time.
const CHECKPOINT_TIME_DIVISOR: u32 = 100;
/// Content is handed over in pieces of this size.
const PIECE_BYTES: usize = 64 << 10;
/// Pieces that wait for a slow disk: 16 MiB. A checkpoint that needs more is left out.
const MAX_PIECES: usize = 256;

/// The time at which the next checkpoint is due.
#[derive(Debug)]
pub(crate) struct Schedule {
    due: Duration,
    gap: Duration,
}

impl Default for Schedule {
    fn default() -> Self {
        Self { due: FIRST_CHECKPOINT_AFTER, gap: FIRST_CHECKPOINT_AFTER }
    }
}

impl Schedule {
    /// Returns whether one is due at this time since the start of the job.
    pub(crate) fn is_due(&self, elapsed: Duration) -> bool {
        elapsed >= self.due
    }

    /// Records that a checkpoint was written at `elapsed` and took `cost`. Gaps are 1, 2, 4 .. 60 seconds, longer if
    /// checkpoints cost much.
    pub(crate) fn written(&mut self, elapsed: Duration, cost: Duration) {
        self.gap = (self.gap * 2).min(MAX_CHECKPOINT_GAP);
        self.due = elapsed + self.gap.max(cost * CHECKPOINT_TIME_DIVISOR);
    }
}

/// Writes checkpoints.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    destination: Arc<Destination>,
    schedule: Schedule,
    /// The writing thread, started for the first checkpoint. A disk may take seconds to write or to sync, and limits
    /// are judged during that time.
    writer: Option<BackgroundWriter<CheckpointPart>>,
    warned: bool,
}

/// A message to the writing thread.
#[derive(Debug)]
enum CheckpointPart {
    Content(Vec<u8>),
    /// The checkpoint is whole.
    End,
    /// The checkpoint will never be whole.
    Abandoned,
}

impl Checkpoints {
    /// Returns the checkpoints of a file; `None` for pipes and devices, to which the record is written once, at the
    /// end.
    pub(crate) fn new(destination: &Arc<Destination>) -> Option<Self> {
        destination.is_replaced().then(|| Self {
            destination: Arc::clone(destination),
            schedule: Schedule::default(),
            writer: None,
            warned: false,
        })
    }

    /// Begins to write one if it is due and the last one is in place. A failure is returned once, as a warning, and tried
    /// again at the next.
    #[must_use]
    pub(crate) fn offer(
        &mut self,
        elapsed: Duration,
        write: impl FnOnce(&mut dyn io::Write) -> io::Result<()>,
    ) -> Option<String> {
        let is_writing = self.writer.as_ref().is_some_and(|writer| !writer.is_idle());
        if !self.schedule.is_due(elapsed) || is_writing {
            return None;
        }
        let before = self.writer.as_ref().and_then(BackgroundWriter::take_failure);
        let begun = Instant::now();
        let offered = self.hand_over(write);
        self.schedule.written(elapsed, begun.elapsed());
        self.warning(before.map_or(offered, Err))
    }

    fn hand_over(&mut self, write: impl FnOnce(&mut dyn io::Write) -> io::Result<()>) -> io::Result<()> {
        let writer = match &mut self.writer {
            Some(writer) => writer,
            none => none.insert(BackgroundWriter::start("checkpoint", writing(&self.destination))?),
        };
        let mut pieces = Pieces { writer, piece: Vec::new() };
        let written = write(&mut pieces).and_then(|()| pieces.flush());
        let end = if written.is_ok() { CheckpointPart::End } else { CheckpointPart::Abandoned };
        writer.change(|queue| queue.push_back(end));
        written
    }

    /// Waits until the last one is in place: it must not replace what is written afterwards. Returns a warning if it failed.
    #[must_use]
    pub(crate) fn finish(&mut self) -> Option<String> {
        let writer = self.writer.take()?;
        writer.finish(None);
        let failure = writer.take_failure();
        self.warning(failure.map_or(Ok(()), Err))
    }

    fn warning(&mut self, written: io::Result<()>) -> Option<String> {
        let error = written.err()?;
        let is_first = !mem::replace(&mut self.warned, true);
        is_first.then(|| format!("checkpoint of {}: {error}{}", self.destination.name(), advice(&error)))
    }
}

/// Hands content over in pieces, as long as the disk keeps up.
struct Pieces<'a> {
    writer: &'a BackgroundWriter<CheckpointPart>,
    piece: Vec<u8>,
}

impl Write for Pieces<'_> {
    fn write(&mut self, content: &[u8]) -> io::Result<usize> {
        if self.piece.len() == PIECE_BYTES {
            self.flush()?;
        }
        let fitting = &content[..content.len().min(PIECE_BYTES - self.piece.len())];
        self.piece.extend_from_slice(fitting);
        Ok(fitting.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let piece = mem::take(&mut self.piece);
        let is_taken = self.writer.change(|queue| {
            let has_room = queue.len() < MAX_PIECES;
            if has_room {
                queue.push_back(CheckpointPart::Content(piece));
            }
            has_room
        });
        if is_taken { Ok(()) } else { Err(io::Error::other("the disk is too slow; it is left out")) }
    }
}

/// The checkpoint that the thread writes.
enum Draft {
    NotBegun,
    Begun(Replacement),
    Failed,
}

/// Returns what writes each part.
fn writing(destination: &Arc<Destination>) -> impl FnMut(CheckpointPart) -> io::Result<()> + use<> {
    let destination = Arc::clone(destination);
    let mut draft = Draft::NotBegun;
    move |part| {
        // A file that is dropped here is removed from the disk.
        match (part, mem::replace(&mut draft, Draft::NotBegun)) {
            (CheckpointPart::Content(_), Draft::Failed) => draft = Draft::Failed,
            (CheckpointPart::Content(piece), before) => match add_to(before, &destination, &piece) {
                Ok(replacement) => draft = Draft::Begun(replacement),
                Err(error) => {
                    draft = Draft::Failed;
                    return Err(error);
                }
            },
            (CheckpointPart::End, Draft::Begun(mut replacement)) => {
                return replacement.put_in_place_durably();
            }
            (CheckpointPart::End | CheckpointPart::Abandoned, _) => {}
        }
        Ok(())
    }
}

fn add_to(draft: Draft, destination: &Destination, piece: &[u8]) -> io::Result<Replacement> {
    let mut replacement = match draft {
        Draft::Begun(replacement) => replacement,
        Draft::NotBegun | Draft::Failed => {
            destination.begin_replacement().unwrap_or_else(|| Err(io::ErrorKind::Unsupported.into()))?
        }
    };
    replacement.file().write_all(piece)?;
    Ok(replacement)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::NewFileMode;

    fn checkpoints(path: &std::path::Path) -> Checkpoints {
        let destination = Destination::check("--json", path, NewFileMode::Private).unwrap();
        Checkpoints::new(&Arc::new(destination)).unwrap()
    }

    #[test]
    fn gaps_grow_up_to_a_minute() {
        let mut schedule = Schedule::default();
        let mut moments = Vec::new();
        for second in 0..300 {
            let elapsed = Duration::from_secs(second);
            if schedule.is_due(elapsed) {
                moments.push(second);
                schedule.written(elapsed, Duration::ZERO);
            }
        }
        assert_eq!(moments, [1, 3, 7, 15, 31, 63, 123, 183, 243]);
    }

    #[test]
    fn dear_checkpoints_become_rare() {
        let mut schedule = Schedule::default();
        schedule.written(Duration::from_secs(1), Duration::from_secs(2));
        assert!(!schedule.is_due(Duration::from_secs(200)));
        assert!(schedule.is_due(Duration::from_secs(201)));
    }

    #[test]
    fn writes_whole_files_and_nothing_before_its_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        let mut checkpoints = checkpoints(&path);
        let early = checkpoints.offer(Duration::from_millis(999), |out| out.write_all(b"early"));
        assert_eq!((early, checkpoints.writer.is_some()), (None, false));
        let content = "first".repeat(PIECE_BYTES);
        let first = checkpoints.offer(Duration::from_secs(1), |out| out.write_all(content.as_bytes()));
        assert_eq!((first, checkpoints.finish()), (None, None));
        assert!(std::fs::read_to_string(&path).unwrap() == content);
    }

    #[test]
    fn a_disk_that_takes_nothing_costs_a_warning() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        let mut checkpoints = checkpoints(&path);
        let (release, released) = std::sync::mpsc::channel::<()>();
        let mut write = writing(&checkpoints.destination);
        checkpoints.writer = BackgroundWriter::start("checkpoint", move |part| {
            // It takes the first part once the other end is gone.
            let _ = released.recv();
            write(part)
        })
        .ok();
        let piece = vec![b'x'; PIECE_BYTES];
        let warning = checkpoints.offer(Duration::from_secs(1), |out| {
            (0..=2 * MAX_PIECES).try_for_each(|_| out.write_all(&piece))
        });
        assert!(warning.is_some_and(|warning| warning.contains("too slow")));
        assert_eq!(checkpoints.offer(Duration::from_secs(9), |_| panic!("not while one is written")), None);
        drop(release);
        assert_eq!(checkpoints.finish(), None);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing half written stays");
    }
}
