//! Finding new members by looking: among the pids given out since the last look, or by walking the tree.

use std::{collections::HashMap, fs, path::PathBuf, sync::Arc, time::Duration};

use super::{
    descendants::read_stat,
    member::{Member, same_map},
    members::{MANY_ENDED, Members},
};
use crate::{
    job::{
        events::{Event, MemberId, Moment, Name},
        news::News,
    },
    process::linux::{cmdline, stat::Stat},
};

/// Up to so many pids given out since the last look are asked one by one; for more, the tree is walked.
const FEW_BIRTHS: u64 = 64;
/// The tree is walked at least once in so many looks, however quiet it is, and in fewer where it is small: whoever
/// sets `ns_last_pid` (CRIU) moves the cursor back.
const WALK_EVERY: usize = 100;

/// What a process was started with, as far as it is to be seen.
pub(super) struct Arguments {
    command: Option<String>,
    line: Option<String>,
    exe: Option<String>,
}

impl Members {
    /// Looks for new members, if anybody can have been born since the last time.
    pub(super) fn find(&mut self, news: &mut News) {
        let cursor = self.descendants.cursor();
        let before = std::mem::replace(&mut self.last_cursor, cursor);
        let still = cursor.is_some() && cursor == before;
        self.until_walk = self.until_walk.saturating_sub(1);
        if still && self.until_walk > 0 && !self.unsettled && self.unborn.is_empty() {
            return;
        }
        let births = before.zip(cursor).and_then(|(before, cursor)| cursor.checked_sub(before));
        match births {
            // The pids given out since the last look tell who is new, at a price that follows the births.
            Some(births) if births <= FEW_BIRTHS && self.until_walk > 0 => {
                self.probe(before.unwrap_or(0) + 1..=cursor.unwrap_or(0), news);
            }
            _ => self.walk(!still, news),
        }
    }

    /// Looks at each pid given out since the last look, and at those fallen to us.
    fn probe(&mut self, pids: std::ops::RangeInclusive<u64>, news: &mut News) {
        let mut zombies = std::mem::take(&mut self.zombies);
        let mut found = std::mem::take(&mut self.unborn);
        let old = found.len();
        found.extend(pids.filter_map(|pid| u32::try_from(pid).ok()));
        // A pid is given out some microseconds before its process can be seen (`copy_process`, kernel/fork.c): ask once more.
        self.unborn = found[old..].iter().copied().filter(|&pid| !self.descendants.is_visible(pid)).collect();
        found.retain(|&pid| self.descendants.is_process(pid));
        self.take_in(&mut found, false, &mut zombies, news);
        self.descendants.children(self.own_pid, &mut found);
        self.take_in(&mut found, false, &mut zombies, news);
        self.zombies = zombies;
    }

    /// Walks the whole tree of the job. `because_of_news`: somebody was born, and somebody else may be about to appear.
    pub(super) fn walk(&mut self, because_of_news: bool, news: &mut News) {
        self.until_walk = self.list.len().min(WALK_EVERY);
        self.unborn.clear();
        self.descendants.begin();
        let mut zombies = HashMap::new();
        let mut found = Vec::new();
        let mut index = 0;
        // Our own list comes after the members known so far: a child that lost its parent meanwhile has fallen to us.
        // Members found on the way are appended and visited in their turn.
        let mut own_visited = false;
        while index < self.list.len() || !own_visited {
            let (pid, ours) = match self.list.get(index) {
                Some(member) => (member.pid, false),
                None => (self.own_pid, true),
            };
            self.descendants.children(pid, &mut found);
            self.take_in(&mut found, !ours, &mut zombies, news);
            own_visited |= ours;
            index += usize::from(!ours);
        }
        self.zombies = zombies;
        self.walk_at_ended = MANY_ENDED.max(2 * self.zombies.len());
        // Once more at the next look.
        self.walked_on_news = because_of_news;
    }

    fn take_in(
        &mut self,
        found: &mut Vec<u32>,
        of_member: bool,
        zombies: &mut HashMap<u32, u64>,
        news: &mut News,
    ) {
        for pid in found.drain(..) {
            self.hurry(news);
            let is_known = self.by_pid.contains_key(&pid) || self.not_ours.contains(&pid);
            // One that is told to have ended stays in its parent's list while its memory is freed: 70 ms for 1 GiB.
            let is_ending = self.to_wait.iter().any(|ended| ended.pid == pid);
            if is_known || is_ending {
                continue;
            }
            let ended = self.zombies.get(&pid).or(zombies.get(&pid)).copied();
            if let Some(stat) = self.still_dead(pid, ended) {
                zombies.insert(pid, stat.start_ticks);
                self.reap_fallen(pid, &stat, news);
                continue;
            }
            if !self.may_take_in(pid) {
                continue;
            }
            let Some(stat) = self.adopt(pid, of_member, news) else { continue };
            if self.by_pid.contains_key(&pid) {
                continue;
            }
            self.found_dead(pid, stat.start_ticks, news);
            zombies.insert(pid, stat.start_ticks);
            self.reap_fallen(pid, &stat, news);
        }
    }

    /// What `pid` is now, if it is still the process that ended, begun at `ticks`.
    fn still_dead(&mut self, pid: u32, ticks: Option<u64>) -> Option<Stat> {
        let ticks = ticks?;
        let stat = read_stat(&self.roots, pid, &mut self.text).filter(|stat| stat.start_ticks == ticks)?;
        // A leader may have left before its other threads.
        let is_dead = stat.is_exiting() && (stat.state != b'Z' || stat.threads <= 1);
        is_dead.then_some(stat)
    }

    /// Waits for a process that ended, if it has fallen to us and is quite dead.
    fn reap_fallen(&mut self, pid: u32, stat: &Stat, news: &mut News) {
        if stat.ppid == self.own_pid
            && stat.state == b'Z'
            && let Some(waited) =
                self.reap_unknown(pid, Some(stat.start_ticks), Moment::exactly(self.at), news).waited()
        {
            self.note_max(waited.max_rss_bytes, Moment::exactly(self.at), news);
        }
    }

    /// Whether an unknown child of this process is an orphan of the job. Where others start processes too, only
    /// a process group or session of a member that is not ours tells.
    fn may_claim(&mut self, pid: u32) -> bool {
        if self.sole_owner {
            return true;
        }
        let (roots, text) = (&self.roots, &mut self.text);
        let mut read = |pid: u32| read_stat(roots, pid, text);
        let (Some(theirs), Some(own)) = (read(pid), read(self.own_pid)) else { return false };
        // Outside our pid namespace every group and session is the same unknown: it tells nothing.
        let same = |a: Option<u32>, b: Option<u32>| a.is_some() && a == b;
        self.list.iter().filter_map(|member| read(member.pid)).any(|member| {
            (same(member.group, theirs.group) && member.group != own.group)
                || (same(member.session, theirs.session) && member.session != own.session)
        })
    }

    /// Makes `pid` a member; `of_member` when it stood in a member's list of children. Returns its `stat`, also when
    /// it has ended already and was not taken in.
    pub(super) fn adopt(&mut self, pid: u32, of_member: bool, news: &mut News) -> Option<Stat> {
        let (known_until, stat) = self.stat_and_time(pid)?;
        let is_root = self.root == pid && self.next_id == 0;
        // The pid may have been reused since the list was read: only a child of the job counts. A child of ours may
        // be anybody's, unless it stood in a member's list and has lost that parent since.
        let of_the_job = is_root
            || self.by_pid.contains_key(&stat.ppid)
            || (stat.ppid == self.own_pid && (of_member || self.may_claim(pid)));
        if !of_the_job {
            return None;
        }
        if stat.state == b'Z' && stat.threads <= 1 && !is_root {
            return Some(stat);
        }
        let forked = stat.has_not_exec();
        if !is_root && !forked && self.told.is_yet_to_be_heard(pid) {
            // And of its children it is not known yet that they belong to the job.
            (self.postponed, self.until_walk) = (true, 0);
            return None;
        }
        let (name, named) = self.name(pid, stat.comm.clone());
        let mut member = Member::new(self.new_id(pid), pid, forked, known_until);
        member.parent = self.by_pid.get(&stat.ppid).copied();
        member.open(&self.roots, &stat);
        (member.named, member.threads, member.told) = (named, stat.threads.max(1), self.told.tells(is_root));
        if is_root && self.told.is_all_by_holding() {
            // It may have exec'ed more than once since it was started, and all of it will be heard.
            (member.image, member.named, member.known_until) = (None, false, Duration::ZERO);
        }
        member.was_dead = stat.has_exited();
        let moment = Moment::between(self.before, self.at);
        news.push(moment, Event::Born { id: member.id, pid, ppid: stat.ppid, name: Some(name), forked });
        self.ask_for_map(&mut member, stat.ppid, news);
        self.list.push(member);
        Some(stat)
    }

    /// A number for a new member.
    pub(super) fn new_id(&mut self, pid: u32) -> MemberId {
        let id = MemberId(self.next_id);
        self.next_id += 1;
        self.by_pid.insert(pid, id);
        id
    }

    /// Opens the files of a member of which only the kernel has told so far; `false` if it has gone.
    pub(super) fn open(&mut self, member: &mut Member, news: &mut News) -> bool {
        let Some(mut stat) = read_stat(&self.roots, member.pid, &mut self.text) else { return false };
        let other_process = member.start_ticks.is_some_and(|ticks| ticks != stat.start_ticks);
        if other_process || stat.state == b'Z' && stat.threads <= 1 {
            return false;
        }
        let has_exec = member.forked && !stat.has_not_exec()
            || member.image.is_some() && stat.image.is_some() && member.image != stat.image;
        if has_exec && self.told.is_exec_awaited(member, self.at) {
            // What could be read now is of the next image.
            return true;
        }
        if has_exec {
            let Some((_, whole)) = self.stat_and_time(member.pid) else { return false };
            stat = whole;
            if self.told.is_holding() && !member.showed_before(stat.image) {
                self.postponed = true;
                return true;
            }
            let (name, named) = self.name(member.pid, stat.comm.clone());
            let moment = member.held_at.map_or(Moment::between(self.before, self.at), Moment::exactly);
            Self::exec_between(member, stat.image, Some(name), moment, news);
            member.named = named;
        }
        member.open(&self.roots, &stat);
        self.ask_for_map(member, stat.ppid, news);
        true
    }

    /// Asks whether a forked child runs in its parent's memory map.
    fn ask_for_map(&mut self, member: &mut Member, parent: u32, news: &mut News) {
        if !member.forked || member.shares_map {
            return;
        }
        let shares = same_map(parent, member.pid);
        // It may have exec'ed before it was compared.
        let still_forked = |stat: Stat| stat.has_not_exec();
        if let Some(shares) = shares
            && read_stat(&self.roots, member.pid, &mut self.text).is_some_and(still_forked)
        {
            member.shares_map = shares;
            news.push(Moment::exactly(self.at), Event::SharesMap { id: member.id, shares });
        }
    }

    /// What the process is called now, and whether that is all.
    pub(super) fn name(&mut self, pid: u32, comm: String) -> (Arc<Name>, bool) {
        let arguments = self.arguments(pid);
        self.name_by(arguments, comm)
    }

    /// What the process was started with.
    pub(super) fn arguments(&mut self, pid: u32) -> Arguments {
        let directory = self.roots.proc.join(pid.to_string());
        let path = directory.join("cmdline");
        let extent = self.lines.read(path, &mut self.text);
        let line = extent.filter(|_| self.lines.are_wanted).and_then(|_| cmdline::line(&self.text));
        let command = extent.and_then(|extent| cmdline::name_at_start(&self.text, extent));
        let exe = fs::read_link(directory.join("exe")).ok();
        Arguments { command, line, exe: exe.map(|path: PathBuf| path.to_string_lossy().into_owned()) }
    }

    /// `false`: its arguments are not there yet, as in the moment of its exec (`begin_new_exec` names it before
    /// `setup_arg_pages`, fs/exec.c), or it has none.
    pub(super) fn name_by(&mut self, arguments: Arguments, comm: String) -> (Arc<Name>, bool) {
        let Arguments { command, line, exe } = arguments;
        let has_arguments = command.is_some();
        let command = command.unwrap_or_else(|| comm.clone());
        self.told.learn_name(&comm, &command);
        (Name::new(command, comm, exe, line), has_arguments)
    }
}
