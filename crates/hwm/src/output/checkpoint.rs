//! The record so far, written to the file of `--json=FILE` while the job runs, so that something is left when
//! hwm is killed.

use std::{
    io,
    time::{Duration, Instant},
};

use super::{Destination, warn};

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
    warned: bool,
}

impl<'a> Checkpoints<'a> {
    /// `None` for pipes and devices: they get the record once, at the end.
    pub(crate) fn new(destination: &'a Destination) -> Option<Self> {
        let schedule = Schedule::default();
        destination.takes_checkpoints().then_some(Self { destination, schedule, warned: false })
    }

    /// Writes one if it is due. A failure is said once and tried again at the next.
    pub(crate) fn offer(
        &mut self,
        elapsed: Duration,
        write: impl FnOnce(&mut dyn io::Write) -> io::Result<()>,
    ) {
        if !self.schedule.is_due(elapsed) {
            return;
        }
        let begun = Instant::now();
        let written = self.destination.write(write);
        self.schedule.written(elapsed, begun.elapsed());
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
        let destination = Destination::check("--json", &path).unwrap();
        let mut checkpoints = Checkpoints::new(&destination).unwrap();
        checkpoints.offer(Duration::from_millis(999), |out| out.write_all(b"early"));
        assert!(!path.exists());
        checkpoints.offer(Duration::from_secs(1), |out| out.write_all(b"first"));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "first");
    }
}
