//! The keeper's notices in the form in which they go through the pipe to this process.

use std::time::Duration;

/// Bytes of one notice: far below `PIPE_BUF`, so that each is written completely or not at all (pipe(7)).
pub(super) const NOTICE_BYTES: usize = 128;
/// Bytes of the longest name, with its zero (`TASK_COMM_LEN`).
const COMM_BYTES: usize = 16;
/// Value of a number that is not known.
const UNKNOWN_NUMBER: u64 = u64::MAX;

/// Figures of a task when it was held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HeldTask {
    /// Time by `CLOCK_MONOTONIC`, right after the mark was read.
    pub(crate) at: Duration,
    /// Process and parent.
    pub(crate) pid: u32,
    pub(crate) ppid: u32,
    pub(crate) point: HoldPoint,
    /// `VmHWM` in bytes.
    pub(crate) mark: Option<u64>,
    pub(crate) threads: Option<u32>,
    /// The name. This, `image`, `start_ticks` and `forked` are not set if only marks are wanted.
    pub(crate) comm: String,
    /// A number of its memory map, which differs after an exec.
    pub(crate) image: Option<u64>,
    /// Start time of the process in clock ticks since boot.
    pub(crate) start_ticks: u64,
    /// True if it runs in its parent's memory map; known only if it may not have exec'ed.
    pub(crate) shares_map: Option<bool>,
    /// True after a fork and before the first exec.
    pub(crate) forked: bool,
}

/// The call at which a task was held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HoldPoint {
    /// An exec, which may yet fail.
    Exec,
    ExitGroup {
        code: i32,
    },
}

/// One notice. It is made in the keeper, so it holds plain numbers without any allocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Notice {
    pub(super) kind: NoticeKind,
    /// Number of notices so far that did not fit into the pipe.
    pub(super) dropped: u64,
    /// Number by kind: an error number, or an exit code.
    pub(super) number: u64,
    pub(super) at_nanoseconds: u64,
    pub(super) pid: u64,
    pub(super) ppid: u64,
    pub(super) mark: Option<u64>,
    pub(super) threads: Option<u64>,
    pub(super) image: Option<u64>,
    pub(super) start_ticks: u64,
    pub(super) shares_map: Option<bool>,
    pub(super) forked: bool,
    /// True if the filter may have hidden the call from a tracer of the task.
    pub(super) may_be_hidden: bool,
    pub(super) comm: [u8; COMM_BYTES],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoticeKind {
    /// The listener has arrived.
    Listening,
    /// No listener will arrive: the filter was refused with this error number.
    Refused,
    Exec,
    ExitGroup,
    /// A task was answered without having been read.
    Unread,
    /// The last task of the job has exited.
    Over,
}

const NOTICE_KINDS: [NoticeKind; 6] = [
    NoticeKind::Listening,
    NoticeKind::Refused,
    NoticeKind::Exec,
    NoticeKind::ExitGroup,
    NoticeKind::Unread,
    NoticeKind::Over,
];

impl Notice {
    pub(super) fn of(kind: NoticeKind) -> Self {
        Self {
            kind,
            dropped: 0,
            number: 0,
            at_nanoseconds: 0,
            pid: 0,
            ppid: 0,
            mark: None,
            threads: None,
            image: None,
            start_ticks: 0,
            shares_map: None,
            forked: false,
            may_be_hidden: false,
            comm: [0; COMM_BYTES],
        }
    }

    pub(super) fn to_bytes(self) -> [u8; NOTICE_BYTES] {
        let kind =
            NOTICE_KINDS.iter().position(|&kind| kind == self.kind).unwrap_or(NOTICE_KINDS.len()) as u64;
        // The first word and the two after the last one belong to the seal.
        let words = [
            0,
            self.dropped,
            self.number,
            self.at_nanoseconds,
            self.pid,
            self.ppid,
            self.mark.unwrap_or(UNKNOWN_NUMBER),
            self.threads.unwrap_or(UNKNOWN_NUMBER),
            self.image.unwrap_or(UNKNOWN_NUMBER),
            self.start_ticks,
            self.shares_map.map_or(UNKNOWN_NUMBER, u64::from),
            kind << 2 | u64::from(self.may_be_hidden) << 1 | u64::from(self.forked),
        ];
        let mut bytes = [0; NOTICE_BYTES];
        for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_ne_bytes());
        }
        bytes[NOTICE_BYTES - COMM_BYTES..].copy_from_slice(&self.comm);
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8; NOTICE_BYTES]) -> Option<Self> {
        let word = |at: usize| {
            let word = bytes.get(at * 8..).and_then(|rest| rest.first_chunk());
            word.map_or(UNKNOWN_NUMBER, |word| u64::from_ne_bytes(*word))
        };
        let known = |at: usize| Some(word(at)).filter(|&word| word != UNKNOWN_NUMBER);
        Some(Self {
            kind: *NOTICE_KINDS.get(usize::try_from(word(11) >> 2).ok()?)?,
            dropped: word(1),
            number: word(2),
            at_nanoseconds: word(3),
            pid: word(4),
            ppid: word(5),
            mark: known(6),
            threads: known(7),
            image: known(8),
            start_ticks: word(9),
            shares_map: known(10).map(|shares| shares != 0),
            forked: word(11) & 1 != 0,
            may_be_hidden: word(11) & 2 != 0,
            comm: *bytes.last_chunk()?,
        })
    }

    /// Returns the held task, if the notice is about one.
    pub(super) fn held(&self) -> Option<HeldTask> {
        let point = match self.kind {
            NoticeKind::Exec => HoldPoint::Exec,
            NoticeKind::ExitGroup => HoldPoint::ExitGroup { code: i32::try_from(self.number).ok()? },
            _ => return None,
        };
        let comm = self.comm.split(|&byte| byte == 0).next().unwrap_or_default();
        Some(HeldTask {
            at: Duration::from_nanos(self.at_nanoseconds),
            pid: self.pid.try_into().ok()?,
            ppid: self.ppid.try_into().ok()?,
            point,
            mark: self.mark,
            comm: String::from_utf8_lossy(comm).into_owned(),
            threads: self.threads.and_then(|threads| threads.try_into().ok()),
            image: self.image,
            start_ticks: self.start_ticks,
            shares_map: self.shares_map,
            forked: self.forked,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_survives_its_encoding() {
        let mut comm = [0; COMM_BYTES];
        comm[..3].copy_from_slice(b"cc1");
        let notice = Notice {
            number: 7,
            at_nanoseconds: 1_500_000_000,
            pid: 11,
            ppid: 10,
            mark: Some(2 << 20),
            image: None,
            shares_map: Some(false),
            forked: true,
            comm,
            ..Notice::of(NoticeKind::ExitGroup)
        };
        assert_eq!(Notice::from_bytes(&notice.to_bytes()), Some(notice));
        let hidden = Notice { may_be_hidden: true, forked: false, ..notice };
        assert_eq!(Notice::from_bytes(&hidden.to_bytes()), Some(hidden));
        let held = notice.held().unwrap();
        assert_eq!((held.point, held.comm.as_str()), (HoldPoint::ExitGroup { code: 7 }, "cc1"));
        assert_eq!((held.threads, held.mark), (None, Some(2 << 20)), "unknown is not 0");
        assert_eq!(Notice::of(NoticeKind::Over).held(), None);
        assert_eq!(Notice::from_bytes(&[255; NOTICE_BYTES]), None);
    }
}
