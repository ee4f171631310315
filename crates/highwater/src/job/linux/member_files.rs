//! The files of one member under `/proc`, kept open where descriptors can be spared, and reading its memory from them.
//!
//! A kept `/proc/PID/statm` or `status` belongs to that one process: it survives exec and fails with ESRCH once the
//! process is gone, so a reused pid cannot be mistaken for it (`fs/proc/base.c`).

use std::fs::File;

use super::{
    descendants::read_stat,
    kept_file::open_to_keep,
    proc_dir::{ProcDir, ProcPath},
    status_turns::LONG_STATUS_BYTES,
    usage_files::UsageFiles,
};
use crate::{
    bounded,
    job::events::BesideRss,
    process::linux::{statm::Statm, status::Status},
};

/// The files of one member.
#[derive(Debug, Default)]
pub(super) struct MemberFiles {
    /// They were opened, as far as descriptors could be spared.
    is_open: bool,
    /// `None` if no descriptor could be spared: opened at each reading.
    statm: Option<File>,
    status: Option<File>,
    /// Length of `status` when it was last read; 0 before.
    status_bytes: u32,
    /// Its page tables when `status` was last read.
    page_table_bytes: Option<u64>,
    /// Live thread that is read instead, once the leader has left by `pthread_exit`.
    thread: Option<u32>,
    pub(super) usage: UsageFiles,
}

/// The process that a reading is meant for.
#[derive(Debug, Clone, Copy)]
pub(super) struct ProcessKey {
    pub(super) pid: u32,
    pub(super) start_ticks: Option<u64>,
}

/// One of the two files that memory is read from.
#[derive(Debug, Clone, Copy)]
enum MemoryFile {
    Statm,
    Status,
}

impl MemoryFile {
    fn name(self) -> &'static str {
        match self {
            Self::Statm => "statm",
            Self::Status => "status",
        }
    }
}

/// The result of reading a member.
#[derive(Debug, Clone, Copy)]
pub(super) enum MemoryRead {
    Alive(MemoryFigures),
    /// It has no memory map at this moment: it is exiting.
    NoMemory,
    Exited,
}

/// Memory of one process at one moment, in bytes unless the name says otherwise.
#[derive(Debug, Clone, Copy)]
pub(super) struct MemoryFigures {
    pub(super) rss: u64,
    /// High-water mark, if it was read.
    pub(super) hwm: Option<u64>,
    pub(super) swap: Option<u64>,
    /// Files in it, if they were read.
    pub(super) file: Option<u64>,
    /// Files and shared memory in it.
    pub(super) shared: u64,
    pub(super) beside: BesideRss,
    pub(super) text_pages: u64,
}

impl MemoryFigures {
    /// Returns what `statm` tells, and `status` if it was read beside it.
    fn of(statm: Statm, status: Option<&Status>, page_size: u64) -> Self {
        Self {
            rss: statm.resident_pages * page_size,
            hwm: status.and_then(|status| status.vm_hwm_bytes),
            swap: status.and_then(|status| status.vm_swap_bytes),
            file: status.and_then(|status| status.rss_file_bytes),
            shared: statm.shared_pages.min(statm.resident_pages) * page_size,
            beside: BesideRss {
                hugetlb: status.and_then(|status| status.hugetlb_bytes),
                page_tables: status.and_then(|status| status.page_table_bytes),
            },
            text_pages: statm.text_pages,
        }
    }
}

impl MemberFiles {
    /// Opens the files of `pid`, whose `stat` was just read.
    pub(super) fn open(&mut self, proc: &ProcDir, pid: u32) {
        self.is_open = true;
        self.statm = open_to_keep(proc, ProcPath::of(pid, "statm"));
        self.status = open_to_keep(proc, ProcPath::of(pid, "status"));
    }

    /// Returns whether [`Self::open`] was called.
    pub(super) fn are_open(&self) -> bool {
        self.is_open
    }

    /// Returns the length of `status` when it was last read; 0 before.
    pub(super) fn status_bytes(&self) -> usize {
        self.status_bytes as usize
    }

    /// Returns the size of its page tables when `status` was last read; `None` before.
    pub(super) fn page_table_bytes(&self) -> Option<u64> {
        self.page_table_bytes
    }

    /// Returns the live thread that stands for a leader that has left.
    pub(super) fn thread(&self) -> Option<u32> {
        self.thread
    }

    /// Reads the anonymous memory of the process. Every user may read it, unlike its PSS.
    pub(super) fn read_anonymous_bytes(
        &self,
        proc: &ProcDir,
        process: ProcessKey,
        text: &mut Vec<u8>,
    ) -> Option<u64> {
        self.read_file(proc, process, MemoryFile::Status, text)?;
        Status::parse(text)?.rss_anon_bytes
    }

    /// Reads the memory of the process, with its high-water mark if `with_hwm`.
    pub(super) fn read(
        &mut self,
        proc: &ProcDir,
        process: ProcessKey,
        page_size: u64,
        with_hwm: bool,
        text: &mut Vec<u8>,
    ) -> MemoryRead {
        let Some(statm) = self.read_statm(proc, process, text) else {
            // The thread that stood for a leaderless process may have ended before the others.
            return if self.thread.is_some() {
                self.read_without_leader(proc, process, page_size, text)
            } else {
                MemoryRead::Exited
            };
        };
        if statm.has_no_memory() {
            return self.read_without_leader(proc, process, page_size, text);
        }
        let status = with_hwm.then(|| self.read_status(proc, process, text)).flatten();
        let mut figures = MemoryFigures::of(statm, status.as_ref(), page_size);
        if with_hwm {
            // It is read later than statm: what it shows beyond that was reached, too.
            let rss = status.and_then(|status| status.vm_rss_bytes).unwrap_or(0);
            figures.rss = figures.rss.max(rss);
        }
        MemoryRead::Alive(figures)
    }

    /// Reads a process whose `statm` is all zeros: it has exited, is exiting, or its leader has left other threads behind.
    fn read_without_leader(
        &mut self,
        proc: &ProcDir,
        process: ProcessKey,
        page_size: u64,
        text: &mut Vec<u8>,
    ) -> MemoryRead {
        let Some(stat) = read_stat(proc, process.pid, text) else { return MemoryRead::Exited };
        if stat.has_exited() {
            return MemoryRead::Exited;
        }
        if !stat.is_zombie() {
            return self.read_new_leader(proc, process, page_size, text);
        }
        let Ok(threads) = proc.ids(ProcPath::of(process.pid, "task")) else { return MemoryRead::Exited };
        for tid in threads {
            if tid == process.pid || Some(tid) == self.thread {
                continue;
            }
            let statm = proc.open_file(ProcPath::of_thread(process.pid, tid, "statm"));
            let status = proc.open_file(ProcPath::of_thread(process.pid, tid, "status"));
            let (Ok(statm), Ok(status)) = (statm, status) else { continue };
            self.thread = Some(tid);
            self.statm = Some(statm);
            self.status = Some(status);
            let statm = self.read_statm(proc, process, text).filter(|statm| !statm.has_no_memory());
            if let Some(statm) = statm {
                let status = self.read_status(proc, process, text);
                return MemoryRead::Alive(MemoryFigures::of(statm, status.as_ref(), page_size));
            }
        }
        MemoryRead::NoMemory
    }

    /// Reads a process that has a leader again: a thread that execs takes the leader's id, and its own is gone
    /// (`de_thread`, fs/exec.c). Its files replace those of the thread that stood for it.
    fn read_new_leader(
        &mut self,
        proc: &ProcDir,
        process: ProcessKey,
        page_size: u64,
        text: &mut Vec<u8>,
    ) -> MemoryRead {
        if self.thread.take().is_none() {
            return MemoryRead::NoMemory;
        }
        let start_ticks = read_stat(proc, process.pid, text).map(|stat| stat.start_ticks);
        if start_ticks.is_none() || process.start_ticks.is_some() && start_ticks != process.start_ticks {
            return MemoryRead::Exited;
        }
        self.open(proc, process.pid);
        // It has no memory in the midst of an exec; the next sample reads it.
        let statm = self.read_statm(proc, process, text).filter(|statm| !statm.has_no_memory());
        let Some(statm) = statm else { return MemoryRead::NoMemory };
        let status = self.read_status(proc, process, text);
        MemoryRead::Alive(MemoryFigures::of(statm, status.as_ref(), page_size))
    }

    fn read_statm(&self, proc: &ProcDir, process: ProcessKey, text: &mut Vec<u8>) -> Option<Statm> {
        self.read_file(proc, process, MemoryFile::Statm, text)?;
        Statm::parse(text)
    }

    fn read_status(&mut self, proc: &ProcDir, process: ProcessKey, text: &mut Vec<u8>) -> Option<Status> {
        self.read_file(proc, process, MemoryFile::Status, text)?;
        self.status_bytes = u32::try_from(text.len()).unwrap_or(u32::MAX);
        if text.len() >= LONG_STATUS_BYTES && self.thread.is_none() {
            // The kernel keeps a buffer of that size for as long as the file is open.
            self.status = None;
        }
        let status = Status::parse(text)?;
        self.page_table_bytes = status.page_table_bytes.or(self.page_table_bytes);
        Some(status)
    }

    /// Reads one file into `text`; `None` once the process is gone.
    fn read_file(
        &self,
        proc: &ProcDir,
        process: ProcessKey,
        file: MemoryFile,
        text: &mut Vec<u8>,
    ) -> Option<()> {
        let kept = match file {
            MemoryFile::Statm => &self.statm,
            MemoryFile::Status => &self.status,
        };
        if let Some(kept) = kept {
            return bounded::read_kept(kept, text);
        }
        // Without a kept descriptor, the pid may belong to another process by now.
        let stat = read_stat(proc, process.pid, text)?;
        let path = ProcPath::of(process.pid, file.name());
        (Some(stat.start_ticks) == process.start_ticks && proc.read_into(path, text)).then_some(())
    }
}
