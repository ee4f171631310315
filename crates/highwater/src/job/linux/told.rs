//! What the kernel tells of the job's processes, in the order in which it happened, made into events.

mod exit;
mod held;

use std::{collections::HashMap, sync::Arc, time::Duration};

use rustix::time::{ClockId, clock_gettime};

use super::{
    descendants::read_stat,
    ended::Ended,
    lifetimes::{Lifetime, What},
    member::Member,
    members::Members,
    sources::{Sources, Told},
    taskstats::TaskEnd,
};
use crate::{
    job::{
        events::{Event, LastMark, Moment, Name},
        news::News,
    },
    record::PeakSource,
};

/// Between two walks beside the kernel's news, in looks: what they find was told of, or something is wrong.
const WALK_EVERY: usize = 200;
/// A process that has ended is told of within this time.
const OVERDUE: Duration = Duration::from_millis(20);
/// Most children exec within this time.
const FORK_TO_EXEC: Duration = Duration::from_millis(5);
/// No program starts and ends in so short a time: one that only exits takes 14 us, a false end comes within 3.
const SHORTEST_PROGRAM: Duration = Duration::from_micros(10);
/// News is written a moment after the time that it bears.
const IN_FLIGHT: Duration = Duration::from_micros(200);
/// The kernel's names hold so many bytes (`TASK_COMM_LEN` less its zero); longer ones are cut.
const COMM_LENGTH: usize = 15;

/// How well the kernel tells.
#[derive(Debug, Default)]
pub(crate) struct Telling {
    /// Births, execs and ends are told.
    listening: bool,
    /// Tasks are held at their exec and exit.
    holding: bool,
    /// Only processes of the job are told of.
    of_job_only: bool,
    /// `CLOCK_MONOTONIC` when the job's clock stood at 0.
    epoch: Duration,
    lost: u64,
    /// Something was not told.
    gaps: bool,
    /// A part of the job is no longer told of, so it is looked for.
    blind: bool,
    looks: usize,
    walk_soon: bool,
    taking_in: bool,
    just_lost: bool,
    /// Programs whose name is longer than the kernel's.
    commands: HashMap<String, String>,
    /// What has come, also what waits for the next look.
    heard: Vec<Told>,
    /// Exit records that wait for the news of their exit, by pid and tid, with the look in which they came.
    ends: HashMap<(u32, u32), (Box<TaskEnd>, u64)>,
    look: u64,
    /// Unknown processes that were found dead, with the time of their start, or behind an exec, with the count of
    /// hearings: what they had when they were held has been written, and comes with the next.
    found_dead: HashMap<u32, u64>,
    found_behind_exec: HashMap<u32, u64>,
    /// What comes after the next hearing.
    #[cfg(test)]
    late: Vec<Told>,
    /// What the command was called at the last of its execs before it was taken in.
    root_was: Option<Arc<Name>>,
    /// Nothing more will come.
    last: bool,
    /// Up to when all news has come, on the job's clock.
    until: Duration,
}

/// `CLOCK_MONOTONIC`.
pub(crate) fn monotonic() -> Duration {
    let time = clock_gettime(ClockId::Monotonic);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs().try_into().unwrap_or(0))
}

impl Telling {
    /// `epoch`: `CLOCK_MONOTONIC` when the job's clock stood at 0.
    pub(super) fn begin(&mut self, sources: &Sources, epoch: Duration) {
        self.listening = sources.lifetimes.is_some();
        self.of_job_only = sources.tells_of_the_job_only();
        self.epoch = epoch;
        self.begin_holding(sources);
    }

    /// The keeper may have been refused meanwhile.
    pub(super) fn begin_holding(&mut self, sources: &Sources) {
        self.holding = sources.keeper.is_some();
    }

    pub(super) fn is_listening(&self) -> bool {
        self.listening
    }

    /// Whether the kernel tells anything.
    pub(super) fn comes(&self) -> bool {
        self.listening || self.holding
    }

    /// Whether the news of an exec that `/proc` shows already will come. What a task had when it was held for it has
    /// been written before, and so comes with the next look.
    pub(super) fn is_exec_awaited(&self, member: &Member, at: Duration) -> bool {
        let since = member.held_at.map_or(Duration::MAX, |held| at.saturating_sub(held));
        self.listening && (member.told || since <= OVERDUE)
    }

    /// Whether nothing is told but by holding.
    pub(super) fn is_all_by_holding(&self) -> bool {
        self.holding && !self.listening
    }

    /// Whether an unknown process that has exec'ed will be heard of: of what it was before, only that tells.
    pub(super) fn is_yet_to_be_heard(&mut self, pid: u32) -> bool {
        self.is_all_by_holding() && *self.found_behind_exec.entry(pid).or_insert(self.look) == self.look
    }

    /// Whether tasks are held at their exec.
    pub(super) fn is_holding(&self) -> bool {
        self.holding
    }

    pub(super) fn is_blind(&self) -> bool {
        self.blind
    }

    pub(super) fn is_whole(&self) -> bool {
        self.listening && !self.gaps
    }

    /// Up to when all news has come.
    pub(super) fn until(&self) -> Duration {
        if self.listening { self.until } else { Duration::MAX }
    }

    /// The next look is the last: what has come is all that will.
    pub(super) fn end(&mut self) {
        self.last = true;
    }

    /// Now, on the job's clock.
    pub(super) fn now(&self) -> Duration {
        monotonic().saturating_sub(self.epoch)
    }

    /// While what is there is taken in, to be followed from now on: of all of it news will come.
    pub(super) fn take_in_all(&mut self, taking_in: bool) {
        self.taking_in = taking_in;
    }

    /// Whether news of a process just found in `/proc` will come.
    pub(super) fn tells(&mut self, is_root: bool) -> bool {
        let expected = self.listening && !self.blind;
        let is_known = is_root || self.taking_in;
        self.gaps |= expected && !is_known;
        expected && is_known
    }

    pub(super) fn should_walk(&mut self) -> bool {
        self.looks += 1;
        let due = self.walk_soon || self.looks >= WALK_EVERY;
        if due {
            (self.looks, self.walk_soon) = (0, false);
        }
        due
    }

    /// Remembers the whole name of a program whose kernel name is cut.
    pub(super) fn learn_name(&mut self, comm: &str, command: &str) {
        if comm.len() >= COMM_LENGTH && command.starts_with(comm) {
            self.commands.insert(comm.to_owned(), command.to_owned());
        }
    }

    fn name_of(&self, comm: String) -> Arc<Name> {
        let command = self.commands.get(&comm).unwrap_or(&comm).clone();
        Name::new(command, comm, None, None)
    }
}

impl Members {
    /// Takes in what the kernel told since the last look.
    pub(super) fn hear(&mut self, sources: &mut Sources, news: &mut News) {
        if !self.told.comes() {
            return;
        }
        // Each processor has a buffer of its own, and they are emptied one after the other: what happened after the
        // first was emptied may have causes that are not here yet.
        let wait = self.told.listening && !self.told.last;
        let horizon = if wait { monotonic().saturating_sub(IN_FLIGHT) } else { Duration::MAX };
        self.told.until = horizon.saturating_sub(self.told.epoch);
        let mut heard = std::mem::take(&mut self.told.heard);
        let (ends, look) = (&mut self.told.ends, self.told.look + 1);
        sources.drain(&mut heard, |end: TaskEnd| {
            ends.insert((end.pid, end.tid), (Box::new(end), look));
        });
        self.told.look = look;
        self.told.found_behind_exec.retain(|_, found| *found + 1 >= look);
        let lost = sources.lost(self.told.last);
        self.told.just_lost = lost > self.told.lost;
        if self.told.just_lost {
            self.told.lost = lost;
            (self.told.gaps, self.told.walk_soon) = (true, true);
        }
        heard.sort_by_key(Told::at);
        let due = heard.partition_point(|told| told.at() <= horizon);
        for told in heard.drain(..due) {
            self.hurry(news);
            let at = told.at().saturating_sub(self.told.epoch);
            match told {
                Told::Lifetime(Lifetime { what, .. }) => self.lifetime(at, what, news),
                Told::Held(held) => self.held(at, &held, news),
            }
        }
        self.told.heard = heard;
        self.count_found_dead(news);
        #[cfg(test)]
        self.told.heard.append(&mut self.told.late);
        // Records of others' processes; a birth that waits for the next look may be that of a member.
        let by_pid = &self.by_pid;
        self.told.ends.retain(|(pid, _), (_, came)| *came == look || by_pid.contains_key(pid));
    }

    fn lifetime(&mut self, at: Duration, what: What, news: &mut News) {
        match what {
            What::Fork { pid, tid, parent } if pid == tid => {
                self.forked(at, pid, parent, news);
            }
            What::Fork { pid, .. } => {
                if let Some(member) = self.member(pid)
                    && at > member.known_until
                {
                    member.threads += 1;
                }
            }
            What::Exec { pid, comm } => self.exec_told(at, pid, comm, news),
            What::Exit { pid, tid, status } => self.exit_told(at, pid, tid, status, news),
        }
    }

    fn member(&mut self, pid: u32) -> Option<&mut Member> {
        let id = self.by_pid.get(&pid)?;
        let index = self.list.binary_search_by_key(id, |member| member.id).ok()?;
        Some(&mut self.list[index])
    }

    fn forked(&mut self, at: Duration, pid: u32, parent: u32, news: &mut News) {
        self.unannounced.remove(&pid);
        if let Some(member) = self.member(pid) {
            if at <= member.known_until {
                member.told = true;
                return;
            }
            // The pid was given out again: of the end of its former holder nothing was told.
            self.told.gaps = true;
            self.end_of(pid, Moment::between(self.before, at), at, news);
        }
        // A member may make a child that is ours (`CLONE_PARENT`, clone(2)); and so may we.
        let is_ours = parent == self.own_pid && !self.not_ours.contains(&pid);
        if is_ours && !self.sole_owner {
            (self.told.gaps, self.told.walk_soon) = (true, true);
            return;
        }
        if !self.by_pid.contains_key(&parent) && !self.told.of_job_only && !is_ours {
            return;
        }
        let id = self.new_id(pid);
        let mut member = Member::new(id, pid, true, at);
        member.told = true;
        member.parent = self.by_pid.get(&parent).copied();
        self.list.push(member);
        news.push(Moment::exactly(at), Event::Born { id, pid, ppid: parent, name: None, forked: true });
    }

    fn exec_told(&mut self, at: Duration, pid: u32, comm: Option<String>, news: &mut News) {
        let name = comm.map(|comm| self.told.name_of(comm));
        let is_root = pid == self.root;
        let Some(member) = self.member(pid) else { return };
        if at <= member.known_until {
            if is_root {
                self.root_had_this_exec_behind_it(at, name, news);
            }
            return;
        }
        let moment = Moment::exactly(at);
        let id = member.id;
        // What was read when it was held is what the image had: this exec is what it was held for. An exit record of
        // one of its threads is older.
        let task =
            member.task_peak.map(|bytes| LastMark { bytes, source: PeakSource::Taskstats, is_final: false });
        let last = member.held.or(task).filter(|last| member.is_new(last.bytes));
        let shares = member.shares_map;
        member.exec();
        (member.threads, member.last_exec, member.told_name) = (1, Some(at), name.clone());
        if let Some(mark) = last.filter(|_| !shares) {
            news.push(moment, Event::Last { id, mark });
        }
        news.push(moment, Event::Exec { id, name });
    }

    /// An unknown process of the job was found dead.
    pub(super) fn found_dead(&mut self, pid: u32, start_ticks: u64, news: &mut News) {
        if self.told.is_all_by_holding() {
            self.told.found_dead.insert(pid, start_ticks);
        } else if !self.told.listening {
            news.push(Moment::exactly(self.at), Event::SeenDead);
        }
    }

    /// Of those that were found dead nothing more will be heard.
    pub(super) fn count_found_dead(&mut self, news: &mut News) {
        for _ in self.told.found_dead.drain() {
            news.push(Moment::exactly(self.at), Event::SeenDead);
        }
    }

    /// The command may run its second program, or third, before it is taken in.
    fn root_had_this_exec_behind_it(&mut self, at: Duration, name: Option<Arc<Name>>, news: &mut News) {
        let before = self.told.root_was.replace(name.clone().unwrap_or_else(Name::unknown));
        let Some(member) = self.member(self.root) else { return };
        let (id, moment) = (member.id, Moment::exactly(at));
        let held = member.held.take();
        // The first is what it was started for.
        let Some(before) = before else { return };
        member.named = false;
        news.push(moment, Event::Named { id, name: before });
        if let Some(mark) = held {
            news.push(moment, Event::Last { id, mark });
        }
        news.push(moment, Event::Exec { id, name });
    }

    /// Ends a member; the next reading drops it from the list.
    fn end_of(&mut self, pid: u32, moment: Moment, freed: Duration, news: &mut News) {
        let Some(id) = self.by_pid.get(&pid) else { return };
        let Ok(index) = self.list.binary_search_by_key(id, |member| member.id) else { return };
        let id = self.list[index].id;
        (self.list[index].gone, self.list[index].tasks_used) = (true, None);
        let start_ticks = self.list[index].start_ticks;
        let usage = std::mem::take(&mut self.list[index].usage);
        if let Some(ticks) = start_ticks {
            self.zombies.insert(pid, ticks);
            // A walk forgets those that are in nobody's list any more.
            self.told.walk_soon |= self.zombies.len() > self.walk_at_ended;
        }
        self.ended(Ended { pid, id, start_ticks, moment, freed, usage }, news);
    }

    /// Whether the news of a member's end is still to come.
    pub(super) fn awaits_news(&mut self, member: &mut Member) -> bool {
        let expected =
            if self.told.listening { member.told } else { self.told.holding && member.exiting.is_none() };
        if !expected || self.told.last {
            self.told.gaps |= expected && self.told.listening;
            return false;
        }
        let late = self.at.saturating_sub(*member.overdue.get_or_insert(self.at)) > OVERDUE;
        // Killed, a process ends without having been held.
        self.told.gaps |= late && self.told.listening;
        !late
    }

    /// Whether a member that was held at its exit is gone by now.
    pub(super) fn has_left(&mut self, member: &Member) -> bool {
        read_stat(&self.roots, member.pid, &mut self.text).is_none_or(|stat| {
            stat.has_exited() || member.start_ticks.is_some_and(|ticks| ticks != stat.start_ticks)
        })
    }

    /// Walks the tree although the kernel tells, to see whether it told everything.
    pub(super) fn walk_beside(&mut self, news: &mut News) {
        let before = std::mem::take(&mut self.unannounced);
        self.suspects = before;
        self.walk(false, news);
        // Who was not told of this time is looked for again soon.
        self.told.walk_soon |= !self.unannounced.is_empty();
    }

    /// Whether an unknown process that a walk found is taken in. While the kernel tells, its news may be on the way.
    pub(super) fn may_take_in(&mut self, pid: u32) -> bool {
        if !self.told.listening
            || self.told.taking_in
            || self.told.blind
            || self.told.just_lost
            || self.suspects.contains(&pid)
        {
            return true;
        }
        self.unannounced.insert(pid);
        false
    }
}
