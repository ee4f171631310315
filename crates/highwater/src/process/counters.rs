//! What `GetProcessMemoryInfo` says of a process, and what may be believed of it.

use super::{ProcessId, ProcessMemory};
use crate::Unavailable;

/// `PROCESS_MEMORY_COUNTERS_EX`, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) working_set: u64,
    pub(crate) peak_working_set: u64,
    /// `PagefileUsage`: what it has committed.
    pub(crate) commit: u64,
    pub(crate) peak_commit: u64,
    /// `PrivateUsage`.
    pub(crate) private: u64,
    /// `PageFaultCount`; 0 where nobody counts.
    pub(crate) faults: u32,
}

impl Counters {
    /// Whether there is nothing at all: the process has ended, and its counters with it.
    fn are_gone(&self) -> bool {
        *self == Self::default()
    }

    /// The figures of a process that had not ended just before these were read.
    pub(crate) fn figures(&self, id: ProcessId) -> ProcessMemory {
        if self.are_gone() {
            return ProcessMemory::unknown(id, &Unavailable::NoMemoryMap);
        }
        ProcessMemory {
            // A process may be trimmed out of RAM as a whole, but it has been there.
            working_set_bytes: if self.peak_working_set > 0 { Ok(self.working_set) } else { not_kept() },
            peak_working_set_bytes: positive(self.peak_working_set),
            private_bytes: positive(self.private),
            commit_bytes: positive(self.commit),
            peak_commit_bytes: positive(self.peak_commit),
            ..ProcessMemory::unknown(id, &Unavailable::NotProvided)
        }
    }

    /// Working set and its mark, while it lives.
    pub(crate) fn working_sets(&self) -> Option<(u64, u64)> {
        (self.peak_working_set > 0).then_some((self.working_set, self.peak_working_set))
    }

    /// The marks that are left of a process that has ended: working set and commit. Windows keeps them as long as there
    /// is a handle; a system that does not shows zeros, which are no marks.
    pub(crate) fn last_marks(&self) -> (Option<u64>, Option<u64>) {
        (
            Some(self.peak_working_set).filter(|&mark| mark > 0),
            Some(self.peak_commit).filter(|&mark| mark > 0),
        )
    }
}

/// No process lives without any, so 0 means that nobody counts it.
fn positive(bytes: u64) -> Result<u64, Unavailable> {
    if bytes > 0 { Ok(bytes) } else { not_kept() }
}

fn not_kept() -> Result<u64, Unavailable> {
    Err(Unavailable::Implausible("0 bytes of a process that lives".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const ID: ProcessId = ProcessId { pid: 7, start_ticks: 1 };
    /// notepad.exe of Windows 11, as documentation and tools show the relations between these.
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
    fn what_nobody_counts_is_unknown() {
        // Wine 8.0 of a living process.
        let wine = Counters { private: 0, ..LIVING };
        assert!(matches!(wine.figures(ID).private_bytes, Err(Unavailable::Implausible(_))));
        assert_eq!(wine.figures(ID).commit_bytes, Ok(9 * MIB));
        let nothing = Counters { commit: 4096, ..Counters::default() };
        assert!(nothing.figures(ID).working_set_bytes.is_err());
        assert_eq!(nothing.working_sets(), None);
    }

    #[test]
    fn after_its_end() {
        // Wine 8.0, with the handle still open.
        let gone = Counters::default();
        assert_eq!(gone.figures(ID).working_set_bytes, Err(Unavailable::NoMemoryMap));
        assert_eq!(gone.last_marks(), (None, None));
        // Windows.
        let kept = Counters { working_set: 0, commit: 0, private: 0, ..LIVING };
        assert_eq!(kept.last_marks(), (Some(44 * MIB), Some(21 * MIB)));
    }
}
