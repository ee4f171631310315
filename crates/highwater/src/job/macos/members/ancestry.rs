//! The rules by which a process belongs to the job.

use super::{Kernel, Kin, MacMember, MacMembers};
use crate::job::{event_batch::EventBatch, events::JobEvent, identity::MemberId};

/// The first process of the system, which adopts orphans.
pub(super) const LAUNCHD: u32 = 1;

impl<K: Kernel> MacMembers<K> {
    /// Adds the processes of `pids` that belong to the job, parents before their children.
    pub(super) fn find(&mut self, pids: Vec<u32>, batch: &mut EventBatch) {
        let mut candidates: Vec<Kin> = Vec::new();
        for pid in pids {
            if pid == self.own_pid || self.list.iter().any(|member| member.kin.pid == pid) {
                continue;
            }
            let Some(kin) = self.kernel.kin(pid) else { continue };
            if self.known.contains(&kin.unique) || self.foreign.get(&pid) == Some(&kin.unique) {
                continue;
            }
            candidates.push(kin);
        }
        // The order of starts, so that a parent is known before its children.
        candidates.sort_unstable_by_key(|kin| kin.unique);
        for kin in candidates {
            if self.belongs(&kin) {
                self.add_member(kin, batch);
            } else if kin.ppid != LAUNCHD {
                // A child of launchd may be claimed later, when its group is known.
                self.foreign.insert(kin.pid, kin.unique);
            }
        }
    }

    fn belongs(&self, kin: &Kin) -> bool {
        if kin.parent != 0 && self.known.contains(&kin.parent) {
            return true;
        }
        // Its original parent started after the command and was never seen, and launchd has adopted it.
        let is_later = self.root.is_some_and(|root| kin.parent > root);
        is_later && kin.ppid == LAUNCHD && self.groups.contains(&kin.group)
    }

    /// Remembers the process group that a member leads: orphans of the job may be in it.
    pub(super) fn note_group(&mut self, kin: &Kin) {
        if kin.group == kin.pid && self.others_group != Some(kin.group) {
            self.groups.insert(kin.group);
        }
    }

    pub(super) fn add_member(&mut self, kin: Kin, batch: &mut EventBatch) {
        let id = MemberId(self.next_id);
        self.next_id += 1;
        self.known.insert(kin.unique);
        self.note_group(&kin);
        *self.unannounced.entry(kin.parent).or_default() += 1;
        let parent = self.list.iter().find(|member| member.kin.unique == kin.parent);
        let ppid = parent.map_or(kin.ppid, |parent| parent.kin.pid);
        // This comes before any reading, so that later events are reported.
        let is_watched = !kin.has_ended && self.kernel.watch(kin.pid, id);
        let is_new = !kin.has_execed && !self.is_attaching;
        let name = if is_new { None } else { self.kernel.name(kin.pid) };
        let moment = self.moment();
        batch.push(moment, JobEvent::Started { id, pid: kin.pid, ppid, name, forked: is_new });
        self.list.push(MacMember {
            id,
            kin,
            is_watched,
            exit: None,
            has_ended: kin.has_ended,
            remains: None,
            is_refused: false,
            mark_before: None,
        });
        // It may have had children before it was watched.
        if is_watched {
            let children = self.kernel.children(kin.pid);
            if !children.is_empty() {
                self.find(children, batch);
            }
        }
    }
}
