//! Descent of processes: `/proc/PID/task/TID/children` (proc(5), `CONFIG_PROC_CHILDREN`), or a scan of `/proc` on
//! kernels without such files. The cost of the first depends on the job, that of the second on the machine.

use std::{collections::HashMap, fs::File, os::unix::fs::FileExt};

use rustix::{
    io::Errno,
    process::{Pid, PidfdFlags, pidfd_open},
};

use super::proc_dir::{ProcDir, ProcPath, is_on_procfs};
use crate::{
    bounded::MAX_PID_LIST_BYTES,
    process::linux::{children, stat::Stat},
    record::Lineage,
};

/// A finder of the children of processes.
#[derive(Debug)]
pub(crate) struct Descendants {
    proc: ProcDir,
    lineage: Lineage,
    /// Children by parent, from the last scan.
    scanned: HashMap<u32, Vec<u32>>,
    cursor: Option<PidCursor>,
    text: Vec<u8>,
}

impl Descendants {
    pub(crate) fn new(proc: &ProcDir) -> Self {
        let own = rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs();
        let has_children_files = proc.exists(ProcPath::of_own_thread(own, "children"));
        Self {
            proc: proc.clone(),
            lineage: if has_children_files { Lineage::Children } else { Lineage::Scan },
            scanned: HashMap::new(),
            cursor: PidCursor::open(proc),
            text: Vec::new(),
        }
    }

    pub(crate) fn lineage(&self) -> Lineage {
        self.lineage
    }

    /// Returns the last pid that the kernel gave out: if it has not moved, no process was started. `None` if it is not
    /// known.
    pub(crate) fn cursor(&self) -> Option<u64> {
        self.cursor.as_ref()?.read()
    }

    /// Returns whether `/proc` shows this pid, as a process or a thread.
    pub(crate) fn is_visible(&self, pid: u32) -> bool {
        self.proc.exists(ProcPath::of(pid, ""))
    }

    /// Returns whether this is the pid of a process, and not the id of one of its threads (`/proc/TID` opens for both).
    pub(crate) fn is_process(&mut self, pid: u32) -> bool {
        let Some(raw) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return false };
        match pidfd_open(raw, PidfdFlags::empty()) {
            Ok(_) => true,
            // It is gone, or it leads no thread group; the error for a thread differs between kernels (pidfd_open(2)).
            Err(Errno::SRCH | Errno::INVAL | Errno::NOENT) => false,
            Err(_) => self.names_itself_as_group(pid),
        }
    }

    /// Returns whether `status` names this id as that of the thread group: for kernels before 5.3, and for sandboxes.
    fn names_itself_as_group(&mut self, pid: u32) -> bool {
        // `status` of a process names its own number as thread group; that of another thread names another number.
        self.proc.read_into(ProcPath::of(pid, "status"), &mut self.text)
            && self.text.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(b"Tgid:\t"))
                == Some(pid.to_string().as_bytes())
    }

    /// Prepares for a round of [`Self::children`].
    pub(crate) fn begin(&mut self) {
        if self.lineage == Lineage::Scan {
            self.scan();
        }
    }

    /// Appends the children of all threads of `pid` to `found`; none if it has exited.
    pub(crate) fn children(&mut self, pid: u32, found: &mut Vec<u32>) {
        if self.lineage == Lineage::Scan {
            found.extend(self.scanned.get(&pid).into_iter().flatten());
            return;
        }
        let Ok(threads) = self.proc.ids(ProcPath::of(pid, "task")) else { return };
        for tid in threads {
            let path = ProcPath::of_thread(pid, tid, "children");
            if self.proc.read_start(path, MAX_PID_LIST_BYTES, &mut self.text).is_ok() {
                found.extend(children::parse(&self.text));
            }
        }
    }

    fn scan(&mut self) {
        self.scanned.clear();
        let Ok(pids) = self.proc.ids(ProcPath::ROOT) else { return };
        for pid in pids {
            if let Some(stat) = read_stat(&self.proc, pid, &mut self.text) {
                self.scanned.entry(stat.ppid).or_default().push(pid);
            }
        }
    }
}

/// Reads `/proc/PID/stat`.
pub(crate) fn read_stat(proc: &ProcDir, pid: u32, text: &mut Vec<u8>) -> Option<Stat> {
    proc.read_into(ProcPath::of(pid, "stat"), text).then(|| Stat::parse(text)).flatten()
}

/// The last pid of the pid namespace (`kernel/pid.c`): `/proc/sys/kernel/ns_last_pid` (`CONFIG_CHECKPOINT_RESTORE`),
/// else the last field of `/proc/loadavg`.
#[derive(Debug)]
struct PidCursor {
    file: File,
}

impl PidCursor {
    fn open(proc: &ProcDir) -> Option<Self> {
        ["sys/kernel/ns_last_pid", "loadavg"].into_iter().find_map(|name| {
            let file = proc.open_file(ProcPath::named(name)).ok()?;
            // lxcfs mounts its own file over /proc/loadavg, with another last field.
            let is_the_kernels = is_on_procfs(&file);
            let cursor = Self { file };
            (is_the_kernels && cursor.read().is_some()).then_some(cursor)
        })
    }

    fn read(&self) -> Option<u64> {
        let mut text = [0; 128];
        let length = self.file.read_at(&mut text, 0).ok()?;
        let text = std::str::from_utf8(text.get(..length)?).ok()?;
        text.split_ascii_whitespace().next_back()?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_find_a_child_of_this_process() {
        let mut child = std::process::Command::new("sleep").arg("5").spawn().unwrap();
        for lineage in [Lineage::Children, Lineage::Scan] {
            let mut descendants = Descendants::new(&ProcDir::of_this_machine());
            descendants.lineage = lineage;
            descendants.begin();
            let mut found = Vec::new();
            descendants.children(std::process::id(), &mut found);
            assert!(found.contains(&child.id()), "{lineage:?}: {found:?}");
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_thread_is_no_process() {
        let mut descendants = Descendants::new(&ProcDir::of_this_machine());
        let own = std::process::id();
        let ask = move |descendants: &mut Descendants, id| {
            (descendants.is_process(id), descendants.names_itself_as_group(id))
        };
        assert_eq!(ask(&mut descendants, own), (true, true));
        assert_eq!(ask(&mut descendants, u32::MAX), (false, false));
        std::thread::spawn(move || {
            let thread = rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs();
            assert_eq!(ask(&mut descendants, thread), (false, false));
        })
        .join()
        .unwrap();
    }

    #[test]
    fn a_birth_moves_the_cursor() {
        let descendants = Descendants::new(&ProcDir::of_this_machine());
        let before = descendants.cursor();
        assert!(std::process::Command::new("true").status().unwrap().success());
        assert_ne!(before, descendants.cursor());
    }

    #[test]
    fn nothing_is_found_without_proc() {
        let mut descendants = Descendants::new(&ProcDir::absent());
        assert_eq!((descendants.lineage(), descendants.cursor()), (Lineage::Scan, None));
        descendants.begin();
        let mut found = Vec::new();
        descendants.children(1, &mut found);
        assert!(found.is_empty());
    }
}
