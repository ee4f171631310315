//! Reading the memory of the job's own cgroup, and the kernel's mark of the time between two readings.
//!
//! Version 1 begins `memory.max_usage_in_bytes` anew when 0 is written to it. Version 2 does so with `memory.peak` since
//! Linux 6.12, and only for the descriptor that was written to
//! ([cgroup-v2.rst](https://docs.kernel.org/admin-guide/cgroup-v2.html), "memory.peak").

use std::{fs::File, io, os::unix::fs::FileExt, path::Path};

use super::super::proc_dir::ProcDir;
use super::{
    open_group::OpenGroup,
    touched::{GroupFaults, TouchedBound, value},
};
use crate::{
    bounded::read_kept,
    cgroup::Version,
    job::group_memory::{ChargeMark, GroupReading},
    process::linux::decimal,
};

/// Divisor of what a group holds: how far an estimate must exceed it for what was touched to matter.
const TOLERANCE_DIVISOR: u64 = 100;

/// Divisor of a charge, and bytes beside it: how far a charge and the RSS beside it may move for the job to count as still.
const STILL_DIVISOR: u64 = 64;
const STILL_BYTES: u64 = 256 << 10;
/// Most readings in a row of a job that stands still for which `memory.stat` is not read. Page cache may have made room for
/// memory of processes meanwhile.
const MAX_STILL_READINGS: u32 = 7;

/// The open files of a group that only this process reads and begins anew.
#[derive(Debug)]
pub(crate) struct GroupMemory {
    version: Version,
    stat: File,
    charge: File,
    mark: MarkFile,
    /// Kernel memory, which version 1 keeps in a file of its own.
    kernel: Option<File>,
    /// Swap, which version 2 keeps in a file of its own.
    swap: Option<File>,
    /// Number of times that the limit of the group was hit, which version 1 counts in place of pages.
    limit_hits: Option<File>,
    touched: TouchedBound,
    previous: GroupReading,
    /// The evidence by which `previous` may stand for the next reading; `None`: it may not.
    standing: Option<StandingReading>,
    highest_mark: u64,
    text: Vec<u8>,
}

/// The figures beside a whole reading, in bytes, and the number of readings for which it has stood since.
#[derive(Debug)]
struct StandingReading {
    charge: u64,
    rss: u64,
    readings: u32,
}

/// The file of the kernel's mark.
#[derive(Debug)]
enum MarkFile {
    /// It is written to after each reading.
    Restarted(File),
    SinceStart(File),
}

impl GroupMemory {
    /// Opens the files of `group`, which this process has made.
    pub(crate) fn open(group: &OpenGroup, version: Version, proc: &ProcDir, sys: &Path) -> io::Result<Self> {
        let stat = group.file("memory.stat")?;
        let charge = group.file(match version {
            Version::V1 => "memory.usage_in_bytes",
            Version::V2 => "memory.current",
        })?;
        let mark = match version {
            Version::V1 => MarkFile::Restarted(group.file_to_read_and_write("memory.max_usage_in_bytes")?),
            Version::V2 => {
                const PEAK: &str = "memory.peak";
                match group.file_to_read_and_write(PEAK).and_then(|file| restart(&file).map(|()| file)) {
                    Ok(file) => MarkFile::Restarted(file),
                    // Linux 5.19 to 6.11.
                    Err(_) => MarkFile::SinceStart(group.file(PEAK)?),
                }
            }
        };
        let kernel = match version {
            Version::V1 => group.file("memory.kmem.usage_in_bytes").ok(),
            Version::V2 => None,
        };
        let swap = match version {
            Version::V1 => None,
            Version::V2 => group.file("memory.swap.current").ok(),
        };
        let limit_hits = match version {
            Version::V1 => group.file("memory.failcnt").ok(),
            Version::V2 => None,
        };
        Ok(Self {
            version,
            stat,
            charge,
            mark,
            kernel,
            swap,
            limit_hits,
            touched: TouchedBound::begin(version, proc, sys),
            previous: GroupReading::default(),
            standing: None,
            highest_mark: 0,
            text: Vec::new(),
        })
    }

    /// Reads the group, unless its charge, its mark and the RSS of its members show that the last reading still stands.
    /// Then its mark runs on, and the next reading counts for the time since the last one.
    pub(crate) fn read_if_moved(&mut self, rss: u64) -> Option<GroupReading> {
        if let Some(standing) = self.standing.take().filter(|standing| self.still_stands(standing, rss)) {
            self.standing = Some(StandingReading { readings: standing.readings + 1, ..standing });
            return Some(GroupReading { mark: None, ..self.previous });
        }
        // A rise after this moment shows in the next comparison.
        let charge = number(&self.charge);
        let reading = self.read_beside(charge)?;
        self.standing = charge.map(|charge| StandingReading { charge, rss, readings: 0 });
        Some(reading)
    }

    /// Reads the group, and begins its mark anew where the kernel can. `None` while no process was charged to it.
    ///
    /// The reading after the last exit counts: it ends a window in which the job may have held most.
    pub(crate) fn read(&mut self) -> Option<GroupReading> {
        let charge = number(&self.charge);
        self.read_beside(charge)
    }

    /// Reads the group. `charge` was read right before, so that memory which comes meanwhile is in no difference of the two.
    fn read_beside(&mut self, charge: Option<u64>) -> Option<GroupReading> {
        self.standing = None;
        read_kept(&self.stat, &mut self.text)?;
        let (mut reading, faults) = parse(&self.text, self.version)?;
        if let Some(kernel) = &self.kernel {
            reading.kernel = number(kernel)?;
        }
        if let Some(swap) = &self.swap {
            reading.swap = number(swap);
        }
        if let Some(limit_hits) = &self.limit_hits {
            reading.reclaims = number(limit_hits)?;
        }
        reading.unmapped = charge.map_or(0, |charge| unmapped_bytes(charge, &reading));
        reading.mark = match &self.mark {
            MarkFile::Restarted(file) => {
                let mark = number(file);
                // Until this write a rise counts for this reading, or for none: the two are a microsecond apart.
                let _ = restart(file);
                mark.map(ChargeMark::SinceLastReading)
            }
            MarkFile::SinceStart(file) => number(file).map(ChargeMark::SinceStart),
        };
        if let Some(ChargeMark::SinceLastReading(bytes) | ChargeMark::SinceStart(bytes)) = reading.mark {
            self.highest_mark = self.highest_mark.max(bytes);
        }
        reading.faulted_in = self.touched.bytes(faults, claimed_bytes(&self.previous, &reading));
        reading.faulted_in_late = self.touched.late_bytes();
        self.previous = reading;
        // Every process is charged for its stacks.
        (self.highest_mark > 0).then_some(reading)
    }

    /// Returns whether nothing has moved since a whole reading. A file that cannot be read is no evidence of that.
    fn still_stands(&self, standing: &StandingReading, rss: u64) -> bool {
        let is_near =
            |bytes: u64, before: u64| bytes.abs_diff(before) <= before / STILL_DIVISOR + STILL_BYTES;
        standing.readings < MAX_STILL_READINGS
            && is_near(rss, standing.rss)
            && number(&self.charge).is_some_and(|charge| is_near(charge, standing.charge))
            && match &self.mark {
                MarkFile::Restarted(mark) => number(mark).is_some_and(|mark| is_near(mark, standing.charge)),
                MarkFile::SinceStart(mark) => number(mark).is_some_and(|mark| mark <= self.highest_mark),
            }
    }

    /// Returns the highest mark of all readings.
    pub(crate) fn highest_mark(&self) -> u64 {
        self.highest_mark
    }
}

/// Returns the part of a charge that no figure of `memory.stat` counts.
fn unmapped_bytes(charge: u64, reading: &GroupReading) -> u64 {
    let counted = reading.anon_and_shmem().saturating_add(reading.cache).saturating_add(reading.kernel);
    charge.saturating_sub(counted)
}

/// Returns the memory that processes must have touched between two readings for the mark to be theirs. 0 if the mark lies
/// so little above the readings that it does not matter whether it was page cache.
fn claimed_bytes(before: &GroupReading, after: &GroupReading) -> u64 {
    let Some(ChargeMark::SinceLastReading(mark) | ChargeMark::SinceStart(mark)) = after.mark else {
        return 0;
    };
    let risen = if after.reclaims > before.reclaims {
        // Page cache made room, so it is not known how much of the mark it was.
        mark.saturating_sub(before.kernel.max(after.kernel))
    } else {
        GroupReading::risen_between(before, after, mark)
    };
    let plain = before.anon_and_shmem().max(after.anon_and_shmem());
    let matters = risen > plain.saturating_add(plain / TOLERANCE_DIVISOR);
    if matters { risen.saturating_sub(before.anon_and_shmem()) } else { 0 }
}

/// Parses `memory.stat`; `None` if it lacks the memory of processes.
pub(super) fn parse(text: &[u8], version: Version) -> Option<(GroupReading, GroupFaults)> {
    let get = |key: &[u8]| value(text, key);
    let (anon, shmem, file) = match version {
        Version::V1 => (get(b"total_rss ")?, get(b"total_shmem ")?, get(b"total_cache ")?),
        Version::V2 => (get(b"anon ")?, get(b"shmem ")?, get(b"file ")?),
    };
    let cache = file.saturating_sub(shmem);
    let reading = GroupReading { anon, shmem, cache, ..GroupReading::default() };
    // Without accounting for swap there is no such line (`memory.memsw.*` is missing, too).
    let swap = if version == Version::V1 { get(b"total_swap ") } else { None };
    let reading = GroupReading { swap, ..reading };
    Some(match version {
        // Version 1 keeps the other figures in files of their own.
        Version::V1 => (reading, GroupFaults { faults: get(b"total_pgfault ")?, huge_pages: 0 }),
        Version::V2 => {
            // `kernel` and `sock` overlap with no other line (`memory_stats`, mm/memcontrol.c).
            let kernel = get(b"kernel ").unwrap_or(0).saturating_add(get(b"sock ").unwrap_or(0));
            let reclaims = get(b"pgsteal ").unwrap_or(0);
            // A kernel without huge pages has no such lines.
            let huge_pages =
                [&b"thp_fault_alloc "[..], b"thp_collapse_alloc "].into_iter().filter_map(get).sum();
            (
                GroupReading { kernel, reclaims, ..reading },
                GroupFaults { faults: get(b"pgfault ")?, huge_pages },
            )
        }
    })
}

pub(super) fn number(file: &File) -> Option<u64> {
    let mut text = [0; 32];
    let length = file.read_at(&mut text, 0).ok()?;
    decimal::leading(text.get(..length)?).map(|(number, _)| number)
}

/// Begins the mark anew: version 1 asks for a 0, version 2 for any text.
fn restart(file: &File) -> io::Result<()> {
    file.write_all_at(b"0", 0)
}

/// Reads the anonymous and shared memory of a group from its `memory.stat`, of either version.
pub(crate) fn anon_and_shared_bytes(stat: &File, text: &mut Vec<u8>) -> Option<u64> {
    read_kept(stat, text)?;
    let either = |of_v1, of_v2| value(text, of_v1).or_else(|| value(text, of_v2));
    Some(either(b"total_rss ", b"anon ")?.saturating_add(either(b"total_shmem ", b"shmem ")?))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const MIB: u64 = 1 << 20;

    fn open(group: &Path) -> GroupMemory {
        let group = OpenGroup::open(group).unwrap();
        GroupMemory::open(&group, Version::V1, &ProcDir::of_this_machine(), Path::new("/sys")).unwrap()
    }

    #[test]
    fn version_1_counts_shared_memory_once() {
        let text = b"cache 1\nrss 2\ntotal_cache 500\ntotal_rss 200\ntotal_shmem 300\ntotal_pgfault 3\n\
            swap 9\ntotal_swap 53\n";
        let (reading, faults) = parse(text, Version::V1).unwrap();
        assert_eq!((reading.anon, reading.shmem, reading.cache, reading.swap), (200, 300, 200, Some(53)));
        assert_eq!((faults, reading.anon_and_shmem()), (GroupFaults { faults: 3, huge_pages: 0 }, 500));
    }

    #[test]
    fn version_2_has_all_in_one_file() {
        let text = b"anon 200\nfile 500\nkernel 70\nkernel_stack 20\nsock 5\nshmem 300\npgsteal 7\n\
            pgsteal_kswapd 6\npgfault 3\nthp_fault_alloc 1\nthp_collapse_alloc 4\n";
        let (reading, faults) = parse(text, Version::V2).unwrap();
        assert_eq!((reading.anon, reading.shmem, reading.cache, reading.kernel), (200, 300, 200, 75));
        assert_eq!((reading.reclaims, faults), (7, GroupFaults { faults: 3, huge_pages: 5 }));
    }

    #[test]
    fn a_file_without_the_memory_of_processes_is_unknown() {
        assert_eq!(parse(b"cache 1\nrss 2\n", Version::V2), None);
        assert_eq!(parse(b"anon 1\nfile 2\npgfault 3\n", Version::V2), None);
        assert_eq!(parse(b"", Version::V1), None);
    }

    #[test]
    fn version_1_counts_how_often_its_limit_was_hit() {
        let group = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(group.path().join(name), text).unwrap();
        write("memory.stat", "total_cache 0\ntotal_rss 4096\ntotal_shmem 0\ntotal_pgfault 1\n");
        write("memory.usage_in_bytes", "4096\n");
        write("memory.max_usage_in_bytes", "4096\n");
        write("memory.kmem.usage_in_bytes", "0\n");
        write("memory.failcnt", "0\n");
        let mut memory = open(group.path());
        assert_eq!(memory.read().unwrap().reclaims, 0);
        write("memory.failcnt", "12\n");
        assert_eq!(memory.read().unwrap().reclaims, 12);
    }

    #[test]
    fn a_charge_beyond_all_figures_is_memory_that_was_not_freed() {
        let group = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(group.path().join(name), text).unwrap();
        write("memory.stat", "total_cache 300\ntotal_rss 4000\ntotal_shmem 100\ntotal_pgfault 1\n");
        write("memory.kmem.usage_in_bytes", "500\n");
        for (charge, unmapped) in [("8000", 3200), ("4800", 0), ("1", 0)] {
            write("memory.max_usage_in_bytes", "9000\n");
            write("memory.usage_in_bytes", charge);
            assert_eq!(open(group.path()).read().unwrap().unmapped, unmapped, "{charge}");
        }
    }

    #[test]
    fn a_group_that_stands_still_is_read_now_and_then() {
        let group = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(group.path().join(name), text).unwrap();
        let hold = |mib: u64| {
            let bytes = mib * MIB;
            write("memory.usage_in_bytes", &format!("{bytes}\n"));
            write("memory.max_usage_in_bytes", &format!("{bytes}\n"));
            write(
                "memory.stat",
                &format!("total_cache 0\ntotal_rss {bytes}\ntotal_shmem 0\ntotal_pgfault 1\n"),
            );
        };
        hold(100);
        let mut memory = open(group.path());
        let reading = memory.read_if_moved(100 * MIB).unwrap();
        assert_eq!(reading.anon, 100 * MIB);
        // The mark was begun anew.
        let restarted = || fs::read_to_string(group.path().join("memory.max_usage_in_bytes")).unwrap();
        assert!(restarted().starts_with('0'));
        hold(101);
        let still = memory.read_if_moved(100 * MIB);
        assert_eq!(still, Some(GroupReading { mark: None, ..reading }), "what was read before");
        assert!(!restarted().starts_with('0'), "its mark runs on");
        hold(120);
        assert_eq!(memory.read_if_moved(100 * MIB).unwrap().anon, 120 * MIB, "the charge has moved");
        hold(120);
        assert_eq!(memory.read_if_moved(50 * MIB).unwrap().anon, 120 * MIB, "RSS has moved");
        write("memory.max_usage_in_bytes", &format!("{}\n", 300 * MIB));
        let mark = Some(ChargeMark::SinceLastReading(300 * MIB));
        assert_eq!(memory.read_if_moved(50 * MIB).unwrap().mark, mark, "a spike in between");
        hold(120);
        let readings = (1..100).find(|_| memory.read_if_moved(50 * MIB).unwrap().mark.is_some());
        assert_eq!(readings, Some(MAX_STILL_READINGS + 1), "it is not trusted for long");
        write("memory.usage_in_bytes", &format!("{}\n", 200 * MIB));
        write("memory.stat", "");
        assert_eq!(memory.read_if_moved(50 * MIB), None);
        assert_eq!(memory.read_if_moved(50 * MIB), None, "an older reading does not stand for it");
    }

    #[test]
    fn a_reading_after_the_last_exit_counts() {
        let group = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(group.path().join(name), text).unwrap();
        write("memory.stat", "total_cache 0\ntotal_rss 0\ntotal_shmem 0\ntotal_pgfault 0\n");
        write("memory.usage_in_bytes", "0\n");
        write("memory.max_usage_in_bytes", "0\n");
        let mut memory = open(group.path());
        assert_eq!(memory.read(), None, "no process has entered");
        write("memory.max_usage_in_bytes", "8192\n");
        let reading = memory.read().expect("a process has entered, and exited");
        assert_eq!((reading.anon, reading.mark), (0, Some(ChargeMark::SinceLastReading(8192))));
        write("memory.max_usage_in_bytes", "0\n");
        assert!(memory.read().is_some(), "nothing has risen since");
    }

    #[test]
    fn what_was_touched_matters_for_a_mark_beyond_the_readings() {
        let reading = |anon: u64, cache: u64, mark: u64| GroupReading {
            anon: anon * MIB,
            cache: cache * MIB,
            mark: Some(ChargeMark::SinceLastReading(mark * MIB)),
            ..GroupReading::default()
        };
        let before = reading(200, 10, 0);
        let claimed = |after| claimed_bytes(&before, &after);
        assert_eq!(claimed(reading(200, 10, 212)), 0, "a percent of it");
        assert_eq!(claimed(reading(200, 10, 213)), 3 * MIB);
        assert_eq!(claimed(reading(200, 110, 310)), 100 * MIB, "page cache came");
        assert_eq!(claimed(GroupReading { reclaims: 1, ..reading(200, 10, 213) }), 13 * MIB);
        assert_eq!(claimed(GroupReading { mark: None, ..before }), 0);
    }
}
