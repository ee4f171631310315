//! The answer of `GetProcessMemoryInfo` for a process, and which of its values can be trusted.

use super::{ProcessId, ProcessMemory};
use crate::Unavailable;

/// `PROCESS_MEMORY_COUNTERS_EX`, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) working_set: u64,
    pub(crate) peak_working_set: u64,
    /// `PagefileUsage`: the commit charge.
    pub(crate) commit: u64,
    pub(crate) peak_commit: u64,
    /// `PrivateUsage`.
    pub(crate) private: u64,
    /// `PageFaultCount`; 0 if the system does not count it.
    pub(crate) faults: u32,
}

impl Counters {
    /// Returns whether all counters are 0: the process has ended, and its counters with it.
    fn are_gone(&self) -> bool {
        *self == Self::default()
    }

    /// Returns the figures of a process that was still alive just before these were read.
    pub(crate) fn figures(&self, id: ProcessId) -> ProcessMemory {
        if self.are_gone() {
            return ProcessMemory::unknown(id, &Unavailable::NoMemoryMap);
        }
        ProcessMemory {
            // All pages of a process may be trimmed from RAM, but some were there once.
            working_set_bytes: if self.peak_working_set > 0 { Ok(self.working_set) } else { not_kept() },
            peak_working_set_bytes: positive(self.peak_working_set),
            private_bytes: positive(self.private),
            commit_bytes: positive(self.commit),
            peak_commit_bytes: positive(self.peak_commit),
            ..ProcessMemory::unknown(id, &Unavailable::NotProvided)
        }
    }

    /// Returns working set and peak working set of a living process.
    #[cfg(any(test, feature = "job"))]
    pub(crate) fn working_sets(&self) -> Option<(u64, u64)> {
        (self.peak_working_set > 0).then_some((self.working_set, self.peak_working_set))
    }

    /// Returns the peaks of working set and commit charge of a process that has ended. Windows keeps them as
    /// long as a handle is open. A system that does not keep them shows zeros, which are no peaks.
    #[cfg(any(test, feature = "job"))]
    pub(crate) fn last_marks(&self) -> (Option<u64>, Option<u64>) {
        (
            Some(self.peak_working_set).filter(|&mark| mark > 0),
            Some(self.peak_commit).filter(|&mark| mark > 0),
        )
    }
}

/// Rejects 0, which no living process has: the system does not count it.
fn positive(bytes: u64) -> Result<u64, Unavailable> {
    if bytes > 0 { Ok(bytes) } else { not_kept() }
}

fn not_kept() -> Result<u64, Unavailable> {
    Err(Unavailable::Implausible("0 bytes for a living process".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const ID: ProcessId = ProcessId { pid: 7, start_ticks: 1 };
    /// The counters of notepad.exe on Windows 11, in the relations that documentation and tools show.
    const LIVING: Counters = Counters {
        working_set: 31 * MIB,
        peak_working_set: 44 * MIB,
        commit: 9 * MIB,
        peak_commit: 21 * MIB,
        private: 9 * MIB,
        faults: 12_345,
    };

    #[test]
    fn a_living_process() {
        let memory = LIVING.figures(ID);
        assert_eq!(memory.working_set_bytes, Ok(31 * MIB));
        assert_eq!(memory.peak_working_set_bytes, Ok(44 * MIB));
        assert_eq!((memory.private_bytes, memory.commit_bytes), (Ok(9 * MIB), Ok(9 * MIB)));
        assert_eq!(memory.peak_commit_bytes, Ok(21 * MIB));
        assert_eq!(memory.rss_bytes, Err(Unavailable::NotProvided), "a working set is no RSS");
        assert_eq!(LIVING.last_marks(), (Some(44 * MIB), Some(21 * MIB)));
    }

    #[test]
    fn trimmed_out_of_ram_is_a_figure() {
        let trimmed = Counters { working_set: 0, ..LIVING };
        assert_eq!(trimmed.figures(ID).working_set_bytes, Ok(0));
        assert_eq!(trimmed.working_sets(), Some((0, 44 * MIB)));
    }

    #[test]
    fn an_uncounted_figure_is_unknown() {
        // Wine 8.0 shows this for a living process.
        let wine = Counters { private: 0, ..LIVING };
        assert!(matches!(wine.figures(ID).private_bytes, Err(Unavailable::Implausible(_))));
        assert_eq!(wine.figures(ID).commit_bytes, Ok(9 * MIB));
        let nothing = Counters { commit: 4096, ..Counters::default() };
        assert!(nothing.figures(ID).working_set_bytes.is_err());
        assert_eq!(nothing.working_sets(), None);
    }

    #[test]
    fn after_its_end() {
        // Wine 8.0 shows this with the handle still open.
        let gone = Counters::default();
        assert_eq!(gone.figures(ID).working_set_bytes, Err(Unavailable::NoMemoryMap));
        assert_eq!(gone.last_marks(), (None, None));
        // Windows shows this.
        let kept = Counters { working_set: 0, commit: 0, private: 0, ..LIVING };
        assert_eq!(kept.last_marks(), (Some(44 * MIB), Some(21 * MIB)));
    }
}
