//! A task that was held at its exec or exit, made into events.

use std::time::Duration;

use super::FORK_TO_EXEC;
use crate::{
    job::{
        events::{Event, LastMark, Moment},
        linux::{
            keeper::{Held, HeldAt},
            member::Member,
            members::Members,
        },
        news::News,
    },
    record::{PeakSource, ProcessExit},
};

impl Members {
    /// A task was held at its exec or exit.
    pub(super) fn held(&mut self, at: Duration, held: &Held, news: &mut News) {
        let pid = held.pid;
        let replaced = !self.told.listening
            && self
                .member(pid)
                .and_then(|member| member.start_ticks)
                .is_some_and(|ticks| ticks != held.start_ticks);
        if replaced {
            self.end_of(pid, Moment::between(self.before, at), at, news);
        }
        if !self.by_pid.contains_key(&pid) {
            self.taken_in_while_held(at, held, news);
        }
        // Of several execs that the command had behind it then.
        let is_next = pid == self.root && self.told.root_was.is_some();
        let Some(member) = self.member(pid) else { return };
        let is_older = at <= member.known_until;
        // Of the time before it was taken in. Nobody has his end behind him who could be.
        let is_known = is_older && !is_next && (held.image.is_none() || held.image != member.image);
        if held.what == HeldAt::Exec && (is_known || (held.forked && !member.forked)) {
            return;
        }
        if is_next && is_older && !held.comm.is_empty() {
            self.told.root_was = Some(self.told.name_of(held.comm.clone()));
        }
        let Some(member) = self.member(pid) else { return };
        if let Some(shares) = held.shares_map.filter(|_| member.forked) {
            member.shares_map = shares;
            let id = member.id;
            news.push(Moment::exactly(at), Event::SharesMap { id, shares });
        }
        if !self.told.listening {
            self.compare_image(at, held, news);
        }
        let name = (!held.comm.is_empty()).then(|| self.told.name_of(held.comm.clone()));
        let Some(member) = self.member(pid) else { return };
        let id = member.id;
        if let Some(name) = name.filter(|_| !member.named && !member.forked) {
            member.named = true;
            news.push(Moment::exactly(at), Event::Named { id, name });
        }
        // Others that run in the same map go on meanwhile; and a child that has not exec'ed may run in its parent's.
        let alone = held.threads == Some(1) && (!member.forked || held.shares_map == Some(false));
        let mark = held.mark.filter(|_| !member.shares_map).map(|bytes| LastMark {
            bytes,
            source: PeakSource::ExitNotify,
            is_final: alone,
        });
        match held.what {
            HeldAt::Exec => (member.held, member.held_at) = (mark, Some(at)),
            HeldAt::ExitGroup { code } => {
                member.held = mark;
                member.exiting = Some(at);
                let exit = ProcessExit { code: Some(code), signal: None };
                news.push(Moment::exactly(at), Event::Exit { id, exit });
                if let Some(mark) = mark {
                    news.push(Moment::exactly(at), Event::Last { id, mark });
                }
            }
        }
    }

    /// A process that nobody has told of yet was held: the filter is inherited, so it belongs to the job.
    fn taken_in_while_held(&mut self, at: Duration, held: &Held, news: &mut News) {
        self.told.gaps |= self.told.listening;
        self.told.found_dead.retain(|&pid, &mut ticks| (pid, ticks) != (held.pid, held.start_ticks));
        self.told.found_behind_exec.remove(&held.pid);
        let id = self.new_id(held.pid);
        let mut member = Member::new(id, held.pid, held.forked, Duration::ZERO);
        member.image = held.image;
        member.start_ticks = (!self.told.listening).then_some(held.start_ticks);
        member.parent = self.by_pid.get(&held.ppid).copied();
        self.list.push(member);
        let is_named = !held.forked && !held.comm.is_empty();
        let name = is_named.then(|| self.told.name_of(held.comm.clone()));
        // Held at an exec before it was ever seen: it was forked a moment ago.
        let earliest = if held.what == HeldAt::Exec { at.saturating_sub(FORK_TO_EXEC) } else { self.before };
        let moment = Moment::between(earliest.max(self.before), at);
        news.push(moment, Event::Born { id, pid: held.pid, ppid: held.ppid, name, forked: held.forked });
    }

    /// Without news of execs: a process that is held with another memory map than before has exec'ed meanwhile.
    fn compare_image(&mut self, at: Duration, held: &Held, news: &mut News) {
        let name = self.told.name_of(held.comm.clone());
        let before = self.before;
        let Some(member) = self.member(held.pid) else { return };
        // The exec that it was held for last.
        let moment = member.held_at.map_or(Moment::between(before, at), Moment::exactly);
        let other = member.image.is_some() && held.image.is_some() && member.image != held.image;
        if other || (member.forked && !held.forked) {
            Self::exec_between(member, held.image, Some(name), moment, news);
        } else {
            member.image = held.image.or(member.image);
        }
    }
}

#[cfg(test)]
mod tests;
