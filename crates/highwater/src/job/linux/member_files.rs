//! The files of one member under `/proc`, kept open where descriptors can be spared, and reading its memory from them.
//!
//! A kept `/proc/PID/statm` or `status` belongs to that one process: it survives exec and fails with ESRCH once the
//! process is gone, so a reused pid cannot be mistaken for it (`fs/proc/base.c`).

use std::fs::{self, File};

use super::{
    descendants::{read_into, read_stat},
    kept_file::open_to_keep,
    usage_files::UsageFiles,
};
use crate::{
    Roots, bounded,
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
    pub(super) text_pages: u64,
}

impl MemberFiles {
    /// Opens the files of `pid`, whose `stat` was just read.
    pub(super) fn open(&mut self, roots: &Roots, pid: u32) {
        let directory = roots.proc.join(pid.to_string());
        self.is_open = true;
        self.statm = open_to_keep(&directory.join("statm"));
        self.status = open_to_keep(&directory.join("status"));
    }

    /// Returns whether [`Self::open`] was called.
    pub(super) fn are_open(&self) -> bool {
        self.is_open
    }

    /// Reads the memory of the process, with its high-water mark if `with_hwm`.
    pub(super) fn read(
        &mut self,
        roots: &Roots,
        process: ProcessKey,
        page_size: u64,
        with_hwm: bool,
        text: &mut Vec<u8>,
    ) -> MemoryRead {
        let Some(statm) = self.read_statm(roots, process, text) else {
            // The thread that stood for a leaderless process may have ended before the others.
            return if self.thread.is_some() {
                self.read_without_leader(roots, process, page_size, text)
            } else {
                MemoryRead::Exited
            };
        };
        if statm.has_no_memory() {
            return self.read_without_leader(roots, process, page_size, text);
        }
        let mut figures = MemoryFigures {
            rss: statm.resident_pages * page_size,
            hwm: None,
            swap: None,
            text_pages: statm.text_pages,
        };
        if with_hwm {
            let status = self.read_status(roots, process, text);
            figures.hwm = status.as_ref().and_then(|status| status.vm_hwm_bytes);
            figures.swap = status.as_ref().and_then(|status| status.vm_swap_bytes);
            // It is read later than statm: what it shows beyond that was reached, too.
            let rss = status.and_then(|status| status.vm_rss_bytes).unwrap_or(0);
            figures.rss = figures.rss.max(rss);
        }
        MemoryRead::Alive(figures)
    }

    /// Reads a process whose `statm` is all zeros: it has exited, is exiting, or its leader has left other threads behind.
    fn read_without_leader(
        &mut self,
        roots: &Roots,
        process: ProcessKey,
        page_size: u64,
        text: &mut Vec<u8>,
    ) -> MemoryRead {
        let path = roots.proc.join(format!("{}/status", process.pid));
        let Some(status) = read_into(&path, text).then(|| Status::parse(text)).flatten() else {
            return MemoryRead::Exited;
        };
        let is_zombie = matches!(status.state, b'Z' | b'X');
        if !is_zombie {
            return self.read_new_leader(roots, process, page_size, text);
        }
        if status.threads.unwrap_or(0) <= 1 {
            return MemoryRead::Exited;
        }
        let Ok(threads) = fs::read_dir(roots.proc.join(format!("{}/task", process.pid))) else {
            return MemoryRead::Exited;
        };
        for thread in threads.flatten() {
            let Some(tid) = thread.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            if tid == process.pid || Some(tid) == self.thread {
                continue;
            }
            let statm = File::open(thread.path().join("statm"));
            let status = File::open(thread.path().join("status"));
            let (Ok(statm), Ok(status)) = (statm, status) else { continue };
            self.thread = Some(tid);
            self.statm = Some(statm);
            self.status = Some(status);
            let statm = self.read_statm(roots, process, text).filter(|statm| !statm.has_no_memory());
            if let Some(statm) = statm {
                let status = self.read_status(roots, process, text);
                return MemoryRead::Alive(MemoryFigures {
                    rss: statm.resident_pages * page_size,
                    hwm: status.as_ref().and_then(|status| status.vm_hwm_bytes),
                    swap: status.and_then(|status| status.vm_swap_bytes),
                    text_pages: statm.text_pages,
                });
            }
        }
        MemoryRead::NoMemory
    }

    /// Reads a process that has a leader again: a thread that execs takes the leader's id, and its own is gone
    /// (`de_thread`, fs/exec.c). Its files replace those of the thread that stood for it.
    fn read_new_leader(
        &mut self,
        roots: &Roots,
        process: ProcessKey,
        page_size: u64,
        text: &mut Vec<u8>,
    ) -> MemoryRead {
        if self.thread.take().is_none() {
            return MemoryRead::NoMemory;
        }
        let start_ticks = read_stat(roots, process.pid, text).map(|stat| stat.start_ticks);
        if start_ticks.is_none() || process.start_ticks.is_some() && start_ticks != process.start_ticks {
            return MemoryRead::Exited;
        }
        self.open(roots, process.pid);
        // It has no memory in the midst of an exec; the next sample reads it.
        let statm = self.read_statm(roots, process, text).filter(|statm| !statm.has_no_memory());
        let Some(statm) = statm else { return MemoryRead::NoMemory };
        let status = self.read_status(roots, process, text);
        MemoryRead::Alive(MemoryFigures {
            rss: statm.resident_pages * page_size,
            hwm: status.as_ref().and_then(|status| status.vm_hwm_bytes),
            swap: status.and_then(|status| status.vm_swap_bytes),
            text_pages: statm.text_pages,
        })
    }

    fn read_statm(&self, roots: &Roots, process: ProcessKey, text: &mut Vec<u8>) -> Option<Statm> {
        self.read_file(roots, process, MemoryFile::Statm, text)?;
        Statm::parse(text)
    }

    fn read_status(&self, roots: &Roots, process: ProcessKey, text: &mut Vec<u8>) -> Option<Status> {
        self.read_file(roots, process, MemoryFile::Status, text)?;
        Status::parse(text)
    }

    /// Reads one file into `text`; `None` once the process is gone.
    fn read_file(
        &self,
        roots: &Roots,
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
        let stat = read_stat(roots, process.pid, text)?;
        let path = roots.proc.join(format!("{}/{}", process.pid, file.name()));
        (Some(stat.start_ticks) == process.start_ticks && read_into(&path, text)).then_some(())
    }
}
