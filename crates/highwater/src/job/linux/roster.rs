//! The membership list of a job: which processes belong to it now. No input or output happens here.

use std::collections::{HashMap, HashSet};

use super::{
    member::{Member, Phase},
    usage_files::UsageFiles,
};
use crate::job::{
    events::{JobEvent, TimedEvent},
    identity::MemberId,
    moment::Moment,
};

/// Number of exited processes that are remembered without a walk.
pub(super) const MAX_ZOMBIES_WITHOUT_WALK: usize = 4096;

/// The members of a job, and the processes beside them that must not be taken for members.
#[derive(Debug)]
pub(super) struct Roster {
    /// In the order of their ids.
    members: Vec<Member>,
    by_pid: HashMap<u32, MemberId>,
    next_id: u32,
    /// Pid of the command; 0 before it is started.
    root: u32,
    own_children: OwnChildren,
    /// Exited processes that are still in the list of children of a process: pid and start time.
    zombies: HashMap<u32, u64>,
    /// Number of zombies that calls for a walk. It exceeds the number present, or every poll would walk.
    walk_at_zombies: usize,
}

/// The children of this process that belong to the job.
#[derive(Debug)]
pub(super) struct OwnChildren {
    /// Pid of this process.
    pub(super) own_pid: u32,
    /// Origin of the children that are neither members nor foreign.
    pub(super) unknown: UnknownChildren,
    /// Children that do not belong to the job.
    pub(super) foreign: HashSet<u32>,
}

/// Origin of the unknown children of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UnknownChildren {
    /// They are orphans of the job.
    JobOrphans,
    /// They are orphans of the job, or of a foreign child. No other code of this process waits for them.
    OrphansBesideForeign,
    /// Other code of this process may have started them, and waits for them.
    AnyOrigin,
}

impl OwnChildren {
    /// Returns whether every child is the job's, but the foreign ones.
    pub(super) fn are_all_of_job(&self) -> bool {
        self.unknown == UnknownChildren::JobOrphans
    }

    /// Returns whether this child is an orphan for which no other code waits.
    pub(super) fn is_orphan(&self, pid: u32) -> bool {
        self.unknown != UnknownChildren::AnyOrigin && !self.foreign.contains(&pid)
    }
}

/// A member that has exited and left the roster.
#[derive(Debug)]
pub(super) struct Departed {
    pub(super) pid: u32,
    pub(super) id: MemberId,
    /// Start time in clock ticks since boot, if it was read.
    pub(super) start_ticks: Option<u64>,
    pub(super) moment: Moment,
    /// Time until which it may have held its memory.
    pub(super) freed: std::time::Duration,
    /// Its kept files: those of a dead process belong to root, so only a descriptor opened before can read them
    /// (`task_dump_owner`, fs/proc/base.c).
    pub(super) usage: UsageFiles,
}

impl Roster {
    /// Returns a roster without members.
    pub(super) fn new(own_children: OwnChildren) -> Self {
        Self {
            members: Vec::new(),
            by_pid: HashMap::new(),
            next_id: 0,
            root: 0,
            own_children,
            zombies: HashMap::new(),
            walk_at_zombies: MAX_ZOMBIES_WITHOUT_WALK,
        }
    }

    /// Sets the pid of the command.
    pub(super) fn set_root(&mut self, pid: u32) {
        self.root = pid;
    }

    /// Returns the pid of the command.
    pub(super) fn root(&self) -> u32 {
        self.root
    }

    /// Returns whether no member was ever added.
    pub(super) fn is_new(&self) -> bool {
        self.next_id == 0
    }

    /// Returns the rule for children of this process.
    pub(super) fn own_children(&self) -> &OwnChildren {
        &self.own_children
    }

    /// Returns the rule for children of this process, to be changed.
    pub(super) fn own_children_mut(&mut self) -> &mut OwnChildren {
        &mut self.own_children
    }

    /// Returns the number of the next member.
    pub(super) fn new_id(&mut self) -> MemberId {
        let id = MemberId(self.next_id);
        self.next_id += 1;
        id
    }

    /// Adds a member, whose number must come from [`Self::new_id`].
    pub(super) fn add(&mut self, member: Member) {
        self.by_pid.insert(member.pid, member.id);
        self.members.push(member);
    }

    /// Returns the number of members, with those that exited since the last sample.
    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    /// Returns whether no member is left.
    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Iterates over the members in the order of their ids.
    pub(super) fn iter(&self) -> std::slice::Iter<'_, Member> {
        self.members.iter()
    }

    /// Iterates over the members in the order of their ids.
    pub(super) fn iter_mut(&mut self) -> std::slice::IterMut<'_, Member> {
        self.members.iter_mut()
    }

    /// Returns the member at `index`, in the order of their ids.
    pub(super) fn at(&self, index: usize) -> Option<&Member> {
        self.members.get(index)
    }

    /// Returns the member at `index`, in the order of their ids.
    pub(super) fn at_mut(&mut self, index: usize) -> Option<&mut Member> {
        self.members.get_mut(index)
    }

    /// Returns whether `pid` is a member.
    pub(super) fn contains(&self, pid: u32) -> bool {
        self.by_pid.contains_key(&pid)
    }

    /// Returns the number of the member `pid`.
    pub(super) fn id_of(&self, pid: u32) -> Option<MemberId> {
        self.by_pid.get(&pid).copied()
    }

    /// Returns the index of the member `id`.
    pub(super) fn index_of(&self, id: MemberId) -> Option<usize> {
        self.members.binary_search_by_key(&id, |member| member.id).ok()
    }

    /// Returns the member with this pid.
    pub(super) fn get(&self, pid: u32) -> Option<&Member> {
        self.at(self.index_of(self.id_of(pid)?)?)
    }

    /// Returns the member with this pid.
    pub(super) fn get_mut(&mut self, pid: u32) -> Option<&mut Member> {
        let index = self.index_of(self.id_of(pid)?)?;
        self.at_mut(index)
    }

    /// Removes the member at `index`: its pid may be used again from now on. It stays in the list, as exited, until
    /// [`Self::remove_exited`].
    pub(super) fn depart(
        &mut self,
        index: usize,
        moment: Moment,
        freed: std::time::Duration,
    ) -> Option<Departed> {
        let member = self.members.get_mut(index)?;
        member.phase = Phase::Exited;
        member.tasks_used = None;
        let departed = Departed {
            pid: member.pid,
            id: member.id,
            start_ticks: member.start_ticks,
            moment,
            freed,
            usage: std::mem::take(&mut member.files.usage),
        };
        if self.by_pid.get(&departed.pid) == Some(&departed.id) {
            self.by_pid.remove(&departed.pid);
        }
        if let Some(ticks) = departed.start_ticks {
            self.zombies.insert(departed.pid, ticks);
        }
        Some(departed)
    }

    /// Drops the members that have exited.
    pub(super) fn remove_exited(&mut self) {
        self.members.retain(|member| member.phase != Phase::Exited);
    }

    /// Returns the start time of an exited process that may still be in a list of children.
    pub(super) fn zombie(&self, pid: u32) -> Option<u64> {
        self.zombies.get(&pid).copied()
    }

    /// Forgets an exited process once it was reaped; returns whether it was remembered.
    pub(super) fn forget_zombie(&mut self, pid: u32) -> bool {
        self.zombies.remove(&pid).is_some()
    }

    /// Remembers an exited process.
    pub(super) fn remember_zombie(&mut self, pid: u32, start_ticks: u64) {
        self.zombies.insert(pid, start_ticks);
    }

    /// Replaces what is remembered by what a walk has found: other exited processes are in no list any more.
    pub(super) fn replace_zombies(&mut self, found: HashMap<u32, u64>) {
        self.walk_at_zombies = MAX_ZOMBIES_WITHOUT_WALK.max(2 * found.len());
        self.zombies = found;
    }

    /// Returns whether so many exited processes are remembered that a walk is due.
    pub(super) fn has_many_zombies(&self) -> bool {
        self.zombies.len() > self.walk_at_zombies
    }

    /// Gives each member its own memory map whose parent has exec'ed or exited after its fork. A child of vfork(2) has
    /// the map for itself then. `events`: what happened since the last call, in order.
    pub(super) fn unshare_memory_maps(&mut self, events: &[TimedEvent]) {
        if !self.members.iter().any(|member| member.image.shares_map()) {
            return;
        }
        let mut started = HashMap::new();
        let mut left = HashMap::new();
        for (order, TimedEvent { event, .. }) in events.iter().enumerate() {
            match event {
                JobEvent::Started { id, .. } => drop(started.insert(*id, order)),
                JobEvent::Exec { id, .. } | JobEvent::Ended { id, .. } => drop(left.insert(*id, order)),
                _ => {}
            }
        }
        for member in self.members.iter_mut().filter(|member| member.image.shares_map()) {
            let left = member.parent.and_then(|parent| left.get(&parent));
            let shares =
                left.is_none_or(|left| started.get(&member.id).is_some_and(|started| started > left));
            member.image.set_shares_map(shares);
        }
    }
}

#[cfg(test)]
mod tests;
