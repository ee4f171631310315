//! Memory that the job may hold beside its peak memory: files in memory that no process maps, pages that were given back
//! and not freed yet, and kernel memory.
//!
//! It is not in the figure. Where it is large, a figure without a word of it would mislead.

use std::{fs::File, time::Duration};

use super::{
    counter_slack::online_processors,
    kept_file::open_to_keep,
    proc_dir::{ProcDir, ProcPath},
};
use crate::{
    bounded,
    job::{events::MemoryReading, group_memory::GroupReading, unix::thread_cpu},
    process::linux::decimal::{complete_lines, kib_as_bytes},
    record::Downgrade,
};

/// Divisor of the time until the next reading of the machine's shared memory: the last one may cost this share of it.
const MEMINFO_COST_DIVISOR: u32 = 200;
/// Least memory that is worth a note, and the divisor of what the job held: a smaller share of it is not.
const MIN_NOTED_BYTES: u64 = 8 << 20;
const NOTED_DIVISOR: u64 = 20;

/// `MEMCG_CHARGE_BATCH`.
const MAX_CHARGED_PAGES_IN_ADVANCE: u64 = 64;

/// The most memory of each kind that was seen.
#[derive(Debug)]
pub(super) struct MemoryNotes {
    meminfo: Option<File>,
    /// Shared memory of the machine when the job began.
    shmem_before: Option<u64>,
    next: Duration,
    text: Vec<u8>,
    /// Highest memory of the job itself.
    held: u64,
    /// Rise of the machine's shared memory beyond what the members map.
    unmapped: u64,
    /// Charge of its group for pages that were given back and not freed yet.
    unfreed: u64,
    kernel: KernelMemory,
}

/// Highest kernel memory, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KernelMemory {
    /// Page tables of the members: no more is known without a group.
    PageTables(u64),
    OfGroup(u64),
}

impl MemoryNotes {
    /// Begins before the job starts. `has_group`: a group of its own is charged for all that is looked for here.
    pub(super) fn begin(proc: &ProcDir, has_group: bool) -> Self {
        let meminfo = if has_group { None } else { open_to_keep(proc, ProcPath::named("meminfo")) };
        let mut notes = Self {
            meminfo,
            shmem_before: None,
            next: Duration::ZERO,
            text: Vec::new(),
            held: 0,
            unmapped: 0,
            unfreed: 0,
            kernel: if has_group { KernelMemory::OfGroup(0) } else { KernelMemory::PageTables(0) },
        };
        notes.shmem_before = notes.machine_shmem();
        notes
    }

    /// Adds a sample in which all marks were read.
    pub(super) fn add(&mut self, at: Duration, readings: &[MemoryReading], group: Option<&GroupReading>) {
        let own = readings.iter().filter(|reading| !reading.shares_map);
        match (&mut self.kernel, group) {
            (KernelMemory::OfGroup(most), Some(group)) => {
                self.held = self.held.max(group.anon_and_shmem());
                *most = (*most).max(group.kernel);
                self.unfreed = self.unfreed.max(group.unmapped);
            }
            (KernelMemory::OfGroup(_), None) => {}
            (KernelMemory::PageTables(most), _) => {
                self.held = self.held.max(own.clone().map(|reading| reading.rss).sum());
                *most = (*most).max(own.clone().filter_map(|reading| reading.beside.page_tables).sum());
            }
        }
        let Some(before) = self.shmem_before.filter(|_| at >= self.next) else { return };
        let begin = thread_cpu();
        if let Some(now) = self.machine_shmem() {
            // Members may map the same pages. Their sum counts these twice, and the unmapped part reads low. Where files are
            // not known apart (`RssFile`, Linux 4.5), nothing can be said.
            let mapped: Option<u64> =
                own.map(|reading| Some(reading.shared.saturating_sub(reading.file?))).sum();
            if let Some(mapped) = mapped {
                self.unmapped = self.unmapped.max(now.saturating_sub(before).saturating_sub(mapped));
            }
        }
        self.next = at + thread_cpu().saturating_sub(begin) * MEMINFO_COST_DIVISOR;
    }

    /// Returns the notes on what is large beside the job's memory.
    pub(super) fn notes(&self) -> impl Iterator<Item = Downgrade> {
        let is_large = |bytes: &u64| *bytes >= MIN_NOTED_BYTES && *bytes >= self.held / NOTED_DIVISOR;
        let unmapped = Some(self.unmapped).filter(is_large).map(|bytes| Downgrade {
            wanted: "memory of the job that no process maps".to_owned(),
            reason: format!(
                "shared memory of this machine rose by {} MiB while the job ran, beyond what its processes map: files \
                 in memory (memfd, tmpfs) count only where the job has a cgroup of its own",
                bytes >> 20
            ),
        });
        // Charges in advance are no memory: a job on many processors needs no note of them.
        let unfreed = charged_in_advance().map(|bytes| self.unfreed.saturating_sub(bytes));
        let unfreed = unfreed.filter(is_large).map(|bytes| Downgrade {
            wanted: "memory that the job gave back".to_owned(),
            reason: format!(
                "up to {} MiB were not freed yet, such as parts of huge pages: they may be in the upper end of peak memory, \
                 and the kernel frees them when memory is short",
                bytes >> 20
            ),
        });
        let (kernel, of_what) = match self.kernel {
            KernelMemory::PageTables(bytes) => (bytes, "page tables of its processes"),
            KernelMemory::OfGroup(bytes) => (bytes, "page tables, stacks, pipes, sockets and other objects"),
        };
        let kernel = Some(kernel).filter(is_large).map(|bytes| Downgrade {
            wanted: "memory of the job in the kernel".to_owned(),
            reason: format!("{of_what} took up to {} MiB: peak memory is that of its processes", bytes >> 20),
        });
        unmapped.into_iter().chain(unfreed).chain(kernel)
    }

    fn machine_shmem(&mut self) -> Option<u64> {
        bounded::read_kept(self.meminfo.as_ref()?, &mut self.text)?;
        let line = complete_lines(&self.text).find_map(|line| line.strip_prefix(b"Shmem:"))?;
        kib_as_bytes(line)
    }
}

/// Returns the most that the kernel charges in advance: `MEMCG_CHARGE_BATCH` pages a processor (mm/memcontrol.c). The counts
/// of `memory.stat` may read low by as many pages.
fn charged_in_advance() -> Option<u64> {
    Some(2 * MAX_CHARGED_PAGES_IN_ADVANCE * online_processors()? * rustix::param::page_size() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{events::BesideRss, identity::MemberId};

    const MIB: u64 = 1 << 20;

    fn reading(rss: u64, page_tables: u64) -> MemoryReading {
        MemoryReading {
            file: Some(0),
            beside: BesideRss { hugetlb: None, page_tables: Some(page_tables * MIB) },
            ..MemoryReading::of_rss(MemberId(0), rss * MIB)
        }
    }

    fn wanted(notes: &MemoryNotes) -> Vec<String> {
        notes.notes().map(|note| note.wanted).collect()
    }

    #[test]
    fn page_tables_are_noted_where_they_are_large() {
        for (rss, page_tables, expected) in [(65, 64, 1), (65, 2, 0), (4000, 64, 0)] {
            let mut notes = MemoryNotes::begin(&ProcDir::absent(), false);
            notes.add(Duration::ZERO, &[reading(rss, page_tables)], None);
            assert_eq!(wanted(&notes).len(), expected, "{rss} {page_tables}");
        }
    }

    #[test]
    fn kernel_memory_of_a_group_is_noted_where_it_is_large() {
        let mut notes = MemoryNotes::begin(&ProcDir::of_this_machine(), true);
        let group = GroupReading { anon: 2 * MIB, kernel: 61 * MIB, ..GroupReading::default() };
        notes.add(Duration::ZERO, &[reading(2, 0)], Some(&group));
        assert_eq!(wanted(&notes), ["memory of the job in the kernel"]);
        assert_eq!(notes.unmapped, 0, "the group is charged for it");
    }

    #[test]
    fn pages_that_were_given_back_and_not_freed_are_noted_where_they_are_large() {
        let allowed = charged_in_advance().unwrap();
        for (unmapped, expected) in [(150 * MIB, 1), (allowed + 2 * MIB, 0), (0, 0)] {
            let mut notes = MemoryNotes::begin(&ProcDir::of_this_machine(), true);
            let group = GroupReading { anon: 50 * MIB, unmapped, ..GroupReading::default() };
            notes.add(Duration::ZERO, &[reading(50, 0)], Some(&group));
            assert_eq!(wanted(&notes).len(), expected, "{unmapped}");
        }
    }

    #[test]
    fn shared_memory_that_rises_and_is_not_mapped_is_noted() {
        let mut notes = MemoryNotes::begin(&ProcDir::of_this_machine(), false);
        // As if the machine had 60 MiB less before.
        notes.shmem_before = notes.machine_shmem().map(|bytes| bytes.saturating_sub(60 * MIB));
        let is_enough = notes.machine_shmem().is_some_and(|bytes| bytes >= 60 * MIB);
        notes.add(Duration::ZERO, &[reading(5, 0)], None);
        assert!(!is_enough || wanted(&notes) == ["memory of the job that no process maps"]);
    }
}
