//! The time of the next sample: soon at the start and while things change, later when still. Sampling never costs more
//! than a small share of one processor. The high-water marks of the processes are read with some of the samples.

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
/// Divisor of the time until the next reading of the high-water marks: one may cost this share of it.
const MARKS_COST_DIVISOR: u32 = 300;
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
                self.cost = smoothed(self.cost, cost);
                let share = if changed { COST_DIVISOR_WHEN_BUSY } else { COST_DIVISOR_WHEN_STILL };
                let slower = self.interval * 5 / 4;
                self.interval = if changed { slower.min(self.quick) } else { slower.min(SLOW_INTERVAL) };
                self.interval.max(self.cost * share).min(MAX_INTERVAL)
            }
        }
    }
}

/// The time of the next sample that reads high-water marks and swap.
#[derive(Debug)]
pub(crate) struct MarksPace {
    next: Duration,
    cost: Duration,
}

impl MarksPace {
    /// Makes a pace whose first reading is due at once.
    pub(crate) fn new() -> Self {
        Self { next: Duration::ZERO, cost: Duration::ZERO }
    }

    /// Returns whether a sample at `elapsed` reads the marks.
    pub(crate) fn is_due(&self, elapsed: Duration) -> bool {
        elapsed >= self.next
    }

    /// Plans the reading after one at `elapsed` that cost `cost` of CPU time.
    pub(crate) fn read(&mut self, elapsed: Duration, cost: Duration) {
        self.cost = smoothed(self.cost, cost);
        self.next = elapsed + self.cost * MARKS_COST_DIVISOR;
    }

    /// Makes a reading due at once.
    pub(crate) fn hasten(&mut self) {
        self.next = Duration::ZERO;
    }
}

/// Returns the cost to expect of the next sample: an expensive one (many new processes) must not slow down the quiet ones
/// after it.
fn smoothed(before: Duration, cost: Duration) -> Duration {
    (before * 3 + cost) / 4
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
    fn an_expensive_reading_delays_cheap_ones_little() {
        let (ms, mut pace) = (Duration::from_millis, MarksPace::new());
        assert!(pace.is_due(Duration::ZERO));
        pace.read(Duration::ZERO, CHEAP);
        assert!(!pace.is_due(ms(0)) && pace.is_due(ms(2)));
        // The sample that finds a process opens its files.
        pace.read(ms(2), ms(5));
        assert!(!pace.is_due(ms(300)) && pace.is_due(ms(400)));
        for at in 1..40 {
            pace.read(ms(400 * at), ms(5));
        }
        assert!(!pace.is_due(ms(16_900)) && pace.is_due(ms(17_200)));
        pace.hasten();
        assert!(pace.is_due(ms(15_601)));
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
