//! Reading a job whose follower waits, judging it, and ending it.

use std::{
    collections::{HashMap, HashSet},
    time::Instant,
};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::{
    GuardedChildren, GuardedJob,
    map_questions::{MapQuestions, MapSharing},
};
use crate::{
    job::{
        limits::{KILL_AT_ONCE_SHARE, LimitCulprit, Limits, Stall, StallReadings},
        linux::{
            cgroup::anon_and_shared_bytes, descendants::Descendants, proc_dir::ProcPath,
            process_end::has_exited,
        },
    },
    process::linux::{decimal, statm::Statm},
};

/// Most threads that are read in place of a leader that has left them.
const MAX_THREADS_READ: usize = 64;

/// The judge of one job.
pub(super) struct Judge {
    job: GuardedJob,
    limits: Limits,
    descendants: Descendants,
    maps: MapQuestions,
    /// Time at which the job was asked to end.
    asked_to_end: Option<Instant>,
    /// Process to which the kernel gives orphans of the job: this one, which is a subreaper.
    adopter: u32,
    text: Vec<u8>,
}

/// A process of the job and its parent.
#[derive(Debug, Clone, Copy)]
struct TreeEntry {
    pid: u32,
    parent: u32,
}

/// The processes of the job, parents first. The children of a process are listed when its turn comes, so that a reader
/// of them judges the first before it knows the last.
struct Tree {
    entries: Vec<TreeEntry>,
    seen: HashSet<u32>,
    next: usize,
    found: Vec<u32>,
}

/// A process that may share the memory map of its parent.
#[derive(Debug, Clone, Copy)]
struct LookAlike {
    entry: TreeEntry,
    rss: u64,
}

impl Judge {
    pub(super) fn new(job: GuardedJob, limits: Limits, descendants: Descendants) -> Self {
        let maps = MapQuestions::default();
        let adopter = std::process::id();
        Self { job, limits, descendants, maps, asked_to_end: None, adopter, text: Vec::new() }
    }

    /// Reads the job. Returns the readings if they exceed a limit. `members`: pids that the follower knew.
    ///
    /// A job far above a limit is not read to its end: it may start processes faster than they are read.
    pub(super) fn judge(&mut self, members: &[u32]) -> Option<Stall> {
        let at = Instant::now();
        let page_bytes = rustix::param::page_size() as u64;
        let of_group =
            self.job.group_stat.as_ref().and_then(|stat| anon_and_shared_bytes(stat, &mut self.text));
        let mut readings =
            StallReadings { memory_at_least: of_group.unwrap_or_default(), ..StallReadings::default() };
        let mut largest = None;
        let mut read: HashMap<u32, Statm> = HashMap::new();
        let mut alike = Vec::new();
        let mut tree = self.tree(members);
        while let Some(entry) = tree.next(&mut self.descendants) {
            let Some(statm) = self.statm(entry.pid) else { continue };
            let rss = statm.resident_pages.saturating_mul(page_bytes);
            if rss > readings.largest_rss {
                (readings.largest_rss, largest) = (rss, Some(entry.pid));
                readings.memory_at_least = rss.max(readings.memory_at_least);
            }
            if read.get(&entry.parent).is_some_and(|parent| is_alike(parent, &statm)) {
                alike.push(LookAlike { entry, rss });
            } else {
                readings.total_rss = readings.total_rss.saturating_add(rss);
            }
            if readings.exceed(&self.limits, KILL_AT_ONCE_SHARE) {
                alike.clear();
                break;
            }
            read.insert(entry.pid, statm);
        }
        readings.total_rss = readings.total_rss.saturating_add(self.rss_of_own_maps(&alike));
        let is_far_over = readings.exceed(&self.limits, KILL_AT_ONCE_SHARE);
        let is_grace_over = self.asked_to_end.is_some_and(|since| since.elapsed() >= self.limits.grace);
        readings.killed = is_far_over || is_grace_over;
        readings.exceed(&self.limits, (1, 1)).then(|| Stall {
            at,
            readings,
            culprit: largest.and_then(|pid| self.culprit(pid)),
        })
    }

    /// Kills all processes of the job that are found, or asks them to end, once. One that was forked meanwhile is found by the
    /// next reading.
    pub(super) fn end_job(&mut self, kills: bool, members: &[u32]) {
        let signal = match (kills, self.asked_to_end) {
            (true, _) => Signal::KILL,
            (false, None) => Signal::TERM,
            (false, Some(_)) => return,
        };
        self.asked_to_end.get_or_insert_with(Instant::now);
        let mut tree = self.tree(members);
        // A process has no children any more once it has ended, so each is signalled after its children were listed. It may
        // have exited, or run as another user by now.
        while let Some(TreeEntry { pid, parent }) = tree.next(&mut self.descendants) {
            if pid == self.job.root {
                let _ = pidfd_send_signal(&self.job.root_pidfd, signal);
                continue;
            }
            let Some(raw) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { continue };
            let Ok(pidfd) = pidfd_open(raw, PidfdFlags::empty()) else { continue };
            // Its pid may have gone to another process before it was opened.
            if self.parent_of(pid).is_some_and(|now| now == parent || now == self.adopter) {
                let _ = pidfd_send_signal(&pidfd, signal);
            }
        }
    }

    /// Begins with the command and those children of this process that belong to the job.
    fn tree(&mut self, members: &[u32]) -> Tree {
        let own_pid = std::process::id();
        let mut found = Vec::new();
        self.descendants.children(own_pid, &mut found);
        match &self.job.own_children {
            GuardedChildren::AllBut(foreign) => found.retain(|pid| !foreign.contains(pid)),
            // A child of this process that was not waited for keeps its pid.
            GuardedChildren::KnownMembers => found.retain(|pid| members.contains(pid)),
        }
        let mut tree = Tree { entries: Vec::new(), seen: HashSet::from([own_pid]), next: 0, found };
        tree.add_found(own_pid);
        // After its exit, its pid may belong to another process.
        if !has_exited(&self.job.root_pidfd) {
            tree.found.push(self.job.root);
            tree.add_found(own_pid);
        }
        tree
    }

    /// Returns the RSS of those that do not share the memory map of their parent.
    fn rss_of_own_maps(&mut self, alike: &[LookAlike]) -> u64 {
        let pairs: Vec<(u32, u32)> =
            alike.iter().map(|alike| (alike.entry.pid, alike.entry.parent)).collect();
        let answers = self.maps.ask(&pairs);
        let mut waiting_parents = HashSet::new();
        let mut total = 0_u64;
        for (LookAlike { entry, rss }, answer) in alike.iter().zip(answers) {
            let is_shared = match answer {
                MapSharing::Shared => true,
                MapSharing::NotShared => false,
                // In the midst of an exec. The parent of a vfork(2) waits for one child at a time.
                MapSharing::Unknown => self.waits(entry.parent) && waiting_parents.insert(entry.parent),
            };
            if !is_shared {
                total = total.saturating_add(*rss);
            }
        }
        total
    }

    fn culprit(&mut self, pid: u32) -> Option<LimitCulprit> {
        let is_read = self.job.proc.read_into(ProcPath::of(pid, "comm"), &mut self.text);
        let command = String::from_utf8_lossy(self.text.trim_ascii_end()).into_owned();
        is_read.then_some(LimitCulprit { pid, command })
    }

    /// Reads the memory of a process, by a thread if its leader has left (`pthread_exit(3)`).
    fn statm(&mut self, pid: u32) -> Option<Statm> {
        let of_leader = self.statm_of(ProcPath::of(pid, "statm"))?;
        if !of_leader.has_no_memory() {
            return Some(of_leader);
        }
        let threads = self.job.proc.ids(ProcPath::of(pid, "task")).ok()?;
        let others: Vec<u32> = threads.filter(|&tid| tid != pid).take(MAX_THREADS_READ).collect();
        others.into_iter().find_map(|tid| {
            self.statm_of(ProcPath::of_thread(pid, tid, "statm")).filter(|statm| !statm.has_no_memory())
        })
    }

    fn statm_of(&mut self, path: ProcPath) -> Option<Statm> {
        self.job.proc.read_into(path, &mut self.text).then(|| Statm::parse(&self.text))?
    }

    /// Returns whether a process waits without being interrupted, as the parent of a vfork(2) does until its child execs.
    fn waits(&mut self, pid: u32) -> bool {
        self.status_field(pid, b"State:\t").is_some_and(|state| state.starts_with(b"D"))
    }

    fn parent_of(&mut self, pid: u32) -> Option<u32> {
        let (parent, _) = decimal::leading(self.status_field(pid, b"PPid:\t")?)?;
        u32::try_from(parent).ok()
    }

    fn status_field(&mut self, pid: u32, key: &[u8]) -> Option<&[u8]> {
        if !self.job.proc.read_into(ProcPath::of(pid, "status"), &mut self.text) {
            return None;
        }
        self.text.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(key))
    }
}

impl Tree {
    /// Returns the next process, and adds its children.
    fn next(&mut self, descendants: &mut Descendants) -> Option<TreeEntry> {
        let entry = *self.entries.get(self.next)?;
        self.next += 1;
        descendants.children(entry.pid, &mut self.found);
        self.add_found(entry.pid);
        Some(entry)
    }

    fn add_found(&mut self, parent: u32) {
        let new = self.found.drain(..).filter(|&pid| self.seen.insert(pid));
        self.entries.extend(new.map(|pid| TreeEntry { pid, parent }));
    }
}

/// Returns whether a child may run in the memory of its parent. Both may change between two readings, but not in size.
fn is_alike(parent: &Statm, child: &Statm) -> bool {
    (parent.size_pages, parent.text_pages) == (child.size_pages, child.text_pages)
}

#[cfg(test)]
pub(super) mod tests {
    use std::{
        os::unix::process::ExitStatusExt as _,
        process::{Child, Command},
    };

    use super::*;
    use crate::job::linux::proc_dir::ProcDir;

    /// Starts a shell that waits.
    pub(in super::super) fn job(script: &str) -> (Child, GuardedJob) {
        let child = Command::new("sh").args(["-c", script]).spawn().unwrap();
        let pid = Pid::from_raw(child.id().try_into().unwrap()).unwrap();
        let job = GuardedJob {
            proc: ProcDir::of_this_machine(),
            root: child.id(),
            root_pidfd: pidfd_open(pid, PidfdFlags::empty()).unwrap(),
            own_children: GuardedChildren::KnownMembers,
            group_stat: None,
        };
        (child, job)
    }

    fn judge(job: GuardedJob, limits: Limits) -> Judge {
        let descendants = Descendants::new(&job.proc);
        Judge::new(job, limits, descendants)
    }

    /// Returns the parent that an orphan of a child of this process gets: the tests' process is no subreaper.
    fn adopter_of_orphans() -> u32 {
        let output = Command::new("sh").args(["-c", "sleep 1000 >&- 2>&- & echo $!"]).output().unwrap();
        let orphan: u32 = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap();
        let status = std::fs::read_to_string(format!("/proc/{orphan}/status")).unwrap();
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:\t")).unwrap().parse().unwrap();
        rustix::process::kill_process(Pid::from_raw(orphan.try_into().unwrap()).unwrap(), Signal::KILL)
            .unwrap();
        parent
    }

    fn entries(judge: &mut Judge, members: &[u32]) -> Vec<TreeEntry> {
        let mut tree = judge.tree(members);
        std::iter::from_fn(|| tree.next(&mut judge.descendants)).collect()
    }

    #[test]
    fn a_limit_that_is_kept_ends_nothing() {
        let (mut child, job) = job("exec sleep 1000");
        let mut judge = judge(job, Limits { total_rss_bytes: Some(1 << 40), ..Limits::default() });
        assert!(judge.judge(&[]).is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn the_pid_of_a_command_that_has_exited_belongs_to_no_job() {
        let (mut child, job) = job("exec sleep 1000");
        let mut judge = judge(job, Limits::default());
        assert_eq!(entries(&mut judge, &[]).len(), 1);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(entries(&mut judge, &[]).is_empty());
    }

    #[test]
    fn the_tree_of_a_process_has_its_descendants_with_their_parents() {
        let (mut child, job) = job("sleep 1000 & wait");
        let mut judge = judge(job, Limits::default());
        judge.adopter = adopter_of_orphans();
        let tree = loop {
            let tree = entries(&mut judge, &[]);
            if tree.len() == 2 {
                break tree;
            }
            std::thread::yield_now();
        };
        assert_eq!((tree[0].pid, tree[1].parent), (child.id(), child.id()));
        assert_eq!(judge.parent_of(tree[1].pid), Some(child.id()));
        judge.end_job(true, &[]);
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGKILL));
        let left = |pid| std::fs::read_to_string(format!("/proc/{pid}/stat"));
        // Its parent is gone, and init may not have waited for it yet.
        while left(tree[1].pid).is_ok_and(|stat| !stat.contains(") Z ")) {
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_child_of_this_process_that_was_a_member_belongs_to_the_job() {
        let (mut root, guarded) = job("exec sleep 1000");
        let (mut orphan, _) = job("exec sleep 1000");
        let (mut foreign, _) = job("exec sleep 1000");
        let mut judge = judge(guarded, Limits::default());
        let pids = |tree: Vec<TreeEntry>| tree.into_iter().map(|entry| entry.pid).collect::<Vec<_>>();
        let mut members = [root.id(), orphan.id()];
        let mut found = pids(entries(&mut judge, &members));
        members.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, members);
        judge.end_job(true, &members);
        assert_eq!(root.wait().unwrap().signal(), Some(libc::SIGKILL));
        assert_eq!(orphan.wait().unwrap().signal(), Some(libc::SIGKILL));
        assert_eq!(foreign.try_wait().unwrap(), None);
        foreign.kill().unwrap();
        foreign.wait().unwrap();
    }
}
