//! The questions of the tracker about processes: a trait, so that the tracker is tested over a made-up kernel.

use std::{fs, time::Duration};

use super::{
    clock::JobClock,
    command_lines::{CommandLines, LineUse},
    descendants::{Descendants, read_into, read_stat},
    memory_map::same_memory_map,
};
use crate::{
    Roots,
    process::linux::{cmdline, stat::Stat, statm::Statm, status::Status},
    record::Lineage,
};

/// Number of readings after which a `stat` counts as settled: some processes do nothing but start threads.
const MAX_SETTLING_READS: usize = 8;

/// The system's answers about processes.
pub(super) trait ProcView {
    /// Returns the time since the start of the job.
    fn now(&self) -> Duration;
    /// Reads `/proc/PID/stat`.
    fn stat(&mut self, pid: u32) -> Option<Stat>;
    /// Returns whether the process has memory (`/proc/PID/statm`).
    fn has_memory(&mut self, pid: u32) -> bool;
    /// Reads the high-water mark of the process in bytes (`VmHWM`).
    fn high_water_mark(&mut self, pid: u32) -> Option<u64>;
    /// Returns whether two processes run in one memory map; `None` if that is not known.
    fn same_memory_map(&mut self, a: u32, b: u32) -> Option<bool>;
    /// Reads the arguments that the process was started with.
    fn arguments(&mut self, pid: u32) -> ProcessArguments;

    /// Reads `stat` until two readings agree, and the time at which it was so. In the midst of an exec `stat` shows the old
    /// memory map beside the new flags (`do_task_stat`, fs/proc/array.c).
    fn settled_stat(&mut self, pid: u32) -> Option<(Duration, Stat)> {
        let mut stat = self.stat(pid)?;
        let mut now = self.now();
        for _ in 0..MAX_SETTLING_READS {
            let before = std::mem::replace(&mut stat, self.stat(pid)?);
            let agrees = before.image == stat.image
                && before.has_not_exec() == stat.has_not_exec()
                && before.threads == stat.threads;
            if agrees {
                break;
            }
            now = self.now();
        }
        Some((now, stat))
    }
}

/// The arguments of a process, as far as they can be read.
#[derive(Debug, Clone, Default)]
pub(super) struct ProcessArguments {
    /// Base name of `argv[0]`.
    pub(super) command: Option<String>,
    /// All arguments, if they were asked for.
    pub(super) line: Option<String>,
    /// Path of the executable.
    pub(super) exe: Option<String>,
    /// True if they are not read on purpose: only the kernel's name is known then.
    pub(super) are_left_out: bool,
}

/// `/proc` of this machine.
#[derive(Debug)]
pub(super) struct Proc {
    pub(super) roots: Roots,
    clock: JobClock,
    pub(super) descendants: Descendants,
    pub(super) lines: CommandLines,
    text: Vec<u8>,
}

impl Proc {
    /// Returns a view of the procfs in `roots`.
    pub(super) fn new(roots: &Roots, lines: CommandLines) -> Self {
        Self {
            roots: roots.clone(),
            clock: JobClock::default(),
            descendants: Descendants::new(roots),
            lines,
            text: Vec::new(),
        }
    }

    /// Sets the clock of the job.
    pub(super) fn begin(&mut self, clock: JobClock) {
        self.clock = clock;
    }

    /// Returns how descendants are found in `/proc`.
    pub(super) fn lineage(&self) -> Lineage {
        self.descendants.lineage()
    }
}

impl ProcView for Proc {
    fn now(&self) -> Duration {
        self.clock.now()
    }

    fn stat(&mut self, pid: u32) -> Option<Stat> {
        read_stat(&self.roots, pid, &mut self.text)
    }

    fn has_memory(&mut self, pid: u32) -> bool {
        let path = self.roots.proc.join(format!("{pid}/statm"));
        read_into(&path, &mut self.text)
            && Statm::parse(&self.text).is_some_and(|statm| !statm.has_no_memory())
    }

    fn high_water_mark(&mut self, pid: u32) -> Option<u64> {
        let path = self.roots.proc.join(format!("{pid}/status"));
        let status = read_into(&path, &mut self.text).then(|| Status::parse(&self.text)).flatten();
        status.and_then(|status| status.vm_hwm_bytes)
    }

    fn same_memory_map(&mut self, a: u32, b: u32) -> Option<bool> {
        same_memory_map(a, b)
    }

    fn arguments(&mut self, pid: u32) -> ProcessArguments {
        let directory = self.roots.proc.join(pid.to_string());
        let extent = self.lines.read(directory.join("cmdline"), &mut self.text);
        let line = extent
            .filter(|_| self.lines.line_use == LineUse::Pattern)
            .and_then(|_| cmdline::line(&self.text));
        let command = extent.and_then(|extent| cmdline::name_at_start(&self.text, extent));
        let exe = fs::read_link(directory.join("exe")).ok();
        let exe = exe.map(|path| path.to_string_lossy().into_owned());
        ProcessArguments { command, line, exe, are_left_out: self.lines.line_use == LineUse::LeftOut }
    }
}
