//! The living members of the job and what they hold, made of what a kernel answers. Knows no system call.
//!
//! A process belongs to the job if the one that made it does, whoever has adopted it since; or if its maker was never
//! seen (it forked and was gone between two looks), launchd has it now, and its process group is one that a member
//! leads.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

pub(super) mod attach;
mod kinship;

use super::used::{self, Scale};
use crate::{
    Unavailable,
    job::{
        event_batch::EventBatch,
        events::{Event, LastMark, Reading},
        identity::{MemberId, Name},
        moment::Moment,
        used::Completeness,
        used::{UsageWanted, UsedBy},
    },
    process::macos::rusage::{Rusage, TaskFaults},
    record::{PeakSource, ProcessExit, UsageSource},
};

/// The first that was taken in.
const ROOT: MemberId = MemberId(0);

/// Who a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kin {
    pub(super) pid: u32,
    /// The kernel gives this number once, in the order of births.
    pub(super) unique: u64,
    /// Of whoever made it.
    pub(super) parent: u64,
    /// Whose child it is now.
    pub(super) ppid: u32,
    /// Its process group.
    pub(super) group: u32,
    pub(super) has_execed: bool,
    pub(super) has_ended: bool,
}

/// What is asked of the kernel.
pub(super) trait Kernel {
    /// All pids.
    fn all(&mut self) -> Vec<u32>;
    /// Those whose parent this one is now.
    fn children(&mut self, pid: u32) -> Vec<u32>;
    /// `None`: there is none, not even its remains.
    fn kin(&mut self, pid: u32) -> Option<Kin>;
    fn usage(&mut self, pid: u32) -> Result<Rusage, Unavailable>;
    /// Of living processes.
    fn faults(&mut self, pid: u32) -> Option<TaskFaults>;
    fn name(&mut self, pid: u32) -> Option<Arc<Name>>;
    /// Returns whether news of it will come.
    fn watch(&mut self, pid: u32, id: MemberId) -> bool;
}

/// News of one member. Several forks may be one piece of news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) id: MemberId,
    pub(crate) forked: bool,
    pub(crate) execed: bool,
    pub(crate) ended: bool,
    pub(crate) exit: Option<ProcessExit>,
}

#[derive(Debug)]
struct Member {
    id: MemberId,
    kin: Kin,
    /// News of it comes; else its end is seen by looking.
    is_watched: bool,
    exit: Option<ProcessExit>,
    /// Its end was told.
    has_ended: bool,
    /// Its remains were seen, with this last mark; how it ended is about to be told.
    remains: Option<Remains>,
    /// The kernel does not tell its memory.
    is_refused: bool,
    /// Its image's mark when it was attached to.
    mark_before: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
struct Remains {
    mark: Option<u64>,
}

#[derive(Debug)]
pub(super) struct Members<K> {
    pub(super) kernel: K,
    list: Vec<Member>,
    /// Whoever was a member ever, by the number given once: a parent may be long gone.
    known: HashSet<u64>,
    /// Process groups that members have led.
    groups: HashSet<u32>,
    /// Children found whose births were not told yet, by the number of their parent.
    unannounced: HashMap<u64, u32>,
    /// Strangers are not asked again.
    strangers: HashMap<u32, u64>,
    root: Option<u64>,
    /// How the first member ended.
    root_exit: Option<ProcessExit>,
    /// A process group in which there may be others, though a member leads it.
    others_group: Option<u32>,
    /// Who is found now ran already.
    is_attaching: bool,
    next_id: u32,
    own_pid: u32,
    before: Duration,
    at: Duration,
    /// Somebody ended: his children may be launchd's by now.
    orphaned: bool,
    refused: HashSet<MemberId>,
    readings: Vec<Reading>,
    /// What is wanted beside memory.
    scale: Scale,
    /// True if the living are asked for that in this look.
    reads_usage: bool,
    uses: Vec<UsedBy>,
}

impl<K: Kernel> Members<K> {
    pub(super) fn new(kernel: K, scale: Scale) -> Self {
        Self {
            kernel,
            list: Vec::new(),
            known: HashSet::new(),
            groups: HashSet::new(),
            unannounced: HashMap::new(),
            strangers: HashMap::new(),
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

    /// Takes the command in, held before its exec.
    pub(super) fn start(&mut self, root: u32, own_pid: u32, batch: &mut EventBatch) {
        self.own_pid = own_pid;
        // Our own child cannot be gone before we wait for it; if it cannot be asked all the same, it has no number.
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
        self.take_in(kin, batch);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(super) fn pids_and_ids(&self) -> impl Iterator<Item = (u32, MemberId)> + '_ {
        self.list.iter().map(|member| (member.kin.pid, member.id))
    }

    pub(super) fn readings(&self) -> &[Reading] {
        &self.readings
    }

    /// What the last look read beside memory, in the order of ids.
    pub(super) fn uses(&self) -> &[UsedBy] {
        &self.uses
    }

    /// Returns whether the next look is to read what is wanted beside memory.
    pub(super) fn read_usage(&mut self, now: bool) {
        self.reads_usage = now && self.scale.wanted.any();
    }

    /// Returns whether the first member is there, or its remains.
    pub(super) fn holds_root(&self) -> bool {
        self.list.iter().any(|member| member.id == ROOT)
    }

    /// How the first member ended, if the kernel told.
    pub(super) fn root_exit(&self) -> Option<ProcessExit> {
        self.root_exit
    }

    /// How many processes the kernel did not let us read, if any.
    pub(super) fn refused(&self) -> Option<usize> {
        Some(self.refused.len()).filter(|&count| count > 0)
    }

    /// Returns whether the process is still a member whose last mark may come.
    pub(super) fn holds_unread(&self, pid: u32) -> bool {
        self.list.iter().any(|member| member.kin.pid == pid && !member.is_refused)
    }

    /// The command has been waited for, whose memory could not be read.
    pub(super) fn root_ended(&mut self, pid: u32, exit: ProcessExit, at: Duration, batch: &mut EventBatch) {
        self.at = at;
        if let Some(place) = self.list.iter().position(|member| member.kin.pid == pid) {
            let mut member = self.list.remove(place);
            member.exit = Some(exit);
            let mark = member.remains.and_then(|remains| remains.mark);
            self.bury(&member, mark, batch);
        }
    }

    /// Returns whether how a member ended is about to be told.
    pub(super) fn expects_events(&self) -> bool {
        self.list.iter().any(|member| member.remains.is_some())
    }

    /// Pids of members, each asked once more: a pid may have been given to another process.
    pub(super) fn surely_alive(&mut self) -> impl Iterator<Item = u32> + '_ {
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

    /// One look at the whole job, begun `at`, with what has been told since the last.
    pub(super) fn look(&mut self, at: Duration, sweep: bool, told: &[Told], batch: &mut EventBatch) {
        (self.before, self.at) = (self.at, at);
        let newcomers = self.next_id;
        // The dead first: what they reached goes with their remains, as soon as their parents wait for them.
        for told in told.iter().filter(|told| told.ended) {
            if let Some(member) = self.list.iter_mut().find(|member| member.id == told.id) {
                (member.has_ended, member.exit) = (true, told.exit);
            }
        }
        let number = |id| self.list.iter().find(|member| member.id == id).map(|member| member.kin);
        let parents: Vec<Kin> =
            told.iter().filter(|told| told.forked).filter_map(|told| number(told.id)).collect();
        self.read(batch);
        for told in told.iter().filter(|told| told.execed) {
            self.exec(told.id, batch);
        }
        for parent in &parents {
            let children = self.kernel.children(parent.pid);
            self.find(children, batch);
        }
        if sweep || std::mem::take(&mut self.orphaned) {
            let everybody = self.kernel.all();
            self.find(everybody, batch);
        }
        for parent in parents {
            // One piece of news may stand for all that were found; where there is nobody, one has been and gone.
            if self.unannounced.remove(&parent.unique).is_none() {
                batch.push(self.moment(), Event::MissedProcess);
            }
        }
        // Newcomers are read in the look that found them, new programs in that which heard of them.
        let execed = told.iter().filter(|told| told.execed).map(|told| told.id);
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

    /// Reads these members; those that have ended are taken off the list.
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
                        self.used_in_all(member.id, &usage, batch);
                    }
                    let mark = member.risen(usage.max_footprint().ok());
                    if member.is_watched && !member.has_ended && before.is_none() {
                        member.remains = Some(Remains { mark });
                        return true;
                    }
                    self.bury(member, mark, batch);
                }
                // Waited for meanwhile; what it reached is known.
                Err(_) if before.is_some() => {
                    self.bury(member, before.and_then(|remains| remains.mark), batch);
                }
                Ok((usage, faults)) if !member.has_ended => {
                    if self.reads_usage {
                        let own = used::own(&usage, faults, self.scale);
                        let with_waited = used::with_waited(&usage, faults, self.scale);
                        self.uses.push(UsedBy { id: member.id, own, with_waited });
                    }
                    let mark = member.risen(usage.max_footprint().ok());
                    let rss = usage.footprint_bytes;
                    self.readings.push(Reading { id: member.id, rss, mark, swap: None, shares_map: false });
                    return true;
                }
                // Its end was told, but it does not look dead yet: the next look will show its remains.
                Ok(_) => return true,
                Err(Unavailable::Vanished) => self.bury(member, None, batch),
                Err(_) if member.has_ended => self.bury(member, None, batch),
                Err(_) => {
                    member.is_refused = true;
                    self.refused.insert(member.id);
                    if member.is_watched || self.is_same(member.kin) {
                        return true;
                    }
                    self.bury(member, None, batch);
                }
            }
            false
        });
        self.list = list;
        self.readings.sort_unstable_by_key(|reading| reading.id);
        self.uses.sort_unstable_by_key(|used| used.id);
    }

    /// Its remains hold all that it has used, but for page faults without I/O.
    fn used_in_all(&self, id: MemberId, usage: &Rusage, batch: &mut EventBatch) {
        let UsageWanted { cpu, io } = self.scale.wanted;
        if cpu || io {
            let (used, source) = (Box::new(used::own(usage, None, self.scale)), UsageSource::AtExit);
            let whole = Completeness { cpu: used.cpu.is_some(), faults: false, io };
            batch.push(self.moment(), Event::FinalUsage { id, used, source, whole });
        }
    }

    /// What the process holds and has used, if its pid is still its own.
    fn usage(&mut self, member: &Member) -> Result<(Rusage, Option<TaskFaults>), Unavailable> {
        let Kin { pid, unique, .. } = member.kin;
        let usage = self.kernel.usage(pid);
        let asks = self.reads_usage && self.scale.wanted.cpu;
        let faults = if asks { self.kernel.faults(pid) } else { None };
        let usage = usage.map(|usage| (usage, faults));
        // The number is asked after the memory: had the pid changed hands before, it would show now.
        match self.kernel.kin(pid) {
            Some(kin) if kin.unique == unique => {
                self.note_group(&kin);
                usage
            }
            // It never told its number; its pid is its own, as it is our child.
            Some(_) if unique == 0 => usage,
            _ => Err(Unavailable::Vanished),
        }
    }

    fn is_same(&mut self, kin: Kin) -> bool {
        self.kernel.kin(kin.pid).is_some_and(|now| now.unique == kin.unique && !now.has_ended)
    }

    /// A member has ended. `mark`: what its present image reached, kept by the kernel to its end.
    fn bury(&mut self, member: &Member, mark: Option<u64>, batch: &mut EventBatch) {
        let (id, moment) = (member.id, self.moment());
        if let Some(bytes) = mark {
            let mark = LastMark { bytes, source: PeakSource::AfterEnd, is_final: true };
            batch.push(moment, Event::FinalMark { id, mark });
        }
        if id == ROOT {
            self.root_exit = member.exit;
        }
        if let Some(exit) = member.exit {
            batch.push(moment, Event::Exit { id, exit });
        }
        batch.push(moment, Event::Ended { id, freed: moment.latest });
        self.orphaned = true;
    }

    fn exec(&mut self, id: MemberId, batch: &mut EventBatch) {
        let Some(place) = self.list.iter().position(|member| member.id == id) else { return };
        let pid = self.list[place].kin.pid;
        let name = self.kernel.name(pid);
        let member = &mut self.list[place];
        (member.kin.has_execed, member.mark_before) = (true, None);
        batch.push(self.moment(), Event::Exec { id, name });
        // What was read may be the old image's or the new one's: it is asked anew.
        self.readings.retain(|reading| reading.id != id);
        self.uses.retain(|used| used.id != id);
    }
}

#[cfg(test)]
mod tests;
