//! Times without a sample: a job that leaves this process no processor time may exceed a limit in one.

use std::time::Duration;

/// Shortest time between two samples that is a gap. A busy machine delays each sample by less, and a warning for such
/// delays would say nothing about the job.
const MIN_GAP: Duration = Duration::from_secs(1);
/// Multiple of the planned pause from which on the time between two samples is a gap. A long interval is the user's choice.
const MIN_GAP_IN_PAUSES: u32 = 4;

/// The times between the samples of one job.
#[derive(Debug)]
pub(super) struct SampleGaps {
    /// Time of the last sample, or the start of the job; `None` after its end.
    last: Option<Duration>,
    /// Pause that was planned after the last sample.
    planned: Duration,
    longest: Option<Duration>,
}

impl SampleGaps {
    /// Begins with the start of the job.
    pub(super) fn new() -> Self {
        Self { last: Some(Duration::ZERO), planned: Duration::ZERO, longest: None }
    }

    /// Counts a sample.
    pub(super) fn sampled(&mut self, at: Duration) {
        let time = at.saturating_sub(self.last.unwrap_or(at));
        if time > MIN_GAP && time > self.planned * MIN_GAP_IN_PAUSES {
            self.longest = self.longest.max(Some(time));
        }
        self.last = Some(at);
        self.planned = Duration::ZERO;
    }

    /// Counts the time from the last sample to the end of the job.
    pub(super) fn end(&mut self, at: Duration) {
        self.sampled(at);
        self.last = None;
    }

    /// Sets the pause until the next sample.
    pub(super) fn plan(&mut self, pause: Duration) {
        self.planned = pause;
    }

    /// Returns the reason why the job may have exceeded a limit between two samples.
    pub(super) fn doubt(&self) -> Option<String> {
        self.longest.map(|longest| format!("no sample for {:.1} s", longest.as_secs_f64()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the doubt after samples at these times, each with the pause that was planned after it.
    fn doubt_after(samples: &[(u64, u64)]) -> Option<String> {
        let mut gaps = SampleGaps::new();
        for &(at, pause) in samples {
            gaps.sampled(Duration::from_millis(at));
            gaps.plan(Duration::from_millis(pause));
        }
        gaps.doubt()
    }

    #[test]
    fn a_steady_pace_leaves_no_doubt() {
        assert_eq!(doubt_after(&[]), None);
        assert_eq!(doubt_after(&[(900, 4)]), None, "a slow start");
        assert_eq!(doubt_after(&[(0, 4), (900, 50), (1_900, 4)]), None, "a busy machine");
        assert_eq!(doubt_after(&[(0, 60_000), (60_010, 60_000), (180_000, 4)]), None, "a long interval");
    }

    #[test]
    fn the_longest_gap_is_the_reason() {
        let samples = [(0, 4), (1_500, 4), (5_800, 4), (5_804, 4), (7_000, 4)];
        assert_eq!(doubt_after(&samples).as_deref(), Some("no sample for 4.3 s"));
        assert_eq!(doubt_after(&[(9_000, 4)]).as_deref(), Some("no sample for 9.0 s"));
        assert_eq!(doubt_after(&[(0, 1_000), (4_001, 0)]).as_deref(), Some("no sample for 4.0 s"));
    }

    #[test]
    fn a_planned_pause_counts_once() {
        let mut gaps = SampleGaps::new();
        gaps.sampled(Duration::ZERO);
        gaps.plan(Duration::from_secs(60));
        gaps.sampled(Duration::from_secs(60));
        gaps.end(Duration::from_secs(90));
        assert_eq!(gaps.doubt().as_deref(), Some("no sample for 30.0 s"));
        gaps.sampled(Duration::from_secs(190));
        assert_eq!(gaps.doubt().as_deref(), Some("no sample for 30.0 s"), "the job is over");
    }
}
