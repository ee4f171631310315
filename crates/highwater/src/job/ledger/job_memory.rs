//! The memory of the job with each page counted once: from its group, from passes over PSS, and from samples.

use std::{collections::HashMap, sync::Arc, time::Duration};

use super::{KernelTotals, Ledger, PssPass, own_share::InheritedMemory};
use crate::job::{
    events::{MemoryReading, Sample},
    group_memory::GroupReading,
    identity::MemberId,
    limits::StallReadings,
    mapped_files::{MappedFile, MappedFiles, shared_of_programs},
    peak_memory::{HugetlbPages, MemoryNow, SampleHolders, SampledMemory},
};

impl Ledger {
    /// Returns the memory of the job since the sample before the last, each page counted once; `None` if no source beside
    /// its processes reported it.
    pub(crate) fn last_group_memory(&self) -> Option<u64> {
        self.last.group_memory
    }

    /// Returns the memory of the job in the last sample, each page counted once; `None` if it is not known.
    pub(crate) fn last_memory(&self) -> Option<u64> {
        self.last.memory
    }

    /// Returns the pages of hugetlbfs that one member held in the last sample: no reading of RSS, PSS or a group counts them.
    pub(crate) fn last_hugetlb(&self) -> u64 {
        self.last.hugetlb
    }

    /// Returns the best estimate of that memory's peak so far.
    pub(crate) fn memory_peak_so_far(&self) -> Option<u64> {
        let rss = self.estimate.interval(false);
        self.peak_memory(rss.as_ref(), &KernelTotals::default()).map(|memory| memory.bytes)
    }

    /// Returns the memory of the parent of a member that is first read now.
    pub(super) fn inherited_memory(&self, id: MemberId) -> Option<InheritedMemory> {
        let member = self.living.get(&id).filter(|member| member.needs_inherited())?;
        self.living.get(&member.parent?)?.memory_to_inherit()
    }

    /// Returns the pages of hugetlbfs that the members of a sample hold.
    pub(super) fn hugetlb_pages(&self, sample: &Sample<'_>) -> HugetlbPages {
        let own = sample.readings.iter().filter(|reading| !reading.shares_map);
        let members = own.filter_map(|reading| self.living.get(&reading.id));
        let unread = members.clone().filter(|member| member.hugetlb.is_none()).count() as u64;
        let known = members.filter_map(|member| Some((&*member.name, member.hugetlb?)));
        HugetlbPages {
            lower: known.clone().map(|(_, bytes)| bytes).max().unwrap_or_default(),
            bytes: shared_of_programs(known.clone()),
            upper: known.map(|(_, bytes)| bytes).sum(),
            unread,
        }
    }

    /// Returns the swap that the members hold at least. A page in swap that fork(2) shares stands in each of them
    /// (`copy_nonpresent_pte`, mm/memory.c), so of a process and its copies the largest counts.
    pub(super) fn swap_of_families(&self, sample: &Sample<'_>) -> Option<u64> {
        let own = sample.readings.iter().filter(|reading| !reading.shares_map);
        let total: u64 = own.clone().map(|reading| reading.swap).sum::<Option<u64>>()?;
        if total == 0 {
            return (!sample.readings.is_empty()).then_some(0);
        }
        let mut families: HashMap<MemberId, u64> = HashMap::new();
        for (swap, member) in own.filter_map(|reading| Some((reading.swap?, self.living.get(&reading.id)?))) {
            let most = families.entry(member.family).or_default();
            *most = swap.max(*most);
        }
        Some(families.values().sum())
    }

    /// Returns the memory of a sample by the RSS of its members. It is read in two ways only where no group tells it.
    pub(super) fn sampled_memory(&self, sample: &Sample<'_>, hugetlb: HugetlbPages) -> SampledMemory {
        let members =
            sample.readings.iter().filter_map(|reading| Some((reading, self.living.get(&reading.id)?)));
        let rss = members.clone().map(|(reading, member)| member.added_bytes(reading)).sum();
        let whole = members.clone().map(|(reading, _)| reading).filter(|reading| !reading.shares_map);
        let whole = whole.map(|reading| reading.rss).sum();
        if sample.group.is_some() {
            return SampledMemory { rss, once: rss, whole, hugetlb, files: None };
        }
        let files = |reading: &MemoryReading| reading.file.unwrap_or(reading.shared);
        let own = sample.readings.iter().filter(|reading| sample.marks && !reading.shares_map);
        let files = own.map(files).reduce(|one, other| one + other);
        let anon: u64 = members.clone().map(|(reading, member)| member.added_anon_bytes(reading)).sum();
        let own = members.filter(|(reading, _)| !reading.shares_map);
        let shared = shared_of_programs(own.map(|(reading, member)| (&*member.name, reading.shared)));
        SampledMemory { rss, once: rss.min(anon + shared), whole, hugetlb, files }
    }

    /// Adds the memory of the job as a whole. The files that members map are read only together with the marks.
    pub(super) fn add_group(
        &mut self,
        sample: &Sample<'_>,
        holders: Arc<SampleHolders>,
        hugetlb: HugetlbPages,
    ) -> Option<MemoryNow> {
        let reading = sample.group?;
        let living = &self.living;
        let name = |id| living.get(&id).map(|member| &member.name);
        let new_files = sample.marks.then(|| MappedFiles::of(sample.readings, name));
        let now = self.group_peak.add(sample.at, reading, new_files, holders, hugetlb);
        let own = sample.readings.iter().filter(|reading| !reading.shares_map);
        if let Some(mapped) = own.filter_map(|reading| reading.rss.checked_sub(reading.file?)).max() {
            self.group_peak.compare_with_member(mapped);
        }
        Some(now)
    }

    /// Adds a reading of the group between two samples.
    pub(crate) fn group_between_samples(&mut self, at: Duration, reading: GroupReading) {
        let memory = self.group_peak.add_between_samples(at, reading);
        self.last.group_memory = Some(memory.highest);
        self.last.memory = Some(memory.now);
        self.timeline.memory_between_samples(memory);
        self.add_swap(at, reading.swap);
    }

    /// Returns a member whose files are worth being read one by one.
    pub(crate) fn next_files_to_read(&self) -> Option<MemberId> {
        self.last.group_memory?;
        self.group_peak.next_files_to_read(|id| self.living.contains_key(&id))
    }

    /// Adds the files of a member, `None` if they cannot be read.
    pub(crate) fn add_files(&mut self, id: MemberId, files: Option<Vec<MappedFile>>) {
        self.group_peak.add_files(id, files);
    }

    /// Adds a pass over all members' PSS.
    pub(crate) fn pss(&mut self, pass: PssPass) {
        let unread = pass.unread.iter().filter_map(|id| self.living.get(id));
        let anon: u64 = unread.clone().map(|member| member.own_share.added_anon()).sum();
        let unread =
            anon + shared_of_programs(unread.map(|member| (&*member.name, member.own_share.shared())));
        self.sampled_peak.add_pass(pass.at, pass.memory_bytes(), unread);
        // A first pass is kept even if it read no process: its reason is reported.
        if self.pss.as_ref().is_none_or(|best| pass.bytes > best.bytes) {
            self.pss = Some(pass);
        }
    }

    /// Adds what a group was charged for the job, beside files, at a sample that read the files of all members.
    pub(crate) fn charged(&mut self, sample: &Sample<'_>, bytes: u64) {
        let own = || sample.readings.iter().filter(|reading| !reading.shares_map);
        // A member with more is charged elsewhere, or another process has freed memory.
        if own().any(|reading| reading.rss.saturating_sub(reading.shared) > bytes) {
            return;
        }
        let files = own().filter_map(|reading| Some((&*self.living.get(&reading.id)?.name, reading.file?)));
        let files = shared_of_programs(files);
        self.sampled_peak.add_charge(sample.at, bytes + files);
    }

    /// Adds the PSS that the whole job held at least, by a pass that may be void.
    pub(crate) fn pss_at_least(&mut self, bytes: u64) {
        self.sampled_peak.add_lower_bound(bytes);
    }

    /// Adds what the second judge of limits has read, `at` that time, while no sample could be taken.
    pub(crate) fn stalled(&mut self, at: Duration, read: StallReadings) {
        self.estimate.add_stall(at, read.total_rss, read.largest_rss);
    }

    /// Counts a pass that is void because members started, exec'ed or exited during it.
    pub(crate) fn pss_disturbed(&mut self) {
        self.pss_disturbed += 1;
    }
}
