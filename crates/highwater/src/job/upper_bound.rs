//! The highest sum of what images alive at the same time may have held: the upper end of the interval.

use std::time::Duration;

/// The lifetime of one image, and the most that it may have held in that time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LivedInterval {
    pub(crate) from: Duration,
    pub(crate) to: Duration,
    pub(crate) bytes: u64,
    /// True for a copy of its parent between fork and exec; a child of vfork has no copy.
    pub(crate) is_copy: bool,
}

/// The intervals that reach into the open window, and the highest sum of all closed windows.
#[derive(Debug, Default)]
pub(crate) struct LivedIntervals {
    open: Vec<LivedInterval>,
    highest: u64,
    images: u64,
    edges: Vec<Edge>,
}

/// The start or the end of an interval, in order of time. It is small, as a long window of a busy job has tens of
/// thousands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Edge {
    /// Nanoseconds, doubled; odd at an end. So an image that starts at the end of another is counted beside it.
    at: u64,
    bytes: u64,
}

impl Edge {
    fn start(at: Duration, bytes: u64) -> Self {
        let nanos = u64::try_from(at.as_nanos()).unwrap_or(u64::MAX);
        Self { at: nanos.min(u64::MAX / 2) << 1, bytes }
    }

    fn end(at: Duration, bytes: u64) -> Self {
        Self { at: Self::start(at, bytes).at | 1, bytes }
    }
}

impl LivedIntervals {
    pub(crate) fn add(&mut self, interval: LivedInterval) {
        if interval.bytes > 0 {
            self.open.push(interval);
        }
    }

    /// Ends the window that began at `start`. An interval that reaches beyond `end` counts in the next window, too.
    pub(crate) fn close(&mut self, start: Duration, end: Duration, with_copies: bool) {
        self.edges.clear();
        for interval in self.open.iter().filter(|interval| with_copies || !interval.is_copy) {
            // An interval that became known too late is counted from the start of this window.
            let (from, to) = (interval.from.max(start), interval.to.max(start));
            self.edges.push(Edge::start(from, interval.bytes));
            self.edges.push(Edge::end(to.max(from), interval.bytes));
        }
        self.edges.sort_unstable();
        let (mut sum, mut images) = (0, 0);
        for &Edge { at, bytes } in &self.edges {
            (sum, images) = if at & 1 == 0 { (sum + bytes, images + 1) } else { (sum - bytes, images - 1) };
            if sum > self.highest {
                (self.highest, self.images) = (sum, images);
            }
        }
        self.open.retain(|interval| interval.to > end);
    }

    /// Returns the highest sum of all closed windows.
    pub(crate) fn highest(&self) -> u64 {
        self.highest
    }

    /// Returns the number of images in the highest sum.
    pub(crate) fn images_at_highest(&self) -> u64 {
        self.images
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn interval(from: u64, to: u64, bytes: u64) -> LivedInterval {
        LivedInterval { from: ms(from), to: ms(to), bytes, is_copy: false }
    }

    fn highest(intervals: &[LivedInterval], windows: &[(u64, u64)], with_copies: bool) -> u64 {
        let mut all = LivedIntervals::default();
        for &interval in intervals {
            all.add(interval);
        }
        for &(start, end) in windows {
            all.close(ms(start), ms(end), with_copies);
        }
        all.highest()
    }

    #[test]
    fn only_what_lives_together_is_added_up() {
        assert_eq!(highest(&[interval(0, 4, 100), interval(5, 9, 100)], &[(0, 10)], true), 100);
        assert_eq!(highest(&[interval(0, 6, 100), interval(5, 9, 100)], &[(0, 10)], true), 200);
        assert_eq!(highest(&[interval(0, 5, 100), interval(5, 9, 100)], &[(0, 10)], true), 200);
        assert_eq!(highest(&[interval(3, 3, 100)], &[(0, 10)], true), 100, "however short");
    }

    #[test]
    fn an_interval_beyond_the_window_counts_in_both() {
        assert_eq!(highest(&[interval(0, 15, 100), interval(12, 14, 50)], &[(0, 10), (10, 20)], true), 150);
    }

    #[test]
    fn copies_count_unless_children_are_born_by_vfork() {
        let copy = LivedInterval { is_copy: true, ..interval(0, 5, 300) };
        assert_eq!(highest(&[interval(0, 10, 300), copy], &[(0, 10)], true), 600);
        assert_eq!(highest(&[interval(0, 10, 300), copy], &[(0, 10)], false), 300);
    }

    proptest! {
        /// Checks against the definition: at each start, the sum of all intervals that contain it.
        #[test]
        fn agrees_with_the_naive_sum(lives in proptest::collection::vec((0u64..100, 0u64..30, 1u64..1000), 1..40)) {
            let lived: Vec<LivedInterval> = lives.into_iter().map(|(from, length, bytes)| interval(from, from + length, bytes)).collect();
            let naive = lived
                .iter()
                .map(|at| lived.iter().filter(|s| s.from <= at.from && at.from <= s.to).map(|s| s.bytes).sum::<u64>())
                .max();
            prop_assert_eq!(Some(highest(&lived, &[(0, 200)], true)), naive);
        }
    }
}
