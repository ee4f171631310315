//! The peak of a job's memory with each page counted once, from readings of its group: anonymous memory, shared memory
//! and the files that its processes map.
//!
//! Between two readings (a *window*) the kernel's mark of the charge shows how high it rose. The charge also holds page
//! cache and kernel memory, which may have come and gone meanwhile. So the estimate of a window takes away the least of
//! both, and is capped by what the processes can have touched by page faults.
//!
//! Once the kernel has reclaimed memory in a window, its mark says nothing: page cache made room for what was touched. Such a
//! window has an upper end, and no estimate beyond its readings.

use std::{sync::Arc, time::Duration};

use super::{HugetlbPages, MemoryNow, SampleHolders};
use crate::{
    job::{
        group_memory::{ChargeMark, GroupReading},
        identity::MemberId,
        mapped_files::{KnownFiles, MappedFile, MappedFiles, ProgramMapping, largest},
        moment::rounded_seconds,
    },
    record::{Certainty, MemoryParts, MemorySource, PeakMemory},
};

/// Divisor of a job's memory: how much of it files must be in doubt for reading them to be worth its price.
const DOUBT_DIVISOR: u64 = 33;
/// Divisor of a job's memory: how far two readings of one plateau may differ.
const SAME_HEIGHT_DIVISOR: u64 = 100;
/// Bytes by which the counters of a group may lag behind: 64 pages a processor (`MEMCG_CHARGE_BATCH`, mm/memcontrol.c), on 64
/// processors.
const MAX_COUNTER_LAG_BYTES: u64 = 16 << 20;
/// Divisor of a peak: windows with reclaimed memory may exceed it by this share before it counts as a lower end.
const RECLAIM_TOLERANCE_DIVISOR: u64 = 20;

/// The highest memory of all windows so far.
#[derive(Debug, Default)]
pub(crate) struct GroupPeak {
    previous: Option<(Duration, GroupReading)>,
    /// The members of the sample beside that reading, and their pages of hugetlbfs. No group is charged for these by default
    /// (Documentation/admin-guide/cgroup-v2.rst, `memory_hugetlb_accounting`).
    previous_holders: Arc<SampleHolders>,
    previous_hugetlb: HugetlbPages,
    /// Files that the members mapped when they were read last, and the best estimate for them.
    files: MappedFiles,
    files_bytes: u64,
    known_files: KnownFiles,
    /// Highest mark that was not begun anew.
    mark_since_start: u64,
    /// Highest charge of the windows since the last sample, which may have had the files and hugetlbfs pages that it showed.
    charge_since_sample: u64,
    /// A member was seen to map more memory, beside files, than the group was charged for.
    maps_beyond_charge: bool,
    lower: u64,
    upper: u64,
    /// The most shared memory and pages of hugetlbfs that were read: the sum of RSS may lack them.
    beside_rss: u64,
    /// The most that windows with reclaimed memory are likely to have held.
    likely_upper_of_reclaimed: u64,
    best: Option<HighWindow>,
    /// The window that would be the highest if programs shared all but the files of the largest. It may turn out to be the
    /// highest once more is known of their files.
    best_if_shared: Option<HighWindow>,
}

/// A window with a high estimate.
#[derive(Debug, Clone)]
struct HighWindow {
    /// Anonymous and shared memory.
    bytes: u64,
    hugetlb: HugetlbPages,
    /// The best estimate for the files of `programs`.
    files_bytes: u64,
    programs: Arc<[ProgramMapping]>,
    time: PeakTime,
    holders: Arc<SampleHolders>,
    /// True if no sample has been taken since: its members may be the nearer ones.
    awaits_sample: bool,
    /// True if memory has been as high at each reading since.
    stands: bool,
}

/// Facts about the members from the sample beside a reading.
struct SeenInSample {
    new_files: Option<MappedFiles>,
    holders: Arc<SampleHolders>,
    hugetlb: HugetlbPages,
}

impl HighWindow {
    /// Takes what the sample after it shows where that is more than in the sample before it.
    fn see_sample(
        &mut self,
        holders: &Arc<SampleHolders>,
        hugetlb: HugetlbPages,
        files: (u64, &Arc<[ProgramMapping]>),
    ) {
        if !std::mem::take(&mut self.awaits_sample) {
            return;
        }
        self.see_holders(holders);
        if hugetlb.bytes > self.hugetlb.bytes {
            self.hugetlb = hugetlb;
        }
        let (files_bytes, programs) = files;
        if files_bytes > self.files_bytes {
            (self.files_bytes, self.programs) = (files_bytes, Arc::clone(programs));
        }
    }

    /// Takes the members of a sample if they held more than those that it has.
    fn see_holders(&mut self, holders: &Arc<SampleHolders>) {
        if holders.total() > self.holders.total() {
            self.holders = Arc::clone(holders);
        }
    }

    fn total(&self) -> u64 {
        self.bytes + self.hugetlb.bytes + self.files_bytes
    }

    fn total_if_shared(&self) -> u64 {
        self.bytes + self.hugetlb.bytes + largest(&self.programs)
    }
}

/// When a peak was reached.
#[derive(Debug, Clone, Copy)]
enum PeakTime {
    /// In this reading.
    At(Duration, GroupReading),
    Between(Duration, Duration),
}

impl GroupPeak {
    /// Adds a reading beside a sample. `new_files` are the files mapped at that time, if they were read in it; `holders` are
    /// the members then, `hugetlb` their pages of hugetlbfs. Returns the best estimates for it and for the window that it
    /// ends.
    pub(crate) fn add(
        &mut self,
        at: Duration,
        reading: GroupReading,
        new_files: Option<MappedFiles>,
        holders: Arc<SampleHolders>,
        hugetlb: HugetlbPages,
    ) -> MemoryNow {
        self.add_reading(at, reading, Some(SeenInSample { new_files, holders, hugetlb }))
    }

    fn add_reading(&mut self, at: Duration, reading: GroupReading, seen: Option<SeenInSample>) -> MemoryNow {
        let is_sample = seen.is_some();
        let SeenInSample { new_files, holders, hugetlb } = seen.unwrap_or_else(|| SeenInSample {
            new_files: None,
            holders: Arc::clone(&self.previous_holders),
            hugetlb: self.previous_hugetlb,
        });
        let holders_before = std::mem::replace(&mut self.previous_holders, Arc::clone(&holders));
        let hugetlb_before = std::mem::replace(&mut self.previous_hugetlb, hugetlb);
        let (before, previous) = self.previous.replace((at, reading)).unwrap_or_default();
        // Files that were read at another time may be gone.
        let lower_files = new_files.as_ref().map_or(0, |files| files.lower);
        let mut upper_files = self.files.upper;
        let (mut files_bytes, mut programs) = (self.files_bytes, Arc::clone(&self.files.programs));
        if let Some(files) = new_files {
            if files.programs != self.files.programs {
                self.files_bytes = self.known_files.bytes(&files.programs);
            }
            self.files = files;
            // Processes that have ended no longer show the files that they mapped in the window.
            upper_files = upper_files.max(self.files.upper);
            if self.files_bytes >= files_bytes {
                (files_bytes, programs) = (self.files_bytes, Arc::clone(&self.files.programs));
            }
        }
        let (plain, plain_before) = (reading.anon_and_shmem(), previous.anon_and_shmem());
        if is_sample {
            let files = (self.files_bytes, &self.files.programs);
            for window in [&mut self.best, &mut self.best_if_shared].into_iter().flatten() {
                window.see_sample(&holders, hugetlb, files);
                // The members of a large job are read some milliseconds before the group, and may have grown meanwhile.
                if window.stands && is_as_high(plain, window.bytes) {
                    window.see_holders(&holders);
                }
            }
        }
        let mark = match reading.mark {
            Some(ChargeMark::SinceLastReading(bytes)) => Some(bytes),
            Some(ChargeMark::SinceStart(bytes)) if bytes > self.mark_since_start => {
                self.mark_since_start = bytes;
                Some(bytes)
            }
            // It has not risen, or is not known.
            Some(ChargeMark::SinceStart(_)) | None => None,
        };
        // Members of the sample before may be gone.
        let lower_hugetlb = if is_sample { hugetlb.lower } else { 0 };
        self.lower = self.lower.max(plain + lower_hugetlb + lower_files);
        let upper_hugetlb = hugetlb.upper.max(hugetlb_before.upper);
        let charge = mark.map_or(plain, |mark| mark.max(plain)).max(self.charge_since_sample);
        self.upper = self.upper.max(charge + upper_hugetlb + upper_files);
        self.charge_since_sample = if is_sample { 0 } else { charge };
        self.beside_rss = self.beside_rss.max(reading.shmem + upper_hugetlb);
        let highest_plain = plain.max(plain_before);
        let touched = touched_between(&previous, &reading);
        let in_window = match mark {
            Some(mark) if reading.reclaims > previous.reclaims => {
                let beside = previous.kernel.max(reading.kernel);
                let likely = mark.saturating_sub(beside).min(touched).max(highest_plain);
                self.likely_upper_of_reclaimed = self.likely_upper_of_reclaimed.max(likely + files_bytes);
                0
            }
            Some(mark) => GroupReading::risen_between(&previous, &reading, mark).min(touched),
            None => 0,
        };
        let (bytes, window_hugetlb, time, holders, awaits_sample) = if in_window > highest_plain {
            // Processes that ended in the window are in the sample before it alone.
            let nearer = if holders.total() >= holders_before.total() { holders } else { holders_before };
            let more = if hugetlb.bytes >= hugetlb_before.bytes { hugetlb } else { hugetlb_before };
            (in_window, more, PeakTime::Between(before, at), nearer, !is_sample)
        } else if plain + hugetlb.bytes >= plain_before + hugetlb_before.bytes {
            (plain, hugetlb, PeakTime::At(at, reading), holders, !is_sample)
        } else {
            (plain_before, hugetlb_before, PeakTime::At(before, previous), holders_before, false)
        };
        let window = HighWindow {
            bytes,
            hugetlb: window_hugetlb,
            files_bytes,
            programs,
            time,
            holders,
            awaits_sample,
            stands: is_as_high(plain, bytes),
        };
        let total = window.total();
        replace_if_higher(&mut self.best_if_shared, window.clone(), HighWindow::total_if_shared);
        replace_if_higher(&mut self.best, window, HighWindow::total);
        for window in [&mut self.best, &mut self.best_if_shared].into_iter().flatten() {
            window.stands &= is_as_high(plain, window.bytes);
        }
        MemoryNow { now: plain + hugetlb.bytes + self.files_bytes, highest: total }
    }

    /// Adds a reading between two samples, at which the members are taken to be those of the sample before.
    pub(crate) fn add_between_samples(&mut self, at: Duration, reading: GroupReading) -> MemoryNow {
        self.add_reading(at, reading, None)
    }

    /// Returns a member whose files are worth being read one by one: what programs share decides the memory of the job.
    pub(crate) fn next_files_to_read(&self, lives: impl Fn(MemberId) -> bool) -> Option<MemberId> {
        let (_, reading) = self.previous?;
        let total = reading.anon_and_shmem() + self.files_bytes;
        // All but the largest program may map nothing of their own.
        let in_doubt = self.files_bytes.saturating_sub(largest(&self.files.programs));
        (in_doubt > total / DOUBT_DIVISOR)
            .then(|| self.known_files.next_to_read(&self.files.programs, lives))
            .flatten()
    }

    /// Adds the files of a member that was read one by one, `None` if they cannot be read.
    pub(crate) fn add_files(&mut self, id: MemberId, files: Option<Vec<MappedFile>>) {
        let Some(program) = self.files.programs.iter().find(|program| program.id == id) else { return };
        self.known_files.add(program, files);
        self.files_bytes = self.known_files.bytes(&self.files.programs);
        for window in [&mut self.best, &mut self.best_if_shared].into_iter().flatten() {
            window.files_bytes = self.known_files.bytes(&window.programs);
        }
    }

    /// Compares the last reading with the most that one member mapped then, files left out.
    ///
    /// More than the charge is memory that the member maps several times, which RSS counts each time, or that is charged to
    /// another group.
    pub(crate) fn compare_with_member(&mut self, mapped: u64) {
        let charge = self.previous.map_or(u64::MAX, |(_, reading)| reading.anon_and_shmem());
        self.maps_beyond_charge |= is_beyond(mapped, charge);
    }

    /// Returns the peak; `None` without a reading. `highest_mark` is the highest mark of one process, `pass` the most that a
    /// pass over PSS has seen.
    ///
    /// The job held at least that mark, unless it is beyond what the group can have held, and memory was seen that the group
    /// is not charged for. PSS tells what is mapped several times from what is charged to another group.
    ///
    /// `rss_upper` is the most that the sum of RSS can have been, if every process ended with a final mark. A window's mark
    /// beyond that is memory that was given back, or page cache.
    pub(crate) fn peak(
        &self,
        highest_mark: u64,
        pass: Option<u64>,
        rss_upper: Option<u64>,
    ) -> Option<PeakMemory> {
        let best = self.best()?;
        let is_within_group = !self.maps_beyond_charge || !is_beyond(highest_mark, self.upper);
        let proved =
            if is_within_group { highest_mark } else { highest_mark.min(pass.unwrap_or(highest_mark)) };
        let lower_bytes = self.lower.max(proved);
        let mapped_at_most = rss_upper.map_or(u64::MAX, |rss| rss.saturating_add(self.beside_rss));
        let bytes = best.total().min(mapped_at_most).max(lower_bytes);
        let (at_seconds, between_seconds, anon, shmem) = match best.time {
            PeakTime::At(at, reading) => {
                (Some(rounded_seconds(at)), None, Some(reading.anon), Some(reading.shmem))
            }
            PeakTime::Between(from, to) => (None, Some([from, to].map(rounded_seconds)), None, None),
        };
        let is_uncertain =
            self.likely_upper_of_reclaimed > bytes.saturating_add(bytes / RECLAIM_TOLERANCE_DIVISOR);
        Some(PeakMemory {
            bytes,
            lower_bytes,
            upper_bytes: self.upper.max(bytes).max(highest_mark),
            // One process at one instant; a reading of the group lags behind on some kernels.
            lower_rigorous: is_within_group && highest_mark >= self.lower,
            // The files of processes that lived between two readings are not in it.
            upper_rigorous: false,
            certainty: if is_uncertain { Certainty::AtLeast } else { Certainty::Bounded },
            source: MemorySource::Cgroup,
            at_seconds,
            between_seconds,
            parts: MemoryParts {
                anon_bytes: anon,
                shmem_bytes: shmem,
                file_bytes: Some(best.files_bytes),
                hugetlb_bytes: best.hugetlb.known_bytes(),
            },
            holders: None,
        })
    }

    /// Returns the members at the peak.
    pub(crate) fn holders(&self) -> Option<Arc<SampleHolders>> {
        self.best().map(|best| Arc::clone(&best.holders))
    }

    fn best(&self) -> Option<&HighWindow> {
        [&self.best, &self.best_if_shared].into_iter().flatten().max_by_key(|best| best.total())
    }
}

/// Replaces a window by a higher one. On one plateau the members of the sample that showed most of them are kept.
fn replace_if_higher(
    best: &mut Option<HighWindow>,
    mut window: HighWindow,
    total: impl Fn(&HighWindow) -> u64,
) {
    if let Some(best) = best {
        if total(&window) <= total(best) {
            return;
        }
        if best.stands && is_as_high(best.bytes, window.bytes) {
            window.see_holders(&best.holders);
        }
    }
    *best = Some(window);
}

/// Returns whether a reading is as high as another, within what readings of one plateau differ by.
fn is_as_high(bytes: u64, other: u64) -> bool {
    bytes + bytes / SAME_HEIGHT_DIVISOR >= other
}

/// Returns whether an amount exceeds what a group was charged by more than counters lag behind.
fn is_beyond(bytes: u64, charge: u64) -> bool {
    bytes > charge.saturating_add(charge / DOUBT_DIVISOR).saturating_add(MAX_COUNTER_LAG_BYTES)
}

/// Returns the most memory that processes can have held between two readings, by what they touched.
fn touched_between(before: &GroupReading, after: &GroupReading) -> u64 {
    let touched = after.faulted_in.saturating_sub(before.faulted_in).saturating_add(after.faulted_in_late);
    before.anon_and_shmem().saturating_add(touched)
}

#[cfg(test)]
mod tests;
