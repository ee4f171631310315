//! An estimate of the peak of the job's total, inside an interval.
//!
//! Between two readings of the high-water marks (a *window*) sampling sees only moments. A mark that rose above all
//! samples proves that the process reached it. The job then probably reached that mark plus the least that the others
//! held in the window. Both ends of the interval are kept beside this estimate. The upper end is the highest sum of the
//! marks of images that lived at the same time.

use std::time::Duration;

pub(crate) use self::image_window::ImageWindow;
use super::{
    events::{LastMark, Sample},
    moment::Moment,
    upper_bound::{LivedInterval, LivedIntervals},
};
use crate::record::{Certainty, PeakInterval};

mod image_window;

/// Smallest rise of a mark that counts. Marks are kept in batched per-CPU counters and may read low by some pages
/// (`include/linux/percpu_counter.h`).
const MIN_MARK_RISE_BYTES: u64 = 256 * 1024;
/// Longest time for which a window waits for the mark of a member that cannot be read. Such a member is exiting, and
/// its final mark may follow.
const MARK_TIMEOUT: Duration = Duration::from_millis(100);
/// Longest time for which the upper end waits. In a storm of short processes some member is always exiting.
const UPPER_BOUND_MARK_TIMEOUT: Duration = Duration::from_secs(5);
/// Distance between an image and the next of the same process, so that they do not count as alive at the same time.
const NEXT_IMAGE_DELAY: Duration = Duration::from_nanos(1);

/// The way in which new processes of the job get their memory, as far as one was seen between its fork and its exec.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Births {
    #[default]
    Unseen,
    /// They run in their parent's memory map (vfork, `posix_spawn`) and add nothing to it.
    Shared,
    /// They hold a copy of their parent's pages (fork).
    Copies,
}

/// Bounds for an image that ended and whose final mark was not read.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct UnreadImage {
    /// Its `ru_maxrss`, if this process waited for it: it may have reached that unseen.
    pub(crate) rusage_cap: Option<u64>,
    /// Highest mark of images of the same name, for an image that was never read.
    pub(crate) peers_hwm: u64,
}

/// Returns the most that a program can hold after `life`: its size at the start, and the memory that it can touch.
fn at_most_after(life: Duration) -> u64 {
    const START_BYTES: u64 = 4 << 20;
    const BYTES_PER_MICROSECOND: u64 = (2 << 30) / 1_000_000;
    let micros = u64::try_from(life.as_micros()).unwrap_or(u64::MAX);
    START_BYTES.saturating_add(micros.saturating_mul(BYTES_PER_MICROSECOND))
}

/// The peak of the job, window by window.
#[derive(Debug, Default)]
pub(crate) struct PeakEstimate {
    best: u64,
    best_at: Option<Duration>,
    best_between: Option<(Duration, Duration)>,
    /// The highest sampled sum.
    sampled: u64,
    /// True if only one member was counted in the sample that gave `sampled`.
    sampled_alone: bool,
    /// The highest single mark.
    mark: u64,
    intervals: LivedIntervals,
    /// Bytes that some process reached at an unknown time, on top of the bound.
    unplaced: u64,
    window_start: Duration,
    /// Start of the time for which images that lived together have not been added up.
    uncounted_since: Duration,
    /// Time at which this window became due for closing.
    due: Option<Duration>,
    /// The highest final mark in this window that exceeded all readings of its image.
    rose_last: Option<u64>,
    /// The highest sum of such a final mark and the least that the other members held in its window.
    by_last: u64,
    /// The way in which children between fork and exec held their memory.
    births: Births,
    /// Images that ended without a final mark, and images for which a window did not wait.
    unmarked: u64,
    any: bool,
    /// Upper bound of all processes that this process waited for, for a job of which nothing could be read.
    rusage_cap: Option<u64>,
}

impl PeakEstimate {
    /// Records the start of a member. `forked`: it has not exec'ed yet; otherwise it was found only after its first
    /// exec.
    pub(crate) fn born(&mut self, parent: Option<&ImageWindow>, forked: bool, moment: Moment) -> ImageWindow {
        let parent_highest = parent.map_or(0, |parent| parent.highest);
        if !forked && parent.is_some() {
            // It held a copy of its parent for a moment, unless it was started by vfork.
            self.unmarked += 1;
            let lived = LivedInterval {
                from: moment.earliest,
                to: moment.latest,
                bytes: parent_highest,
                is_copy: true,
            };
            self.intervals.add(lived);
        }
        ImageWindow { from: moment.earliest, forked, parent_highest, ..ImageWindow::default() }
    }

    /// Records whether a child shared its parent's memory map between its fork and its exec.
    pub(crate) fn seen_between_fork_and_exec(&mut self, shares: bool) {
        match (shares, self.births) {
            (false, _) => self.births = Births::Copies,
            (true, Births::Unseen) => self.births = Births::Shared,
            (true, _) => {}
        }
    }

    /// Records that the image of a member ended by an exec of another program.
    pub(crate) fn exec(&mut self, image: &mut ImageWindow, moment: Moment, unread: UnreadImage) {
        if moment.earliest == moment.latest {
            self.image_ended(image, moment, unread);
            image.from = moment.latest + NEXT_IMAGE_DELAY;
            image.previous_image = 0;
        } else {
            // One process never holds both. If the time of the exec is not known, the larger image stands for both.
            let last = image.last.map_or(0, |last| last.bytes);
            self.mark = self.mark.max(last);
            self.unmarked += u64::from(image.last.is_none_or(|last| !last.is_final) && !image.is_shared());
            image.previous_image = image.previous_image.max(image.highest).max(last);
        }
        let ImageWindow { from, previous_image, .. } = *image;
        *image = ImageWindow { from, previous_image, at: image.at, rss: image.rss, ..ImageWindow::default() };
    }

    /// Records the exit of a member.
    pub(crate) fn gone(&mut self, image: &ImageWindow, moment: Moment, unread: UnreadImage) {
        self.image_ended(image, moment, unread);
    }

    fn image_ended(&mut self, image: &ImageWindow, moment: Moment, unread: UnreadImage) {
        let mut lived = LivedInterval {
            from: image.from,
            to: moment.latest,
            bytes: image.previous_image,
            is_copy: false,
        };
        if image.is_shared() {
            self.intervals.add(lived);
            return;
        }
        if let Some(LastMark { bytes, is_final, .. }) = image.last {
            self.mark = self.mark.max(bytes);
            lived.bytes = lived.bytes.max(bytes).max(image.highest);
            if bytes > image.mark + MIN_MARK_RISE_BYTES && bytes > image.max_rss + MIN_MARK_RISE_BYTES {
                self.rose_last = self.rose_last.max(Some(bytes));
            }
            self.unmarked += u64::from(!is_final);
            self.any = true;
        } else {
            self.unmarked += u64::from(!image.is_read_to_its_end(unread));
            let reached = if image.at.is_some() {
                image.high_at_end(unread, moment.latest)
            } else if image.forked {
                lived.is_copy = true;
                image.parent_highest
            } else {
                let life = moment.latest.saturating_sub(image.from);
                unread.rusage_cap.unwrap_or(unread.peers_hwm.min(at_most_after(life)))
            };
            lived.bytes = lived.bytes.max(reached);
        }
        self.intervals.add(lived);
    }

    /// Adds a sample; `images` are those of all living members, and those that could be read carry its time. Returns
    /// the sum.
    pub(crate) fn sampled<'a, I>(&mut self, sample: &Sample<'_>, images: I) -> u64
    where
        I: Iterator<Item = &'a mut ImageWindow>,
    {
        let Sample { at, marks, complete_until, .. } = *sample;
        let mut members: Vec<&mut ImageWindow> = images.filter(|image| !image.is_shared()).collect();
        let (mut total, mut read) = (0, 0);
        for image in &mut members {
            if image.at == Some(at) {
                total += image.rss;
                read += 1;
            } else {
                // It is exiting and has no memory map any more.
                image.min_rss = 0;
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
            let is_unread = |image: &ImageWindow| image.from < at && image.mark_read_at != Some(at);
            let unread = members.iter().filter(|image| is_unread(image)).count();
            let due = *self.due.get_or_insert(at);
            if unread == 0 || at.saturating_sub(due) > MARK_TIMEOUT {
                let waits = unread > 0 && at.saturating_sub(self.uncounted_since) <= UPPER_BOUND_MARK_TIMEOUT;
                if !waits {
                    self.unmarked += unread as u64;
                }
                self.close_window(complete_until, &mut members, |image| waits && is_unread(image));
            }
        }
        total
    }

    /// Ends the window. A member that `is_awaited` will still be read or deliver its final mark: the upper end waits
    /// for it.
    fn close_window(
        &mut self,
        at: Duration,
        members: &mut [&mut ImageWindow],
        is_awaited: impl Fn(&ImageWindow) -> bool,
    ) {
        let min_rss_sum: u64 = members.iter().map(|image| image.min_rss).sum();
        let between = Some((self.window_start, at));
        for image in members.iter() {
            self.mark = self.mark.max(image.highest);
            let rose = image.highest > image.mark + MIN_MARK_RISE_BYTES
                && image.highest > image.max_rss + MIN_MARK_RISE_BYTES;
            let reached = min_rss_sum - image.min_rss + image.highest;
            if rose && reached > self.best {
                (self.best, self.best_at, self.best_between) = (reached, None, between);
            }
        }
        if let Some(last) = self.rose_last.take() {
            self.by_last = self.by_last.max(last + min_rss_sum);
            if self.by_last > self.best {
                (self.best, self.best_at, self.best_between) = (self.by_last, None, between);
            }
        }
        let mut all_read = true;
        for image in members {
            (image.min_rss, image.max_rss) = (image.rss, image.rss);
            image.mark = image.mark.max(image.highest);
            if is_awaited(image) {
                all_read = false;
                continue;
            }
            let bytes = image.highest.max(image.previous_image);
            self.intervals.add(LivedInterval { from: image.from, to: at, bytes, is_copy: false });
            image.previous_image = 0;
            image.from = image.from.max(at + NEXT_IMAGE_DELAY);
        }
        if all_read {
            // Unless children are known to start by vfork, each held its parent's pages for a moment.
            self.intervals.close(self.uncounted_since, at, self.births != Births::Shared);
            self.uncounted_since = at;
        }
        (self.window_start, self.due) = (at, None);
    }

    /// Takes in a `ru_maxrss` of `wait4`: some process of the job reached it, perhaps in no reading.
    pub(crate) fn some_process_reached(&mut self, bytes: u64) {
        let unseen = bytes.saturating_sub(self.mark);
        if unseen == 0 {
            return;
        }
        self.any = true;
        self.mark = bytes;
        // The process and the time are not known, so the other members keep their share of the bound.
        self.unplaced += unseen;
        if bytes > self.best {
            (self.best, self.best_at, self.best_between) =
                (bytes, None, Some((Duration::ZERO, self.window_start)));
        }
    }

    /// Takes in a `ru_maxrss` of `wait4` that the child and its waited-for descendants did not exceed.
    pub(crate) fn no_process_exceeded(&mut self, bytes: u64) {
        self.rusage_cap = self.rusage_cap.max(Some(bytes));
    }

    /// Closes the window at the job's last moment; `images` are those of the members that live on.
    pub(crate) fn finish<'a>(&mut self, at: Duration, images: impl Iterator<Item = &'a mut ImageWindow>) {
        let mut members: Vec<&mut ImageWindow> = images.filter(|image| !image.is_shared()).collect();
        self.close_window(at, &mut members, |_| false);
    }

    /// Adds a reading from a time in which no sample could be taken: the sum of RSS, and that of the largest process.
    pub(crate) fn add_stall(&mut self, at: Duration, total: u64, largest: u64) {
        self.mark = self.mark.max(largest);
        if total > self.best {
            (self.best, self.best_at, self.best_between) = (total, Some(at), None);
        }
    }

    /// Returns whether memory of any member was read.
    pub(crate) fn was_read(&self) -> bool {
        self.any
    }

    /// Returns the highest mark of one process.
    pub(crate) fn highest_mark(&self) -> u64 {
        self.mark
    }

    /// Returns the number of images that ended without a final mark.
    pub(crate) fn unmarked(&self) -> u64 {
        self.unmarked
    }

    /// Returns the interval. `all_known`: no process and no exec of the job can have been missed.
    pub(crate) fn interval(&self, all_known: bool) -> Option<PeakInterval> {
        let seconds = super::moment::rounded_seconds;
        if !self.any {
            return self.rusage_cap.map(|bytes| PeakInterval {
                bytes,
                lower_bytes: 0,
                upper_bytes: bytes,
                lower_rigorous: true,
                // Processes that lived together may have added up to more.
                upper_rigorous: false,
                slack_bytes: None,
                certainty: Certainty::AtMost,
                at_seconds: None,
                between_seconds: None,
            });
        }
        let by_mark = self.mark >= self.sampled.max(self.by_last);
        let bytes = self.best.max(self.mark);
        let (lower_bytes, upper_bytes) = (
            self.mark.max(self.sampled).max(self.by_last).min(bytes),
            (self.intervals.highest() + self.unplaced).max(bytes),
        );
        // The readings of one sample are microseconds apart: a sum of several is not one instant.
        let lower_rigorous = by_mark || (self.sampled_alone && self.sampled >= self.by_last);
        let upper_rigorous = all_known && self.unmarked == 0 && self.unplaced == 0;
        let is_exact = lower_rigorous && upper_rigorous && lower_bytes == upper_bytes;
        Some(PeakInterval {
            bytes,
            lower_bytes,
            upper_bytes,
            lower_rigorous,
            upper_rigorous,
            slack_bytes: None,
            certainty: if is_exact { Certainty::Exact } else { Certainty::Bounded },
            at_seconds: self.best_at.map(seconds),
            between_seconds: self.best_between.map(|(from, to)| [from, to].map(seconds)),
        })
    }

    /// Returns the number of images in the highest bound.
    pub(crate) fn images_at_upper(&self) -> u64 {
        self.intervals.images_at_highest()
    }
}

#[cfg(test)]
mod tests;
