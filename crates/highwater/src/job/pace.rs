//! The time of the next sample: soon at the start and while things change, later when still. Sampling never costs more
//! than a small share of one processor.

use std::time::Duration;

use super::Pace;

/// First interval: many programs reach their peak within a millisecond, and exit.
const FIRST_INTERVAL: Duration = Duration::from_micros(400);
/// Interval right after a change, if only polling finds new processes.
const QUICK_INTERVAL: Duration = Duration::from_millis(4);
/// The same if the kernel reports new processes, and if it also keeps their peaks. Samples then serve only the estimate
/// and the timeline.
const QUICK_INTERVAL_WHEN_REPORTED: Duration = Duration::from_millis(8);
const QUICK_INTERVAL_WHEN_EXACT: Duration = Duration::from_millis(16);
/// Interval when nothing has changed for a while.
const SLOW_INTERVAL: Duration = Duration::from_millis(50);
/// Longest interval, however expensive a sample is.
const MAX_INTERVAL: Duration = Duration::from_secs(2);
/// Divisors of the interval: the sample before it may cost 0.5 % of it, and 2 % while things change, as the job is then
/// busy itself.
const COST_DIVISOR_WHEN_STILL: u32 = 200;
const COST_DIVISOR_WHEN_BUSY: u32 = 50;
/// Length of the burst at the start of a fixed interval.
const BURST_LENGTH: Duration = Duration::from_millis(250);

/// The interval after each sample.
#[derive(Debug)]
pub(crate) struct SamplingPace {
    pace: Pace,
    quick: Duration,
    interval: Duration,
    cost: Duration,
}

impl SamplingPace {
    /// Makes a pace. `reported`: the kernel reports starts and exits; `exact`: it also keeps each process's peak.
    pub(crate) fn new(pace: Pace, reported: bool, exact: bool) -> Self {
        let quick = match (reported, exact) {
            (true, true) => QUICK_INTERVAL_WHEN_EXACT,
            (true, false) => QUICK_INTERVAL_WHEN_REPORTED,
            (false, _) => QUICK_INTERVAL,
        };
        Self { pace, quick, interval: FIRST_INTERVAL, cost: Duration::ZERO }
    }

    /// Returns the wait after a sample taken at `elapsed` that cost `cost` of CPU time. `changed`: processes started or
    /// exited, or the total moved.
    pub(crate) fn next(&mut self, elapsed: Duration, changed: bool, cost: Duration) -> Duration {
        match self.pace {
            Pace::Fixed { interval, burst } => {
                if burst && elapsed < BURST_LENGTH {
                    interval.min(QUICK_INTERVAL)
                } else {
                    interval
                }
            }
            Pace::Adaptive => {
                // One expensive sample (many new processes) must not slow down the quiet ones after it.
                self.cost = (self.cost * 3 + cost) / 4;
                let share = if changed { COST_DIVISOR_WHEN_BUSY } else { COST_DIVISOR_WHEN_STILL };
                let slower = self.interval * 5 / 4;
                self.interval = if changed { slower.min(self.quick) } else { slower.min(SLOW_INTERVAL) };
                self.interval.max(self.cost * share).min(MAX_INTERVAL)
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
        let mut pace = SamplingPace::new(Pace::Adaptive, false, false);
        let first = pace.next(Duration::ZERO, true, CHEAP);
        let mut last = first;
        for _ in 0..40 {
            last = pace.next(Duration::from_secs(1), false, CHEAP);
        }
        assert!(first < Duration::from_millis(10) && last == SLOW_INTERVAL, "{first:?} {last:?}");
        assert_eq!(pace.next(Duration::from_secs(2), true, CHEAP), QUICK_INTERVAL);
        assert!(pace.next(Duration::from_secs(2), false, CHEAP) < 2 * QUICK_INTERVAL);
    }

    #[test]
    fn dear_samples_stretch_the_interval() {
        let mut pace = SamplingPace::new(Pace::Adaptive, false, false);
        let mut last = Duration::ZERO;
        for _ in 0..40 {
            last = pace.next(Duration::from_secs(1), false, Duration::from_millis(1));
        }
        assert!(last > Duration::from_millis(190) && last <= Duration::from_millis(200), "{last:?}");
        let busy = pace.next(Duration::from_secs(1), true, Duration::from_millis(1));
        assert!(busy < last && busy > Duration::from_millis(40), "{busy:?}");
    }

    #[test]
    fn a_fixed_interval_is_fixed_but_for_its_burst() {
        let interval = Duration::from_millis(500);
        let mut plain = SamplingPace::new(Pace::Fixed { interval, burst: false }, false, false);
        assert_eq!(plain.next(Duration::ZERO, true, Duration::from_secs(1)), interval);
        let mut burst = SamplingPace::new(Pace::Fixed { interval, burst: true }, false, false);
        assert!(burst.next(Duration::from_millis(10), false, CHEAP) < interval);
        assert_eq!(burst.next(Duration::from_secs(1), true, CHEAP), interval);
    }
}
