//! Descent of processes: `/proc/PID/task/TID/children` (proc(5), `CONFIG_PROC_CHILDREN`), or a scan of `/proc` on
//! kernels without such files. The cost of the first depends on the job, that of the second on the machine.

use std::{
    collections::HashMap,
    fs::{self, File},
    os::unix::fs::FileExt,
    path::Path,
};

use crate::{
    Roots,
    bounded::{self, Extent, MAX_PID_LIST_BYTES, MAX_PROCESS_FILE_BYTES},
    process::linux::{children, stat::Stat},
    record::Lineage,
};

/// A finder of the children of processes.
#[derive(Debug)]
pub(crate) struct Descendants {
    roots: Roots,
    lineage: Lineage,
    /// Children by parent, from the last scan.
    scanned: HashMap<u32, Vec<u32>>,
    cursor: Option<PidCursor>,
    text: Vec<u8>,
}

impl Descendants {
    pub(crate) fn new(roots: &Roots) -> Self {
        let own = rustix::thread::gettid().as_raw_nonzero();
        let has_children_files = roots.proc.join(format!("self/task/{own}/children")).exists();
        Self {
            roots: roots.clone(),
            lineage: if has_children_files { Lineage::Children } else { Lineage::Scan },
            scanned: HashMap::new(),
            cursor: PidCursor::open(roots),
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
        rustix::fs::access(self.roots.proc.join(pid.to_string()), rustix::fs::Access::EXISTS).is_ok()
    }

    /// Returns whether this is the pid of a process, and not the id of one of its threads (`/proc/TID` opens for both).
    pub(crate) fn is_process(&mut self, pid: u32) -> bool {
        // `status` of a process names its own number as thread group; that of another thread names another number.
        let path = self.roots.proc.join(format!("{pid}/status"));
        read_into(&path, &mut self.text)
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
        let tasks = self.roots.proc.join(format!("{pid}/task"));
        let Ok(threads) = fs::read_dir(&tasks) else { return };
        for thread in threads.flatten() {
            let path = thread.path().join("children");
            if bounded::read_start(&path, MAX_PID_LIST_BYTES, &mut self.text).is_ok() {
                found.extend(children::parse(&self.text));
            }
        }
    }

    fn scan(&mut self) {
        self.scanned.clear();
        let Ok(entries) = fs::read_dir(&self.roots.proc) else { return };
        for entry in entries.flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
                continue;
            };
            if let Some(stat) = read_stat(&self.roots, pid, &mut self.text) {
                self.scanned.entry(stat.ppid).or_default().push(pid);
            }
        }
    }
}

/// Reads `/proc/PID/stat`.
pub(crate) fn read_stat(roots: &Roots, pid: u32, text: &mut Vec<u8>) -> Option<Stat> {
    read_into(&roots.proc.join(format!("{pid}/stat")), text).then(|| Stat::parse(text)).flatten()
}

/// Reads a whole file of a process into `text`; `false` if that fails.
pub(crate) fn read_into(path: &Path, text: &mut Vec<u8>) -> bool {
    bounded::read_start(path, MAX_PROCESS_FILE_BYTES, text).is_ok_and(|extent| extent == Extent::Whole)
}

/// The last pid of the pid namespace (`kernel/pid.c`): `/proc/sys/kernel/ns_last_pid` (`CONFIG_CHECKPOINT_RESTORE`),
/// else the last field of `/proc/loadavg`.
#[derive(Debug)]
struct PidCursor {
    file: File,
}

impl PidCursor {
    fn open(roots: &Roots) -> Option<Self> {
        // lxcfs mounts its own file over /proc/loadavg, with another last field.
        const PROC_SUPER_MAGIC: u64 = 0x9fa0;
        ["sys/kernel/ns_last_pid", "loadavg"].into_iter().find_map(|name| {
            let file = File::open(roots.proc.join(name)).ok()?;
            let magic = u64::try_from(rustix::fs::fstatfs(&file).ok()?.f_type).ok()?;
            let cursor = Self { file };
            (magic == PROC_SUPER_MAGIC && cursor.read().is_some()).then_some(cursor)
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
            let mut descendants = Descendants::new(&Roots::default());
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
    fn a_birth_moves_the_cursor() {
        let descendants = Descendants::new(&Roots::default());
        let before = descendants.cursor();
        assert!(std::process::Command::new("true").status().unwrap().success());
        assert_ne!(before, descendants.cursor());
    }

    #[test]
    fn nothing_is_found_without_proc() {
        let empty = tempfile::tempdir().unwrap();
        let roots = Roots { proc: empty.path().into(), ..Roots::default() };
        let mut descendants = Descendants::new(&roots);
        assert_eq!((descendants.lineage(), descendants.cursor()), (Lineage::Scan, None));
        descendants.begin();
        let mut found = Vec::new();
        descendants.children(1, &mut found);
        assert!(found.is_empty());
    }
}
