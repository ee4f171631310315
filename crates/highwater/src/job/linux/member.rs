//! One living member of the job, and reading its memory.
//!
//! A kept `/proc/PID/statm` or `status` belongs to that one process: it survives exec and fails with ESRCH once the
//! process is gone, so a reused pid cannot be mistaken for it (`fs/proc/base.c`).

use std::{
    fs::{self, File},
    os::fd::AsRawFd,
    path::Path,
    sync::Arc,
    time::Duration,
};

use rustix::process::{Resource, getrlimit};

use super::{
    descendants::{read_into, read_stat},
    taskstats::TasksUsed,
    used::UsageFiles,
};
use crate::{
    Roots, bounded,
    job::events::{LastMark, MemberId, Name},
    process::linux::{stat::Stat, statm::Statm, status::Status},
};

/// A process of the job that has not been seen to end.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) id: MemberId,
    pub(super) pid: u32,
    /// In clock ticks since boot; `None` until it is known.
    pub(super) start_ticks: Option<u64>,
    /// Its files were opened, so far as descriptors could be spared.
    pub(super) is_open: bool,
    /// `None` when no descriptor could be spared: opened each time.
    statm: Option<File>,
    status: Option<File>,
    /// The live thread that is read instead, once the leader has left by `pthread_exit`.
    thread: Option<u32>,
    /// Forked, not yet exec'ed when last asked.
    pub(super) forked: bool,
    pub(super) shares_map: bool,
    /// Whose child it was born as, if that was a member.
    pub(super) parent: Option<MemberId>,
    pub(super) text_pages: u64,
    pub(super) mark: u64,
    /// Samples until a forked one is asked again whether it has exec'ed, and how many to wait after that.
    recheck: (u16, u16),
    /// Whether its name was read from its own files.
    pub(super) named: bool,
    /// As the kernel told it at its exec, until its own files have been read.
    pub(super) told_name: Option<Arc<Name>>,
    /// How often it was asked and had no arguments.
    pub(super) unnamed_looks: u8,
    /// Its present memory map.
    pub(super) image: Option<u64>,
    /// One that `/proc` showed before it was heard what the present one had.
    next_image: Option<Shown>,
    /// Its births, execs and ends come from the kernel.
    pub(super) told: bool,
    /// What happened to it up to this moment is known from `/proc`: older news is no news.
    pub(super) known_until: Duration,
    /// It had ended when it was taken in: of its end news will come all the same.
    pub(super) was_dead: bool,
    /// Threads alive, counted from the kernel's news.
    pub(super) threads: u64,
    /// It has ended, and leaves the list with the next reading.
    pub(super) gone: bool,
    /// Since when `/proc` shows its end, but the news of it has not come.
    pub(super) overdue: Option<Duration>,
    /// When the kernel told of its last exec.
    pub(super) last_exec: Option<Duration>,
    /// What was read when it was held at an exec that may have failed.
    pub(super) held: Option<LastMark>,
    /// When it was held at an exec last.
    pub(super) held_at: Option<Duration>,
    /// When it was held at its exit.
    pub(super) exiting: Option<Duration>,
    /// The highest peak in the exit records of its threads.
    pub(super) task_peak: Option<u64>,
    /// What those threads had used; of most there is none before their process ends.
    pub(super) tasks_used: Option<Box<TasksUsed>>,
    pub(super) usage: UsageFiles,
    /// Its mark when it was attached to: a mark up to this says nothing of what came since.
    pub(super) mark_before: Option<u64>,
}

/// A memory map that `/proc` showed, where it could be told from others.
#[derive(Debug, PartialEq, Eq)]
struct Shown {
    image: Option<u64>,
}

/// What a look at a member showed.
pub(super) enum Seen {
    Alive {
        rss: u64,
        mark: Option<u64>,
        swap: Option<u64>,
        text_pages: u64,
    },
    /// It has no memory map at this moment: on its way out, or a kernel thread.
    NoMemory,
    Ended,
}

impl Member {
    /// A member of which nothing has been read.
    pub(super) fn new(id: MemberId, pid: u32, forked: bool, known_until: Duration) -> Self {
        Self {
            id,
            pid,
            start_ticks: None,
            is_open: false,
            statm: None,
            status: None,
            thread: None,
            forked,
            shares_map: false,
            parent: None,
            text_pages: 0,
            mark: 0,
            recheck: (0, 0),
            named: false,
            told_name: None,
            unnamed_looks: 0,
            image: None,
            next_image: None,
            told: false,
            known_until,
            was_dead: false,
            threads: 1,
            gone: false,
            overdue: None,
            last_exec: None,
            held: None,
            held_at: None,
            exiting: None,
            task_peak: None,
            tasks_used: None,
            usage: UsageFiles::default(),
            mark_before: None,
        }
    }

    /// Opens its files; `stat` was just read.
    pub(super) fn open(&mut self, roots: &Roots, stat: &Stat) {
        let directory = roots.proc.join(self.pid.to_string());
        (self.start_ticks, self.is_open) = (Some(stat.start_ticks), true);
        // In the midst of an exec there is none.
        self.image = stat.image.or(self.image);
        (self.statm, self.status) = (kept(&directory.join("statm")), kept(&directory.join("status")));
    }

    /// It runs another program: nothing read before counts for it.
    pub(super) fn exec(&mut self) {
        (self.forked, self.shares_map, self.named, self.unnamed_looks) = (false, false, false, 0);
        (self.mark, self.text_pages, self.held, self.task_peak) = (0, 0, None, None);
        (self.mark_before, self.next_image) = (None, None);
    }

    /// Whether this mark was reached since it was attached to.
    pub(super) fn is_new(&self, mark: u64) -> bool {
        self.mark_before.is_none_or(|before| mark > before)
    }

    /// Whether `/proc` showed this new image before, too: what was before it has been heard since.
    pub(super) fn showed_before(&mut self, image: Option<u64>) -> bool {
        self.next_image.replace(Shown { image }) == Some(Shown { image })
    }

    /// Where it is held at its execs: whether it may have exec'ed, whatever its memory looks like.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.next_image.is_some() || self.held.is_some() || self.image.is_none()
    }

    /// Whether to ask for an exec: a sign of one, or a forked member whose turn it is (at growing distances, since
    /// a forked worker may never exec).
    pub(super) fn may_have_exec(&mut self, sign: bool) -> bool {
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

    pub(super) fn look(&mut self, roots: &Roots, page_size: u64, marks: bool, text: &mut Vec<u8>) -> Seen {
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
        let (mut mark, mut swap) = (None, None);
        if marks || self.mark == 0 {
            let status = self.read(roots, "status", text).and_then(|()| Status::parse(text));
            mark = status.as_ref().and_then(|status| status.vm_hwm_bytes);
            swap = status.as_ref().and_then(|status| status.vm_swap_bytes);
            // Read later than statm: where it shows more, that was reached too.
            rss = rss.max(status.and_then(|status| status.vm_rss_bytes).unwrap_or(0));
        }
        Seen::Alive { rss, mark, swap, text_pages: statm.text_pages }
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
                        mark: status.as_ref().and_then(|status| status.vm_hwm_bytes),
                        swap: status.and_then(|status| status.vm_swap_bytes),
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
            return (Some(stat.start_ticks) == self.start_ticks && read_into(&path, text)).then_some(());
        };
        bounded::read_kept(file, text)
    }
}

/// So many descriptors stay free for all that is opened and closed again.
const SPARE: u64 = 24;

/// Opens a file to be kept, unless descriptors are running short: the kernel gives out the lowest number that is free.
pub(super) fn kept(path: &Path) -> Option<File> {
    let file = File::open(path).ok()?;
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let number = u64::try_from(file.as_raw_fd()).unwrap_or(u64::MAX);
    (number.saturating_add(SPARE) < limit).then_some(file)
}

/// Whether two processes share one memory map (kcmp(2) with `KCMP_VM`); `None` where that cannot be told.
pub(super) fn same_map(a: u32, b: u32) -> Option<bool> {
    const KCMP_VM: libc::c_int = 1;
    let (a, b) = (i32::try_from(a).ok()?, i32::try_from(b).ok()?);
    // SAFETY: kcmp takes integers only and changes nothing.
    let order = unsafe { libc::syscall(libc::SYS_kcmp, a, b, KCMP_VM, 0, 0) };
    (order >= 0).then_some(order == 0)
}
