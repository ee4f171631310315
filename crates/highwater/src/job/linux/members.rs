//! The living members of the job and their memory.
//!
//! Who belongs is learned from what the kernel tells (`told.rs`) or by looking (`discovery.rs`).

use std::{
    collections::{HashMap, HashSet, VecDeque},
    time::{Duration, Instant},
};

use super::{
    command_lines::CommandLines,
    descendants::{Descendants, read_stat},
    ended::Ended,
    execs::Exec,
    member::{Member, Seen},
    sources::Sources,
};
use crate::{
    Roots,
    job::{
        Control, Job,
        events::{Event, MemberId, Moment, Reading, Timed},
        news::{Look, News},
        unix::wait::{Ending, Waited},
        used::{UsageWanted, UsedBy},
    },
    record::{Downgrade, Lineage, ProcessExit},
};

/// A fall of the mark by more than the counters' own slack means a new memory map: an exec.
const MARK_FELL: u64 = 512 * 1024;
/// Ended members that are remembered without a walk.
pub(super) const MANY_ENDED: usize = 4096;
/// So often in a look what was written meanwhile is heard, where `/proc` is ahead of it. Some exec all the time.
const HEARD_AGAIN: usize = 2;
/// So often a member without arguments is asked for its name again.
const NAMELESS_LOOKS: u8 = 3;

/// All members that were alive at the last look.
#[derive(Debug)]
pub(crate) struct Members {
    pub(super) roots: Roots,
    pub(super) descendants: Descendants,
    /// In the order of their ids.
    pub(super) list: Vec<Member>,
    pub(super) by_pid: HashMap<u32, MemberId>,
    pub(super) next_id: u32,
    pub(super) own_pid: u32,
    pub(super) sole_owner: bool,
    page_size: u64,
    /// When this look began, and the one before.
    pub(super) at: Duration,
    pub(super) before: Duration,
    pub(super) last_cursor: Option<u64>,
    /// Somebody came or went during the last look: look again even if the cursor stands still.
    pub(super) unsettled: bool,
    /// The last look walked the tree because somebody was born.
    pub(super) walked_on_news: bool,
    /// Looks until the tree is walked even if few were born.
    pub(super) until_walk: usize,
    /// Pids given out whose process could not be seen yet.
    pub(super) unborn: Vec<u32>,
    /// Ended processes that are still in somebody's list of children: pid and start time.
    pub(super) zombies: HashMap<u32, u64>,
    /// How many of them ask for a walk: more than are there, or every look would walk.
    pub(super) walk_at_ended: usize,
    /// Children of ours that do not belong to the job.
    pub(super) not_ours: HashSet<u32>,
    /// Ended children of ours that could not be waited for yet.
    pub(super) to_wait: Vec<Ended>,
    /// What the kernel tells: where it is not whole, `/proc` is asked again.
    pub(super) told: super::told::Telling,
    /// Processes found by the last walk beside the kernel's news of which no news has come yet, and those of the walk before.
    pub(super) unannounced: HashSet<u32>,
    pub(super) suspects: HashSet<u32>,
    /// The mark that we ourselves had when the command was forked: `ru_maxrss` up to it may be ours.
    pub(super) own_mark: u64,
    /// The command itself: its pid, and how it ended. Its life is told by wait4, never by `/proc`.
    pub(super) root: u32,
    pub(super) root_ending: Ending,
    /// As the kernel told it.
    pub(super) root_told: Option<ProcessExit>,
    readings: Vec<Reading>,
    /// What is read beside memory.
    pub(super) usage: UsageWanted,
    pub(super) lines: CommandLines,
    uses: Vec<UsedBy>,
    pub(super) text: Vec<u8>,
    /// For orders that cannot wait until a look is over.
    pub(super) control: Control,
    /// When the next sweep is due.
    pub(super) next_sweep: Option<Instant>,
    /// Whom a sweep has waited for before the kernel's news of them was heard, by pid, first come first.
    pub(super) waited_early: HashMap<u32, VecDeque<Waited>>,
    /// The tree is being killed; and whether a sweep found somebody although no member was left.
    pub(super) is_ending: bool,
    found_more: bool,
    /// `/proc` showed an exec: what was written before that has to be heard first.
    pub(super) postponed: bool,
}

/// How much of each member a look reads.
#[derive(Debug, Clone, Copy)]
pub(super) struct Depth {
    /// Its mark, too.
    pub(super) marks: bool,
    /// What it has used beside memory, too, if that is wanted at all.
    pub(super) usage: bool,
}

impl Members {
    /// `own_mark`: our own high-water mark in bytes when the command was forked.
    pub(crate) fn new(roots: &Roots, sole_owner: bool, own_mark: u64, wanted: &Job) -> Self {
        Self {
            roots: roots.clone(),
            descendants: Descendants::new(roots),
            list: Vec::new(),
            by_pid: HashMap::new(),
            next_id: 0,
            own_pid: std::process::id(),
            sole_owner,
            page_size: rustix::param::page_size() as u64,
            at: Duration::ZERO,
            before: Duration::ZERO,
            last_cursor: None,
            unsettled: true,
            walked_on_news: false,
            until_walk: 0,
            unborn: Vec::new(),
            zombies: HashMap::new(),
            walk_at_ended: MANY_ENDED,
            not_ours: HashSet::new(),
            to_wait: Vec::new(),
            told: super::told::Telling::default(),
            unannounced: HashSet::new(),
            suspects: HashSet::new(),
            own_mark,
            root: 0,
            root_ending: Ending::NotYet,
            root_told: None,
            readings: Vec::new(),
            usage: wanted.usage,
            lines: CommandLines::new(wanted.wants_lines(), wanted.limits.are_sampled()),
            uses: Vec::new(),
            text: Vec::new(),
            control: wanted.control(),
            next_sweep: None,
            waited_early: HashMap::new(),
            is_ending: false,
            found_more: false,
            postponed: false,
        }
    }

    /// How members are found when the kernel does not tell.
    pub(crate) fn lineage(&self) -> Lineage {
        self.descendants.lineage()
    }

    /// Whether every birth, exec and end was told.
    pub(crate) fn all_told(&self) -> bool {
        self.told.is_whole()
    }

    /// Notes the children that we have before the command is started: `make & exec hwm run` leaves us those of the shell.
    /// Nobody waits for them, so their pids stay theirs. But what descends from them may fall to us, too.
    pub(crate) fn note_strangers(&mut self, keeper: Option<u32>) {
        self.not_ours.extend(keeper);
        if self.sole_owner {
            let mut found = Vec::new();
            self.descendants.begin();
            self.descendants.children(self.own_pid, &mut found);
            found.retain(|&pid| Some(pid) != keeper);
            self.sole_owner = found.is_empty();
            self.not_ours.extend(found);
        }
    }

    /// Takes the command itself in as the first member.
    /// `epoch`: `CLOCK_MONOTONIC` when the job's clock stood at 0.
    pub(crate) fn start(&mut self, root: u32, epoch: Duration, sources: &Sources, news: &mut News) {
        self.root = root;
        self.told.begin(sources, epoch);
        self.at = self.told.now();
        if self.adopt(root, false, news).is_none() && self.told.is_listening() {
            self.take_in_unseen(root, news);
        }
    }

    /// Takes the command in although `/proc` does not show it: the kernel will tell of its end.
    fn take_in_unseen(&mut self, root: u32, news: &mut News) {
        let id = self.new_id(root);
        let mut member = Member::new(id, root, false, self.at);
        member.told = true;
        self.list.push(member);
        let born = Event::Born { id, pid: root, ppid: self.own_pid, name: None, forked: false };
        news.push(Moment::exactly(self.at), born);
    }

    /// Whether its tasks are held is known now.
    pub(crate) fn started(&mut self, sources: &Sources) {
        self.told.begin_holding(sources);
    }

    /// How the command ended, if the kernel told of it.
    pub(crate) fn root_told(&self) -> Option<ProcessExit> {
        self.root_told
    }

    /// How the command ended, once it has been waited for.
    pub(crate) fn root_exit(&self) -> Option<Waited> {
        self.root_ending.waited()
    }

    /// Whether the command itself is still there.
    pub(crate) fn root_lives(&self) -> bool {
        self.root_ending == Ending::NotYet
    }

    /// Whether the command is seen to have ended, but the news of it has not come: it is a moment away.
    pub(crate) fn root_is_overdue(&self) -> bool {
        self.list.first().is_some_and(|member| member.pid == self.root && member.overdue.is_some())
            || self.to_wait.iter().any(|ended| ended.pid == self.root)
    }

    /// Whether the news of some end is still to come.
    pub(crate) fn awaits_news_of_ends(&self) -> bool {
        !self.to_wait.is_empty() || self.list.iter().any(|member| member.overdue.is_some())
    }

    /// Pids of the members alive at the last look.
    pub(crate) fn pids(&self) -> impl Iterator<Item = u32> + '_ {
        self.list.iter().map(|member| member.pid)
    }

    /// Those, with who they are in the ledger.
    pub(crate) fn pids_and_ids(&self) -> impl Iterator<Item = (u32, MemberId)> + '_ {
        self.list.iter().map(|member| (member.pid, member.id))
    }

    /// Up to when all news has come in a look begun `at`.
    pub(crate) fn told_until(&self, at: Duration) -> Duration {
        self.told.until().min(at)
    }

    /// CPU time that reading command lines has taken in threads of its own.
    pub(crate) fn reader_cpu(&self) -> Duration {
        self.lines.reader_cpu()
    }

    /// Lists what could not be read of members' command lines.
    pub(crate) fn unread_lines(&self) -> impl Iterator<Item = Downgrade> {
        self.lines.unread()
    }

    /// What the last look read, in the order of ids.
    pub(crate) fn readings(&self) -> &[Reading] {
        &self.readings
    }

    /// What the last look read beside memory, in the order of ids; nothing if it did not.
    pub(crate) fn uses(&self) -> &[UsedBy] {
        &self.uses
    }

    /// Members with a memory map of their own, with the RSS of the last look.
    pub(crate) fn maps(&self) -> impl Iterator<Item = (u32, u64)> + '_ {
        self.readings.iter().filter(|reading| !reading.shares_map).filter_map(|reading| {
            let index = self.list.binary_search_by_key(&reading.id, |member| member.id).ok()?;
            Some((self.list[index].pid, reading.rss))
        })
    }

    /// Whether nobody is left, nor is still dying: a killed process holds its memory until it has given it back.
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty() && !self.found_more && !self.postponed && self.to_wait.is_empty()
    }

    /// One look at the whole job, begun `at`: who came, who went, what each holds. The marks are read,
    /// too, as `depth` says; they are read anyway while members come and go, since the bounds depend on who lived together.
    pub(crate) fn look(
        &mut self,
        at: Duration,
        depth: Depth,
        sources: &mut Sources,
        news: &mut News,
    ) -> Look {
        (self.before, self.at, self.postponed) = (self.at, at, false);
        self.hear(sources, news);
        if !self.told.is_listening() || self.told.is_blind() {
            self.find(news);
        } else if self.told.should_walk() {
            self.walk_beside(news);
        }
        self.wait_again(news);
        self.leave_maps_to_their_last(&news.events);
        let marks = depth.marks || self.unsettled || news.changes.births > 0;
        let usage = depth.usage && self.usage.any();
        self.read_all(marks, usage, news);
        for _ in 0..HEARD_AGAIN {
            if !std::mem::take(&mut self.postponed) {
                break;
            }
            let before = news.events.len();
            self.hear(sources, news);
            if self.told.is_all_by_holding() {
                self.find(news);
            }
            self.leave_maps_to_their_last(&news.events[before..]);
            self.read_all(marks, usage, news);
        }
        if self.root_lives()
            && !self.by_pid.contains_key(&self.root)
            && !self.to_wait.iter().any(|ended| ended.pid == self.root)
        {
            // It cannot be read (no /proc?), but it can be waited for.
            self.root_ending = self.reap_unknown(self.root, None, Moment::exactly(at), news);
        }
        // The news of somebody may be on the way.
        self.found_more = self.is_ending && self.list.is_empty() && self.sweep(news);
        let changes = news.changes;
        self.unsettled = std::mem::take(&mut self.walked_on_news) || changes.births + changes.ends > 0;
        Look { changes, marks }
    }

    /// Takes in what has been told, between two looks: buffers are of limited size.
    pub(crate) fn listen(&mut self, sources: &mut Sources, news: &mut News) {
        self.hear(sources, news);
    }

    /// The last look: takes in everything that was told.
    pub(crate) fn last_look(&mut self, at: Duration, sources: &mut Sources, news: &mut News) -> Look {
        self.told.end();
        let look = self.look(at, Depth { marks: true, usage: true }, sources, news);
        self.tell_of_the_untold(news);
        self.count_found_dead(news);
        look
    }

    /// Whoever ran in the memory map of a member that has exec'ed or ended since has it for himself now.
    fn leave_maps_to_their_last(&mut self, news: &[Timed]) {
        if !self.list.iter().any(|member| member.shares_map) {
            return;
        }
        let (mut born, mut left) = (HashMap::new(), HashMap::new());
        for (order, Timed { event, .. }) in news.iter().enumerate() {
            match event {
                Event::Born { id, .. } => drop(born.insert(*id, order)),
                Event::Exec { id, .. } | Event::Gone { id, .. } => drop(left.insert(*id, order)),
                _ => {}
            }
        }
        for member in &mut self.list {
            let left = member.parent.and_then(|parent| left.get(&parent));
            member.shares_map &= left.is_none_or(|left| born.get(&member.id).is_some_and(|born| born > left));
        }
    }

    fn read_all(&mut self, marks: bool, usage: bool, news: &mut News) {
        self.readings.clear();
        self.uses.clear();
        let mut list = std::mem::take(&mut self.list);
        list.retain_mut(|member| !member.gone);
        list.retain_mut(|member| match self.look_at(member, marks, news) {
            Seen::Alive { rss, mark, swap, text_pages } => {
                member.overdue = None;
                member.text_pages = text_pages;
                member.mark = mark.unwrap_or(member.mark);
                let shares_map = member.shares_map;
                let mark = mark.filter(|&mark| member.is_new(mark));
                self.readings.push(Reading { id: member.id, rss, mark, swap, shares_map });
                self.read_usage(member, usage);
                true
            }
            Seen::NoMemory => {
                self.read_usage(member, usage);
                true
            }
            Seen::Ended if self.awaits_news(member) => true,
            Seen::Ended => {
                if let Some(ticks) = member.start_ticks {
                    self.zombies.insert(member.pid, ticks);
                }
                let moment = member.exiting.filter(|_| !member.told).map(Moment::exactly);
                let moment = moment.unwrap_or(Moment::between(self.before, self.at));
                let (pid, id, start_ticks) = (member.pid, member.id, member.start_ticks);
                let usage = std::mem::take(&mut member.usage);
                let ended = Ended { pid, id, start_ticks, moment, freed: moment.latest, usage };
                self.ended(ended, news);
                false
            }
        });
        self.list = list;
    }

    fn read_usage(&mut self, member: &mut Member, is_due: bool) {
        if !is_due || !member.is_open {
            return;
        }
        let (roots, text) = (&self.roots, &mut self.text);
        if let Some(read) = member.usage.read(roots, member.pid, member.start_ticks, self.usage, text) {
            self.uses.push(UsedBy { id: member.id, own: read.own, with_waited: read.with_waited });
        }
    }

    /// Reads one member, and asks whether it runs another program where it looks so.
    fn look_at(&mut self, member: &mut Member, marks: bool, news: &mut News) -> Seen {
        if !member.is_open {
            if !self.open(member, news) {
                return Seen::Ended;
            }
            if !member.is_open {
                return Seen::NoMemory;
            }
        }
        if member.exiting.is_some() && !member.told && self.has_left(member) {
            return Seen::Ended;
        }
        let seen = member.look(&self.roots, self.page_size, marks, &mut self.text);
        let Seen::Alive { mark, text_pages, .. } = seen else { return seen };
        if !member.named {
            self.read_name(member, news);
        }
        if member.told {
            return seen;
        }
        let fell = mark.is_some_and(|mark| mark + MARK_FELL < member.mark);
        let other_text = member.text_pages != 0 && text_pages != member.text_pages;
        let sign = fell || other_text;
        let in_doubt = self.told.is_holding() && member.is_in_doubt();
        if !member.may_have_exec(sign || in_doubt) {
            return seen;
        }
        match self.find_exec(member, sign, news) {
            Exec::None => seen,
            // The reading may be older than the exec: what the old image held must not stand for the new one.
            Exec::Found => member.look(&self.roots, self.page_size, marks, &mut self.text),
            Exec::Postponed => Seen::NoMemory,
        }
    }

    /// Reads what a member is called.
    fn read_name(&mut self, member: &mut Member, news: &mut News) {
        let arguments = self.arguments(member.pid);
        // Read last: if this is still what was told of its exec, so were the arguments.
        let Some(stat) = read_stat(&self.roots, member.pid, &mut self.text) else { return };
        let is_as_told = member.told_name.take().is_none_or(|told| told.comm == stat.comm);
        member.unnamed_looks += 1;
        if !is_as_told {
            // It has named itself, or runs another program, of which the next look will have heard.
            return;
        }
        let (name, named) = self.name_by(arguments, stat.comm);
        // Between fork and exec it bears its parent's name, and will have another. Some wipe out their arguments.
        member.named = named || member.unnamed_looks > NAMELESS_LOOKS;
        news.push(Moment::exactly(self.at), Event::Named { id: member.id, name });
    }
}
