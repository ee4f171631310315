//! `/proc/PID/statm`: sizes in pages. [`proc_pid_statm(5)`](https://man7.org/linux/man-pages/man5/proc_pid_statm.5.html)

use super::decimal;

/// The meaningful fields of `statm`: size, resident, shared, text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::struct_field_names)] // The unit belongs to the name.
pub(crate) struct Statm {
    /// Virtual size.
    pub size_pages: u64,
    /// Resident set, the same count as `VmRSS` (on kernels 6.2 to 6.15 both lag by per-CPU batches).
    pub resident_pages: u64,
    /// Files and shared memory in the resident set.
    pub shared_pages: u64,
    /// Code.
    pub text_pages: u64,
}

impl Statm {
    /// Parses once per member and sample, so without allocation and UTF-8 check.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let (size_pages, rest) = decimal::leading(text)?;
        let (resident_pages, rest) = decimal::leading(rest.strip_prefix(b" ")?)?;
        let (shared_pages, rest) = decimal::leading(rest.strip_prefix(b" ")?)?;
        let (text_pages, rest) = decimal::leading(rest.strip_prefix(b" ")?)?;
        // Three more fields follow; a number at the very end may have been cut.
        rest.starts_with(b" ").then_some(Self { size_pages, resident_pages, shared_pages, text_pages })
    }

    /// Returns whether all are zero: a zombie, a kernel thread, or a process whose main thread has exited
    /// while others live. `proc_pid_statm` in fs/proc/array.c prints zeros if the task has no mm.
    pub(crate) fn has_no_memory(&self) -> bool {
        self.size_pages == 0 && self.resident_pages == 0 && self.text_pages == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captured() {
        let statm = Statm::parse(b"3163 1434 824 1212 0 405 0\n").unwrap();
        assert_eq!(
            statm,
            Statm { size_pages: 3163, resident_pages: 1434, shared_pages: 824, text_pages: 1212 }
        );
        assert!(!statm.has_no_memory());
    }

    #[test]
    fn zombie() {
        assert!(Statm::parse(b"0 0 0 0 0 0 0\n").unwrap().has_no_memory());
    }

    #[test]
    fn cut_or_foreign() {
        for text in [&b""[..], b"3163", b"3163 1434 824", b"3163 1434 824 12", b"-1 2 3 4 5", b"x"] {
            assert_eq!(Statm::parse(text), None, "{}", text.escape_ascii());
        }
    }
}
