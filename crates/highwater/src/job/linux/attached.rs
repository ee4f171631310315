//! Members of a job that ran before it was attached to.

use std::time::Duration;

use super::{descendants::read_into, members::Members, sources::Sources};
use crate::{
    job::{
        events::{Event, Moment},
        news::News,
    },
    process::linux::status::Status,
};

impl Members {
    /// Takes in a process that runs already, and all its descendants, as they are now. Whoever is not there any more is
    /// not found; whoever is born meanwhile is told of, or found at the next look.
    pub(crate) fn attach(&mut self, root: u32, epoch: Duration, sources: &Sources, news: &mut News) {
        // Where we ourselves descend from it, as from a shell, we are no part of the job.
        self.root = root;
        self.not_ours.insert(self.own_pid);
        self.told.begin(sources, epoch);
        self.told.take_in_all(true);
        self.at = self.told.now();
        self.adopt(root, false, news);
        self.walk(false, news);
        self.told.take_in_all(false);
        for member in &mut self.list {
            let text = &mut self.text;
            let path = self.roots.proc.join(format!("{}/status", member.pid));
            let mark = read_into(&path, text).then(|| Status::parse(text)).flatten();
            let mark = mark.and_then(|status| status.vm_hwm_bytes);
            (member.mark_before, member.forked) = (mark, false);
            // Of what its threads used that have ended, and of what they held, there are no records.
            member.tasks_used.get_or_insert_default().has_gaps = true;
            news.push(Moment::exactly(self.at), Event::WasThere { id: member.id, mark });
        }
    }

    /// Members, and the sum of their marks when they were attached to.
    pub(crate) fn marks_before(&self) -> (u64, Option<u64>) {
        let sum = self.list.iter().filter(|member| !member.shares_map).map(|member| member.mark_before).sum();
        (self.list.len() as u64, sum)
    }
}
