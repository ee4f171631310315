//! `/proc/PID/smaps_rollup`: sums over all mappings.
//! [`proc_pid_smaps(5)`](https://man7.org/linux/man-pages/man5/proc_pid_smaps.5.html),
//! Documentation/ABI/testing/procfs-smaps_rollup

use super::decimal::{complete_lines, kib_as_bytes};

/// The sums; a line that is missing (older kernel) or was cut is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(clippy::struct_field_names)] // The unit belongs to the name.
pub(crate) struct SmapsRollup {
    /// Resident set, counted page by page (unlike `VmRSS`, never batched).
    pub rss_bytes: Option<u64>,
    /// Proportional set: a page that n processes map counts 1/n.
    pub pss_bytes: Option<u64>,
    /// Part of `pss_bytes` that is files (Linux 5.4).
    pub pss_file_bytes: Option<u64>,
    /// Part of `pss_bytes` that is shared memory (Linux 5.4).
    pub pss_shmem_bytes: Option<u64>,
    /// Part of `rss_bytes` that is anonymous.
    pub anonymous_bytes: Option<u64>,
    /// Unique set: pages that no other process maps, `Private_Clean` + `Private_Dirty`.
    pub uss_bytes: Option<u64>,
    /// In swap, shared swap in full.
    pub swap_bytes: Option<u64>,
    /// In swap, shared swap in proportion.
    pub swap_pss_bytes: Option<u64>,
}

impl SmapsRollup {
    /// Parses the file; `None` if it contains none of the sums.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let mut sums = Self::default();
        let (mut clean, mut dirty) = (None, None);
        for line in complete_lines(text) {
            let Some(colon) = line.iter().position(|&byte| byte == b':') else { continue };
            let field = match &line[..colon] {
                b"Rss" => &mut sums.rss_bytes,
                b"Pss" => &mut sums.pss_bytes,
                b"Pss_File" => &mut sums.pss_file_bytes,
                b"Pss_Shmem" => &mut sums.pss_shmem_bytes,
                b"Anonymous" => &mut sums.anonymous_bytes,
                b"Private_Clean" => &mut clean,
                b"Private_Dirty" => &mut dirty,
                b"Swap" => &mut sums.swap_bytes,
                b"SwapPss" => &mut sums.swap_pss_bytes,
                _ => continue,
            };
            *field = kib_as_bytes(&line[colon + 1..]);
        }
        sums.uss_bytes = clean.zip(dirty).and_then(|(clean, dirty): (u64, u64)| clean.checked_add(dirty));
        (sums != Self::default()).then_some(sums)
    }
}

impl SmapsRollup {
    /// Returns the resident files that it maps; their proportional part if shared memory hides them.
    pub(crate) fn file_bytes(&self) -> u64 {
        let pss_file = self.pss_file_bytes.unwrap_or(0);
        match (self.rss_bytes, self.anonymous_bytes, self.pss_shmem_bytes) {
            (Some(rss), Some(anonymous), Some(0)) => rss.saturating_sub(anonymous).max(pss_file),
            _ => pss_file,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPTURED: &[u8] = b"55d0c8a4b000-7ffd3b7f2000 ---p 00000000 00:00 0                          [rollup]\n\
        Rss:                3392 kB\nPss:                 701 kB\nPss_Dirty:           412 kB\n\
        Pss_Anon:            384 kB\nPss_File:            317 kB\nPss_Shmem:             0 kB\n\
        Shared_Clean:       2900 kB\nShared_Dirty:          0 kB\nPrivate_Clean:        80 kB\n\
        Private_Dirty:       412 kB\nReferenced:         3392 kB\nAnonymous:           384 kB\nKSM:                   0 kB\n\
        LazyFree:              0 kB\nAnonHugePages:         0 kB\nShmemPmdMapped:        0 kB\n\
        FilePmdMapped:         0 kB\nShared_Hugetlb:        0 kB\nPrivate_Hugetlb:       0 kB\n\
        Swap:                 16 kB\nSwapPss:               8 kB\nLocked:                0 kB\n";

    #[test]
    fn captured() {
        assert_eq!(
            SmapsRollup::parse(CAPTURED),
            Some(SmapsRollup {
                rss_bytes: Some(3392 * 1024),
                pss_bytes: Some(701 * 1024),
                pss_file_bytes: Some(317 * 1024),
                pss_shmem_bytes: Some(0),
                anonymous_bytes: Some(384 * 1024),
                uss_bytes: Some(492 * 1024),
                swap_bytes: Some(16 * 1024),
                swap_pss_bytes: Some(8 * 1024),
            })
        );
    }

    #[test]
    fn files_that_others_map_too_are_in_rss() {
        assert_eq!(SmapsRollup::parse(CAPTURED).unwrap().file_bytes(), 3008 * 1024);
        let with_shmem = b"Rss: 90 kB\nPss: 40 kB\nPss_File: 10 kB\nPss_Shmem: 20 kB\nAnonymous: 10 kB\n";
        assert_eq!(SmapsRollup::parse(with_shmem).unwrap().file_bytes(), 10 * 1024);
        assert_eq!(SmapsRollup::parse(b"Rss: 90 kB\nPss: 40 kB\n").unwrap().file_bytes(), 0, "Linux 5.3");
    }

    #[test]
    fn half_of_uss_is_no_uss() {
        let sums = SmapsRollup::parse(b"Rss:  8 kB\nPrivate_Clean:  4 kB\nPrivate_Dirty:  4 k").unwrap();
        assert_eq!(sums.rss_bytes, Some(8192));
        assert_eq!(sums.uss_bytes, None);
    }

    #[test]
    fn nothing() {
        assert_eq!(SmapsRollup::parse(b""), None);
        assert_eq!(SmapsRollup::parse(b"0-0 ---p 00000000 00:00 0 [rollup]\n"), None);
    }
}
