//! The memory that a process adds to its job. Between fork and exec a child shares the rest with its parent.

use crate::job::events::MemoryReading;

/// Memory of a parent when its child was first read, in bytes: the child was born with that at most.
#[derive(Debug, Clone, Copy)]
pub(super) struct InheritedMemory {
    /// Highest RSS.
    pub(super) rss: u64,
    /// Anonymous memory.
    pub(super) anon: u64,
    /// Files and shared memory.
    pub(super) shared: u64,
}

/// The readings of one process, in bytes. A *copy* is a process that has not exec'ed since its fork.
#[derive(Debug, Default)]
pub(super) struct OwnShare {
    /// Its high-water mark when it was first read.
    born_with: Option<u64>,
    /// Memory that it shared with its parent then, if it was a copy.
    inherited: Option<InheritedMemory>,
    /// Its anonymous memory in the first reading.
    born_anon: Option<u64>,
    /// Its anonymous memory in the last reading.
    anon: u64,
    /// The most that its anonymous memory rose above that of its first reading.
    anon_rise: u64,
    /// The same before the last reading.
    anon_rise_before: u64,
    /// Files and shared memory of its parent, if they are known: a copy maps few of them at first, and more as it runs.
    parent_shared: Option<u64>,
    /// Anonymous memory that it added to the job then.
    added_anon: u64,
    /// Its files and shared memory then.
    shared: u64,
}

impl OwnShare {
    /// Adds a reading. `parent` is what the parent of a copy holds, if that lives and [is needed](Self::has_inherited).
    pub(super) fn read(&mut self, reading: &MemoryReading, is_copy: bool, parent: Option<InheritedMemory>) {
        if reading.shares_map {
            (self.added_anon, self.shared) = (0, 0);
            return;
        }
        let first_mark = *self.born_with.get_or_insert(reading.mark.unwrap_or(reading.rss));
        self.anon = anon_bytes(reading);
        let born_anon = *self.born_anon.get_or_insert(self.anon);
        self.anon_rise_before = self.anon_rise;
        self.anon_rise = self.anon_rise.max(self.anon.saturating_sub(born_anon));
        if is_copy && self.inherited.is_none() {
            self.parent_shared = parent.map(|parent| parent.shared);
            // A child that is first read once it has grown was born with less than it has then.
            let own = InheritedMemory { rss: first_mark, anon: self.anon, shared: reading.shared };
            self.inherited = Some(parent.map_or(own, |parent| InheritedMemory {
                rss: parent.rss.min(own.rss),
                anon: parent.anon.min(own.anon),
                shared: parent.shared.min(own.shared),
            }));
        }
        (self.added_anon, self.shared) = (self.added_anon_bytes(reading, is_copy), reading.shared);
    }

    /// Returns whether it is known what a copy shares with its parent.
    pub(super) fn has_inherited(&self) -> bool {
        self.inherited.is_some()
    }

    /// Returns whether a copy that held `highest` bytes has grown beyond what fork(2) gave it.
    pub(super) fn has_grown(&self, highest: u64) -> bool {
        self.is_beyond_birth(highest, self.anon_rise)
    }

    /// Returns the same without the last reading, before which it held `highest` bytes.
    pub(super) fn had_grown_before(&self, highest: u64) -> bool {
        self.is_beyond_birth(highest, self.anon_rise_before)
    }

    /// fork(2) leaves files out of the copy (`vma_needs_copy`, mm/memory.c), so those of the parent come back as it runs. Where
    /// these are not known, all of a rise counts: the process has a further image then, and its peak is "at least".
    fn is_beyond_birth(&self, highest: u64, anon_rise: u64) -> bool {
        // Nothing was read of it.
        let Some(born_with) = self.born_with else { return false };
        let tolerance = copy_tolerance_bytes(born_with);
        let with_files = self.parent_shared.map_or(born_with, |shared| born_with.saturating_add(shared));
        anon_rise > tolerance || highest > with_files.saturating_add(tolerance)
    }

    /// Returns the most that a copy may have shared with its parent.
    pub(super) fn inherited_rss(&self) -> Option<u64> {
        self.inherited.map(|inherited| inherited.rss).or(self.born_with)
    }

    /// Returns the anonymous memory in the last reading.
    pub(super) fn anon(&self) -> u64 {
        self.anon
    }

    /// Returns the anonymous memory that it added to the job in the last reading.
    pub(super) fn added_anon(&self) -> u64 {
        self.added_anon
    }

    /// Returns its files and shared memory in the last reading.
    pub(super) fn shared(&self) -> u64 {
        self.shared
    }

    /// Returns the memory that it adds to the job in a reading: a copy's rise since birth.
    pub(super) fn added_bytes(&self, reading: &MemoryReading, is_copy: bool) -> u64 {
        match self.inherited {
            _ if reading.shares_map => 0,
            Some(inherited) if is_copy => reading.rss.saturating_sub(inherited.rss),
            _ => reading.rss,
        }
    }

    /// Returns the anonymous memory that it adds to the job in a reading, as [`Self::added_bytes`] does.
    pub(super) fn added_anon_bytes(&self, reading: &MemoryReading, is_copy: bool) -> u64 {
        let anon = anon_bytes(reading);
        match self.inherited {
            _ if reading.shares_map => 0,
            Some(inherited) if is_copy => anon.saturating_sub(inherited.anon),
            _ => anon,
        }
    }
}

/// Returns how much a copy of `born_with` bytes may grow and still count as its parent's pages: a child touches few pages
/// between fork and exec. Counters are batched by processor.
fn copy_tolerance_bytes(born_with: u64) -> u64 {
    born_with / 64 + (256 << 10)
}

fn anon_bytes(reading: &MemoryReading) -> u64 {
    reading.rss.saturating_sub(reading.shared)
}
