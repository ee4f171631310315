//! The time of the next sample: soon at the start and while things change, later when still. Sampling never costs more
//! than a small share of one processor. The high-water marks of the processes are read with some of the samples.
//!
//! The group of a job tells its memory at a cost that does not grow with its processes. It is read between samples that
//! are rare for their cost, and then they may be rarer still.

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
/// The same while things are still and the group of the job is read between samples.
const COST_DIVISOR_WHEN_GROUP_IS_READ: u32 = 800;
/// Divisor of the time between two readings of the group: the first may cost this share of it.
const GROUP_COST_DIVISOR: u32 = 200;
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
    /// Cost of the last reading of the group alone.
    group_cost: Duration,
}

impl SamplingPace {
    /// Makes a pace. `reported`: the kernel reports starts and exits; `exact`: it also keeps each process's peak.
    pub(crate) fn new(pace: Pace, reported: bool, exact: bool) -> Self {
        let quick = match (reported, exact) {
            (true, true) => QUICK_INTERVAL_WHEN_EXACT,
            (true, false) => QUICK_INTERVAL_WHEN_REPORTED,
            (false, _) => QUICK_INTERVAL,
        };
        Self { pace, quick, interval: FIRST_INTERVAL, cost: Duration::ZERO, group_cost: Duration::ZERO }
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
                self.slow_down(changed);
                self.interval.max(self.cost * share).min(MAX_INTERVAL)
            }
        }
    }

    /// Returns the longest wait after that sample if the group of the job is read meanwhile and nothing changes. The sample
    /// that reads high-water marks is due after `until_marks`.
    pub(crate) fn longest_beside_group(&self, pause: Duration, until_marks: Duration) -> Duration {
        (self.cost * COST_DIVISOR_WHEN_GROUP_IS_READ).min(MAX_INTERVAL).min(until_marks).max(pause)
    }

    /// Returns whether samples are so far apart for their cost that the group is read between them.
    pub(crate) fn leaves_time_for_group_readings(pause: Duration) -> bool {
        pause > SLOW_INTERVAL
    }

    /// Returns the wait after that sample once something has changed.
    pub(crate) fn soonest(&self) -> Duration {
        self.quick.max(self.cost * COST_DIVISOR_WHEN_BUSY).min(MAX_INTERVAL)
    }

    /// Returns the wait before the next reading of the group: the interval that cheap samples would have.
    pub(crate) fn until_group_reading(&self) -> Duration {
        self.interval.max(self.group_cost * GROUP_COST_DIVISOR).min(MAX_INTERVAL)
    }

    /// Returns the wait after a reading of the group that cost `cost` of CPU time. The interval of the samples grows with it, and
    /// is short again once something has changed.
    pub(crate) fn after_group_reading(&mut self, changed: bool, cost: Duration) -> Duration {
        self.slow_down(changed);
        self.group_cost = cost;
        self.until_group_reading()
    }

    /// Lengthens the interval while nothing changes.
    fn slow_down(&mut self, changed: bool) {
        let longest = if changed { self.quick } else { SLOW_INTERVAL };
        self.interval = (self.interval * 5 / 4).min(longest);
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

    /// Returns the time from `elapsed` until a sample reads the marks.
    pub(crate) fn time_left(&self, elapsed: Duration) -> Duration {
        self.next.saturating_sub(elapsed)
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
    fn samples_are_rarer_where_the_group_is_read_between_them() {
        let (ms, mut pace) = (Duration::from_millis, SamplingPace::new(Pace::Adaptive, true, false));
        let mut pause = Duration::ZERO;
        for _ in 0..60 {
            pause = pace.next(ms(1000), false, ms(1));
        }
        let longest = pace.longest_beside_group(pause, ms(10_000));
        assert!(pause > ms(190) && longest > ms(780) && longest <= ms(800), "{pause:?} {longest:?}");
        assert_eq!(pace.longest_beside_group(pause, ms(500)), ms(500), "the marks are due");
        assert_eq!(pace.longest_beside_group(pause, ms(0)), pause, "but not before the sample would be");
        assert!(pace.soonest() > ms(40) && pace.soonest() <= ms(50), "{:?}", pace.soonest());
        assert_eq!(pace.until_group_reading(), SLOW_INTERVAL);
        assert_eq!(pace.after_group_reading(true, CHEAP), QUICK_INTERVAL_WHEN_REPORTED);
        assert!(pace.after_group_reading(false, CHEAP) < 2 * QUICK_INTERVAL_WHEN_REPORTED);
        assert_eq!(pace.after_group_reading(false, ms(1)), ms(200), "its cost has a bound, too");
    }

    #[test]
    fn cheap_samples_leave_no_time_for_the_group_alone() {
        for cost in [5, 60, 240].map(Duration::from_micros) {
            let mut pace = SamplingPace::new(Pace::Adaptive, true, false);
            for at in 0..60 {
                let pause = pace.next(Duration::from_millis(at), at % 2 == 0, cost);
                assert!(!SamplingPace::leaves_time_for_group_readings(pause), "{pause:?}");
            }
        }
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
