//! One member of the job, as the ledger knows it, and its row.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{
    groups::{LedgerGroups, Membership},
    image_peak::{ImagePeak, add_image},
    own_share::{InheritedMemory, OwnShare},
    usage_account::UsageAccount,
};
use crate::{
    job::{
        estimate::{ImageWindow, UnreadImage},
        events::{LastMark, MemoryReading},
        identity::{MemberId, ProgramName},
        moment::Moment,
        moment::rounded_seconds,
        resource_use::UsageWanted,
    },
    record::{Certainty, Image, PeakSource, Process, ProcessExit, ProcessPeak, ProcessPeaks, Timestamp},
};

/// Longest life without an exec after which a process may have exec'ed unseen. One that lives longer is a worker. It is
/// longer than the tracker's `FORK_TO_FIRST_HOLD`, as a busy machine may delay an exec.
const MAX_FORK_TO_UNSEEN_EXEC: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(super) struct LedgerMember {
    pub(super) pid: u32,
    pub(super) ppid: u32,
    /// The parent, if it is a member.
    pub(super) parent: Option<MemberId>,
    /// The process whose program it runs, or whose copy it is: fork(2) shares anonymous memory with these alone.
    pub(super) family: MemberId,
    pub(super) name: Arc<ProgramName>,
    pub(super) groups: Membership,
    pub(super) forked: bool,
    pub(super) first: Duration,
    pub(super) last: Duration,
    pub(super) window: ImageWindow,
    pub(super) own_share: OwnShare,
    /// Its pages of hugetlbfs when they were last read; `None` until then.
    pub(super) hugetlb: Option<u64>,
    /// Readings of the current image.
    current_image: ImagePeak,
    /// The images before it.
    images: Vec<Image>,
    pub(super) exit: Option<ProcessExit>,
    /// Upper bound of its peak: its `ru_maxrss`.
    pub(super) rusage_cap: Option<u64>,
    /// Its highest commit charge, and whether that is final.
    pub(super) commit: Option<(u64, bool)>,
    /// Boxed, as it is large and most members are not read while they live.
    used: Option<Box<UsageAccount>>,
    /// Its high-water mark when it was attached to.
    mark_before: Option<u64>,
    swap: Option<u64>,
}

impl LedgerMember {
    pub(super) fn new(
        id: MemberId,
        pid: u32,
        parent: u32,
        name: Arc<ProgramName>,
        groups: Membership,
        forked: bool,
        first: Duration,
    ) -> Self {
        Self {
            pid,
            ppid: parent,
            parent: None,
            family: id,
            name,
            groups,
            forked,
            first,
            last: first,
            window: ImageWindow::default(),
            own_share: OwnShare::default(),
            hugetlb: None,
            current_image: ImagePeak::default(),
            images: Vec::new(),
            exit: None,
            rusage_cap: None,
            commit: None,
            used: None,
            mark_before: None,
            swap: None,
        }
    }

    /// Returns whether the readings showed only its parent's pages. A process that exited soon after its fork, and did
    /// not grow, has probably exec'ed unseen.
    pub(super) fn showed_only_its_parent(&self) -> bool {
        let grew = self.current_image.highest_reading().is_some_and(|high| self.own_share.has_grown(high));
        self.forked && !grew && self.last.saturating_sub(self.first) < MAX_FORK_TO_UNSEEN_EXEC
    }

    /// Returns its usage beside memory.
    pub(super) fn used(&self) -> &UsageAccount {
        self.used.as_deref().unwrap_or(&UsageAccount::EMPTY)
    }

    pub(super) fn account(&mut self) -> &mut UsageAccount {
        self.used.get_or_insert_default()
    }

    pub(super) fn was_there(&mut self, mark: Option<u64>) {
        (self.mark_before, self.used) = (mark, Some(Box::new(UsageAccount::of_attached())));
        // It is not a child on its way to an exec.
        self.forked = false;
    }

    /// Returns whether the memory of its parent is to be given to [`Self::read`].
    pub(super) fn needs_inherited(&self) -> bool {
        self.forked && !self.own_share.has_inherited()
    }

    /// Returns what a child shares with it that is first read now; `None` if its present image was not read.
    pub(super) fn memory_to_inherit(&self) -> Option<InheritedMemory> {
        let (anon, shared) = (self.own_share.anon(), self.own_share.shared());
        self.current_image.highest_reading().map(|rss| InheritedMemory { rss, anon, shared })
    }

    /// Adds a reading. `parent` is what its parent holds, if it [needs](Self::needs_inherited) that and the parent lives.
    pub(super) fn read(&mut self, at: Duration, reading: &MemoryReading, parent: Option<InheritedMemory>) {
        self.last = at;
        self.window.read(at, reading.rss, reading.mark, reading.shares_map);
        if reading.has_read_mark() {
            self.window.see_mark(at);
        }
        self.own_share.read(reading, self.forked, parent);
        if reading.shares_map {
            return;
        }
        self.swap = self.swap.max(reading.swap);
        self.hugetlb = reading.beside.hugetlb.or(self.hugetlb);
        self.current_image.read(at, reading);
    }

    /// Returns the memory that it adds to the job in a reading.
    pub(super) fn added_bytes(&self, reading: &MemoryReading) -> u64 {
        self.own_share.added_bytes(reading, self.forked)
    }

    /// Returns the anonymous memory that it adds to the job in a reading.
    pub(super) fn added_anon_bytes(&self, reading: &MemoryReading) -> u64 {
        self.own_share.added_anon_bytes(reading, self.forked)
    }

    pub(super) fn set_last(&mut self, mark: LastMark) {
        let mark = self.current_image.set_last(mark);
        self.window.set_last(mark);
    }

    pub(super) fn exec(&mut self, name: Arc<ProgramName>, groups: &mut LedgerGroups, moment: Moment) {
        let image = if self.forked { self.grown_copy(moment) } else { Some(self.image()) };
        if let Some(image) = image {
            groups.leave(&self.groups, image.peak);
            add_image(&mut self.images, image);
        }
        self.forked = false;
        self.current_image.exec();
        self.hugetlb = None;
        self.last = self.last.max(moment.latest);
        self.groups = groups.of(&name, self.ppid);
        self.name = name;
    }

    pub(super) fn rename(&mut self, name: Arc<ProgramName>, groups: &mut LedgerGroups) {
        let now = groups.of(&name, self.ppid);
        if now != self.groups {
            groups.leave(&self.groups, self.image().peak);
        }
        (self.groups, self.name) = (now, name);
    }

    /// Returns the image that fork made, if the process has grown beyond it before its exec: its own peak is its rise. What
    /// it shares with its parent is no memory of the child.
    fn grown_copy(&self, exec: Moment) -> Option<Image> {
        let inherited = self.own_share.inherited_rss()?;
        let (bytes, source) = self.current_image.highest_before(exec)?;
        let has_grown = self.own_share.had_grown_before(bytes);
        let peak =
            ProcessPeak { bytes: bytes.saturating_sub(inherited), source, certainty: Certainty::AtLeast };
        has_grown.then(|| Image { command: self.name.command.clone(), peak: Some(peak) })
    }

    /// Returns the bounds of its image, in case that ends without a final mark.
    pub(super) fn unread(&self, groups: &LedgerGroups) -> UnreadImage {
        UnreadImage { rusage_cap: self.rusage_cap, peers_hwm: groups.largest(&self.groups) }
    }

    fn image(&self) -> Image {
        let capped = |bytes| ProcessPeak { bytes, source: PeakSource::Capped, certainty: Certainty::AtMost };
        let peak = self.current_image.peak().or_else(|| self.rusage_cap.map(capped));
        Image { command: self.name.command.clone(), peak }
    }

    pub(super) fn row(&self, started: SystemTime, end: Option<Duration>, wanted: UsageWanted) -> Process {
        let image = self.image();
        let all_images = || self.images.iter().chain([&image]);
        let rss = all_images().filter_map(|image| image.peak).max_by_key(|peak| peak.bytes);
        // The largest known peak is the process's own only if none of its images may have been larger.
        let all_exact =
            all_images().all(|image| image.peak.is_some_and(|peak| peak.certainty == Certainty::Exact));
        let rss = rss.map(|peak| match peak.certainty {
            Certainty::Exact if !all_exact => ProcessPeak { certainty: Certainty::AtLeast, ..peak },
            _ => peak,
        });
        // A single image says nothing that the row does not.
        let images = if self.images.is_empty() { Vec::new() } else { all_images().cloned().collect() };
        let certainty = Certainty::AtLeast;
        let swap = self.swap.map(|bytes| ProcessPeak { bytes, source: PeakSource::Sampled, certainty });
        Process {
            pid: self.pid,
            ppid: self.ppid,
            command: self.name.command.clone(),
            name: self.name.display.clone(),
            comm: self.name.comm.clone(),
            exe: self.name.exe.clone(),
            args: None,
            max_rss_kib: rss.map(|peak| peak.bytes / 1024),
            first_seen: Timestamp::from_system_time(started + self.first),
            last_seen: Timestamp::from_system_time(started + end.unwrap_or(self.last).max(self.last)),
            start_seconds: rounded_seconds(self.first),
            end_seconds: end.map(rounded_seconds),
            still_running: end.is_none(),
            peak: ProcessPeaks { rss, swap, commit: self.commit.map(commit_peak), ..ProcessPeaks::default() },
            mark_before_bytes: self.mark_before,
            usage: self.used().usage(wanted, end.unwrap_or(self.last).saturating_sub(self.first)),
            images,
            exit: self.exit,
        }
    }
}

/// Makes the peak of the commit charge. The kernel keeps this mark exactly, but a rise after the last reading is
/// missing.
fn commit_peak((bytes, is_final): (u64, bool)) -> ProcessPeak {
    if is_final {
        ProcessPeak { bytes, source: PeakSource::AfterEnd, certainty: Certainty::Exact }
    } else {
        ProcessPeak { bytes, source: PeakSource::MarkSampled, certainty: Certainty::AtLeast }
    }
}
