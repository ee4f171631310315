//! The order in which a sample reads long `status` files.
//!
//! The kernel writes all groups of a process into its `status`, up to 65,536 (`NGROUPS_MAX`, include/uapi/linux/limits.h).
//! It begins again with each doubling of its buffer (`seq_read_iter`, `fs/seq_file.c`): some 20 ms for one process.
//! So a sample reads few of them, and limits are judged by `statm` meanwhile.

use crate::job::identity::MemberId;

/// Length from which a `status` is long: with fewer than a thousand groups it is shorter.
pub(super) const LONG_STATUS_BYTES: usize = 16 << 10;
/// Bytes of long `status` files that a sample reads before it leaves out the others. The last one may exceed it.
const LONG_STATUS_BYTES_PER_SAMPLE: usize = 1 << 20;

/// The turns of the members whose `status` is long.
#[derive(Debug)]
pub(super) struct StatusTurns {
    /// Bytes of long files that this sample has read.
    read_bytes: usize,
    /// Member from which on long ones have not had their turn.
    next_long: MemberId,
    /// A long one from there on was left out of this sample.
    left_out: bool,
}

impl StatusTurns {
    /// Returns turns of which none was taken.
    pub(super) fn new() -> Self {
        Self { read_bytes: 0, next_long: MemberId(0), left_out: false }
    }

    /// Begins a sample.
    pub(super) fn begin(&mut self) {
        self.read_bytes = 0;
        if !std::mem::take(&mut self.left_out) {
            self.next_long = MemberId(0);
        }
    }

    /// Returns whether it is a member's turn. Members are asked about in the order of their numbers.
    ///
    /// Members whose `status` was long before may use half of the bytes, so that they keep no others from being read.
    pub(super) fn take(&mut self, id: MemberId, last_bytes: usize) -> bool {
        if last_bytes < LONG_STATUS_BYTES {
            return self.read_bytes < LONG_STATUS_BYTES_PER_SAMPLE;
        }
        if id < self.next_long {
            return false;
        }
        let is_turn = self.read_bytes < LONG_STATUS_BYTES_PER_SAMPLE / 2;
        if is_turn {
            self.next_long = MemberId(id.0 + 1);
        } else {
            self.left_out = true;
        }
        is_turn
    }

    /// Counts a `status` of so many bytes that was read.
    pub(super) fn count(&mut self, bytes: usize) {
        if bytes >= LONG_STATUS_BYTES {
            self.read_bytes += bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: usize = 1500;
    const LONG: usize = 512 << 10;

    /// Returns the members out of `last` that one sample reads. `lengths` are their lengths now, `last` those that were read
    /// last.
    fn sample<const N: usize>(
        turns: &mut StatusTurns,
        last: &mut [usize; N],
        lengths: [usize; N],
    ) -> Vec<u32> {
        turns.begin();
        let mut read = Vec::new();
        for (id, (last, now)) in (0_u32..).zip(last.iter_mut().zip(lengths)) {
            if turns.take(MemberId(id), *last) {
                turns.count(now);
                *last = now;
                read.push(id);
            }
        }
        read
    }

    #[test]
    fn short_files_are_read_in_each_sample() {
        let mut turns = StatusTurns::new();
        for _ in 0..3 {
            assert_eq!(sample(&mut turns, &mut [SHORT; 1000], [SHORT; 1000]).len(), 1000);
        }
    }

    #[test]
    fn long_files_are_read_in_turn() {
        let mut turns = StatusTurns::new();
        let read: Vec<_> = (0..6).flat_map(|_| sample(&mut turns, &mut [LONG; 3], [LONG; 3])).collect();
        assert_eq!(read, [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn long_files_keep_no_short_ones_from_being_read() {
        let mut turns = StatusTurns::new();
        let lengths = [LONG, LONG, SHORT];
        assert_eq!(sample(&mut turns, &mut lengths.clone(), lengths), [0, 2]);
        assert_eq!(sample(&mut turns, &mut lengths.clone(), lengths), [1, 2]);
    }

    #[test]
    fn files_that_became_long_are_read_over_several_samples() {
        let mut turns = StatusTurns::new();
        let mut last = [SHORT; 5];
        assert_eq!(sample(&mut turns, &mut last, [LONG; 5]), [0, 1]);
        assert_eq!(sample(&mut turns, &mut last, [LONG; 5]), [0, 2]);
        assert_eq!(sample(&mut turns, &mut last, [LONG; 5]), [1, 3]);
        assert_eq!(sample(&mut turns, &mut last, [LONG; 5]), [2, 4]);
        assert_eq!(sample(&mut turns, &mut last, [LONG; 5]), [3]);
    }
}
