//! Reading the usage of a member beside memory: `stat` for CPU time and page faults, `io` for bytes.
//!
//! Both count a process with all its threads, exited ones included. But `io` also counts its children that were waited
//! for, which `stat` counts apart (`wait_task_zombie`, kernel/exit.c). No child runs without a page fault. So a process
//! without faults of waited-for children has waited for none. For any other, the `io` of its threads is added up.

use std::fs::File;

use super::{
    kept_file::open_to_keep,
    proc_dir::{ProcDir, ProcPath},
};
use crate::{
    bounded,
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
        proc: &ProcDir,
        pid: u32,
        start_ticks: Option<u64>,
        wanted: UsageWanted,
        text: &mut Vec<u8>,
    ) -> Option<UsageReading> {
        let (of_process, of_leader) =
            (|name: &str| ProcPath::of(pid, name), |name: &str| ProcPath::of_thread(pid, pid, name));
        if !self.opened {
            self.opened = true;
            self.stat = open_to_keep(proc, of_process("stat"));
            if wanted.io {
                self.io = open_to_keep(proc, of_process("io"));
                self.task_io = open_to_keep(proc, of_leader("io"));
            }
        }
        get(self.stat.as_ref(), proc, || of_process("stat"), text)?;
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
        reading.with_waited.io = get(self.io.as_ref(), proc, || of_process("io"), text)
            .and_then(|()| ProcIo::parse(text))
            .map(moved);
        reading.own.io = if !has_waited {
            reading.with_waited.io
        } else if threads <= 1 {
            get(self.task_io.as_ref(), proc, || of_leader("io"), text)
                .and_then(|()| ProcIo::parse(text))
                .map(moved)
        } else {
            threads_io(proc, pid, text)
        };
        Some(reading)
    }
}

/// Reads a kept file, or one that could not be kept.
fn get(
    kept: Option<&File>,
    proc: &ProcDir,
    path: impl FnOnce() -> ProcPath,
    text: &mut Vec<u8>,
) -> Option<()> {
    let Some(file) = kept else { return proc.read_into(path(), text).then_some(()) };
    bounded::read_kept(file, text)
}

/// Returns the sum over the living threads.
fn threads_io(proc: &ProcDir, pid: u32, text: &mut Vec<u8>) -> Option<IoBytes> {
    let threads = proc.ids(ProcPath::of(pid, "task")).ok()?;
    let each = threads.filter_map(|tid| {
        let is_read = proc.read_into(ProcPath::of_thread(pid, tid, "io"), text);
        is_read.then(|| ProcIo::parse(text)).flatten().map(moved)
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
