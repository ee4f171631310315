//! The peak of a job's memory without a group: from passes over PSS, and from RSS between them.
//!
//! PSS counts each page once, but a pass is expensive and has no high-water mark. The memory of a sample is estimated as
//! that of the nearest passes and the rise since, or down to them. A child between fork and exec counts by its rise since
//! birth, as it shares the pages of its parent. Files and shared memory count once for all members of one program.

use std::{sync::Arc, time::Duration};

use super::{HugetlbPages, MemoryNow, SampleHolders};
use crate::{
    job::moment::rounded_seconds,
    record::{Certainty, MemoryParts, MemorySource, PeakInterval, PeakMemory},
};

/// The highest memory of all samples so far.
#[derive(Debug, Default)]
pub(crate) struct SampledPeak {
    last: SampledMemory,
    last_pass: Option<Pass>,
    /// The members of the last sample.
    last_holders: Arc<SampleHolders>,
    /// The highest sample since the last pass.
    pending: Option<Pending>,
    best: Option<Height>,
    /// The most that members may have held in pages of hugetlbfs.
    hugetlb_upper: u64,
    /// The most that members mapped of files; `None`: unknown.
    files_upper: Option<u64>,
    /// The highest memory that a pass proves.
    highest_pass: u64,
}

/// The memory of a sample by the RSS of its members, in bytes. Children that have not exec'ed count by their rise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct SampledMemory {
    /// The sum.
    pub(crate) rss: u64,
    /// The sum in which such children count in full, too.
    pub(crate) whole: u64,
    /// The same, with files and shared memory once for all members of one program.
    pub(crate) once: u64,
    /// Pages that no RSS counts.
    pub(crate) hugetlb: HugetlbPages,
    /// The sum of the files of all members; `None` if this sample did not read them.
    pub(crate) files: Option<u64>,
}

/// A pass over PSS, and the sample beside it.
#[derive(Debug, Clone, Copy)]
struct Pass {
    pss: u64,
    beside: SampledMemory,
}

impl Pass {
    /// Returns an estimate for a sample, without pages of hugetlbfs.
    fn at(self, memory: SampledMemory) -> u64 {
        let risen = memory.once.saturating_sub(self.beside.once);
        // Children that have not exec'ed may hold copies of what they shared (`wp_page_copy`, mm/memory.c).
        let copied = self.pss.saturating_sub(self.beside.rss);
        (self.pss + risen).min(memory.rss + copied).min(memory.whole)
    }
}

/// Memory at one moment, in bytes.
#[derive(Debug, Clone)]
struct Height {
    at: Duration,
    bytes: u64,
    holders: Arc<SampleHolders>,
}

/// A sample that no pass has come after yet.
#[derive(Debug, Clone)]
struct Pending {
    at: Duration,
    memory: SampledMemory,
    holders: Arc<SampleHolders>,
}

impl Pending {
    fn height(&self, bytes: u64) -> Height {
        Height { at: self.at, bytes, holders: Arc::clone(&self.holders) }
    }
}

impl SampledPeak {
    /// Adds a sample. Returns the best estimate for it, by the last pass.
    pub(crate) fn add(
        &mut self,
        at: Duration,
        memory: SampledMemory,
        holders: Arc<SampleHolders>,
    ) -> MemoryNow {
        (self.last, self.last_holders) = (memory, Arc::clone(&holders));
        self.hugetlb_upper = self.hugetlb_upper.max(memory.hugetlb.upper);
        self.files_upper = self.files_upper.max(memory.files);
        let height = |memory: &SampledMemory| memory.once + memory.hugetlb.bytes;
        if self.pending.as_ref().is_none_or(|highest| height(&memory) > height(&highest.memory)) {
            self.pending = Some(Pending { at, memory, holders });
        }
        let now = self.estimate(memory);
        MemoryNow { now, highest: now }
    }

    /// Adds a pass over the members, after the sample that it was made beside. `read_pss` is the sum of those that could be
    /// read, `unread` what the others add to the job by their RSS. They may share it, so it is no evidence of more than the
    /// sample shows.
    pub(crate) fn add_pass(&mut self, at: Duration, read_pss: u64, unread: u64) {
        if read_pss == 0 && unread > 0 {
            return;
        }
        let pss = (read_pss + unread).min(self.last.once).max(read_pss);
        self.judge_by(at, pss);
        self.highest_pass = self.highest_pass.max(read_pss + self.last.hugetlb.lower);
    }

    /// Adds what a group was charged for the members, at the last sample. It raises no lower end, as other processes may have
    /// come and gone.
    pub(crate) fn add_charge(&mut self, at: Duration, bytes: u64) {
        self.judge_by(at, bytes.min(self.last.whole));
    }

    /// Takes the samples since the last pass for what a new one makes of them.
    fn judge_by(&mut self, at: Duration, pss: u64) {
        let latest = Pass { pss, beside: self.last };
        if let Some(pending) = self.pending.take() {
            let by_latest = latest.at(pending.memory) + pending.memory.hugetlb.bytes;
            let bytes = by_latest.min(self.estimate(pending.memory));
            raise(&mut self.best, pending.height(bytes));
        }
        let hugetlb = self.last.hugetlb;
        let bytes = pss + hugetlb.bytes;
        raise(&mut self.best, Height { at, bytes, holders: Arc::clone(&self.last_holders) });
        self.last_pass = Some(latest);
    }

    /// Adds what a pass proves, even if it does not count as a whole: the job held at least so many bytes.
    pub(crate) fn add_lower_bound(&mut self, bytes: u64) {
        self.highest_pass = self.highest_pass.max(bytes);
    }

    /// Returns the peak. `highest_mark` is the highest mark of one process, `rss` the peak of the sum of RSS.
    /// `charge_with_others` is the highest charge of a group that the job shares with others.
    pub(crate) fn peak(
        &self,
        highest_mark: u64,
        rss: &PeakInterval,
        charge_with_others: Option<u64>,
    ) -> PeakMemory {
        let best = self.best();
        let upper_by_rss = rss.upper_bytes + self.hugetlb_upper;
        let lower_bytes = highest_mark.max(self.highest_pass).min(upper_by_rss);
        // Files may be charged to the group that read them first. What the job maps beyond that is charged elsewhere, so the
        // group bounds nothing.
        let upper_by_charge = charge_with_others
            .zip(self.files_upper)
            .map(|(charge, files)| charge + files + self.hugetlb_upper)
            .filter(|&upper| (lower_bytes..upper_by_rss).contains(&upper));
        let upper_bytes = upper_by_charge.unwrap_or(upper_by_rss);
        let upper_rigorous = rss.upper_rigorous && upper_by_charge.is_none();
        // A job that ended before it was read well has an upper end alone.
        let is_at_most = rss.certainty == Certainty::AtMost;
        let sampled = best.as_ref().filter(|best| best.bytes >= lower_bytes && !is_at_most);
        let bytes = match sampled {
            _ if is_at_most => upper_bytes,
            Some(best) => best.bytes.min(upper_bytes),
            None => lower_bytes,
        };
        let lower_rigorous = highest_mark >= self.highest_pass && rss.lower_rigorous;
        let is_exact = lower_rigorous && upper_rigorous && lower_bytes == upper_bytes;
        PeakMemory {
            bytes,
            lower_bytes,
            upper_bytes,
            lower_rigorous,
            upper_rigorous,
            certainty: match () {
                () if is_exact => Certainty::Exact,
                () if is_at_most => Certainty::AtMost,
                () => Certainty::Bounded,
            },
            source: if self.last_pass.is_some() { MemorySource::Pss } else { MemorySource::Rss },
            at_seconds: sampled.map(|best| rounded_seconds(best.at)),
            between_seconds: None,
            parts: MemoryParts::default(),
            holders: None,
        }
    }

    /// Returns the members at the peak.
    pub(crate) fn holders(&self) -> Option<Arc<SampleHolders>> {
        self.best().map(|best| best.holders)
    }

    fn best(&self) -> Option<Height> {
        let mut best = self.best.clone();
        if let Some(pending) = &self.pending {
            raise(&mut best, pending.height(self.estimate(pending.memory)));
        }
        best
    }

    /// Returns the memory of a sample, by the last pass.
    fn estimate(&self, memory: SampledMemory) -> u64 {
        self.last_pass.map_or(memory.once, |pass| pass.at(memory)) + memory.hugetlb.bytes
    }
}

fn raise(highest: &mut Option<Height>, height: Height) {
    if highest.as_ref().is_none_or(|highest| height.bytes > highest.bytes) {
        *highest = Some(height);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn memory(rss: u64, once: u64, whole: u64) -> SampledMemory {
        SampledMemory { rss, whole, once, ..SampledMemory::default() }
    }

    /// Returns a sample in which nothing is shared.
    fn private(bytes: u64) -> SampledMemory {
        memory(bytes, bytes, bytes)
    }

    /// Returns lower end, best estimate and upper end.
    fn ends(peak: &SampledPeak, highest_mark: u64, upper_bytes: u64) -> [u64; 3] {
        let peak = figure(peak, highest_mark, upper_bytes);
        [peak.lower_bytes, peak.bytes, peak.upper_bytes]
    }

    fn figure(peak: &SampledPeak, highest_mark: u64, upper_bytes: u64) -> PeakMemory {
        let rss = PeakInterval {
            bytes: upper_bytes,
            lower_bytes: highest_mark,
            upper_bytes,
            lower_rigorous: true,
            upper_rigorous: true,
            slack_bytes: None,
            certainty: Certainty::Bounded,
            at_seconds: None,
            between_seconds: None,
        };
        peak.peak(highest_mark, &rss, None)
    }

    #[test]
    fn the_time_of_a_pass_that_is_the_lower_end_is_known() {
        let mut peak = SampledPeak::default();
        peak.add(ms(10), private(1000), Arc::default());
        peak.add_pass(ms(11), 360, 0);
        assert_eq!(figure(&peak, 200, 1000).at_seconds, Some(0.01), "that of the sample before it");
        assert_eq!(figure(&peak, 400, 1000).at_seconds, None, "a mark has no time");
    }

    #[test]
    fn workers_that_share_pages_count_them_once() {
        let mut peak = SampledPeak::default();
        peak.add(ms(0), private(200), Arc::default());
        peak.add(ms(10), private(1000), Arc::default());
        peak.add_pass(ms(11), 360, 0);
        assert_eq!(ends(&peak, 200, 1000), [360, 360, 1000]);
        peak.add(ms(20), private(1100), Arc::default());
        assert_eq!(ends(&peak, 200, 1100), [360, 460, 1100]);
    }

    #[test]
    fn shared_memory_counts_once_before_any_pass() {
        let mut peak = SampledPeak::default();
        peak.add(ms(0), memory(3600, 410, 3600), Arc::default());
        assert_eq!(ends(&peak, 402, 3600), [402, 410, 3600]);
        // Two segments of one program were taken for one.
        peak.add_pass(ms(1), 800, 0);
        assert_eq!(ends(&peak, 402, 3600), [800, 800, 3600]);
        peak.add(ms(2), memory(3700, 510, 3700), Arc::default());
        assert_eq!(ends(&peak, 402, 3700), [800, 900, 3700]);
    }

    #[test]
    fn members_that_cannot_be_read_raise_no_lower_end() {
        let mut peak = SampledPeak::default();
        // Seven processes of one program share 100.
        let shared = SampledMemory { rss: 740, whole: 740, once: 108, ..SampledMemory::default() };
        peak.add(ms(0), shared, Arc::default());
        peak.add_pass(ms(1), 0, 740);
        assert_eq!(ends(&peak, 106, 740), [106, 108, 740], "none was read");
        peak.add_pass(ms(2), 60, 400);
        assert_eq!(ends(&peak, 106, 740), [106, 108, 740]);
        peak.add_pass(ms(3), 150, 400);
        assert_eq!(ends(&peak, 106, 740), [150, 150, 740], "those that were read hold more");
    }

    #[test]
    fn a_pass_that_does_not_count_proves_something() {
        let mut peak = SampledPeak::default();
        // Workers have replaced the pages that they had from their parent, which RSS does not show.
        peak.add(ms(0), private(73), Arc::default());
        peak.add_lower_bound(376);
        assert_eq!(ends(&peak, 70, 630), [376, 376, 630]);
        peak.add_lower_bound(241);
        assert_eq!(ends(&peak, 70, 630), [376, 376, 630]);
    }

    #[test]
    fn a_fall_of_rss_adds_nothing() {
        let mut peak = SampledPeak::default();
        peak.add(ms(0), private(1000), Arc::default());
        peak.add_pass(ms(1), 360, 0);
        peak.add(ms(2), private(800), Arc::default());
        assert_eq!(ends(&peak, 100, 1000), [360, 360, 1000]);
        peak.add(ms(3), private(200), Arc::default());
        peak.add(ms(4), private(300), Arc::default());
        assert_eq!(ends(&peak, 100, 1000), [360, 360, 1000]);
    }

    #[test]
    fn a_sample_before_a_pass_is_judged_by_the_nearer_one() {
        let mut peak = SampledPeak::default();
        peak.add(ms(0), private(200), Arc::default());
        peak.add_pass(ms(1), 200, 0);
        // Four workers share 200; each has 10 of its own.
        peak.add(ms(2), private(1040), Arc::default());
        peak.add_pass(ms(3), 240, 0);
        assert_eq!(ends(&peak, 200, 1040), [240, 240, 1040]);
    }

    #[test]
    fn copies_of_children_that_have_not_exec_ed_count_once_a_pass_has_seen_them() {
        let mut peak = SampledPeak::default();
        let workers = |rise: u64, count: u64| {
            let whole = 150 + count * (150 + rise);
            memory(150 + count * rise, 150 + count * rise, whole)
        };
        peak.add(ms(0), workers(0, 4), Arc::default());
        peak.add_pass(ms(1), 150, 0);
        // Each of the four has written to all that it inherited: no RSS has moved.
        peak.add_pass(ms(2), 750, 0);
        assert_eq!(peak.add(ms(3), workers(0, 4), Arc::default()).now, 750);
        assert_eq!(peak.add(ms(4), workers(10, 4), Arc::default()).now, 790);
        assert_eq!(ends(&peak, 160, 790), [750, 790, 790]);
        assert_eq!(peak.add(ms(5), workers(0, 0), Arc::default()).now, 150, "they have ended");
    }

    #[test]
    fn huge_pages_come_on_top_of_what_rss_counts() {
        let mut peak = SampledPeak::default();
        let huge = HugetlbPages { lower: 40, bytes: 50, upper: 80, unread: 0 };
        peak.add(ms(0), SampledMemory { hugetlb: huge, ..private(11) }, Arc::default());
        assert_eq!(ends(&peak, 11, 11), [11, 61, 91]);
        peak.add_pass(ms(1), 10, 0);
        assert_eq!(ends(&peak, 11, 11), [50, 60, 91]);
    }

    #[test]
    fn members_that_refuse_their_pss_are_no_lower_end() {
        let mut peak = SampledPeak::default();
        // Three children share the 201 MiB of their parent, and none of them may be read.
        peak.add(ms(0), memory(201, 201, 804), Arc::default());
        peak.add_pass(ms(1), 0, 201);
        assert_eq!(ends(&peak, 190, 804), [190, 201, 804]);
    }

    #[test]
    fn a_job_with_an_upper_end_alone_has_no_estimate() {
        let mut peak = SampledPeak::default();
        peak.add(ms(0), private(12), Arc::default());
        let rss = PeakInterval {
            bytes: 3700,
            lower_bytes: 12,
            upper_bytes: 3700,
            lower_rigorous: true,
            upper_rigorous: true,
            slack_bytes: None,
            certainty: Certainty::AtMost,
            at_seconds: None,
            between_seconds: None,
        };
        let peak = peak.peak(12, &rss, None);
        assert_eq!((peak.bytes, peak.certainty), (3700, Certainty::AtMost));
    }

    #[test]
    fn the_charge_of_a_shared_group_bounds_the_job() {
        let rss = PeakInterval {
            bytes: 3600,
            lower_bytes: 402,
            upper_bytes: 3600,
            lower_rigorous: true,
            upper_rigorous: true,
            slack_bytes: None,
            certainty: Certainty::Bounded,
            at_seconds: None,
            between_seconds: None,
        };
        let mut peak = SampledPeak::default();
        peak.add(ms(0), memory(3600, 3500, 3600), Arc::default());
        let ends = |peak: &SampledPeak, charge| {
            let peak = peak.peak(402, &rss, charge);
            ([peak.lower_bytes, peak.bytes, peak.upper_bytes], peak.upper_rigorous)
        };
        assert_eq!(ends(&peak, Some(410)), ([402, 3500, 3600], true), "the files beside it are not known");
        peak.add(ms(1), SampledMemory { files: Some(20), ..memory(3600, 3500, 3600) }, Arc::default());
        assert_eq!(ends(&peak, None), ([402, 3500, 3600], true));
        assert_eq!(ends(&peak, Some(410)), ([402, 430, 430], false), "nothing above it was in RAM");
        assert_eq!(ends(&peak, Some(3590)), ([402, 3500, 3600], true), "others hold more than the job");
        assert_eq!(ends(&peak, Some(300)), ([402, 3500, 3600], true), "the job is charged elsewhere");
        peak.add_charge(ms(1), 405);
        assert_eq!(ends(&peak, None), ([402, 405, 3600], true), "as good as a pass, and no lower end");
    }

    #[test]
    fn one_process_is_as_sure_as_its_mark() {
        let mut peak = SampledPeak::default();
        peak.add(ms(0), private(150), Arc::default());
        assert_eq!(ends(&peak, 200, 200), [200, 200, 200]);
    }
}
