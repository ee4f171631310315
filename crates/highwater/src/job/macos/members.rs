//! The living members of the job and their memory, from the kernel's answers. Knows no system call.
//!
//! A process belongs to the job if its original parent does, even if it was adopted since. If its original parent was
//! never seen (it started and exited between two polls), another rule holds. Then it must be a child of launchd now,
//! and its process group must have a member as its leader.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

mod ancestry;
pub(super) mod attach;

use super::used::{self, Scale};
use crate::{
    Unavailable,
    job::{
        event_batch::EventBatch,
        events::{BesideRss, JobEvent, LastMark, MemoryReading},
        identity::{MemberId, ProgramName},
        moment::Moment,
        resource_use::Completeness,
        resource_use::{UsageWanted, UsedBy},
    },
    process::macos::rusage::{Rusage, TaskFaults},
    record::{PeakSource, ProcessExit, UsageSource},
};

/// The first member.
const ROOT: MemberId = MemberId(0);

/// The identity of a process and its relations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kin {
    pub(super) pid: u32,
    /// Number that the kernel gives only once, in the order of process starts.
    pub(super) unique: u64,
    /// Number of its original parent.
    pub(super) parent: u64,
    /// Pid of its parent now.
    pub(super) ppid: u32,
    /// Its process group.
    pub(super) group: u32,
    pub(super) has_execed: bool,
    pub(super) has_ended: bool,
}

/// The questions to the kernel.
pub(super) trait Kernel {
    /// Returns all pids.
    fn all(&mut self) -> Vec<u32>;
    /// Returns the pids of the children that this process has now.
    fn children(&mut self, pid: u32) -> Vec<u32>;
    /// Returns the identity of a process; `None` if not even a zombie is left.
    fn kin(&mut self, pid: u32) -> Option<Kin>;
    fn usage(&mut self, pid: u32) -> Result<Rusage, Unavailable>;
    /// Returns the page faults of a living process.
    fn faults(&mut self, pid: u32) -> Option<TaskFaults>;
    fn name(&mut self, pid: u32) -> Option<Arc<ProgramName>>;
    /// Returns whether events of it will be reported.
    fn watch(&mut self, pid: u32, id: MemberId) -> bool;
}

/// Events of one member. Several forks may be one report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KqueueReport {
    pub(crate) id: MemberId,
    pub(crate) forked: bool,
    pub(crate) execed: bool,
    pub(crate) ended: bool,
    pub(crate) exit: Option<ProcessExit>,
}

#[derive(Debug)]
struct MacMember {
    id: MemberId,
    kin: Kin,
    /// True if its events are reported; otherwise polls must see its exit.
    is_watched: bool,
    exit: Option<ProcessExit>,
    /// True once its exit was reported.
    has_ended: bool,
    /// The zombie that was seen, with its final mark; the event of the exit is outstanding.
    remains: Option<Remains>,
    /// True if the kernel refuses to show its memory.
    is_refused: bool,
    /// High-water mark of its image when it was attached to.
    mark_before: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
struct Remains {
    mark: Option<u64>,
}

#[derive(Debug)]
pub(super) struct MacMembers<K> {
    pub(super) kernel: K,
    list: Vec<MacMember>,
    /// Every process that was a member, by its unique number: a parent may have exited long ago.
    known: HashSet<u64>,
    /// Process groups that members have led.
    groups: HashSet<u32>,
    /// Number of children that were found before the event of their fork, by the number of their parent.
    unannounced: HashMap<u64, u32>,
    /// Processes outside the job, which are not read again.
    foreign: HashMap<u32, u64>,
    root: Option<u64>,
    /// Exit status of the first member.
    root_exit: Option<ProcessExit>,
    /// A process group that a member leads, but in which unrelated processes may be.
    others_group: Option<u32>,
    /// True while processes are found that ran before the attachment.
    is_attaching: bool,
    next_id: u32,
    own_pid: u32,
    before: Duration,
    at: Duration,
    /// True if a member exited: its children may have been adopted by launchd.
    orphaned: bool,
    refused: HashSet<MemberId>,
    readings: Vec<MemoryReading>,
    /// Usage that is wanted beside memory.
    scale: Scale,
    /// True if this poll reads the usage of living members.
    reads_usage: bool,
    uses: Vec<UsedBy>,
}

impl<K: Kernel> MacMembers<K> {
    pub(super) fn new(kernel: K, scale: Scale) -> Self {
        Self {
            kernel,
            list: Vec::new(),
            known: HashSet::new(),
            groups: HashSet::new(),
            unannounced: HashMap::new(),
            foreign: HashMap::new(),
            root: None,
            root_exit: None,
            others_group: None,
            is_attaching: false,
            next_id: 0,
            own_pid: 0,
            before: Duration::ZERO,
            at: Duration::ZERO,
            orphaned: false,
            refused: HashSet::new(),
            readings: Vec::new(),
            scale,
            reads_usage: false,
            uses: Vec::new(),
        }
    }

    /// Adds the command, which waits before its exec.
    pub(super) fn start(&mut self, root: u32, own_pid: u32, batch: &mut EventBatch) {
        self.own_pid = own_pid;
        // A child of this process cannot vanish before the wait for it. If it cannot be read all the same, it has no
        // number.
        let kin = self.kernel.kin(root).unwrap_or(Kin {
            pid: root,
            unique: 0,
            parent: 0,
            ppid: own_pid,
            group: 0,
            has_execed: false,
            has_ended: false,
        });
        self.root = Some(kin.unique).filter(|&unique| unique > 0);
        self.add_member(kin, batch);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(super) fn pids_and_ids(&self) -> impl Iterator<Item = (u32, MemberId)> + '_ {
        self.list.iter().map(|member| (member.kin.pid, member.id))
    }

    pub(super) fn readings(&self) -> &[MemoryReading] {
        &self.readings
    }

    /// Returns the usage that the last poll read, in the order of ids.
    pub(super) fn uses(&self) -> &[UsedBy] {
        &self.uses
    }

    /// Sets whether the next poll reads usage, if it is wanted.
    pub(super) fn read_usage(&mut self, now: bool) {
        self.reads_usage = now && self.scale.wanted.any();
    }

    /// Returns whether the first member is in the list, if only as a zombie.
    pub(super) fn has_root(&self) -> bool {
        self.list.iter().any(|member| member.id == ROOT)
    }

    /// Returns the exit status of the first member, if the kernel reported it.
    pub(super) fn root_exit(&self) -> Option<ProcessExit> {
        self.root_exit
    }

    /// Returns the number of processes that the kernel refused to show, if any.
    pub(super) fn refused(&self) -> Option<usize> {
        Some(self.refused.len()).filter(|&count| count > 0)
    }

    /// Returns whether the process is still a member whose final mark may come.
    pub(super) fn has_unread_mark(&self, pid: u32) -> bool {
        self.list.iter().any(|member| member.kin.pid == pid && !member.is_refused)
    }

    /// Records that this process has waited for the command, whose memory could not be read.
    pub(super) fn root_ended(&mut self, pid: u32, exit: ProcessExit, at: Duration, batch: &mut EventBatch) {
        self.at = at;
        if let Some(place) = self.list.iter().position(|member| member.kin.pid == pid) {
            let mut member = self.list.remove(place);
            member.exit = Some(exit);
            let mark = member.remains.and_then(|remains| remains.mark);
            self.report_exit(&member, mark, batch);
        }
    }

    /// Returns whether the event of an exit that was seen is outstanding.
    pub(super) fn expects_events(&self) -> bool {
        self.list.iter().any(|member| member.remains.is_some())
    }

    /// Iterates over the pids of members, each checked once more: a pid may belong to another process by now.
    pub(super) fn verified_pids(&mut self) -> impl Iterator<Item = u32> + '_ {
        let kernel = &mut self.kernel;
        self.list
            .iter()
            .filter(move |member| {
                kernel
                    .kin(member.kin.pid)
                    .is_some_and(|kin| kin.unique == member.kin.unique && !kin.has_ended)
            })
            .map(|member| member.kin.pid)
    }

    /// Polls the whole job, at `at`, with the events since the last poll.
    pub(super) fn poll(
        &mut self,
        at: Duration,
        sweep: bool,
        reports: &[KqueueReport],
        batch: &mut EventBatch,
    ) {
        (self.before, self.at) = (self.at, at);
        let newcomers = self.next_id;
        // Exited members come first: their peaks are lost with their zombies as soon as their parents wait for them.
        for report in reports.iter().filter(|report| report.ended) {
            if let Some(member) = self.list.iter_mut().find(|member| member.id == report.id) {
                (member.has_ended, member.exit) = (true, report.exit);
            }
        }
        let number = |id| self.list.iter().find(|member| member.id == id).map(|member| member.kin);
        let parents: Vec<Kin> =
            reports.iter().filter(|report| report.forked).filter_map(|report| number(report.id)).collect();
        self.read(batch);
        for report in reports.iter().filter(|report| report.execed) {
            self.exec(report.id, batch);
        }
        for parent in &parents {
            let children = self.kernel.children(parent.pid);
            self.find(children, batch);
        }
        if sweep || std::mem::take(&mut self.orphaned) {
            let all_pids = self.kernel.all();
            self.find(all_pids, batch);
        }
        for parent in parents {
            // One report may stand for all children that were found. If none was found, one has started and exited.
            if self.unannounced.remove(&parent.unique).is_none() {
                batch.push(self.moment(), JobEvent::MissedProcess);
            }
        }
        // New members are read in the poll that found them, new programs in the poll that received their event.
        let execed = reports.iter().filter(|report| report.execed).map(|report| report.id);
        let fresh: Vec<MemberId> = (newcomers..self.next_id).map(MemberId).chain(execed).collect();
        self.read_some(&fresh, batch);
    }

    fn moment(&self) -> Moment {
        Moment::between(self.before, self.at)
    }

    fn read(&mut self, batch: &mut EventBatch) {
        self.readings.clear();
        self.uses.clear();
        let all: Vec<MemberId> = self.list.iter().map(|member| member.id).collect();
        self.read_some(&all, batch);
    }

    /// Reads these members; exited ones are removed from the list.
    fn read_some(&mut self, ids: &[MemberId], batch: &mut EventBatch) {
        let mut list = std::mem::take(&mut self.list);
        list.retain_mut(|member| {
            if !ids.contains(&member.id) {
                return true;
            }
            let before = member.remains;
            let usage = self.usage(member);
            match usage {
                Ok((usage, _)) if usage.has_ended => {
                    if before.is_none() {
                        self.report_final_usage(member.id, &usage, batch);
                    }
                    let mark = member.risen(usage.max_footprint().ok());
                    if member.is_watched && !member.has_ended && before.is_none() {
                        member.remains = Some(Remains { mark });
                        return true;
                    }
                    self.report_exit(member, mark, batch);
                }
                // It was waited for meanwhile; its peak is known.
                Err(_) if before.is_some() => {
                    self.report_exit(member, before.and_then(|remains| remains.mark), batch);
                }
                Ok((usage, faults)) if !member.has_ended => {
                    if self.reads_usage {
                        let own = used::own(&usage, faults, self.scale);
                        let with_waited = used::with_waited(&usage, faults, self.scale);
                        self.uses.push(UsedBy { id: member.id, own, with_waited });
                    }
                    let mark = member.risen(usage.max_footprint().ok());
                    let rss = usage.footprint_bytes;
                    self.readings.push(MemoryReading {
                        id: member.id,
                        rss,
                        mark,
                        swap: None,
                        file: None,
                        shared: 0,
                        beside: BesideRss::default(),
                        shares_map: false,
                    });
                    return true;
                }
                // Its exit was reported, but it is not a zombie yet: the next poll will see that.
                Ok(_) => return true,
                Err(Unavailable::Vanished) => self.report_exit(member, None, batch),
                Err(_) if member.has_ended => self.report_exit(member, None, batch),
                Err(_) => {
                    member.is_refused = true;
                    self.refused.insert(member.id);
                    if member.is_watched || self.is_same(member.kin) {
                        return true;
                    }
                    self.report_exit(member, None, batch);
                }
            }
            false
        });
        self.list = list;
        self.readings.sort_unstable_by_key(|reading| reading.id);
        self.uses.sort_unstable_by_key(|used| used.id);
    }

    /// Reports the usage in a zombie, which is final except for page faults without I/O.
    fn report_final_usage(&self, id: MemberId, usage: &Rusage, batch: &mut EventBatch) {
        let UsageWanted { cpu, io } = self.scale.wanted;
        if cpu || io {
            let (used, source) = (Box::new(used::own(usage, None, self.scale)), UsageSource::AtExit);
            let whole = Completeness { cpu: used.cpu.is_some(), faults: false, io };
            batch.push(self.moment(), JobEvent::FinalUsage { id, used, source, whole });
        }
    }

    /// Returns the memory and usage of the process, if its pid is still its own.
    fn usage(&mut self, member: &MacMember) -> Result<(Rusage, Option<TaskFaults>), Unavailable> {
        let Kin { pid, unique, .. } = member.kin;
        let usage = self.kernel.usage(pid);
        let asks = self.reads_usage && self.scale.wanted.cpu;
        let faults = if asks { self.kernel.faults(pid) } else { None };
        let usage = usage.map(|usage| (usage, faults));
        // The number is read after the memory: if another process had the pid before, it would show now.
        match self.kernel.kin(pid) {
            Some(kin) if kin.unique == unique => {
                self.note_group(&kin);
                usage
            }
            // Its number was never readable; its pid is its own, as it is a child of this process.
            Some(_) if unique == 0 => usage,
            _ => Err(Unavailable::Vanished),
        }
    }

    fn is_same(&mut self, kin: Kin) -> bool {
        self.kernel.kin(kin.pid).is_some_and(|now| now.unique == kin.unique && !now.has_ended)
    }

    /// Reports the exit of a member. `mark`: the peak of its last image, kept by the kernel to its end.
    fn report_exit(&mut self, member: &MacMember, mark: Option<u64>, batch: &mut EventBatch) {
        let (id, moment) = (member.id, self.moment());
        if let Some(bytes) = mark {
            let mark = LastMark { bytes, source: PeakSource::AfterEnd, is_final: true };
            batch.push(moment, JobEvent::FinalMark { id, mark });
        }
        if id == ROOT {
            self.root_exit = member.exit;
        }
        if let Some(exit) = member.exit {
            batch.push(moment, JobEvent::Exit { id, exit });
        }
        batch.push(moment, JobEvent::Ended { id, freed: moment.latest });
        self.orphaned = true;
    }

    fn exec(&mut self, id: MemberId, batch: &mut EventBatch) {
        let Some(place) = self.list.iter().position(|member| member.id == id) else { return };
        let pid = self.list[place].kin.pid;
        let name = self.kernel.name(pid);
        let member = &mut self.list[place];
        (member.kin.has_execed, member.mark_before) = (true, None);
        batch.push(self.moment(), JobEvent::Exec { id, name });
        // The reading may be of the old image or the new one, so it is repeated.
        self.readings.retain(|reading| reading.id != id);
        self.uses.retain(|used| used.id != id);
    }
}

#[cfg(test)]
mod tests;
