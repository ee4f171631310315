//! The bytes of a record: `struct taskstats` and the attributes around it (`linux/taskstats.h`).

use std::time::Duration;

use crate::{
    job::resource_use::{CpuUse, IoBytes, ResourceUse},
    netlink::find_attribute,
};

const AGGR_PID: u16 = 4;
const TYPE_PID: u16 = 1;
const TYPE_STATS: u16 = 3;

/// The kernel's record of a task that exited. A process has one for each of its threads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TaskEnd {
    /// Pid of the process.
    pub(crate) pid: u32,
    pub(crate) tid: u32,
    /// The task's name, which for a thread may differ from its process's.
    pub(crate) comm: String,
    /// The high-water mark of its last memory map; `None` for a task without one.
    pub(crate) peak_bytes: Option<u64>,
    /// Wait status of this task as wait4(2) returns it.
    pub(crate) status: i32,
    /// Usage of this task. Bytes read and written are cut to whole KiB (`xacct_add_tsk`, kernel/tsacct.c).
    pub(crate) cpu: CpuUse,
    pub(crate) io: IoBytes,
}

/// Usage of the exited tasks of a process, from their records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct TasksUsed {
    pub(crate) used: ResourceUse,
    /// True if a task has exited without a record.
    pub(crate) has_gaps: bool,
}

impl TasksUsed {
    /// Adds a task that has exited.
    pub(crate) fn add(&mut self, end: Option<&TaskEnd>) {
        match end {
            Some(end) => {
                self.used = self.used.plus(ResourceUse { cpu: Some(end.cpu), io: Some(end.io) });
            }
            None => self.has_gaps = true,
        }
    }
}

/// Offsets of the fields.
struct TaskstatsLayout {
    comm: usize,
    pid: usize,
    hiwater_rss: usize,
    tgid: usize,
}

impl TaskstatsLayout {
    /// Returns the layout of a version. Since version 12 (Linux 5.19) a record names the process of the task; without
    /// it a record is useless.
    fn of(version: u16) -> Option<Self> {
        match version {
            // Pairs of u64 had been inserted between the older fields; version 16 moved them to the end.
            15 => Some(Self { comm: 128, pid: 176, hiwater_rss: 248, tgid: 464 }),
            12.. => Some(Self { comm: 80, pid: 128, hiwater_rss: 200, tgid: 368 }),
            _ => None,
        }
    }
}

/// Returns the version of the struct in these attributes.
pub(super) fn version(attributes: &[u8]) -> Option<u16> {
    let stats = find_attribute(find_attribute(attributes, AGGR_PID)?, TYPE_STATS)?;
    Some(u16::from_ne_bytes(*stats.first_chunk()?))
}

impl TaskEnd {
    /// Parses the attributes of a message. The last task of a process with threads also brings a sum over them
    /// (`TASKSTATS_TYPE_AGGR_TGID`), which has no peak and is ignored.
    pub(super) fn parse(attributes: &[u8]) -> Option<Self> {
        let layout = TaskstatsLayout::of(version(attributes)?)?;
        let task = find_attribute(attributes, AGGR_PID)?;
        let stats = find_attribute(task, TYPE_STATS)?;
        let tid = word(find_attribute(task, TYPE_PID)?, 0)?;
        // A wrong layout would not have this number here.
        if word(stats, layout.pid)? != tid {
            return None;
        }
        let comm = stats.get(layout.comm..layout.comm + 32)?.split(|byte| *byte == 0).next()?;
        let number = |at: usize| Some(u64::from_ne_bytes(*stats.get(at..)?.first_chunk()?));
        let kib = number(layout.hiwater_rss)?;
        // In every layout `ac_utime`, `ac_stime` (microseconds), `ac_minflt` and `ac_majflt` follow the pids. After
        // `hiwater_rss` and `hiwater_vm` come `read_char`, `write_char`, two counts of calls, `read_bytes` and
        // `write_bytes`.
        let (pid, high) = (layout.pid, layout.hiwater_rss);
        let cpu = CpuUse {
            user: Duration::from_micros(number(pid + 24)?),
            system: Duration::from_micros(number(pid + 32)?),
            minor_faults: Some(number(pid + 40)?),
            major_faults: Some(number(pid + 48)?),
            mixed_faults: None,
        };
        let io = IoBytes {
            read: Some(number(high + 16)?),
            written: Some(number(high + 24)?),
            storage_read: Some(number(high + 48)?),
            storage_written: Some(number(high + 56)?),
        };
        Some(Self {
            pid: word(stats, layout.tgid)?,
            tid,
            comm: String::from_utf8_lossy(comm).into_owned(),
            peak_bytes: if kib == 0 { None } else { Some(kib.checked_mul(1024)?) },
            status: i32::from_ne_bytes(*stats.get(4..)?.first_chunk()?),
            cpu,
            io,
        })
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests;
