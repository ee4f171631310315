//! Memory that members have touched since a pass over PSS, by their page faults.
//!
//! A write to a page that is shared since a fork makes a copy of it (`wp_page_copy`, mm/memory.c). PSS rises by that, and
//! RSS does not: a page fault is the only trace.

use std::{collections::HashMap, time::Duration};

use super::{descendants::read_stat, member::Member, proc_dir::ProcDir};
use crate::job::{events::pss_pass_tolerance_bytes, identity::MemberId, unix::thread_cpu};

/// Divisor of the time until the next count: the last one may cost this share of it.
const COUNT_COST_DIVISOR: u32 = 200;

/// Page faults of each member in one count.
type FaultsOfMembers = HashMap<MemberId, u64>;

/// The counts of page faults since the last pass.
#[derive(Debug)]
pub(super) struct TouchedPages {
    proc: ProcDir,
    page_size: u64,
    at_pass: FaultsOfMembers,
    latest: FaultsOfMembers,
    bytes: u64,
    /// Time since which little was touched, and the bytes at that time.
    still: (Duration, u64),
    next: Duration,
    text: Vec<u8>,
}

impl TouchedPages {
    pub(super) fn new(proc: &ProcDir) -> Self {
        Self {
            proc: proc.clone(),
            page_size: rustix::param::page_size() as u64,
            at_pass: FaultsOfMembers::new(),
            latest: FaultsOfMembers::new(),
            bytes: 0,
            still: (Duration::ZERO, 0),
            next: Duration::ZERO,
            text: Vec::new(),
        }
    }

    /// Counts the faults of `members`, unless it is too early for that. `rss` is the sum of their RSS.
    pub(super) fn count_if_due<'a>(
        &mut self,
        at: Duration,
        rss: u64,
        members: impl Iterator<Item = &'a Member>,
    ) {
        if at < self.next {
            return;
        }
        let begin = thread_cpu();
        self.count(members);
        self.next = at + thread_cpu().saturating_sub(begin) * COUNT_COST_DIVISOR;
        self.bytes = self.touched_since_pass();
        if self.bytes.abs_diff(self.still.1) > pss_pass_tolerance_bytes(rss) {
            self.still = (at, self.bytes);
        }
    }

    /// Counts the faults of `members` right before a pass.
    pub(super) fn count<'a>(&mut self, members: impl Iterator<Item = &'a Member>) {
        self.latest.clear();
        for member in members {
            let stat = read_stat(&self.proc, member.pid, &mut self.text);
            if let Some(stat) = stat.filter(|stat| !member.is_other_process(stat.start_ticks)) {
                self.latest.insert(member.id, stat.own.minor_faults);
            }
        }
    }

    /// Begins anew from the last count: the pass after it counted.
    pub(super) fn begin_anew(&mut self, at: Duration) {
        self.at_pass.clone_from(&self.latest);
        (self.bytes, self.still) = (0, (at, 0));
    }

    /// Returns the most that was touched since the last pass that counted, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns the time since which little was touched.
    pub(super) fn still_since(&self) -> Duration {
        self.still.0
    }

    fn touched_since_pass(&self) -> u64 {
        // A member that the last pass did not see has touched all of its pages since.
        let since = |(id, faults): (&MemberId, &u64)| {
            faults.saturating_sub(self.at_pass.get(id).copied().unwrap_or(0))
        };
        self.latest.iter().map(since).sum::<u64>().saturating_mul(self.page_size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::linux::image::{ImageOrigin, ProcessImage};

    #[test]
    fn what_was_touched_since_a_pass_shows() {
        const MIB: u64 = 1 << 20;
        let image = ProcessImage::new(ImageOrigin::Executed);
        let own = Member::new(MemberId(0), std::process::id(), image, Duration::ZERO);
        let mut touched = TouchedPages::new(&ProcDir::of_this_machine());
        let ms = Duration::from_millis;
        touched.count([&own].into_iter());
        touched.begin_anew(ms(1));
        // A chunk of this size has pages of its own (`M_MMAP_THRESHOLD`, mallopt(3)).
        let block = std::hint::black_box(vec![1_u8; 64 << 20]);
        touched.next = Duration::ZERO;
        touched.count_if_due(ms(2), 64 * MIB, [&own].into_iter());
        // Huge pages take one fault for many pages.
        assert!(touched.bytes() >= 32 * 4096, "{}", touched.bytes());
        drop(block);
        touched.count_if_due(Duration::ZERO, 64 * MIB, std::iter::empty());
        assert!(touched.bytes() > 0, "it was too early for another count");
        touched.begin_anew(ms(3));
        assert_eq!((touched.bytes(), touched.still_since()), (0, ms(3)));
    }
}
