//! Makes a record from events and samples: a pure fold that never asks the clock or the kernel.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, SystemTime},
};

use self::{groups::LedgerGroups, last_ends::LastEnds, member::LedgerMember, oom::Killed, usage::UsageFold};
use super::{
    GroupBy,
    estimate::PeakEstimate,
    events::{JobEvent, Sample, TimedEvent},
    gpu::{GpuPeaks, GpuSample},
    identity::{MemberId, ProgramName},
    moment::Moment,
    moment::rounded_seconds,
    peak_memory::{GroupPeak, SampleHolders, SampledPeak},
    resource_use::{ResourceUse, UsageWanted},
    rows::Rows,
    timeline::{BesideTotal, TimelineFold, UsedAt},
};
use crate::record::{Attached, Certainty, Host, Lineage, Metric, PeakFigure, PeaksFrom, Process, Tool};

mod closing;
mod groups;
mod image_peak;
mod job_memory;
mod last_ends;
mod member;
mod oom;
mod own_share;
mod so_far;
mod usage;
mod usage_account;
mod usage_figures;

pub(crate) use self::closing::{ClosingFacts, KernelTotals};
#[cfg_attr(not(target_os = "linux"), allow(unused_imports))] // Only Linux reports such kills.
pub(crate) use self::oom::OomSeen;
pub use self::so_far::RowsSoFar;

/// signal(7); the same number on every system that has it.
const SIGKILL: i32 = 9;

/// Facts about a job that are known when it starts.
#[derive(Debug, Clone)]
pub(crate) struct JobHeader {
    pub(crate) tool: Tool,
    pub(crate) host: Host,
    pub(crate) command: Vec<String>,
    /// True if `command` is only the program.
    pub(crate) arguments_left_out: bool,
    pub(crate) started: SystemTime,
    pub(crate) interval: Option<Duration>,
    pub(crate) origin: FigureOrigin,
    /// Amounts that are read beside memory.
    pub(crate) usage: UsageWanted,
    /// Keys beside the command.
    pub(crate) group_by: Vec<GroupBy>,
    /// The process that ran already, if this process has not started the job.
    pub(crate) attached: Option<Attached>,
}

/// Sources of a job's figures.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FigureOrigin {
    /// The memory that a reading counts.
    pub(crate) metric: Metric,
    pub(crate) lineage: Lineage,
    pub(crate) peaks: PeaksFrom,
    /// Bytes by which each process's counters may read low, on kernels that batch them.
    pub(crate) slack_bytes: Option<u64>,
}

/// One pass over the members' PSS in which no process started, exec'ed or exited.
#[derive(Debug, Clone, Default)]
pub(crate) struct PssPass {
    pub(crate) at: Duration,
    /// Sum over the members that were read.
    pub(crate) bytes: u64,
    /// Members that could not be read, or not in time.
    pub(crate) unread: Vec<MemberId>,
    /// Their RSS.
    pub(crate) unread_rss: u64,
    /// Part of `bytes` that is files; 0 together with the next before Linux 5.4, which does not tell it.
    pub(crate) file_bytes: u64,
    /// Files of the member that maps most.
    pub(crate) largest_file_bytes: u64,
    /// Time for which members held their memory maps locked.
    pub(crate) waited: std::time::Duration,
}

impl PssPass {
    /// Returns the memory of the members that were read. Files count in full though processes outside the job may map them,
    /// too: as much as one member maps, at least.
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.bytes + self.largest_file_bytes.saturating_sub(self.file_bytes)
    }
}

/// Totals of the whole job as they were read last.
#[derive(Debug, Clone, Copy, Default)]
struct LastTotals {
    /// Sum of the last sample; `None` if no member's memory could be read in it.
    bytes: Option<u64>,
    swap: Option<u64>,
    used: Option<ResourceUse>,
    /// Memory with each page counted once, as its group reported it.
    group_memory: Option<u64>,
    /// The same from the best source.
    memory: Option<u64>,
    /// Pages of hugetlbfs of the member that holds most.
    hugetlb: u64,
}

/// Numbers of processes of the job.
#[derive(Debug, Default)]
struct ProcessCounts {
    /// Members, also ended ones.
    seen: u64,
    /// Processes that had ended before they could be read.
    seen_dead: u64,
    /// Ended members without a known exit status.
    unknown_ends: u64,
    /// Ended members without an exact peak.
    inexact: u64,
}

impl ProcessCounts {
    /// Returns whether the peak of every process that has ended is the kernel's own final mark.
    fn all_are_exact(&self) -> bool {
        self.seen_dead == 0 && self.inexact == 0
    }
}

/// The events and samples of one job so far.
#[derive(Debug)]
pub(crate) struct Ledger {
    header: JobHeader,
    /// Boxed: the nodes of a map that grows at its end stay half empty.
    living: BTreeMap<MemberId, Box<LedgerMember>>,
    by_pid: HashMap<u32, MemberId>,
    rows: Rows,
    groups: LedgerGroups,
    estimate: PeakEstimate,
    timeline: TimelineFold,
    gpu: GpuPeaks,
    usage: UsageFold,
    last_ends: LastEnds,
    /// The highest sum of the members' swap in one sample.
    swap: Option<PeakFigure>,
    group_peak: GroupPeak,
    sampled_peak: SampledPeak,
    pss: Option<PssPass>,
    pss_disturbed: u64,
    samples: u64,
    counts: ProcessCounts,
    /// Members that ended by SIGKILL.
    killed: Killed,
    last: LastTotals,
    /// Members that run in the memory map of their parent: child, parent.
    guests: Vec<(MemberId, MemberId)>,
}

impl Ledger {
    pub(crate) fn new(header: JobHeader) -> Self {
        Self {
            usage: UsageFold::new(header.usage),
            last_ends: LastEnds::default(),
            swap: None,
            living: BTreeMap::new(),
            by_pid: HashMap::new(),
            rows: Rows::default(),
            groups: LedgerGroups::new(&header.group_by),
            estimate: PeakEstimate::default(),
            timeline: TimelineFold::new(header.usage),
            header,
            gpu: GpuPeaks::default(),
            group_peak: GroupPeak::default(),
            sampled_peak: SampledPeak::default(),
            pss: None,
            pss_disturbed: 0,
            samples: 0,
            counts: ProcessCounts::default(),
            killed: Killed::default(),
            last: LastTotals::default(),
            guests: Vec::new(),
        }
    }

    /// Returns the total of the last sample; `None` if no member's memory could be read in it.
    pub(crate) fn last_total(&self) -> Option<u64> {
        self.last.bytes
    }

    /// Returns the best estimate of the total's peak so far.
    pub(crate) fn peak_so_far(&self) -> Option<u64> {
        self.estimate.interval(false).map(|interval| interval.bytes)
    }

    /// Returns the number of members alive.
    pub(crate) fn living(&self) -> u64 {
        self.living.len() as u64
    }

    pub(crate) fn event(&mut self, TimedEvent { moment, event }: TimedEvent) {
        match event {
            JobEvent::Started { id, pid, ppid, name, forked } => {
                self.counts.seen += 1;
                let parent = self.by_pid.get(&ppid).and_then(|parent| self.living.get(parent));
                // Windows makes no copy of a parent.
                let copied = parent.filter(|_| self.header.origin.metric != Metric::WorkingSet);
                let window = self.estimate.born(copied.map(|parent| &parent.window), forked, moment);
                let name = name.or_else(|| parent.map(|parent| parent.name.clone()));
                let name = name.unwrap_or_else(ProgramName::unknown);
                let groups = self.groups.of(&name, ppid);
                let mut member = LedgerMember::new(id, pid, ppid, name, groups, forked, moment.latest);
                member.window = window;
                member.parent = self.by_pid.get(&ppid).copied();
                if let Some(parent) = member.parent.filter(|_| forked).and_then(|id| self.living.get(&id)) {
                    member.family = parent.family;
                }
                self.groups.born(id, member.parent);
                self.living.insert(id, Box::new(member));
                self.by_pid.insert(pid, id);
            }
            JobEvent::Named { id, name } => {
                if let Some(member) = self.living.get_mut(&id) {
                    member.rename(name, &mut self.groups);
                }
            }
            JobEvent::SharesMemoryMap { id, shares } => {
                self.estimate.seen_between_fork_and_exec(shares);
                if let Some(member) = self.living.get_mut(&id) {
                    member.window.set_shares(shares);
                    self.guests.extend(member.parent.filter(|_| shares).map(|parent| (id, parent)));
                }
            }
            JobEvent::Exec { id, name } => self.exec(id, name, moment),
            JobEvent::FinalMark { id, mark } => {
                if let Some(member) = self.living.get_mut(&id) {
                    member.set_last(mark);
                }
            }
            JobEvent::Ended { id, freed } => {
                if let Some(member) = self.living.remove(&id) {
                    if self.by_pid.get(&member.pid) == Some(&id) {
                        self.by_pid.remove(&member.pid);
                    }
                    let until_freed = Moment::between(moment.earliest, freed);
                    self.estimate.gone(&member.window, until_freed, member.unread(&self.groups));
                    // Windows adds nothing to a parent.
                    let is_handed_on = self.header.origin.metric != Metric::WorkingSet;
                    self.last_ends.add(id, moment);
                    let may_have_waited = |parent: MemberId| {
                        self.living.contains_key(&parent) || self.last_ends.may_have_ended_later(parent)
                    };
                    let is_waited_for =
                        member.used().reaped || is_handed_on && member.parent.is_some_and(may_have_waited);
                    self.usage.close(member.used(), is_waited_for);
                    self.close(id, &member, Some(moment));
                }
                self.leave_map(id);
            }
            JobEvent::Exit { id, exit } => {
                if let Some(member) = self.living.get_mut(&id) {
                    if exit.signal == Some(SIGKILL) && member.exit.is_none() {
                        self.killed.add(member.pid, &member.name.command);
                    }
                    member.exit = Some(exit);
                }
            }
            JobEvent::MaxRss { id, bytes } => {
                if let Some(member) = self.living.get_mut(&id) {
                    member.rusage_cap = Some(bytes);
                }
            }
            JobEvent::Commit { id, bytes, is_final } => {
                if let Some(member) = self.living.get_mut(&id) {
                    member.commit = Some((bytes, is_final));
                }
            }
            JobEvent::AttachedTo { id, mark } => {
                if let Some(member) = self.living.get_mut(&id) {
                    member.was_there(mark);
                }
            }
            JobEvent::FinalUsage { id, used, source, whole } => {
                if let Some(member) = self.living.get_mut(&id) {
                    member.account().ended(*used, source, whole);
                }
            }
            JobEvent::Reaped { id, used } => {
                self.usage.reaped(*used);
                if let Some(member) = id.and_then(|id| self.living.get_mut(&id)) {
                    member.account().reaped = true;
                }
            }
            JobEvent::UsedByJob { used, is_final } => self.usage.kept(*used, is_final),
            JobEvent::MissedProcess => self.counts.seen_dead += 1,
            JobEvent::ReapedMaxRss { bytes, may_be_inherited: false } => {
                self.estimate.some_process_reached(bytes);
            }
            JobEvent::ReapedMaxRss { bytes, may_be_inherited: true } => {
                self.estimate.no_process_exceeded(bytes);
            }
        }
    }

    fn exec(&mut self, id: MemberId, name: Option<Arc<ProgramName>>, moment: Moment) {
        if let Some(member) = self.living.get_mut(&id) {
            let unread = member.unread(&self.groups);
            self.estimate.exec(&mut member.window, moment, unread);
            member.exec(name.unwrap_or_else(ProgramName::unknown), &mut self.groups, moment);
            member.family = id;
        }
        self.leave_map(id);
    }

    /// Records that a member has left its memory map: a vfork child that shared the map has it alone from now on.
    fn leave_map(&mut self, id: MemberId) {
        self.guests.retain(|&(guest, host)| {
            if host == id
                && let Some(member) = self.living.get_mut(&guest)
            {
                member.window.set_shares(false);
            }
            guest != id && host != id
        });
    }

    pub(crate) fn sample(&mut self, sample: &Sample<'_>) {
        self.samples += 1;
        for reading in sample.readings {
            // A parent comes before its children, so its reading is of the same sample.
            let parent = self.inherited_memory(reading.id);
            if let Some(member) = self.living.get_mut(&reading.id) {
                member.read(sample.at, reading, parent);
            }
        }
        let holders = SampleHolders::of(sample.readings);
        let hugetlb = self.hugetlb_pages(sample);
        self.last.hugetlb = hugetlb.lower;
        let memory = self.sampled_memory(sample, hugetlb);
        let sampled = self.sampled_peak.add(sample.at, memory, Arc::clone(&holders));
        let living = &self.living;
        self.groups.sample(sample.at, sample.readings, |id| living.get(&id).map(|member| &member.groups));
        let windows = self.living.values_mut().map(|member| &mut member.window);
        let total = self.estimate.sampled(sample, windows);
        self.last.bytes = sample.readings.iter().any(|reading| !reading.shares_map).then_some(total);
        for reading in sample.uses {
            if let Some(member) = self.living.get_mut(&reading.id) {
                let used_before = member.account().read(reading);
                self.usage.count_before(used_before);
            }
        }
        // After the last exit, `wait4` has supplied all usage that sampling missed.
        let is_known = !sample.uses.is_empty() || (self.living.is_empty() && self.usage.wanted().any());
        let used = is_known.then(|| UsedAt {
            total: self.usage.now(self.living.values().map(Box::as_ref)),
            members: sample
                .uses
                .iter()
                .filter_map(|reading| Some((reading.id, self.living.get(&reading.id)?.used().own())))
                .collect(),
        });
        self.last.used = used.as_ref().map(|used| used.total).or(self.last.used);
        let swap = sample.group.and_then(|group| group.swap).or_else(|| self.swap_of_families(sample));
        self.add_swap(sample.at, swap);
        let by_group = self.add_group(sample, holders, hugetlb);
        self.last.group_memory = by_group.map(|memory| memory.highest);
        let is_sampled = self.header.origin.metric == Metric::Rss && self.last.bytes.is_some();
        // The counters of small processes may read 0 (Linux 6.1).
        let sampled = Some(sampled).filter(|memory| is_sampled && memory.now > 0);
        let memory = by_group.or(sampled);
        self.last.memory = memory.map(|memory| memory.now);
        self.timeline.add(sample, total, BesideTotal { memory, swap: self.last.swap, used });
    }

    /// Adds swap: that of the group, or that of the members, which is read only together with the high-water marks.
    fn add_swap(&mut self, at: Duration, swap: Option<u64>) {
        let Some(bytes) = swap else { return };
        self.last.swap = Some(bytes);
        if self.swap.is_none_or(|peak| bytes > peak.bytes) {
            let at_seconds = Some(rounded_seconds(at));
            self.swap = Some(PeakFigure { bytes, certainty: Certainty::AtLeast, at_seconds });
        }
    }

    /// Returns the job's usage beside memory, as read last.
    pub(crate) fn last_used(&self) -> Option<ResourceUse> {
        self.last.used
    }

    /// Returns the sum of the members' swap, as read last.
    pub(crate) fn last_swap(&self) -> Option<u64> {
        self.last.swap
    }

    /// Adds a sample of the GPUs.
    pub(crate) fn gpu(&mut self, at: Duration, sample: &GpuSample) {
        self.gpu.add(at, sample);
        self.timeline.gpu(self.gpu.now());
    }

    /// Records that the GPUs could not be read.
    pub(crate) fn gpu_missed(&mut self, reason: &str) {
        self.gpu.miss("all of it", reason.to_owned());
    }

    /// Returns the pid and the name of a living member.
    pub(crate) fn pid_and_name(&self, id: MemberId) -> Option<(u32, String)> {
        self.living.get(&id).map(|member| (member.pid, member.name.command.clone()))
    }

    /// Returns the job's memory on all GPUs together, as read last.
    pub(crate) fn last_vram(&self) -> Option<u64> {
        self.gpu.last_total()
    }

    fn close(&mut self, id: MemberId, member: &LedgerMember, end: Option<Moment>) {
        if !self.header.origin.lineage.is_reported_by_kernel() && member.showed_only_its_parent() {
            self.counts.seen -= 1;
            self.counts.seen_dead += 1;
            self.groups.forget(id);
            return;
        }
        let mut row = member.row(self.header.started, end.map(|end| end.latest), self.usage.wanted());
        row.peak.vram = self.gpu.peak_of(id);
        self.counts.unknown_ends += u64::from(end.is_some() && row.exit.is_none());
        self.counts.inexact += u64::from(!is_exact(&row));
        self.groups.close(id, &member.groups, &row);
        self.rows.push(id, row);
    }
}

/// Returns whether the row's peak is the kernel's own final mark.
fn is_exact(row: &Process) -> bool {
    row.peak.rss.is_some_and(|peak| peak.certainty == Certainty::Exact)
}

#[cfg(test)]
mod tests;
