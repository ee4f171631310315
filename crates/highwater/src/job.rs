//! Run a command, follow all its descendants, and say how much memory they used.
//!
//! ```
//! use highwater::Job;
//!
//! let record = Job::new("cargo").arg("--version").run()?;
//! // On Linux; `peak.commit` and `primary_metric` say more about other systems.
//! if let Some(peak) = record.peak.rss {
//!     println!("between {} and {} bytes", peak.lower_bytes, peak.upper_bytes);
//! }
//! # Ok::<(), highwater::Error>(())
//! ```
//!
//! While a job runs, this process is the reaper of its orphans (`PR_SET_CHILD_SUBREAPER`, prctl(2)); what was set
//! before is restored after the last job. No signal handler is installed, and only processes of the job are waited
//! for. Jobs run on the thread that calls [`Job::run`]; several threads may each run one.
//!
//! # Platforms
//! Linux, Windows (a Job Object), macOS (kqueue and the parents that the kernel keeps). What each can tell, and how far
//! that was seen, `docs/platforms.md` says; [`Record::primary_metric`](crate::record::Record) names the figure.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    path::PathBuf,
    time::{Instant, SystemTime},
};

use self::resource_use::UsageWanted;
use crate::{
    Error, Roots,
    record::{Attached, Record},
};

#[cfg(any(windows, test))]
mod accounts;
#[cfg(any(windows, test))]
mod ancestry;
mod backend;
mod control;
mod estimate;
mod event_batch;
mod events;
mod follow;
mod gpu;
mod grouping;
mod identity;
mod ledger;
mod limits;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(any(target_os = "macos", all(test, unix)))]
#[cfg_attr(not(target_os = "macos"), allow(dead_code))] // Linux tests what is made of the kernel's answers.
mod macos;
mod moment;
mod observer;
mod options;
mod pace;
mod resource_use;
mod rows;
mod timeline;
#[cfg(unix)]
mod unix;
mod upper_bound;
#[cfg(windows)]
mod windows;

pub use control::Control;
pub use grouping::{CommandLineKey, GroupBy};
pub use ledger::RowsSoFar;
pub use limits::{LimitCulprit, LimitNotice, Limits, OnLimit, UnjudgedLimit};
#[cfg(target_os = "linux")]
use linux as os;
#[cfg(target_os = "linux")]
pub(crate) use linux::{Connector, JobGroup, Taskstats};
#[cfg(target_os = "macos")]
use macos as os;
pub use observer::{LargestProcess, Observer, Progress};
pub use options::{CgroupUse, Inherited, LineageFrom, Pace};
pub use resource_use::IoBytes;
pub use rows::Rows;
#[cfg(windows)]
use windows as os;
#[cfg(windows)]
pub(crate) use windows::probe as windows_probe;
#[cfg(target_os = "macos")]
pub(crate) use {
    identity::MemberId,
    macos::{KqueueReport, Queue},
};

/// When the job's time began.
#[derive(Debug, Clone)]
struct Start {
    wall: SystemTime,
    clock: Instant,
    /// What was attached to, and its command line; `None`: we have started the job.
    attached: Option<(Attached, Vec<String>)>,
}

impl Start {
    fn now() -> Self {
        Self { wall: SystemTime::now(), clock: Instant::now(), attached: None }
    }
}

/// A command to run and measure.
///
/// ```no_run
/// use highwater::{Job, job::Limits};
///
/// let mut limits = Limits::default();
/// limits.total_rss_bytes = Some(8 << 30);
/// let record = Job::new("make").arg("-j8").exact(true).limits(limits).run()?;
/// println!("{} processes, exit: {:?}", record.capture.processes_seen, record.exit);
/// # Ok::<(), highwater::Error>(())
/// ```
#[doc(alias = "time -v")]
#[doc(alias = "getrusage")]
#[derive(Debug)]
pub struct Job {
    program: OsString,
    args: Vec<OsString>,
    env: Vec<(OsString, Option<OsString>)>,
    current_dir: Option<PathBuf>,
    stdout: Option<File>,
    roots: Roots,
    pace: Pace,
    wait: bool,
    sole_owner: bool,
    inherited: Inherited,
    lineage: LineageFrom,
    exact: bool,
    cgroup: CgroupUse,
    gpu: bool,
    usage: UsageWanted,
    /// A process that runs already, in place of the program.
    attach: Option<u32>,
    group_by: Vec<GroupBy>,
    leaves_out_arguments: bool,
    limits: Limits,
    #[cfg_attr(not(windows), allow(dead_code))]
    ends_with_us: bool,
    control: Control,
}

impl Job {
    /// A job that runs `program`, found in `PATH` unless it holds a slash.
    pub fn new(program: impl Into<OsString>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            current_dir: None,
            stdout: None,
            roots: Roots::default(),
            pace: Pace::default(),
            wait: false,
            sole_owner: false,
            inherited: Inherited::default(),
            lineage: LineageFrom::default(),
            exact: false,
            cgroup: CgroupUse::default(),
            gpu: false,
            usage: UsageWanted::default(),
            attach: None,
            group_by: Vec::new(),
            leaves_out_arguments: false,
            limits: Limits::default(),
            ends_with_us: false,
            control: Control::new(),
        }
    }

    /// A process that runs already, followed with its descendants until it ends or [`Control::leave`] is called.
    ///
    /// What happened before is not known: peaks are those of the measurement. A mark that the kernel has kept from
    /// before counts only once it has risen; what it was stands apart (`Process::mark_before_bytes`). Nothing is
    /// changed about the process, and it is never ended unless [`Job::limits`] say so. Its exit is known only where
    /// the kernel tells of it (Windows: always). A descendant whose parent ended before it was first seen is not found.
    pub fn attach(pid: u32) -> Self {
        Self { attach: Some(pid), ..Self::new("") }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets an environment variable for the job.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), Some(value.into())));
        self
    }

    /// Removes an environment variable for the job.
    #[must_use]
    pub fn env_remove(mut self, name: impl Into<OsString>) -> Self {
        self.env.push((name.into(), None));
        self
    }

    /// The directory in which the job starts.
    #[must_use]
    pub fn current_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.current_dir = Some(dir.into());
        self
    }

    /// Where the kernel's file systems are mounted.
    #[must_use]
    pub fn roots(mut self, roots: Roots) -> Self {
        self.roots = roots;
        self
    }

    /// Where the job's standard output goes instead of ours: a file, or a descriptor (`OwnedFd`) or handle (`OwnedHandle`).
    #[must_use]
    pub fn stdout(mut self, to: impl Into<File>) -> Self {
        self.stdout = Some(to.into());
        self
    }

    /// How often to sample.
    #[must_use]
    pub fn pace(mut self, pace: Pace) -> Self {
        self.pace = pace;
        self
    }

    /// Wait also for descendants that outlive the command.
    #[must_use]
    pub fn wait_for_descendants(mut self, wait: bool) -> Self {
        self.wait = wait;
        self
    }

    /// Says that this process starts nothing but this job, so that any unknown child that falls to it is an orphan
    /// of the job. Without it (the default) an orphan that was never seen while its parent lived is claimed only if
    /// it has a process group or session of the job, and other children of this process are never touched.
    #[must_use]
    pub fn sole_owner(mut self, sole: bool) -> Self {
        self.sole_owner = sole;
        self
    }

    /// What the job must find as it was before this process started.
    #[must_use]
    pub fn inherited(mut self, inherited: Inherited) -> Self {
        self.inherited = inherited;
        self
    }

    /// Where births, execs and ends are learned from.
    #[must_use]
    pub fn lineage(mut self, from: LineageFrom) -> Self {
        self.lineage = from;
        self
    }

    /// Holds each task of the job for some microseconds at its exec and exit to read its mark (seccomp user
    /// notification, `seccomp_unotify(2)`): peaks are exact, and no exec or exit is missed, without privilege and in
    /// containers.
    ///
    /// Without `CAP_SYS_ADMIN` the job then runs under `no_new_privs`: setuid programs such as sudo do not gain their
    /// privileges. A small process, the keeper, is forked off this one to answer the kernel; it outlives this process
    /// if the job does.
    #[must_use]
    pub fn exact(mut self, exact: bool) -> Self {
        self.exact = exact;
        self
    }

    /// Whether the job gets a cgroup of its own.
    #[must_use]
    pub fn cgroup(mut self, cgroup: CgroupUse) -> Self {
        self.cgroup = cgroup;
        self
    }

    /// Also reads what the job holds on GPUs (`Peaks::gpu`), in a thread beside. The drivers are opened before the
    /// command starts, so that what was in use before is known: that may take seconds.
    #[must_use]
    pub fn gpu(mut self, gpu: bool) -> Self {
        self.gpu = gpu;
        self
    }

    /// Also reads the CPU time and page faults of each process (`Process::usage`), over time and in the end. The job's
    /// total ([`Record::usage`]) is known without this, too.
    #[must_use]
    pub fn cpu(mut self, cpu: bool) -> Self {
        self.usage.cpu = cpu;
        self
    }

    /// Also reads what each process reads and writes (`Process::usage`), over time and in the end.
    #[must_use]
    pub fn io(mut self, io: bool) -> Self {
        self.usage.io = io;
        self
    }

    /// Also groups the job's processes by this; may be said several times. Groups by command are always there.
    #[must_use]
    pub fn group_by(mut self, by: GroupBy) -> Self {
        self.group_by.push(by);
        self
    }

    /// Leaves arguments out of the record, those of the command and of all its descendants: they may hold secrets.
    /// [`Record::command`] is the program alone, and processes bear the kernel's name (Linux: at most 15 bytes).
    /// A pattern of [`GroupBy::CommandLine`] is then looked for in that name.
    #[must_use]
    pub fn leave_out_arguments(mut self, leave_out: bool) -> Self {
        self.leaves_out_arguments = leave_out;
        self
    }

    /// Watches limits, and ends the job that exceeds one (unless [`OnLimit::Warn`]): SIGTERM to the command and all its
    /// descendants, SIGKILL to what is left after the grace, or at once if it grows on. With an adaptive pace looks
    /// come the sooner the less headroom is left. [`Record::limits`] says what happened.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Windows: lets the system end the whole job when this process ends, however that comes
    /// (`JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE`). Without it the job goes on, as everywhere else.
    #[must_use]
    pub fn ends_with_us(mut self, ends: bool) -> Self {
        self.ends_with_us = ends;
        self
    }

    /// The program; empty where a process is attached to.
    pub fn get_program(&self) -> &OsStr {
        &self.program
    }

    /// The process that is attached to, if one is.
    pub fn get_attached(&self) -> Option<u32> {
        self.attach
    }

    /// How often it is sampled.
    pub fn get_pace(&self) -> Pace {
        self.pace
    }

    /// Whether GPU memory is read.
    pub fn get_gpu(&self) -> bool {
        self.gpu
    }

    /// The limits that are watched.
    pub fn get_limits(&self) -> &Limits {
        &self.limits
    }

    /// A handle for other threads.
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// Runs the job to its end: until the command has ended, and with [`Job::wait_for_descendants`] all its
    /// descendants. Blocks this thread.
    ///
    /// # Errors
    /// When the command cannot be started ([`Error::NotFound`], [`Error::NotExecutable`], ...), or the record does
    /// not fit into memory. That the command fails is no error: see [`Record::exit`].
    pub fn run(self) -> Result<Record, Error> {
        let record = self.run_observed(&mut ())?;
        record
            .into_memory()
            .map_err(|source| Error::System { doing: "reading back the rows of the record", source })
    }

    /// As [`Job::run`], showing each sample to `observer`; the rows of very many processes stay in the temporary
    /// file to which they were spilled.
    ///
    /// # Errors
    /// As [`Job::run`].
    pub fn run_observed(self, observer: &mut dyn Observer) -> Result<Record<Rows>, Error> {
        follow::follow(&self, observer)
    }
}
