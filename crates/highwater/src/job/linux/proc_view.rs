//! The questions of the tracker about processes: a trait, so that the tracker is tested over a made-up kernel.

use std::time::Duration;

use super::{
    clock::JobClock,
    command_lines::{CommandLines, LineUse},
    descendants::{Descendants, read_stat},
    memory_map::compare_memory_maps,
    proc_dir::{ProcDir, ProcPath},
};
use crate::{
    bounded::Extent,
    job::display_name::display_name,
    process::linux::{cmdline, stat::Stat, statm::Statm, status::Status},
    record::{Downgrade, Lineage},
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
    /// Its display name.
    pub(super) display: Option<String>,
    /// True if they are not read on purpose: only the kernel's name is known then.
    pub(super) are_left_out: bool,
}

/// `/proc` of this machine.
#[derive(Debug)]
pub(super) struct Proc {
    directory: ProcDir,
    clock: JobClock,
    pub(super) descendants: Descendants,
    pub(super) lines: CommandLines,
    /// Number of times that memory maps could not be compared, and the last reason.
    uncompared_maps: u64,
    refusal: Option<String>,
    text: Vec<u8>,
}

impl Proc {
    /// Returns a view of a procfs.
    pub(super) fn new(directory: &ProcDir, lines: CommandLines) -> Self {
        Self {
            directory: directory.clone(),
            clock: JobClock::default(),
            descendants: Descendants::new(directory),
            lines,
            uncompared_maps: 0,
            refusal: None,
            text: Vec::new(),
        }
    }

    /// Returns the procfs.
    pub(super) fn directory(&self) -> &ProcDir {
        &self.directory
    }

    /// Sets the clock of the job.
    pub(super) fn begin(&mut self, clock: JobClock) {
        self.clock = clock;
    }

    /// Returns that it is not known whether some children run in the memory map of their parent.
    pub(super) fn unknown_sharing(&self) -> Option<Downgrade> {
        let refusal = self.refusal.as_ref()?;
        let reason = format!(
            "kcmp: {refusal} ({} times); RSS counts such a child in full until it execs",
            self.uncompared_maps
        );
        Some(Downgrade { wanted: "children in the memory map of their parent".to_owned(), reason })
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
        read_stat(&self.directory, pid, &mut self.text)
    }

    fn has_memory(&mut self, pid: u32) -> bool {
        self.directory.read_into(ProcPath::of(pid, "statm"), &mut self.text)
            && Statm::parse(&self.text).is_some_and(|statm| !statm.has_no_memory())
    }

    fn high_water_mark(&mut self, pid: u32) -> Option<u64> {
        let is_read = self.directory.read_into(ProcPath::of(pid, "status"), &mut self.text);
        is_read.then(|| Status::parse(&self.text)).flatten()?.vm_hwm_bytes
    }

    fn same_memory_map(&mut self, a: u32, b: u32) -> Option<bool> {
        let compared = compare_memory_maps(a, b);
        // A process that is gone is none that was refused.
        let refused = compared.as_ref().err().filter(|error| error.raw_os_error() != Some(libc::ESRCH));
        if let Some(error) = refused {
            self.uncompared_maps += 1;
            self.refusal = Some(error.to_string());
        }
        compared.ok()
    }

    fn arguments(&mut self, pid: u32) -> ProcessArguments {
        let extent = self.lines.read(&self.directory, ProcPath::of(pid, "cmdline"), &mut self.text);
        let line = extent
            .filter(|_| self.lines.line_use == LineUse::Pattern)
            .and_then(|_| cmdline::line(&self.text));
        let command = extent.and_then(|extent| cmdline::name_at_start(&self.text, extent));
        let exe = self.directory.read_link(ProcPath::of(pid, "exe")).ok();
        let exe = exe.map(|path| path.to_string_lossy().into_owned());
        let display = extent.and_then(|extent| display_name(&self.text, extent == Extent::Whole));
        ProcessArguments {
            command,
            line,
            exe,
            display,
            are_left_out: self.lines.line_use == LineUse::LeftOut,
        }
    }
}
