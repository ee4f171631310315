//! The processes that held a job's memory at one moment: the largest ones, and the sum of the others.

use std::sync::Arc;

use crate::{
    job::{events::MemoryReading, identity::MemberId},
    record::{MemoryHolder, MemoryHolders},
};

/// Most processes that are kept one by one.
const MAX_LARGEST_HOLDERS: usize = 32;

/// The members of one sample.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SampleHolders {
    /// The largest ones and their RSS in bytes, the largest first.
    largest: Vec<(MemberId, u64)>,
    others: u64,
    others_bytes: u64,
}

impl SampleHolders {
    /// Returns the members of a sample. Those in the memory map of their parent hold nothing of their own.
    pub(crate) fn of(readings: &[MemoryReading]) -> Arc<Self> {
        let own = readings.iter().filter(|reading| !reading.shares_map);
        let mut largest: Vec<_> = own.map(|reading| (reading.id, reading.rss)).collect();
        let by_size = |&(id, rss): &(MemberId, u64)| (std::cmp::Reverse(rss), id);
        if largest.len() > MAX_LARGEST_HOLDERS {
            largest.select_nth_unstable_by_key(MAX_LARGEST_HOLDERS, by_size);
        }
        let smaller = largest.get(MAX_LARGEST_HOLDERS..).unwrap_or(&[]);
        let (others, others_bytes) = (smaller.len() as u64, smaller.iter().map(|(_, rss)| rss).sum());
        largest.truncate(MAX_LARGEST_HOLDERS);
        // Several samples are kept, and a job may have very many members.
        largest.shrink_to_fit();
        largest.sort_unstable_by_key(by_size);
        Arc::new(Self { largest, others, others_bytes })
    }

    /// Returns the sum of their RSS.
    pub(crate) fn total(&self) -> u64 {
        self.largest.iter().map(|(_, rss)| rss).sum::<u64>() + self.others_bytes
    }

    /// Returns the holders for the record of a job with a peak of `peak_bytes`. `position` gives the row of a member, `None`
    /// if its row was not kept.
    ///
    /// `None` if there are none, or if they held less than half of it: the peak lies between two samples, and others may
    /// have held it.
    pub(crate) fn in_record(
        &self,
        peak_bytes: u64,
        position: impl Fn(MemberId) -> Option<u64>,
    ) -> Option<MemoryHolders> {
        if self.largest.is_empty() || self.total() < peak_bytes / 2 {
            return None;
        }
        let mut holders = MemoryHolders {
            // Less than a percent is within what a reading may be late.
            shared_counted_in_each: self.total() > peak_bytes + peak_bytes / 100,
            others: self.others,
            others_bytes: self.others_bytes,
            ..MemoryHolders::default()
        };
        for &(id, bytes) in &self.largest {
            if let Some(process) = position(id) {
                holders.largest.push(MemoryHolder { process, bytes });
            } else {
                holders.others += 1;
                holders.others_bytes += bytes;
            }
        }
        Some(holders)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(id: u32, rss: u64, shares_map: bool) -> MemoryReading {
        MemoryReading { shares_map, ..MemoryReading::of_rss(MemberId(id), rss) }
    }

    #[test]
    fn the_largest_come_first_and_the_others_are_a_sum() {
        let readings: Vec<_> = (0..100).map(|id| reading(id, u64::from(id) * 10, false)).collect();
        let holders = SampleHolders::of(&readings);
        assert_eq!(holders.total(), 49_500);
        assert_eq!(holders.largest.first(), Some(&(MemberId(99), 990)));
        assert_eq!(holders.largest.last(), Some(&(MemberId(68), 680)));
        assert_eq!((holders.others, holders.others_bytes), (68, 22_780));
    }

    #[test]
    fn a_guest_in_a_memory_map_holds_nothing() {
        let holders = SampleHolders::of(&[reading(0, 500, false), reading(1, 500, true)]);
        assert_eq!(holders.largest, [(MemberId(0), 500)]);
    }

    #[test]
    fn a_row_that_was_not_kept_is_one_of_the_others() {
        let holders = SampleHolders::of(&[reading(0, 500, false), reading(1, 300, false)]);
        let record = holders.in_record(500, |id| (id == MemberId(0)).then_some(7)).unwrap();
        assert_eq!(record.largest, [MemoryHolder { process: 7, bytes: 500 }]);
        assert_eq!((record.others, record.others_bytes), (1, 300));
        assert!(record.shared_counted_in_each, "they hold 800 of 500");
        assert!(!holders.in_record(800, |_| None).unwrap().shared_counted_in_each);
        assert_eq!(holders.in_record(1602, |_| None), None, "they hold less than half of it");
        assert_eq!(SampleHolders::of(&[]).in_record(800, |_| None), None);
    }
}
