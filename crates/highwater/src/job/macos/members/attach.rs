//! Adding a process that runs already. Nothing about it is changed.

use super::{Kernel, Kin, MacMember, MacMembers};
use crate::{
    Unavailable,
    job::{event_batch::EventBatch, events::JobEvent},
    process::macos::rusage::Rusage,
};

/// The reason why a process cannot be attached to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::job::macos) enum Refusal {
    NoSuchProcess,
    Because(String),
}

fn because<T>(why: &str) -> Result<T, Refusal> {
    Err(Refusal::Because(why.to_owned()))
}

impl<K: Kernel> MacMembers<K> {
    /// Adds `root` and its descendants, as they are now. A descendant whose parent has exited is not found. A child
    /// that starts meanwhile is reported, or found at the next poll.
    pub(in crate::job::macos) fn attach(
        &mut self,
        root: u32,
        own_pid: u32,
        batch: &mut EventBatch,
    ) -> Result<(), Refusal> {
        if root == own_pid {
            return because("it is this process itself");
        }
        if root == 0 {
            return because("it is the kernel itself (kernel_task), which is not a process");
        }
        let kin = self.readable(root)?;
        (self.own_pid, self.root) = (own_pid, Some(kin.unique));
        // Its process group may have unrelated processes and their orphans in it.
        self.others_group = Some(kin.group);
        self.is_attaching = true;
        self.add_member(kin, batch);
        let all_pids = self.kernel.all();
        self.find(all_pids, batch);
        self.is_attaching = false;
        // It is read once more, now that its exit would be reported: it may have exited before, and its pid be reused.
        if self.readable(root)?.unique != kin.unique {
            return Err(Refusal::NoSuchProcess);
        }
        for place in 0..self.list.len() {
            let (id, kin) = (self.list[place].id, self.list[place].kin);
            let usage = self.kernel.usage(kin.pid);
            let mark = usage.ok().filter(|_| self.is_same(kin)).and_then(|usage| usage.max_footprint().ok());
            self.list[place].mark_before = mark;
            batch.push(self.moment(), JobEvent::AttachedTo { id, mark });
        }
        Ok(())
    }

    /// Returns the identity of the process, if its memory can be read.
    fn readable(&mut self, pid: u32) -> Result<Kin, Refusal> {
        const ENDED: &str = "it has exited, and its parent has not waited for it yet";
        let kin = self.kernel.kin(pid).ok_or(Refusal::NoSuchProcess)?;
        if kin.has_ended {
            return because(ENDED);
        }
        match self.kernel.usage(pid) {
            Ok(Rusage { has_ended: true, .. }) => because(ENDED),
            Ok(_) => Ok(kin),
            Err(Unavailable::Vanished) => Err(Refusal::NoSuchProcess),
            Err(Unavailable::PermissionDenied) => because(
                "it belongs to another user or is protected, and only root can read it on macOS: run hwm with sudo",
            ),
            Err(why) => because(&format!("its memory cannot be read: {why}")),
        }
    }

    /// Returns the number of members, and the sum of their marks when they were attached to.
    pub(in crate::job::macos) fn marks_before(&self) -> (u64, Option<u64>) {
        (self.list.len() as u64, self.list.iter().map(|member| member.mark_before).sum())
    }
}

impl MacMember {
    /// Returns the mark if it rose since the process was attached to.
    pub(super) fn risen(&self, mark: Option<u64>) -> Option<u64> {
        mark.filter(|&mark| self.mark_before.is_none_or(|before| mark > before))
    }
}
