//! The living members of the job and their memory, read through kept descriptors.
//!
//! A kept `/proc/PID/statm` or `status` belongs to that one process: it survives exec and fails with ESRCH once the
//! process is gone, so a reused pid cannot be mistaken for it (`fs/proc/base.c`).

use std::{
    collections::HashMap,
    fs::{self, File},
    os::unix::fs::FileExt,
    path::PathBuf,
};

use super::{
    descendants::{Descendants, read_into, read_stat},
    wait::{self, Ending, Waited},
};
use crate::{
    Roots,
    job::events::{Event, MemberId, Name, Reading},
    process::linux::{cmdline, stat::Stat, statm::Statm, status::Status},
};

/// A fall of the mark by more than the counters' own slack means a new memory map: an exec.
const MARK_FELL: u64 = 512 * 1024;

/// Up to so many pids given out since the last look are asked one by one; for more, the tree is walked.
const FEW_BIRTHS: u64 = 64;
/// The tree is walked at least once in so many looks, however quiet it is, and in fewer where it is small: whoever
/// sets `ns_last_pid` (CRIU) moves the cursor back.
const WALK_EVERY: usize = 100;

/// All members that were alive at the last look.
#[derive(Debug)]
pub(crate) struct Members {
    roots: Roots,
    descendants: Descendants,
    /// In the order of their ids.
    list: Vec<Member>,
    by_pid: HashMap<u32, MemberId>,
    next_id: u32,
    own_pid: u32,
    sole_owner: bool,
    page_size: u64,
    last_cursor: Option<u64>,
    /// Somebody came or went during the last look: look again even if the cursor stands still.
    unsettled: bool,
    /// The last look walked the tree because somebody was born.
    walked_on_news: bool,
    /// Looks until the tree is walked even if few were born.
    until_walk: usize,
    /// Pids given out whose process could not be seen yet.
    unborn: Vec<u32>,
    /// Ended processes that are still in somebody's list of children: pid and start time.
    zombies: HashMap<u32, u64>,
    /// The mark that we ourselves had when the command was forked: `ru_maxrss` up to it may be ours.
    own_mark: u64,
    /// The command itself: its pid, and how it ended. Its life is told by wait4, never by `/proc`.
    root: u32,
    root_ending: Ending,
    readings: Vec<Reading>,
    text: Vec<u8>,
}

#[derive(Debug)]
struct Member {
    id: MemberId,
    pid: u32,
    start_ticks: u64,
    /// `None` when no descriptor could be spared: opened each time.
    statm: Option<File>,
    status: Option<File>,
    /// The live thread that is read instead, once the leader has left by `pthread_exit`.
    thread: Option<u32>,
    /// Forked, not yet exec'ed when last asked.
    forked: bool,
    shares_map: bool,
    text_pages: u64,
    mark: u64,
    /// Samples until a forked one is asked again whether it has exec'ed, and how many to wait after that.
    recheck: (u16, u16),
}

/// What a look at a member showed.
enum Seen {
    Alive {
        rss: u64,
        mark: Option<u64>,
        text_pages: u64,
    },
    /// It has no memory map at this moment: on its way out, or a kernel thread.
    NoMemory,
    Ended,
}

/// What changed in a look at the whole job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) births: u32,
    pub(crate) ends: u32,
    pub(crate) execs: u32,
}

/// A look at the whole job.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    pub(crate) changes: Changes,
    /// Whether every member's mark was read.
    pub(crate) marks: bool,
}

impl Changes {
    pub(crate) fn any(self) -> bool {
        self != Self::default()
    }
}

impl Members {
    /// `own_mark`: our own high-water mark in bytes when the command was forked.
    pub(crate) fn new(roots: &Roots, sole_owner: bool, own_mark: u64) -> Self {
        Self {
            roots: roots.clone(),
            descendants: Descendants::new(roots),
            list: Vec::new(),
            by_pid: HashMap::new(),
            next_id: 0,
            own_pid: std::process::id(),
            sole_owner,
            page_size: rustix::param::page_size() as u64,
            last_cursor: None,
            unsettled: true,
            walked_on_news: false,
            until_walk: 0,
            unborn: Vec::new(),
            zombies: HashMap::new(),
            own_mark,
            root: 0,
            root_ending: Ending::NotYet,
            readings: Vec::new(),
            text: Vec::new(),
        }
    }

    pub(crate) fn lineage(&self) -> crate::record::Lineage {
        self.descendants.lineage()
    }

    /// Takes the command itself in as the first member.
    pub(crate) fn start(&mut self, root: u32, events: &mut Vec<Event>) {
        self.root = root;
        self.adopt(root, false, events);
    }

    /// How the command ended, once it has been waited for.
    pub(crate) fn root_exit(&self) -> Option<Waited> {
        self.root_ending.waited()
    }

    /// Whether the command itself is still there.
    pub(crate) fn root_lives(&self) -> bool {
        self.root_ending == Ending::NotYet
    }

    /// Pids of the members alive at the last look.
    pub(crate) fn pids(&self) -> impl Iterator<Item = u32> + '_ {
        self.list.iter().map(|member| member.pid)
    }

    /// What the last look read, in the order of ids.
    pub(crate) fn readings(&self) -> &[Reading] {
        &self.readings
    }

    /// Members with a memory map of their own, with the RSS of the last look.
    pub(crate) fn maps(&self) -> impl Iterator<Item = (u32, u64)> + '_ {
        self.readings.iter().filter(|reading| !reading.shares_map).filter_map(|reading| {
            let index = self.list.binary_search_by_key(&reading.id, |member| member.id).ok()?;
            Some((self.list[index].pid, reading.rss))
        })
    }

    /// Sends `signal` to every member but the command itself, each made sure of by its start time.
    pub(crate) fn signal_descendants(&mut self, signal: rustix::process::Signal) {
        for member in self.list.iter().filter(|member| member.pid != self.root) {
            let Some(pid) = i32::try_from(member.pid).ok().and_then(rustix::process::Pid::from_raw) else {
                continue;
            };
            let Ok(pidfd) = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()) else {
                continue;
            };
            // The pidfd holds whoever has the pid now; the start time says whether that is our member.
            if read_stat(&self.roots, member.pid, &mut self.text)
                .is_some_and(|stat| stat.start_ticks == member.start_ticks)
            {
                // Gone meanwhile, or not ours to signal (setuid): nothing more can be done.
                let _ = rustix::process::pidfd_send_signal(&pidfd, signal);
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// One look at the whole job: who came, who went, what each holds. With `marks` the marks are read, too; they
    /// are read anyway while members come and go, since the bounds depend on who lived together.
    pub(crate) fn look(&mut self, marks: bool, events: &mut Vec<Event>) -> Look {
        let mut changes = Changes::default();
        self.find(&mut changes, events);
        let marks = marks || self.unsettled || changes.births > 0;
        self.read_all(marks, &mut changes, events);
        if self.root_lives() && !self.by_pid.contains_key(&self.root) {
            // It cannot be read (no /proc?), but it can be waited for.
            self.root_ending = wait::try_wait(self.root);
        }
        self.unsettled = std::mem::take(&mut self.walked_on_news) || changes.births + changes.ends > 0;
        Look { changes, marks }
    }

    /// Looks for new members, if anybody can have been born since the last time.
    fn find(&mut self, changes: &mut Changes, events: &mut Vec<Event>) {
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
                self.probe(before.unwrap_or(0) + 1..=cursor.unwrap_or(0), changes, events);
            }
            _ => self.walk(!still, changes, events),
        }
    }

    /// Looks at each pid given out since the last look, and at those fallen to us.
    fn probe(&mut self, pids: std::ops::RangeInclusive<u64>, changes: &mut Changes, events: &mut Vec<Event>) {
        let mut zombies = std::mem::take(&mut self.zombies);
        let mut found = std::mem::take(&mut self.unborn);
        let old = found.len();
        found.extend(pids.filter_map(|pid| u32::try_from(pid).ok()));
        // A pid is given out some microseconds before its process can be seen (`copy_process`, kernel/fork.c): ask once more.
        self.unborn = found[old..].iter().copied().filter(|&pid| !self.descendants.is_visible(pid)).collect();
        found.retain(|&pid| self.descendants.is_process(pid));
        self.take_in(&mut found, false, &mut zombies, changes, events);
        self.descendants.children(self.own_pid, &mut found);
        self.take_in(&mut found, false, &mut zombies, changes, events);
        self.zombies = zombies;
    }

    /// Walks the whole tree of the job.
    fn walk(&mut self, news: bool, changes: &mut Changes, events: &mut Vec<Event>) {
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
            self.take_in(&mut found, !ours, &mut zombies, changes, events);
            own_visited |= ours;
            index += usize::from(!ours);
        }
        self.zombies = zombies;
        // Somebody may have been about to appear: once more at the next look.
        self.walked_on_news = news;
    }

    fn take_in(
        &mut self,
        found: &mut Vec<u32>,
        of_member: bool,
        zombies: &mut HashMap<u32, u64>,
        changes: &mut Changes,
        events: &mut Vec<Event>,
    ) {
        for pid in found.drain(..) {
            if self.by_pid.contains_key(&pid) {
                continue;
            }
            match self.adopt(pid, of_member, events) {
                Some(stat) if stat.state == b'Z' => {
                    if self.zombies.get(&pid) != Some(&stat.start_ticks)
                        && zombies.get(&pid) != Some(&stat.start_ticks)
                    {
                        events.push(Event::SeenDead);
                    }
                    zombies.insert(pid, stat.start_ticks);
                    if stat.ppid == self.own_pid
                        && let Some(waited) = wait::try_wait(pid).waited()
                    {
                        self.note_max(waited.max_rss_bytes, events);
                    }
                }
                Some(_) => changes.births += 1,
                None => {}
            }
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

    /// Makes `pid` a member; `of_member` when it stood in a member's list of children. Returns its `stat`, also when it has ended already and was not taken in.
    fn adopt(&mut self, pid: u32, of_member: bool, events: &mut Vec<Event>) -> Option<Stat> {
        let stat = read_stat(&self.roots, pid, &mut self.text)?;
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
        let directory = self.roots.proc.join(pid.to_string());
        let (statm, status) =
            (File::open(directory.join("statm")).ok(), File::open(directory.join("status")).ok());
        let name = self.name(pid, stat.comm.clone());
        let forked = stat.has_not_exec();
        let shares_map = forked && same_map(stat.ppid, pid);
        let id = MemberId(self.next_id);
        self.next_id += 1;
        self.by_pid.insert(pid, id);
        self.list.push(Member {
            id,
            pid,
            start_ticks: stat.start_ticks,
            statm,
            status,
            thread: None,
            forked,
            shares_map,
            text_pages: 0,
            mark: 0,
            recheck: (0, 0),
        });
        events.push(Event::Born { id, pid, ppid: stat.ppid, name, forked, shares_map });
        Some(stat)
    }

    /// What the process is called now.
    fn name(&mut self, pid: u32, comm: String) -> Name {
        let directory = self.roots.proc.join(pid.to_string());
        let read = read_into(&directory.join("cmdline"), &mut self.text);
        let argv0 = self.text.split(|&byte| byte == 0).next().unwrap_or_default();
        let command = read.then(|| cmdline::command_name(argv0)).flatten();
        let exe = fs::read_link(directory.join("exe")).ok();
        Name {
            command: command.unwrap_or_else(|| comm.clone()),
            comm,
            exe: exe.map(|path: PathBuf| path.to_string_lossy().into_owned()),
        }
    }

    fn read_all(&mut self, marks: bool, changes: &mut Changes, events: &mut Vec<Event>) {
        self.readings.clear();
        let mut list = std::mem::take(&mut self.list);
        list.retain_mut(|member| match self.look_at(member, marks, changes, events) {
            Seen::Alive { rss, mark, text_pages } => {
                member.text_pages = text_pages;
                member.mark = mark.unwrap_or(member.mark);
                self.readings.push(Reading { id: member.id, rss, mark, shares_map: member.shares_map });
                true
            }
            Seen::NoMemory => true,
            Seen::Ended => {
                self.ended(member, events);
                changes.ends += 1;
                false
            }
        });
        self.list = list;
    }

    /// Reads one member, and asks whether it runs another program where it looks so.
    fn look_at(
        &mut self,
        member: &mut Member,
        marks: bool,
        changes: &mut Changes,
        events: &mut Vec<Event>,
    ) -> Seen {
        let seen = member.look(&self.roots, self.page_size, marks, &mut self.text);
        let Seen::Alive { mark, text_pages, .. } = seen else { return seen };
        let fell = mark.is_some_and(|mark| mark + MARK_FELL < member.mark);
        let other_text = member.text_pages != 0 && text_pages != member.text_pages;
        let sign = fell || other_text;
        if member.may_have_exec(sign) && self.has_exec(member, sign, events) {
            changes.execs += 1;
            // The reading may be older than the exec: what the old image held must not stand for the new one.
            return member.look(&self.roots, self.page_size, marks, &mut self.text);
        }
        seen
    }

    /// Whether a member runs another program now; if so, what it is called.
    fn has_exec(&mut self, member: &mut Member, image_changed: bool, events: &mut Vec<Event>) -> bool {
        let Some(stat) = read_stat(&self.roots, member.pid, &mut self.text) else { return false };
        let other_process = stat.start_ticks != member.start_ticks;
        let not_yet = member.forked && stat.has_not_exec();
        if other_process || not_yet || !(member.forked || image_changed) {
            return false;
        }
        (member.forked, member.shares_map, member.mark) = (false, false, 0);
        let name = self.name(member.pid, stat.comm);
        events.push(Event::Exec { id: member.id, name });
        true
    }

    fn ended(&mut self, member: &Member, events: &mut Vec<Event>) {
        self.by_pid.remove(&member.pid);
        self.zombies.insert(member.pid, member.start_ticks);
        // Only a child of ours can be waited for; for all others this is one refused call.
        let ending = wait::try_wait(member.pid);
        if member.pid == self.root && self.root_lives() {
            self.root_ending = ending;
        }
        if let Some(Waited { exit, max_rss_bytes }) = ending.waited() {
            events.push(Event::Reaped { id: member.id, exit, max_rss: max_rss_bytes });
            self.note_max(max_rss_bytes, events);
        }
        events.push(Event::Gone { id: member.id });
    }

    /// `ru_maxrss` says that some process reached it, but up to our own mark that may have been our fork.
    fn note_max(&self, bytes: u64, events: &mut Vec<Event>) {
        events.push(Event::WaitedMax { bytes, may_be_ours: bytes <= self.own_mark });
    }
}

impl Member {
    /// Whether to ask for an exec: a sign of one, or a forked member whose turn it is (at growing distances, since
    /// a forked worker may never exec).
    fn may_have_exec(&mut self, sign: bool) -> bool {
        if !self.forked || sign {
            return sign;
        }
        let (left, distance) = self.recheck;
        if left > 0 {
            self.recheck.0 -= 1;
            return false;
        }
        let next = (distance * 2).clamp(1, 64);
        self.recheck = (distance, next);
        true
    }

    fn look(&mut self, roots: &Roots, page_size: u64, marks: bool, text: &mut Vec<u8>) -> Seen {
        let Some(statm) = self.read(roots, "statm", text).and_then(|()| Statm::parse(text)) else {
            // The thread that stood for a leaderless process may have ended before the others.
            return if self.thread.is_some() {
                self.look_without_leader(roots, page_size, text)
            } else {
                Seen::Ended
            };
        };
        if statm.has_no_memory() {
            return self.look_without_leader(roots, page_size, text);
        }
        let mut rss = statm.resident_pages * page_size;
        let mut mark = None;
        if marks || self.mark == 0 {
            let status = self.read(roots, "status", text).and_then(|()| Status::parse(text));
            mark = status.as_ref().and_then(|status| status.vm_hwm_bytes);
            // Read later than statm: where it shows more, that was reached too.
            rss = rss.max(status.and_then(|status| status.vm_rss_bytes).unwrap_or(0));
        }
        Seen::Alive { rss, mark, text_pages: statm.text_pages }
    }

    /// `statm` was all zeros: the process has ended, is ending, or its leader has left and other threads live on.
    fn look_without_leader(&mut self, roots: &Roots, page_size: u64, text: &mut Vec<u8>) -> Seen {
        let path = roots.proc.join(format!("{}/status", self.pid));
        let Some(status) = read_into(&path, text).then(|| Status::parse(text)).flatten() else {
            return Seen::Ended;
        };
        let zombie = matches!(status.state, b'Z' | b'X');
        if !zombie {
            return Seen::NoMemory;
        }
        if status.threads.unwrap_or(0) <= 1 {
            return Seen::Ended;
        }
        let Ok(threads) = fs::read_dir(roots.proc.join(format!("{}/task", self.pid))) else {
            return Seen::Ended;
        };
        for thread in threads.flatten() {
            let Some(tid) = thread.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            if tid == self.pid || Some(tid) == self.thread {
                continue;
            }
            let (statm, status) =
                (File::open(thread.path().join("statm")), File::open(thread.path().join("status")));
            if let (Ok(statm), Ok(status)) = (statm, status) {
                (self.thread, self.statm, self.status) = (Some(tid), Some(statm), Some(status));
                if let Some(statm) = self.read(roots, "statm", text).and_then(|()| Statm::parse(text))
                    && !statm.has_no_memory()
                {
                    let status = self.read(roots, "status", text).and_then(|()| Status::parse(text));
                    return Seen::Alive {
                        rss: statm.resident_pages * page_size,
                        mark: status.and_then(|status| status.vm_hwm_bytes),
                        text_pages: statm.text_pages,
                    };
                }
            }
        }
        Seen::NoMemory
    }

    /// Reads `statm` or `status` of this member; `None` once it is gone.
    fn read(&self, roots: &Roots, name: &str, text: &mut Vec<u8>) -> Option<()> {
        let kept = if name == "statm" { &self.statm } else { &self.status };
        let Some(file) = kept else {
            // No descriptor to spare: by path, and make sure that it is still the same process.
            let stat = read_stat(roots, self.pid, text)?;
            let path = roots.proc.join(format!("{}/{name}", self.pid));
            return (stat.start_ticks == self.start_ticks && read_into(&path, text)).then_some(());
        };
        text.resize(4096, 0);
        let length = file.read_at(text, 0).ok()?;
        text.truncate(length);
        (length > 0).then_some(())
    }
}

/// Whether two processes share one memory map (kcmp(2) with `KCMP_VM`); `false` where that cannot be told.
fn same_map(a: u32, b: u32) -> bool {
    const KCMP_VM: libc::c_int = 1;
    let (Ok(a), Ok(b)) = (i32::try_from(a), i32::try_from(b)) else { return false };
    // SAFETY: kcmp takes integers only and changes nothing.
    unsafe { libc::syscall(libc::SYS_kcmp, a, b, KCMP_VM, 0, 0) == 0 }
}
