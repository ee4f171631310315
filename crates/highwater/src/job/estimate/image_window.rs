//! One member's current image, as far as the estimate must know it.

use std::time::Duration;

use super::{UnreadImage, at_most_after};
use crate::job::events::LastMark;

/// Figures of the current image of one living member.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct ImageWindow {
    /// Last RSS.
    pub(crate) rss: u64,
    /// Least RSS in this window; 0 for a member that started in it.
    pub(super) min_rss: u64,
    /// Highest RSS in this window.
    pub(super) max_rss: u64,
    /// High-water mark at the end of the last window; 0 for a member that started with its own program since.
    pub(super) mark: u64,
    /// Highest of all readings of the current image, marks included.
    pub(super) highest: u64,
    /// Highest reading of an image that an exec replaced at an unknown moment of this window.
    pub(super) previous_image: u64,
    /// Growth between the last two samples in bytes per second; `None` before the second.
    pub(super) growth: Option<f64>,
    /// Time of the last reading; `None` before the first.
    pub(super) at: Option<Duration>,
    /// Time of the last reading of its mark.
    pub(super) mark_read_at: Option<Duration>,
    /// Start of the time in which it may have held memory that no closed window has counted.
    pub(super) from: Duration,
    /// True after a fork and before the first exec.
    pub(super) forked: bool,
    /// True if it runs in its parent's memory map; `None` if that is not known.
    pub(super) shares: Option<bool>,
    /// Highest reading of its parent at the time of the fork.
    pub(super) parent_highest: u64,
    /// The final mark of the current image.
    pub(super) last: Option<LastMark>,
}

impl ImageWindow {
    /// Takes in a reading. A process that has not exec'ed starts with its parent's size, so its first reading is only
    /// the base.
    pub(crate) fn read(&mut self, at: Duration, rss: u64, mark: Option<u64>, shared: bool) {
        if shared {
            self.shares = Some(true);
        }
        match self.at {
            None => {
                (self.min_rss, self.max_rss) = (0, rss);
                if self.forked {
                    self.mark = mark.unwrap_or(rss);
                }
            }
            Some(before) => {
                self.min_rss = self.min_rss.min(rss);
                self.max_rss = self.max_rss.max(rss);
                let seconds = (at.saturating_sub(before)).as_secs_f64();
                // Readings closer together say nothing about the growth.
                if seconds > 0.001 {
                    self.growth = Some((rss as f64 - self.rss as f64) / seconds);
                }
            }
        }
        (self.rss, self.at) = (rss, Some(at));
        self.highest = self.highest.max(rss).max(mark.unwrap_or(0));
        if mark.is_some() {
            self.mark_read_at = Some(at);
        }
    }

    /// Records that its mark was read, whatever it says of this window.
    pub(crate) fn see_mark(&mut self, at: Duration) {
        self.mark_read_at = Some(at);
    }

    /// Returns whether its readings have reached the most that it can have held.
    pub(super) fn is_read_to_its_end(&self, unread: UnreadImage) -> bool {
        self.at.is_some() && unread.rusage_cap.is_some_and(|cap| cap <= self.highest)
    }

    /// Sets whether it is known to run in its parent's memory map.
    pub(crate) fn set_shares(&mut self, shares: bool) {
        self.shares = Some(shares);
    }

    /// Sets the mark that it reached right before its exit or its next exec.
    pub(crate) fn set_last(&mut self, last: LastMark) {
        self.last = Some(last);
    }

    /// Returns whether its memory is counted with its parent's.
    pub(super) fn is_shared(&self) -> bool {
        self.forked && self.shares == Some(true)
    }

    /// Returns the most that it may have reached by `now`, if it ended unseen since its last reading.
    pub(super) fn high_at_end(&self, unread: UnreadImage, now: Duration) -> u64 {
        let highest = self.highest.max(self.previous_image);
        let rusage_cap = unread.rusage_cap.map(|rusage_cap| rusage_cap.max(highest));
        let unseen = self.at.map_or(Duration::ZERO, |at| now.saturating_sub(at));
        let Some(growth) = self.growth else {
            return rusage_cap.unwrap_or(highest.max(unread.peers_hwm.min(at_most_after(unseen))));
        };
        let unseen = unseen.as_secs_f64();
        let grown = (growth.max(0.0) * unseen * 1.5).min(highest as f64);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // between 0 and `highest`
        let reached = highest + grown as u64;
        rusage_cap.map_or(reached, |rusage_cap| rusage_cap.min(reached))
    }
}
