//! Distinguishing the keeper's notices from bytes of another writer.
//!
//! Each process of the same user, and so the job, can open the pipe through `/proc/PID/fd` of either end, read it and
//! write to it. So each notice begins with a random word, by which its start is found again after foreign bytes. It
//! also has a number and a keyed hash. The key stays in the memory of this process and of the keeper.

use std::hash::{BuildHasher, RandomState};

use super::notice::{NOTICE_BYTES, Notice};

/// Positions of the random word, the number and the hash, in words of eight bytes.
const RANDOM_WORD: usize = 0;
const NUMBER_WORD: usize = 12;
const HASH_WORD: usize = 13;
/// Bytes of a word.
const WORD_BYTES: usize = size_of::<u64>();

/// The secret of one keeper and of the process that reads its notices.
#[derive(Debug, Clone)]
pub(super) struct Seal {
    word: [u8; WORD_BYTES],
    /// `SipHash` with a key from getrandom(2). It is only arithmetic, so it may be used after a fork.
    key: RandomState,
}

impl Seal {
    pub(super) fn new() -> Self {
        let key = RandomState::new();
        Self { word: key.hash_one("word").to_ne_bytes(), key }
    }

    /// Returns the bytes of notice `number`, counted from 0.
    pub(super) fn apply(&self, notice: Notice, number: u64) -> [u8; NOTICE_BYTES] {
        let mut bytes = notice.to_bytes();
        put(&mut bytes, RANDOM_WORD, self.word);
        put(&mut bytes, NUMBER_WORD, number.to_ne_bytes());
        let hash = self.hash(bytes);
        put(&mut bytes, HASH_WORD, hash);
        bytes
    }

    /// Returns the notice and its number, if `bytes` were made by [`apply`](Self::apply) with the same secret.
    fn open(&self, bytes: &[u8; NOTICE_BYTES]) -> Option<(Notice, u64)> {
        let is_sealed = get(bytes, RANDOM_WORD) == self.word && get(bytes, HASH_WORD) == self.hash(*bytes);
        let number = u64::from_ne_bytes(get(bytes, NUMBER_WORD));
        is_sealed.then(|| Some((Notice::from_bytes(bytes)?, number)))?
    }

    /// Returns the hash of a notice without the hash in it.
    fn hash(&self, mut bytes: [u8; NOTICE_BYTES]) -> [u8; WORD_BYTES] {
        put(&mut bytes, HASH_WORD, [0; WORD_BYTES]);
        self.key.hash_one(bytes).to_ne_bytes()
    }
}

fn put(bytes: &mut [u8; NOTICE_BYTES], at: usize, word: [u8; WORD_BYTES]) {
    for (place, byte) in bytes.iter_mut().skip(at * WORD_BYTES).zip(word) {
        *place = byte;
    }
}

fn get(bytes: &[u8; NOTICE_BYTES], at: usize) -> [u8; WORD_BYTES] {
    bytes.get(at * WORD_BYTES..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_default()
}

/// A reader of the notices in the bytes of the pipe.
#[derive(Debug)]
pub(super) struct NoticeReader {
    seal: Seal,
    /// Bytes that are not decoded yet.
    bytes: Vec<u8>,
    /// Number of the next notice.
    next: u64,
    /// Number of notices that another process has read.
    missing: u64,
    /// Number of byte sequences that are not from the keeper.
    foreign: u64,
    /// True if the last bytes were foreign.
    in_foreign: bool,
}

impl NoticeReader {
    pub(super) fn new(seal: Seal) -> Self {
        Self { seal, bytes: Vec::new(), next: 0, missing: 0, foreign: 0, in_foreign: false }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Returns the next complete notice.
    pub(super) fn next(&mut self) -> Option<Notice> {
        while let Some(first) = self.bytes.first_chunk() {
            match self.seal.open(first) {
                // A smaller number was read before: another process has copied it.
                Some((notice, number)) if number >= self.next => {
                    self.missing += number - self.next;
                    (self.next, self.in_foreign) = (number + 1, false);
                    self.bytes.drain(..NOTICE_BYTES);
                    return Some(notice);
                }
                _ => self.skip_foreign(),
            }
        }
        None
    }

    /// Drops bytes up to the next position at which a notice may begin.
    fn skip_foreign(&mut self) {
        self.foreign += u64::from(!self.in_foreign);
        self.in_foreign = true;
        let rest = self.bytes.get(1..).unwrap_or_default();
        let start = rest.windows(WORD_BYTES).position(|bytes| bytes == self.seal.word);
        // A word that has arrived in part may be completed by later bytes.
        let foreign = start.map_or(self.bytes.len().saturating_sub(WORD_BYTES - 1), |start| start + 1);
        self.bytes.drain(..foreign);
    }

    /// Returns the number of notices that another process took, and of foreign byte sequences.
    pub(super) fn disturbed(&self) -> u64 {
        self.missing + self.foreign
    }
}

#[cfg(test)]
mod tests {
    use super::{super::notice::NoticeKind, *};

    fn notice(pid: u64) -> Notice {
        Notice { pid, mark: Some(5 << 20), ..Notice::of(NoticeKind::ExitGroup) }
    }

    /// Returns the pids of the notices in `bytes`, and the number of disturbances. The bytes are read in parts of
    /// `part` bytes.
    fn pids(seal: &Seal, bytes: &[u8], part: usize) -> (Vec<u64>, u64) {
        let mut opened = NoticeReader::new(seal.clone());
        let mut pids = Vec::new();
        for part in bytes.chunks(part) {
            opened.push(part);
            pids.extend(std::iter::from_fn(|| opened.next()).map(|notice| notice.pid));
        }
        (pids, opened.disturbed())
    }

    #[test]
    fn a_sealed_notice_is_opened_again() {
        let seal = Seal::new();
        let bytes = seal.apply(notice(7), 3);
        assert_eq!(seal.open(&bytes), Some((notice(7), 3)));
        assert_ne!(Seal::new().word, seal.word);
    }

    #[test]
    fn foreign_bytes_are_counted_and_later_notices_are_read() {
        let seal = Seal::new();
        let [one, two, three] = [0, 1, 2].map(|number| seal.apply(notice(number + 10), number));
        for foreign in [&[255; NOTICE_BYTES][..], &[0; 3], &[7; 1000], &seal.word, &one[..100], &three[1..]] {
            let bytes = [&one[..], foreign, &two, &three].concat();
            for part in [1, 7, NOTICE_BYTES, bytes.len()] {
                assert_eq!(pids(&seal, &bytes, part), (vec![10, 11, 12], 1), "{foreign:?} in {part}");
            }
        }
    }

    #[test]
    fn no_notice_can_be_invented_changed_or_repeated() {
        let seal = Seal::new();
        let [one, two] = [0, 1].map(|number| seal.apply(notice(number + 10), number));
        let mut changed = seal.apply(notice(12), 2);
        changed[6 * WORD_BYTES + 5] = 2; // a peak of 2 TiB
        let mut invented = Seal::new().apply(notice(13), 2);
        put(&mut invented, RANDOM_WORD, seal.word);
        for forged in [changed, invented, one] {
            let bytes = [&one[..], &two, &forged].concat();
            assert_eq!(pids(&seal, &bytes, NOTICE_BYTES), (vec![10, 11], 1));
        }
    }

    #[test]
    fn notices_that_another_process_read_are_missing() {
        let seal = Seal::new();
        let [one, two, three] = [0, 1, 2].map(|number| seal.apply(notice(number + 10), number));
        assert_eq!(pids(&seal, &[one, three].concat(), NOTICE_BYTES), (vec![10, 12], 1));
        // A part of a notice is neither a notice nor missing, so it counts twice.
        assert_eq!(pids(&seal, &[&one[..], &two[50..], &three].concat(), NOTICE_BYTES), (vec![10, 12], 2));
    }
}
