//! The peak of the job's total, as an estimate inside an interval.
//!
//! Between two readings of the kernel's marks (a *window*) sampling sees only moments. A mark that rose above
//! everything sampled says that the process was there; the job then probably reached that mark plus the least
//! the others held in that window. Both ends of the interval are kept beside this estimate.

use std::time::Duration;

use crate::record::{Certainty, PeakInterval};

/// Marks are kept in batched per-CPU counters and may read low by some pages (`include/linux/percpu_counter.h`):
/// a rise below this says nothing.
const SLACK: u64 = 256 * 1024;

/// What the estimate knows of one living member.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Extent {
    /// Last RSS.
    pub(crate) rss: u64,
    /// Least RSS in this window; 0 for one born in it.
    trough: u64,
    /// Highest RSS in this window.
    crest: u64,
    /// Mark at the end of the last window (0 for one born since with a program of its own).
    mark: u64,
    /// Highest of all readings of the current image, marks included.
    high: u64,
    /// Highest of the image that an exec replaced in this window.
    replaced: u64,
    /// How fast it grew between the last two samples, in bytes per second; `None` before the second.
    growth: Option<f64>,
    /// When it was read last; `None` before the first reading.
    at: Option<Duration>,
    /// Its memory is counted with its parent's.
    shared: bool,
}

impl Extent {
    /// A new member. One that has forked and not exec'ed starts with its parent's mark, which says nothing
    /// about itself, so `forked` makes its first reading the base.
    pub(crate) fn read(&mut self, at: Duration, rss: u64, mark: Option<u64>, forked: bool, shared: bool) {
        self.shared = shared;
        match self.at {
            None => {
                (self.trough, self.crest) = (0, rss);
                if forked {
                    self.mark = mark.unwrap_or(rss);
                }
            }
            Some(before) => {
                self.trough = self.trough.min(rss);
                self.crest = self.crest.max(rss);
                let seconds = (at.saturating_sub(before)).as_secs_f64();
                if seconds > 0.0 {
                    self.growth = Some((rss as f64 - self.rss as f64) / seconds);
                }
            }
        }
        (self.rss, self.at) = (rss, Some(at));
        self.high = self.high.max(rss).max(mark.unwrap_or(0));
    }

    /// The member runs a new program: its mark starts anew.
    pub(crate) fn exec(&mut self) {
        self.replaced = self.replaced.max(self.high);
        (self.mark, self.high, self.crest, self.trough, self.growth) = (0, 0, 0, 0, None);
    }

    /// What it may have reached by `now`, when it ended unseen since its last reading. `cap`: what it cannot have
    /// exceeded, if that is known.
    fn high_at_end(&self, cap: Option<u64>, now: Duration) -> u64 {
        let high = self.high.max(self.replaced);
        let cap = cap.map(|cap| cap.max(high));
        let Some(growth) = self.growth else { return cap.unwrap_or(high) };
        let unseen = self.at.map_or(0.0, |at| now.saturating_sub(at).as_secs_f64());
        let grown = (growth.max(0.0) * unseen * 1.5).min(high as f64);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // between 0 and `high`
        let reached = high + grown as u64;
        cap.map_or(reached, |cap| cap.min(reached))
    }
}

/// How the job's processes are born, as far as one was seen between its fork and its exec.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Births {
    #[default]
    Unseen,
    /// In their parent's own memory map (vfork, `posix_spawn`): nothing more than the parent's.
    Shared,
    /// With a copy of their parent's pages (fork).
    Copies,
}

/// Folds windows into the peak.
#[derive(Debug, Default)]
pub(crate) struct PeakEstimate {
    best: u64,
    best_at: Option<Duration>,
    best_between: Option<(Duration, Duration)>,
    /// The highest sum sampled.
    sampled: u64,
    /// Only one member was ever counted in the sample that gave `sampled`.
    sampled_alone: bool,
    /// The highest single mark.
    mark: u64,
    upper: u64,
    window_start: Duration,
    /// What the members that ended in this window may have held, added up.
    ended: u64,
    /// What children between fork and exec were seen to hold.
    births: Births,
    /// The largest high of a parent of each child born in this window, added up: what their copies may have held.
    copied: u64,
    any: bool,
    /// What no process that we waited for exceeded, for a job of which nothing could be read.
    cap: Option<u64>,
}

impl PeakEstimate {
    /// A member was born; its parent's extent, if known, may have been copied for a moment.
    pub(crate) fn born(&mut self, parent: Option<&Extent>, forked: bool, shares_map: bool) {
        if forked && !shares_map {
            self.births = Births::Copies;
        } else if shares_map && self.births == Births::Unseen {
            self.births = Births::Shared;
        }
        if !forked && let Some(parent) = parent {
            self.copied += parent.high;
        }
    }

    /// A member ended. `cap` is its `ru_maxrss`, if it was ours to wait for: it may have gone up to that unseen.
    pub(crate) fn gone(&mut self, extent: &Extent, cap: Option<u64>, now: Duration) {
        if !extent.shared {
            self.ended += extent.high_at_end(cap, now);
        }
    }

    /// A sample: `extents` of all living members, those that could be read carrying the moment `at`; `marks` when this sample read all marks.
    pub(crate) fn sampled<'a, I>(&mut self, at: Duration, extents: I, marks: bool) -> u64
    where
        I: Iterator<Item = &'a mut Extent>,
    {
        let mut members: Vec<&mut Extent> =
            extents.filter(|extent| extent.at.is_some() && !extent.shared).collect();
        let (mut total, mut read) = (0, 0);
        for extent in &mut members {
            if extent.at == Some(at) {
                total += extent.rss;
                read += 1;
            } else {
                // On its way out: it has no memory map any more.
                extent.trough = 0;
            }
        }
        self.any |= read > 0;
        if total > self.sampled {
            (self.sampled, self.sampled_alone) = (total, read == 1);
        }
        if total > self.best {
            (self.best, self.best_at, self.best_between) = (total, Some(at), None);
        }
        if marks {
            self.close_window(at, &mut members);
        }
        total
    }

    fn close_window(&mut self, at: Duration, members: &mut [&mut Extent]) {
        let troughs: u64 = members.iter().map(|extent| extent.trough).sum();
        let mut highs = self.ended;
        for extent in members.iter() {
            highs += extent.high.max(extent.replaced);
            self.mark = self.mark.max(extent.high);
            let rose = extent.high > extent.mark + SLACK && extent.high > extent.crest + SLACK;
            let reached = troughs - extent.trough + extent.high;
            if rose && reached > self.best {
                self.best = reached;
                (self.best_at, self.best_between) = (None, Some((self.window_start, at)));
            }
        }
        // Unless they are known to be born by vfork, each held its parent's pages for a moment.
        if self.births != Births::Shared {
            highs += self.copied;
        }
        self.upper = self.upper.max(highs);
        for extent in members {
            (extent.trough, extent.crest, extent.replaced) = (extent.rss, extent.rss, 0);
            extent.mark = extent.mark.max(extent.high);
        }
        (self.window_start, self.ended, self.copied) = (at, 0, 0);
    }

    /// `wait4` says that some process of the job reached this (a mark that no reading may have seen).
    pub(crate) fn some_process_reached(&mut self, bytes: u64) {
        let unseen = bytes.saturating_sub(self.mark);
        if unseen == 0 {
            return;
        }
        self.any = true;
        self.mark = bytes;
        // Whose mark it was, and who lived beside it, is not known: the others keep their share of the bound.
        self.upper += unseen;
        if bytes > self.best {
            (self.best, self.best_at, self.best_between) =
                (bytes, None, Some((Duration::ZERO, self.window_start)));
        }
    }

    /// `wait4` says that this process and its waited-for descendants did not exceed this.
    pub(crate) fn no_process_exceeded(&mut self, bytes: u64) {
        self.cap = self.cap.max(Some(bytes));
    }

    /// The last moment of the job: closes the window for members that ended in it.
    pub(crate) fn finish(&mut self, at: Duration) {
        self.close_window(at, &mut []);
    }

    pub(crate) fn interval(&self) -> Option<PeakInterval> {
        if !self.any {
            return self.cap.map(|bytes| PeakInterval {
                bytes,
                lower_bytes: 0,
                upper_bytes: bytes,
                lower_rigorous: true,
                // Processes that lived together may have added up to more.
                upper_rigorous: false,
                certainty: Certainty::AtMost,
                at_seconds: None,
                between_seconds: None,
            });
        }
        let by_mark = self.mark >= self.sampled;
        let bytes = self.best.max(self.mark);
        Some(PeakInterval {
            bytes,
            lower_bytes: self.mark.max(self.sampled).min(bytes),
            upper_bytes: self.upper.max(bytes),
            // The readings of one sample are microseconds apart: a sum of several is not one instant.
            lower_rigorous: by_mark || self.sampled_alone,
            // A process may have come and gone unseen.
            upper_rigorous: false,
            certainty: Certainty::Bounded,
            at_seconds: self.best_at.map(|at| super::timeline::round(at.as_secs_f64())),
            between_seconds: self
                .best_between
                .map(|(from, to)| [from, to].map(|at| super::timeline::round(at.as_secs_f64()))),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MIB: u64 = 1 << 20;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// Each step: (rss, mark) of every member, all marks read.
    fn fold(steps: &[&[(u64, u64)]]) -> PeakInterval {
        let mut estimate = PeakEstimate::default();
        let mut extents = vec![Extent::default(); steps[0].len()];
        for (index, step) in steps.iter().enumerate() {
            let at = ms(index as u64 * 100);
            for (extent, &(rss, mark)) in extents.iter_mut().zip(*step) {
                extent.read(at, rss * MIB, Some(mark * MIB), false, false);
            }
            estimate.sampled(at, extents.iter_mut(), true);
        }
        estimate.finish(ms(steps.len() as u64 * 100));
        estimate.interval().unwrap()
    }

    #[test]
    fn a_mark_repairs_a_spike_between_samples() {
        let peak = fold(&[&[(10, 10), (5, 5)], &[(10, 510), (5, 5)]]);
        assert_eq!(peak.bytes, 515 * MIB);
        assert_eq!(peak.between_seconds, Some([0.0, 0.1]));
        assert!(peak.lower_bytes == 510 * MIB && peak.lower_rigorous);
    }

    #[test]
    fn marks_of_different_instants_are_never_added_to_the_estimate() {
        // Three processes, each with a spike of 100 in a window of its own.
        let peak = fold(&[
            &[(1, 1); 3],
            &[(1, 100), (1, 1), (1, 1)],
            &[(1, 100), (1, 100), (1, 1)],
            &[(1, 100), (1, 100), (1, 100)],
        ]);
        assert_eq!(peak.bytes, 102 * MIB);
        assert_eq!(peak.upper_bytes, 300 * MIB);
    }

    #[test]
    fn handing_over_within_a_window_is_not_doubled() {
        let peak = fold(&[&[(100, 100), (1, 1)], &[(1, 100), (100, 100)], &[(100, 100), (1, 100)]]);
        assert_eq!(peak.bytes, 101 * MIB);
        assert!(peak.upper_bytes >= 200 * MIB);
    }

    #[test]
    fn an_exec_starts_anew_and_the_old_image_stays_in_the_bound() {
        let mut estimate = PeakEstimate::default();
        let mut extent = Extent::default();
        extent.read(ms(0), 300 * MIB, Some(300 * MIB), false, false);
        estimate.sampled(ms(0), std::iter::once(&mut extent), true);
        extent.exec();
        extent.read(ms(10), 10 * MIB, Some(10 * MIB), false, false);
        estimate.sampled(ms(10), std::iter::once(&mut extent), true);
        let peak = estimate.interval().unwrap();
        assert_eq!((peak.lower_bytes, peak.bytes, peak.upper_bytes), (300 * MIB, 300 * MIB, 300 * MIB));
    }

    #[test]
    fn a_forked_child_that_shares_its_parents_map_is_counted_once() {
        let mut estimate = PeakEstimate::default();
        let (mut parent, mut child) = (Extent::default(), Extent::default());
        parent.read(ms(0), 300 * MIB, Some(300 * MIB), false, false);
        child.read(ms(0), 300 * MIB, Some(300 * MIB), true, true);
        estimate.sampled(ms(0), [&mut parent, &mut child].into_iter(), true);
        assert_eq!(estimate.interval().unwrap().upper_bytes, 300 * MIB);
    }

    #[test]
    fn growth_up_to_an_unseen_end_is_in_the_bound() {
        let mut estimate = PeakEstimate::default();
        let mut extent = Extent::default();
        for (at, rss) in [(0, 100), (10, 110), (20, 120)] {
            extent.read(ms(at), rss * MIB, Some(rss * MIB), false, false);
            estimate.sampled(ms(at), std::iter::once(&mut extent), true);
        }
        estimate.gone(&extent, None, ms(30));
        estimate.finish(ms(30));
        let peak = estimate.interval().unwrap();
        assert_eq!(peak.bytes, 120 * MIB);
        assert!(peak.upper_bytes >= 130 * MIB, "{}", peak.upper_bytes);
    }

    #[test]
    fn what_wait4_says_raises_the_estimate() {
        let mut estimate = PeakEstimate::default();
        estimate.some_process_reached(200 * MIB);
        let peak = estimate.interval().unwrap();
        assert_eq!((peak.lower_bytes, peak.bytes, peak.upper_bytes), (200 * MIB, 200 * MIB, 200 * MIB));
        assert!(peak.lower_rigorous && !peak.upper_rigorous);
    }

    #[test]
    fn nothing_read_is_unknown() {
        let mut estimate = PeakEstimate::default();
        estimate.sampled(ms(0), std::iter::empty(), true);
        estimate.finish(ms(1));
        assert_eq!(estimate.interval(), None);
        estimate.no_process_exceeded(4 * MIB);
        let peak = estimate.interval().unwrap();
        assert_eq!((peak.bytes, peak.certainty, peak.lower_bytes), (4 * MIB, Certainty::AtMost, 0));
    }

    proptest! {
        #[test]
        fn the_ends_enclose_the_estimate(steps in proptest::collection::vec(
            proptest::collection::vec((0u64..1000, 0u64..1000, any::<bool>(), any::<bool>()), 4), 1..30)) {
            let mut estimate = PeakEstimate::default();
            let mut extents = [Extent::default(); 4];
            for (index, step) in steps.iter().enumerate() {
                let at = ms(index as u64);
                for (extent, &(rss, more, exec, forked)) in extents.iter_mut().zip(step) {
                    if exec {
                        extent.exec();
                    }
                    extent.read(at, rss, forked.then_some(rss + more), forked, false);
                    if more == 7 {
                        estimate.gone(extent, (more == 7 && rss % 2 == 0).then_some(rss), at);
                    }
                }
                estimate.sampled(at, extents.iter_mut(), index % 3 == 0);
                if let Some(peak) = estimate.interval() {
                    prop_assert!(peak.lower_bytes <= peak.bytes && peak.bytes <= peak.upper_bytes);
                }
            }
        }
    }
}
