//! Execs as `/proc` shows them: without the kernel's news the only sign, and beside it what must not be counted twice.

use std::{sync::Arc, time::Duration};

use super::{descendants::read_stat, member::Member, members::Members};
use crate::{
    job::{
        events::{Event, Moment, Name},
        news::News,
    },
    process::linux::stat::Stat,
};

/// What a member that may run another program does.
pub(super) enum Exec {
    None,
    Found,
    /// What it had when it was held for its exec has been written, and may not have been heard.
    Postponed,
}

impl Members {
    /// A process's `stat`, and a moment at which it was so: the kernel's news of an exec may be older. And in the midst
    /// of one `stat` shows the old memory map beside the new flags (`do_task_stat`, fs/proc/array.c).
    pub(super) fn stat_and_time(&mut self, pid: u32) -> Option<(Duration, Stat)> {
        // Some do nothing but start threads.
        const ENOUGH: usize = 8;
        let mut stat = read_stat(&self.roots, pid, &mut self.text)?;
        let mut now = self.told.now();
        if !self.told.comes() {
            return Some((now, stat));
        }
        for _ in 0..ENOUGH {
            let before = std::mem::replace(&mut stat, read_stat(&self.roots, pid, &mut self.text)?);
            let is_as_before = before.image == stat.image
                && before.has_not_exec() == stat.has_not_exec()
                && before.threads == stat.threads;
            if is_as_before {
                break;
            }
            now = self.told.now();
        }
        Some((now, stat))
    }

    /// Whether a member runs another program now; if so, what it is called.
    pub(super) fn find_exec(&mut self, member: &mut Member, image_changed: bool, news: &mut News) -> Exec {
        let Some(stat) = read_stat(&self.roots, member.pid, &mut self.text) else { return Exec::None };
        let other_process = Some(stat.start_ticks) != member.start_ticks;
        let not_yet = member.forked && stat.has_not_exec();
        // The same memory map is the same program, whatever its text looks like.
        let is_known = member.image.is_some() && stat.image.is_some();
        let same_image = is_known && member.image == stat.image && !member.forked;
        let other_image = is_known && member.image != stat.image;
        if other_process || not_yet || same_image {
            return Exec::None;
        }
        let is_first = !(member.forked || image_changed || other_image);
        if is_first && (stat.image.is_none() || !self.told.is_holding()) {
            return Exec::None;
        }
        if self.told.is_holding() && !member.showed_before(stat.image) {
            self.postponed = true;
            return if is_first { Exec::None } else { Exec::Postponed };
        }
        if is_first {
            // Nothing was heard that was before this one.
            member.image = stat.image;
            return Exec::None;
        }
        let (name, named) = self.name(member.pid, stat.comm);
        Self::exec_between(member, stat.image, Some(name), Moment::between(self.before, self.at), news);
        member.named = named;
        Exec::Found
    }

    /// A member was found to have exec'ed.
    pub(super) fn exec_between(
        member: &mut Member,
        image: Option<u64>,
        name: Option<Arc<Name>>,
        moment: Moment,
        news: &mut News,
    ) {
        if let Some(mark) = member.held {
            news.push(moment, Event::Last { id: member.id, mark });
        }
        member.exec();
        (member.image, member.named) = (image, true);
        news.push(moment, Event::Exec { id: member.id, name });
    }
}
