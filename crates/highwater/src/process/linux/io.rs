//! `/proc/PID/io` and `/proc/PID/task/TID/io`: one `key: value` a line.
//! [`proc_pid_io(5)`](https://man7.org/linux/man-pages/man5/proc_pid_io.5.html)
//!
//! The file of a process counts its threads, also ended ones, **and all its children that were waited for**.
//! Their children are included (`wait_task_zombie` in kernel/exit.c adds `ioac` to the parent's). The file of
//! a thread counts this thread alone.

use super::decimal::{self, complete_lines};

/// The values of the file, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProcIo {
    /// Returned by read(2) and its like.
    pub rchar: u64,
    /// Passed to write(2) and its like.
    pub wchar: u64,
    /// Fetched from storage.
    pub read_bytes: u64,
    /// Made dirty, to be written to storage.
    pub write_bytes: u64,
}

impl ProcIo {
    /// Parses the file; `None` if a line is missing or was cut.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let value = |key: &[u8]| {
            let line = complete_lines(text).find_map(|line| line.strip_prefix(key))?;
            let (number, rest) = decimal::leading(line.strip_prefix(b": ")?)?;
            rest.is_empty().then_some(number)
        };
        Some(Self {
            rchar: value(b"rchar")?,
            wchar: value(b"wchar")?,
            read_bytes: value(b"read_bytes")?,
            write_bytes: value(b"write_bytes")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPTURED: &[u8] =
        b"rchar: 323934931\nwchar: 323929600\nsyscr: 632687\nsyscw: 632675\nread_bytes: 53248\n\
        write_bytes: 323932160\ncancelled_write_bytes: 4096\n";

    #[test]
    fn captured() {
        let io = ProcIo::parse(CAPTURED).unwrap();
        assert_eq!((io.rchar, io.wchar), (323_934_931, 323_929_600));
        assert_eq!((io.read_bytes, io.write_bytes), (53_248, 323_932_160));
    }

    #[test]
    fn cut_or_foreign_is_nothing() {
        let needed = CAPTURED.len() - b"cancelled_write_bytes: 4096\n".len();
        for end in 0..needed {
            assert_eq!(ProcIo::parse(&CAPTURED[..end]), None, "cut at {end}");
        }
        assert_eq!(ProcIo::parse(b"rchar: -1\nwchar: 2\nread_bytes: 3\nwrite_bytes: 4\n"), None);
    }
}
