//! The record so far, written to the file of `--json=FILE` while the job runs, so that something is left when
//! hwm is killed.

use std::{
    io,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::warn;
use crate::files::Destination;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);
/// Checkpoints take at most this part of the time.
const SHARE: u32 = 100;

/// When the next checkpoint is due.
#[derive(Debug)]
pub(crate) struct Schedule {
    due: Duration,
    gap: Duration,
}

impl Default for Schedule {
    fn default() -> Self {
        Self { due: FIRST, gap: FIRST }
    }
}

impl Schedule {
    /// Whether one is due at this time since the start of the job.
    pub(crate) fn is_due(&self, elapsed: Duration) -> bool {
        elapsed >= self.due
    }

    /// One was written at `elapsed` and took `cost`: gaps of 1, 2, 4 .. 60 seconds, longer if they cost much.
    pub(crate) fn written(&mut self, elapsed: Duration, cost: Duration) {
        self.gap = (self.gap * 2).min(LONGEST);
        self.due = elapsed + self.gap.max(cost * SHARE);
    }
}

/// Writes checkpoints.
#[derive(Debug)]
pub(crate) struct Checkpoints<'a> {
    destination: &'a Destination,
    schedule: Schedule,
    /// Puts the last one in place. A thread of its own, for a busy disk may take seconds (fsync(2)), and limits are judged
    /// meanwhile.
    placing: Option<JoinHandle<io::Result<()>>>,
    warned: bool,
}

impl<'a> Checkpoints<'a> {
    pub(crate) fn new(destination: &'a Destination) -> Self {
        Self { destination, schedule: Schedule::default(), placing: None, warned: false }
    }

    /// Writes one if it is due and the last one is in place. A failure is said once and tried again at the next. Pipes and
    /// devices get the record once, at the end.
    pub(crate) fn offer(
        &mut self,
        elapsed: Duration,
        write: impl FnOnce(&mut dyn io::Write) -> io::Result<()>,
    ) {
        let is_placing = self.placing.as_ref().is_some_and(|thread| !thread.is_finished());
        if !self.schedule.is_due(elapsed) || is_placing {
            return;
        }
        self.finish();
        let Some(replacement) = self.destination.begin_replacement() else { return };
        let begun = Instant::now();
        let written = replacement.and_then(|mut replacement| {
            replacement.write(write)?;
            let place = move || replacement.put_in_place_durably();
            self.placing = Some(thread::Builder::new().name("checkpoint".into()).spawn(place)?);
            Ok(())
        });
        self.schedule.written(elapsed, begun.elapsed());
        self.say(written);
    }

    /// Waits until the last one is in place: it must not replace what is written afterwards.
    pub(crate) fn finish(&mut self) {
        let placed = self.placing.take().map(JoinHandle::join);
        let died = || Err(io::Error::other("the thread that writes it has died"));
        self.say(placed.map_or(Ok(()), |placed| placed.unwrap_or_else(|_| died())));
    }

    fn say(&mut self, written: io::Result<()>) {
        if let Err(error) = written
            && !self.warned
        {
            self.warned = true;
            warn(format_args!("checkpoint of {}: {error}", self.destination.name()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::NewFileMode;

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
        let destination = Destination::check("--json", &path, NewFileMode::Private).unwrap();
        let mut checkpoints = Checkpoints::new(&destination);
        checkpoints.offer(Duration::from_millis(999), |out| out.write_all(b"early"));
        assert!(!path.exists());
        checkpoints.offer(Duration::from_secs(1), |out| out.write_all(b"first"));
        checkpoints.finish();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "first");
    }
}
