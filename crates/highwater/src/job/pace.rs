//! The time of the next sample: soon at the start and while things change, later when still. Sampling never costs more
//! than a small share of one processor.

use std::time::Duration;

use super::Pace;

/// First interval: many programs reach their peak within a millisecond, and exit.
const FIRST: Duration = Duration::from_micros(400);
/// Interval right after a change, if only polling finds new processes.
const QUICK: Duration = Duration::from_millis(4);
/// The same if the kernel reports new processes, and if it also keeps their peaks. Samples then serve only the estimate
/// and the timeline.
const QUICK_WHEN_TOLD: Duration = Duration::from_millis(8);
const QUICK_WHEN_EXACT: Duration = Duration::from_millis(16);
/// Interval when nothing has changed for a while.
const SLOW: Duration = Duration::from_millis(50);
/// Longest interval, however expensive a sample is.
const AT_MOST: Duration = Duration::from_secs(2);
/// Divisors of the interval: the sample before it may cost 0.5 % of it, and 2 % while things change, as the job is then
/// busy itself.
const SHARE_WHEN_STILL: u32 = 200;
const SHARE_WHEN_BUSY: u32 = 50;
/// Length of the burst at the start of a fixed interval.
const BURST: Duration = Duration::from_millis(250);

/// The interval after each sample.
#[derive(Debug)]
pub(crate) struct Metronome {
    pace: Pace,
    quick: Duration,
    interval: Duration,
    cost: Duration,
}

impl Metronome {
    /// Makes a pace. `told`: the kernel reports starts and exits; `exact`: it also keeps each process's peak.
    pub(crate) fn new(pace: Pace, told: bool, exact: bool) -> Self {
        let quick = match (told, exact) {
            (true, true) => QUICK_WHEN_EXACT,
            (true, false) => QUICK_WHEN_TOLD,
            (false, _) => QUICK,
        };
        Self { pace, quick, interval: FIRST, cost: Duration::ZERO }
    }

    /// Returns the wait after a sample taken at `elapsed` that cost `cost` of CPU time. `changed`: processes started or
    /// exited, or the total moved.
    pub(crate) fn next(&mut self, elapsed: Duration, changed: bool, cost: Duration) -> Duration {
        match self.pace {
            Pace::Fixed { interval, burst } => {
                if burst && elapsed < BURST {
                    interval.min(QUICK)
                } else {
                    interval
                }
            }
            Pace::Adaptive => {
                // One expensive sample (many new processes) must not slow down the quiet ones after it.
                self.cost = (self.cost * 3 + cost) / 4;
                let share = if changed { SHARE_WHEN_BUSY } else { SHARE_WHEN_STILL };
                let slower = self.interval * 5 / 4;
                self.interval = if changed { slower.min(self.quick) } else { slower.min(SLOW) };
                self.interval.max(self.cost * share).min(AT_MOST)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: Duration = Duration::from_micros(5);

    #[test]
    fn slows_down_when_still_and_quickens_on_change() {
        let mut metronome = Metronome::new(Pace::Adaptive, false, false);
        let first = metronome.next(Duration::ZERO, true, CHEAP);
        let mut last = first;
        for _ in 0..40 {
            last = metronome.next(Duration::from_secs(1), false, CHEAP);
        }
        assert!(first < Duration::from_millis(10) && last == SLOW, "{first:?} {last:?}");
        assert_eq!(metronome.next(Duration::from_secs(2), true, CHEAP), QUICK);
        assert!(metronome.next(Duration::from_secs(2), false, CHEAP) < 2 * QUICK);
    }

    #[test]
    fn dear_samples_stretch_the_interval() {
        let mut metronome = Metronome::new(Pace::Adaptive, false, false);
        let mut last = Duration::ZERO;
        for _ in 0..40 {
            last = metronome.next(Duration::from_secs(1), false, Duration::from_millis(1));
        }
        assert!(last > Duration::from_millis(190) && last <= Duration::from_millis(200), "{last:?}");
        let busy = metronome.next(Duration::from_secs(1), true, Duration::from_millis(1));
        assert!(busy < last && busy > Duration::from_millis(40), "{busy:?}");
    }

    #[test]
    fn a_fixed_interval_is_fixed_but_for_its_burst() {
        let interval = Duration::from_millis(500);
        let mut plain = Metronome::new(Pace::Fixed { interval, burst: false }, false, false);
        assert_eq!(plain.next(Duration::ZERO, true, Duration::from_secs(1)), interval);
        let mut burst = Metronome::new(Pace::Fixed { interval, burst: true }, false, false);
        assert!(burst.next(Duration::from_millis(10), false, CHEAP) < interval);
        assert_eq!(burst.next(Duration::from_secs(1), true, CHEAP), interval);
    }
}
