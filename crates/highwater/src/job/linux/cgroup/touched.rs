//! A bound on the memory that processes touch: the page faults of the group, and what one of them brings in at most.
//!
//! Pages of anonymous and mapped shared memory appear by a fault, or when the kernel collapses small pages into a huge one.
//! Version 2 counts both by group. Version 1 has no such count of huge pages, so those of the whole machine stand for them:
//! still a bound, and a wider one beside other programs.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use super::super::{
    counter_slack::online_processors,
    proc_dir::{ProcDir, ProcPath},
};
use crate::{
    bounded::{self, MAX_VALUE_BYTES},
    cgroup::Version,
    process::linux::decimal,
};

/// Pages that each processor may have charged in advance, and events by which a count of version 2 may read low on each
/// (`MEMCG_CHARGE_BATCH`, mm/memcontrol.c).
const BATCH_PER_PROCESSOR: u64 = 64;
/// Readings in a row that go without the machine's count of huge pages: it is the dearest file of a reading.
const MAX_READINGS_WITHOUT_MACHINE: u32 = 16;
/// Bytes of `/proc/vmstat` in one read. The kernel gives out a page of it at a time (`seq_read_iter`, `fs/seq_file.c`).
const MACHINE_PART_BYTES: usize = 4 << 10;

/// Faults of a group since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct GroupFaults {
    pub(super) faults: u64,
    /// Huge pages that were faulted in or collapsed, where they are counted by group.
    pub(super) huge_pages: u64,
}

/// The bound, and what it is made from.
#[derive(Debug)]
pub(super) struct TouchedBound {
    sizes: KnownSizes,
    processors: u64,
    version: Version,
    machine: Option<MachineHugePages>,
    /// Counts of the last reading.
    previous: GroupFaults,
    /// The result of the last reading.
    bytes: u64,
}

/// Sizes of the pages that the kernel makes. To read them takes a dozen files, which most jobs do not need.
#[derive(Debug)]
enum KnownSizes {
    /// They can be read in this directory of sysfs.
    Unread(PathBuf),
    Read(FaultSizes),
}

/// Memory that one fault brings in at most, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FaultSizes {
    /// By a fault that is not counted as one of a huge page.
    usual: u64,
    /// By a huge page; `None` while the kernel makes none.
    huge: Option<u64>,
}

/// Huge pages of the whole machine.
#[derive(Debug)]
struct MachineHugePages {
    vmstat: File,
    /// Number when they were last read.
    counted: u64,
    readings_without: u32,
    text: Vec<u8>,
}

impl TouchedBound {
    /// Begins to count for a group that was just made.
    pub(super) fn begin(version: Version, proc: &ProcDir, sys: &Path) -> Self {
        let machine = match version {
            Version::V1 => MachineHugePages::begin(proc),
            Version::V2 => None,
        };
        Self {
            sizes: KnownSizes::Unread(sys.join("kernel/mm/transparent_hugepage")),
            processors: online_processors().unwrap_or(1),
            version,
            machine,
            previous: GroupFaults::default(),
            bytes: 0,
        }
    }

    /// Returns a number that rises between two readings by the most memory that the processes can have touched meanwhile.
    ///
    /// The job is thought to have touched `claimed` bytes since the last reading. If small pages explain them, larger ones
    /// need not be read, and are left out.
    pub(super) fn bytes(&mut self, faults: GroupFaults, claimed: u64) -> u64 {
        let counted = faults.since(self.previous);
        self.previous = faults;
        // The kernel charges a processor's next pages before they are touched, in batches (`try_charge_memcg`).
        let explained = self.fault_sizes().bytes(counted).saturating_add(self.batch_bytes());
        // A huge page comes with a fault, too, or replaces pages that were there (`mm/khugepaged.c`).
        let may_have_touched = counted.faults > 0 || self.version == Version::V2;
        let is_needed = may_have_touched && claimed > explained;
        if is_needed || self.machine.as_ref().is_some_and(MachineHugePages::is_due) {
            self.read_sizes();
        }
        let of_machine = match self.machine.as_mut().map(|machine| machine.read(is_needed)) {
            Some(Some(pages)) => pages,
            Some(None) => {
                self.machine = None;
                self.expect_huge_pages_by_fault();
                0
            }
            None => 0,
        };
        let touched = GroupFaults { huge_pages: counted.huge_pages.saturating_add(of_machine), ..counted };
        self.bytes = self.bytes.saturating_add(self.fault_sizes().bytes(touched));
        self.bytes
    }

    /// Returns the bytes by which the result of [`Self::bytes`] may read low.
    pub(super) fn late_bytes(&self) -> u64 {
        match self.version {
            Version::V1 => 0,
            Version::V2 => self.batch_bytes(),
        }
    }

    fn batch_bytes(&self) -> u64 {
        BATCH_PER_PROCESSOR * self.processors * self.fault_sizes().usual
    }

    /// Returns the sizes that are known: those of small pages at least.
    fn fault_sizes(&self) -> FaultSizes {
        match self.sizes {
            KnownSizes::Unread(_) => FaultSizes { usual: rustix::param::page_size() as u64, huge: None },
            KnownSizes::Read(sizes) => sizes,
        }
    }

    fn read_sizes(&mut self) {
        let KnownSizes::Unread(directory) = &self.sizes else { return };
        let mut sizes = FaultSizes::read(directory, rustix::param::page_size() as u64);
        if self.version == Version::V2 {
            // Pages that the group counts were made, whatever the settings say by now, or if they cannot be read.
            sizes.huge = sizes.huge.or(Some(pmd_bytes()));
        }
        self.sizes = KnownSizes::Read(sizes);
        if sizes.huge.is_none() {
            self.machine = None;
        } else if self.version == Version::V1 && self.machine.is_none() {
            self.expect_huge_pages_by_fault();
        }
    }

    /// Takes each fault for one of a huge page, as their number cannot be read.
    fn expect_huge_pages_by_fault(&mut self) {
        if let KnownSizes::Read(sizes) = &mut self.sizes {
            sizes.usual = sizes.usual.max(sizes.huge.unwrap_or(0));
        }
    }
}

impl GroupFaults {
    /// Returns what was counted since `before`.
    fn since(self, before: Self) -> Self {
        Self {
            faults: self.faults.saturating_sub(before.faults),
            huge_pages: self.huge_pages.saturating_sub(before.huge_pages),
        }
    }
}

impl FaultSizes {
    /// Returns the most memory that so many faults bring in.
    fn bytes(self, counted: GroupFaults) -> u64 {
        let huge = counted.huge_pages.saturating_mul(self.huge.unwrap_or(0));
        counted.faults.saturating_mul(self.usual).saturating_add(huge)
    }

    /// Reads the sizes of pages that the kernel makes
    /// ([transhuge.rst](https://docs.kernel.org/admin-guide/mm/transhuge.html)).
    fn read(directory: &Path, page_bytes: u64) -> Self {
        let top = PageSizeSetting::read(&directory.join("enabled"));
        let huge_bytes = number(&directory.join("hpage_pmd_size"));
        let mut sizes = Self { usual: page_bytes, huge: huge_bytes.filter(|_| top == PageSizeSetting::On) };
        // Since Linux 6.8 each size has a setting of its own.
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let Some(bytes) = entry.file_name().to_str().and_then(bytes_in_name) else { continue };
            let is_made = match PageSizeSetting::read(&entry.path().join("enabled")) {
                PageSizeSetting::On => true,
                PageSizeSetting::Inherit => top == PageSizeSetting::On,
                PageSizeSetting::Off => false,
            };
            if is_made && Some(bytes) == huge_bytes {
                sizes.huge = huge_bytes;
            } else if is_made {
                sizes.usual = sizes.usual.max(bytes);
            }
        }
        sizes
    }
}

/// Returns the memory that one table of pages maps, which is the size of a huge page: as many pages as entries of 8 bytes fit
/// into a page.
fn pmd_bytes() -> u64 {
    let page_bytes = rustix::param::page_size() as u64;
    page_bytes.saturating_mul(page_bytes / 8)
}

/// Returns the size in the name of a directory such as `hugepages-64kB`.
fn bytes_in_name(name: &str) -> Option<u64> {
    let kib: u64 = name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
    kib.checked_mul(1024)
}

/// A setting of transparent huge pages, as in `always [madvise] never`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PageSizeSetting {
    /// Always, or where a process asks for them.
    On,
    Inherit,
    Off,
}

impl PageSizeSetting {
    fn read(path: &Path) -> Self {
        let Ok(text) = bounded::read(path, MAX_VALUE_BYTES) else { return Self::Off };
        let has = |word: &[u8]| text.windows(word.len()).any(|window| window == word);
        match () {
            () if has(b"[always]") || has(b"[madvise]") => Self::On,
            () if has(b"[inherit]") => Self::Inherit,
            () => Self::Off,
        }
    }
}

fn number(path: &Path) -> Option<u64> {
    let text = bounded::read(path, MAX_VALUE_BYTES).ok()?;
    decimal::leading(&text).map(|(number, _)| number)
}

impl MachineHugePages {
    /// Begins to count; `None` if the kernel counts no huge pages.
    fn begin(proc: &ProcDir) -> Option<Self> {
        let vmstat = proc.open_file(ProcPath::named("vmstat")).ok()?;
        let mut machine = Self { vmstat, counted: 0, readings_without: 0, text: Vec::new() };
        machine.counted = machine.count()?;
        Some(machine)
    }

    /// Returns whether they are read although nothing depends on them, so that those of other programs do not add up.
    fn is_due(&self) -> bool {
        self.readings_without >= MAX_READINGS_WITHOUT_MACHINE
    }

    /// Returns the number since they were last read: 0 if they are neither needed nor due, `None` if they cannot be read.
    fn read(&mut self, is_needed: bool) -> Option<u64> {
        if !is_needed && !self.is_due() {
            self.readings_without += 1;
            return Some(0);
        }
        self.readings_without = 0;
        let count = self.count()?;
        Some(count.saturating_sub(std::mem::replace(&mut self.counted, count)))
    }

    /// Reads the huge pages that were faulted in or collapsed since the machine was started.
    fn count(&mut self) -> Option<u64> {
        self.text.clear();
        loop {
            let length = self.text.len();
            if length >= MAX_VALUE_BYTES {
                return None;
            }
            self.text.resize(length + MACHINE_PART_BYTES, 0);
            let read = self.vmstat.read_at(&mut self.text[length..], length as u64).ok()?;
            self.text.truncate(length + read);
            if let Some(count) = huge_pages(&self.text) {
                return Some(count);
            }
            if read == 0 {
                return None;
            }
        }
    }
}

/// Returns the huge pages that were faulted in or collapsed; `None` unless the text has both numbers.
fn huge_pages(text: &[u8]) -> Option<u64> {
    let faulted_in = value(text, b"thp_fault_alloc ")?;
    Some(faulted_in.saturating_add(value(text, b"thp_collapse_alloc ")?))
}

/// Returns the number after `key`, which ends with a space, in a complete line that begins with it.
pub(super) fn value(text: &[u8], key: &[u8]) -> Option<u64> {
    let line = decimal::complete_lines(text).find_map(|line| line.strip_prefix(key))?;
    decimal::leading(line).map(|(number, _)| number)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: u64 = 1 << 10;
    const MIB: u64 = 1 << 20;

    /// Makes a sysfs whose huge pages have these settings, by the name of the file.
    fn sys(settings: &[(&str, &str)]) -> tempfile::TempDir {
        let tree = tempfile::tempdir().unwrap();
        for (name, text) in settings {
            let path = tree.path().join("kernel/mm/transparent_hugepage").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        tree
    }

    fn sizes(settings: &[(&str, &str)]) -> (u64, Option<u64>) {
        let tree = sys(settings);
        let sizes = FaultSizes::read(&tree.path().join("kernel/mm/transparent_hugepage"), 4 * KIB);
        (sizes.usual / KIB, sizes.huge.map(|bytes| bytes / KIB))
    }

    #[test]
    fn the_size_of_a_huge_page_is_that_of_the_machine() {
        let size = ("hpage_pmd_size", "536870912\n");
        assert_eq!(sizes(&[("enabled", "always [madvise] never\n"), size]), (4, Some(512 * KIB)));
        assert_eq!(sizes(&[("enabled", "always madvise [never]\n"), size]), (4, None));
        assert_eq!(sizes(&[]), (4, None), "a kernel without huge pages");
    }

    #[test]
    fn pages_between_small_and_huge_come_with_one_fault() {
        let size = ("hpage_pmd_size", "2097152\n");
        let [always, never] = ["[always] madvise never\n", "always madvise [never]\n"];
        let [inherit, own] = ["always [inherit] madvise never\n", "[always] inherit madvise never\n"];
        let off = "always inherit madvise [never]\n";
        let of = |top, small, middle, huge| {
            sizes(&[
                size,
                ("enabled", top),
                ("hugepages-16kB/enabled", small),
                ("hugepages-64kB/enabled", middle),
                ("hugepages-2048kB/enabled", huge),
            ])
        };
        assert_eq!(of(always, off, off, inherit), (4, Some(2 * KIB)), "as it is by default");
        assert_eq!(of(always, own, inherit, inherit), (64, Some(2 * KIB)));
        assert_eq!(of(never, own, inherit, inherit), (16, None));
        assert_eq!(of(never, off, off, own), (4, Some(2 * KIB)));
    }

    fn vmstat(faulted_in: u64, collapsed: u64) -> String {
        let lines = "nr_some_other_count 1234567\n".repeat(300);
        format!("{lines}thp_fault_alloc {faulted_in}\nthp_collapse_alloc {collapsed}\nthp_split_page 9\n")
    }

    #[test]
    fn the_machines_huge_pages_are_read_on_demand() {
        let proc = tempfile::tempdir().unwrap();
        let file = proc.path().join("vmstat");
        fs::write(&file, vmstat(1000, 50)).unwrap();
        let sys = sys(&[("enabled", "[always] madvise never\n"), ("hpage_pmd_size", "2097152\n")]);
        let mut touched = TouchedBound::begin(Version::V1, &ProcDir::made_up(proc.path()), sys.path());
        let page_bytes = rustix::param::page_size() as u64;
        let faulted = |faults| GroupFaults { faults, huge_pages: 0 };
        assert_eq!(touched.bytes(faulted(1), MIB), page_bytes);
        fs::write(&file, vmstat(1002, 51)).unwrap();
        assert_eq!(touched.bytes(faulted(1), MIB), page_bytes, "nothing was touched");
        assert_eq!(touched.bytes(faulted(2), page_bytes), 2 * page_bytes, "small pages explain it");
        let all = touched.bytes(faulted(3), MIB);
        assert_eq!(all, 3 * page_bytes + 6 * MIB, "the file is longer than one read");
        fs::write(&file, vmstat(1003, 51)).unwrap();
        let readings = (1..100).find(|_| touched.bytes(faulted(3), 0) == all + 2 * MIB);
        assert_eq!(
            readings,
            Some(MAX_READINGS_WITHOUT_MACHINE + 1),
            "other programs' pages do not add up for long"
        );
    }

    #[test]
    fn each_fault_may_be_a_huge_page_if_their_number_cannot_be_read() {
        let sys = sys(&[("enabled", "[always] madvise never\n"), ("hpage_pmd_size", "2097152\n")]);
        let proc = tempfile::tempdir().unwrap();
        let file = proc.path().join("vmstat");
        let faulted = |faults| GroupFaults { faults, huge_pages: 0 };
        let mut never = TouchedBound::begin(Version::V1, &ProcDir::made_up(proc.path()), sys.path());
        assert_eq!(never.bytes(faulted(3), 6 * MIB), 6 * MIB);
        fs::write(&file, vmstat(1000, 50)).unwrap();
        let mut no_longer = TouchedBound::begin(Version::V1, &ProcDir::made_up(proc.path()), sys.path());
        fs::write(&file, "nr_some_other_count 1\n").unwrap();
        assert_eq!(no_longer.bytes(faulted(3), 6 * MIB), 6 * MIB);
    }

    #[test]
    fn huge_pages_that_were_counted_have_a_size() {
        let sys = sys(&[("enabled", "always madvise [never]\n")]);
        let mut touched = TouchedBound::begin(Version::V2, &ProcDir::absent(), sys.path());
        assert!(touched.bytes(GroupFaults { faults: 0, huge_pages: 1 }, MIB) >= pmd_bytes());
    }

    #[test]
    fn a_machine_without_huge_pages_is_not_asked_for_them() {
        let proc = tempfile::tempdir().unwrap();
        fs::write(proc.path().join("vmstat"), vmstat(1, 1)).unwrap();
        let sys = sys(&[("enabled", "always madvise [never]\n"), ("hpage_pmd_size", "2097152\n")]);
        let mut touched = TouchedBound::begin(Version::V1, &ProcDir::made_up(proc.path()), sys.path());
        touched.bytes(GroupFaults { faults: 1, huge_pages: 0 }, MIB);
        assert!(touched.machine.is_none());
    }

    #[test]
    fn sizes_are_read_once_small_pages_do_not_explain_an_estimate() {
        let sys = sys(&[("enabled", "[always] madvise never\n"), ("hpage_pmd_size", "2097152\n")]);
        let mut touched = TouchedBound::begin(Version::V2, &ProcDir::absent(), sys.path());
        touched.processors = 1;
        let page_bytes = rustix::param::page_size() as u64;
        let read = |faults, huge_pages| GroupFaults { faults, huge_pages };
        // The late counts of version 2 are 64 pages.
        assert_eq!(touched.bytes(read(100, 1), 164 * page_bytes), 100 * page_bytes);
        assert!(matches!(touched.sizes, KnownSizes::Unread(_)));
        let first = touched.bytes(read(200, 3), 164 * page_bytes + 1);
        assert_eq!(first, 200 * page_bytes + 4 * MIB, "those of the last reading do not count");
        assert!(matches!(touched.sizes, KnownSizes::Read(_)));
        assert_eq!(touched.bytes(read(200, 4), 0), first + 2 * MIB);
    }

    #[test]
    fn counts_of_version_2_may_be_late() {
        let sys = sys(&[("enabled", "[always] madvise never\n"), ("hpage_pmd_size", "2097152\n")]);
        let mut touched = TouchedBound::begin(Version::V2, &ProcDir::absent(), sys.path());
        touched.processors = 16;
        let page_bytes = rustix::param::page_size() as u64;
        assert_eq!(touched.late_bytes(), 16 * 64 * page_bytes);
        let faults = GroupFaults { faults: 3, huge_pages: 2 };
        assert_eq!(touched.bytes(faults, 8 * MIB), 3 * page_bytes + 4 * MIB);
    }
}
