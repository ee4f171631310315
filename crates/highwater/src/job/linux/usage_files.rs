//! Reading the usage of a member beside memory: `stat` for CPU time and page faults, `io` for bytes.
//!
//! Both count a process with all its threads, exited ones included. But `io` also counts its children that were waited
//! for, which `stat` counts apart (`wait_task_zombie`, kernel/exit.c). No child runs without a page fault. So a process
//! without faults of waited-for children has waited for none; for any other, the `io` of its threads is added up.

use std::{fs::File, path::PathBuf};

use super::{descendants::read_into, kept_file::open_to_keep};
use crate::{
    Roots, bounded,
    job::resource_use::{CpuUse, IoBytes, ResourceUse, UsageWanted},
    process::linux::{
        facts::cpu_time,
        io::ProcIo,
        stat::{Spent, Stat},
    },
};

/// A process's files, kept open: like `statm`, they stay those of that process.
#[derive(Debug, Default)]
pub(super) struct UsageFiles {
    stat: Option<File>,
    io: Option<File>,
    task_io: Option<File>,
    opened: bool,
}

/// Usage of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UsageReading {
    /// Its own usage.
    pub(crate) own: ResourceUse,
    /// Usage with the children that it has waited for.
    pub(crate) with_waited: ResourceUse,
    /// True if it has exited and was not waited for: nothing will be added.
    pub(crate) is_final: bool,
    /// True if `own` includes all its bytes, those of exited threads too.
    pub(crate) io_is_whole: bool,
}

impl UsageFiles {
    /// Reads them; `None` if the process is gone. `start_ticks` identifies the process.
    pub(super) fn read(
        &mut self,
        roots: &Roots,
        pid: u32,
        start_ticks: Option<u64>,
        wanted: UsageWanted,
        text: &mut Vec<u8>,
    ) -> Option<UsageReading> {
        let path = |name: &str| roots.proc.join(format!("{pid}/{name}"));
        if !self.opened {
            self.opened = true;
            self.stat = open_to_keep(&path("stat"));
            if wanted.io {
                self.io = open_to_keep(&path("io"));
                self.task_io = open_to_keep(&path(&format!("task/{pid}/io")));
            }
        }
        get(self.stat.as_ref(), || path("stat"), text)?;
        let stat = Stat::parse_bytes(text)?;
        if start_ticks.is_some_and(|ticks| ticks != stat.start_ticks) {
            return None;
        }
        let (own_cpu, waited_cpu) = (cpu(&stat.own), cpu(&stat.waited));
        let is_final = stat.has_exited();
        let (threads, has_waited) = (stat.threads, stat.waited.minor_faults > 0);
        let mut reading = UsageReading {
            own: ResourceUse { cpu: wanted.cpu.then_some(own_cpu), io: None },
            with_waited: ResourceUse { cpu: wanted.cpu.then(|| own_cpu + waited_cpu), io: None },
            is_final,
            io_is_whole: !has_waited,
        };
        if !wanted.io {
            return Some(reading);
        }
        reading.with_waited.io =
            get(self.io.as_ref(), || path("io"), text).and_then(|()| ProcIo::parse(text)).map(moved);
        reading.own.io = if !has_waited {
            reading.with_waited.io
        } else if threads <= 1 {
            get(self.task_io.as_ref(), || path(&format!("task/{pid}/io")), text)
                .and_then(|()| ProcIo::parse(text))
                .map(moved)
        } else {
            threads_io(&path("task"), text)
        };
        Some(reading)
    }
}

/// Reads a kept file, or one that could not be kept.
fn get(kept: Option<&File>, path: impl FnOnce() -> PathBuf, text: &mut Vec<u8>) -> Option<()> {
    let Some(file) = kept else { return read_into(&path(), text).then_some(()) };
    bounded::read_kept(file, text)
}

/// Returns the sum over the living threads.
fn threads_io(tasks: &PathBuf, text: &mut Vec<u8>) -> Option<IoBytes> {
    let threads = std::fs::read_dir(tasks).ok()?;
    let each = threads.flatten().filter_map(|thread| {
        read_into(&thread.path().join("io"), text).then(|| ProcIo::parse(text)).flatten().map(moved)
    });
    each.reduce(|sum, one| sum + one)
}

fn cpu(spent: &Spent) -> CpuUse {
    CpuUse {
        user: cpu_time(spent.user_ticks),
        system: cpu_time(spent.system_ticks),
        minor_faults: Some(spent.minor_faults),
        major_faults: Some(spent.major_faults),
        mixed_faults: None,
    }
}

fn moved(io: ProcIo) -> IoBytes {
    IoBytes {
        read: Some(io.rchar),
        written: Some(io.wchar),
        storage_read: Some(io.read_bytes),
        storage_written: Some(io.write_bytes),
    }
}
