//! Runs a command, follows all its descendants, and reports how much memory they used.
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
//! While a job runs, this process reaps its orphans (`PR_SET_CHILD_SUBREAPER`, prctl(2)). The former setting is
//! restored after the last job. No signal handler is installed, and only processes of the job are waited for. Jobs run
//! on the thread that calls [`Job::run`]; several threads may each run one.
//!
//! # Platforms
//! Linux, Windows (a Job Object), macOS (kqueue and the parents that the kernel records). `docs/platforms.md`
//! says what each measures, and what was tested. [`Record::primary_metric`](crate::record::Record) names the
//! figure.

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
#[cfg(target_os = "linux")]
mod display_name;
mod estimate;
mod event_batch;
mod events;
mod follow;
mod gpu;
mod group_memory;
mod grouping;
mod identity;
mod ledger;
mod limits;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(any(target_os = "macos", all(test, unix)))]
#[cfg_attr(not(target_os = "macos"), allow(dead_code))] // Linux tests what is made of the kernel's answers.
mod macos;
mod mapped_files;
mod moment;
mod observer;
mod options;
mod pace;
mod peak_memory;
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
pub use options::{CgroupUse, InheritedState, LineageFrom, Pace};
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

/// The moment at which the job's time began.
#[derive(Debug, Clone)]
struct Start {
    wall: SystemTime,
    clock: Instant,
    /// The attached process and its command line; `None` if this library started the job.
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
    owns_all_children: bool,
    inherited_state: InheritedState,
    lineage: LineageFrom,
    exact: bool,
    cgroup: CgroupUse,
    gpu: bool,
    usage: UsageWanted,
    /// The pid of a running process, in place of the program.
    attach: Option<u32>,
    group_by: Vec<GroupBy>,
    leaves_out_arguments: bool,
    limits: Limits,
    #[cfg_attr(not(target_os = "linux"), allow(dead_code))]
    takes_precedence: bool,
    #[cfg_attr(not(windows), allow(dead_code))]
    kill_on_caller_exit: bool,
    control: Control,
}

impl Job {
    /// Makes a job that runs `program`, which is searched in `PATH` unless it contains a slash.
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
            owns_all_children: false,
            inherited_state: InheritedState::default(),
            lineage: LineageFrom::default(),
            exact: false,
            cgroup: CgroupUse::default(),
            gpu: false,
            usage: UsageWanted::default(),
            attach: None,
            group_by: Vec::new(),
            leaves_out_arguments: false,
            limits: Limits::default(),
            takes_precedence: false,
            kill_on_caller_exit: false,
            control: Control::new(),
        }
    }

    /// Makes a job of a running process, followed with its descendants until it ends or [`Control::leave`] is
    /// called.
    ///
    /// The past is unknown: peaks are those of the measurement. A high-water mark from before counts only
    /// once it has risen; its former value is `Process::mark_before_bytes`. The process is not changed, and
    /// it is never killed unless [`Job::limits`] say so. Its exit is known only if the kernel reports it
    /// (Windows: always). A descendant whose parent ended before it was first seen is not found.
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

    /// Sets the directory in which the job starts.
    #[must_use]
    pub fn current_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.current_dir = Some(dir.into());
        self
    }

    /// Sets the mount points of the kernel's file systems.
    #[must_use]
    pub fn roots(mut self, roots: Roots) -> Self {
        self.roots = roots;
        self
    }

    /// Redirects the job's standard output to a file, descriptor (`OwnedFd`) or handle (`OwnedHandle`).
    #[must_use]
    pub fn stdout(mut self, to: impl Into<File>) -> Self {
        self.stdout = Some(to.into());
        self
    }

    /// Sets the sampling intervals.
    #[must_use]
    pub fn pace(mut self, pace: Pace) -> Self {
        self.pace = pace;
        self
    }

    /// Sets whether to wait also for descendants that outlive the command.
    #[must_use]
    pub fn wait_for_descendants(mut self, wait: bool) -> Self {
        self.wait = wait;
        self
    }

    /// Declares that this process starts nothing but this job, so that every unknown child reparented to it is an
    /// orphan of the job. Without it (the default) an orphan not seen while its parent lived is claimed only by its
    /// process group or session. Other children of this process are never touched.
    #[doc(alias = "sole_owner")]
    #[must_use]
    pub fn owns_all_children(mut self, owns: bool) -> Self {
        self.owns_all_children = owns;
        self
    }

    /// Sets what the job inherits as it was before this process started.
    #[doc(alias = "inherited")]
    #[must_use]
    pub fn inherited_state(mut self, inherited_state: InheritedState) -> Self {
        self.inherited_state = inherited_state;
        self
    }

    /// Sets the source of forks, execs and exits.
    #[must_use]
    pub fn lineage(mut self, from: LineageFrom) -> Self {
        self.lineage = from;
        self
    }

    /// Holds each task of the job for some microseconds at its exec and exit to read its high-water mark
    /// (seccomp user notification, `seccomp_unotify(2)`). Peaks are then exact, and no exec or exit is
    /// missed, without privilege and in containers.
    ///
    /// Without `CAP_SYS_ADMIN` the job then runs under `no_new_privs`: setuid programs such as sudo do not
    /// gain their privileges. A small process, the keeper, is forked to answer the kernel. It outlives this
    /// process if the job does.
    #[must_use]
    pub fn exact(mut self, exact: bool) -> Self {
        self.exact = exact;
        self
    }

    /// Sets whether the job gets its own cgroup.
    #[must_use]
    pub fn cgroup(mut self, cgroup: CgroupUse) -> Self {
        self.cgroup = cgroup;
        self
    }

    /// Also reads the job's memory on GPUs (`Peaks::gpu`), in a separate thread. The drivers are opened
    /// before the command starts, so that the use before is known: that may take seconds.
    #[must_use]
    pub fn gpu(mut self, gpu: bool) -> Self {
        self.gpu = gpu;
        self
    }

    /// Also reads the CPU time and page faults of each process (`Process::usage`), over time and at the end.
    /// The job's total ([`Record::usage`]) is known without this, too.
    #[must_use]
    pub fn cpu(mut self, cpu: bool) -> Self {
        self.usage.cpu = cpu;
        self
    }

    /// Also reads the I/O of each process (`Process::usage`), over time and at the end.
    #[must_use]
    pub fn io(mut self, io: bool) -> Self {
        self.usage.io = io;
        self
    }

    /// Also groups the job's processes by this key; may be called several times. Groups by command are always
    /// made.
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

    /// Watches limits, and kills a job that exceeds one (unless [`OnLimit::Warn`]). The command and all its
    /// descendants get SIGTERM. What is left gets SIGKILL after the grace time, or at once if it grows
    /// further. With an adaptive pace samples come sooner the less headroom is left. [`Record::limits`] says
    /// what happened.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Linux: raises the priority of this thread to the highest while limits are compared with samples, if it may
    /// (`CAP_SYS_NICE`). Otherwise hundreds of busy processes may leave it no time to sample. The command and its
    /// descendants keep theirs. The former priority is restored when the job is over.
    #[must_use]
    pub fn take_precedence(mut self, take: bool) -> Self {
        self.takes_precedence = take;
        self
    }

    /// Windows: lets the system kill the whole job when this process ends for any reason
    /// (`JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE`). Without it the job continues, as on other systems.
    #[doc(alias = "ends_with_us")]
    #[must_use]
    pub fn kill_on_caller_exit(mut self, kill: bool) -> Self {
        self.kill_on_caller_exit = kill;
        self
    }

    /// Returns the program; empty if a process is attached to.
    pub fn get_program(&self) -> &OsStr {
        &self.program
    }

    /// Returns the process that is attached to, if any.
    pub fn get_attached(&self) -> Option<u32> {
        self.attach
    }

    /// Returns the sampling intervals.
    pub fn get_pace(&self) -> Pace {
        self.pace
    }

    /// Returns whether GPU memory is read.
    pub fn get_gpu(&self) -> bool {
        self.gpu
    }

    /// Returns the limits that are watched.
    pub fn get_limits(&self) -> &Limits {
        &self.limits
    }

    /// Returns a handle for other threads.
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// Runs the job until the command has ended, and with [`Job::wait_for_descendants`] all its descendants.
    /// It blocks this thread.
    ///
    /// # Errors
    /// The command cannot be started ([`Error::NotFound`], [`Error::NotExecutable`], ...), or the record does
    /// not fit into memory. A command that fails is no error: see [`Record::exit`].
    pub fn run(self) -> Result<Record, Error> {
        let record = self.run_observed(&mut ())?;
        record
            .into_memory()
            .map_err(|source| Error::System { doing: "reading back the rows of the record", source })
    }

    /// As [`Job::run`], but passes each sample to `observer`. The rows of very many processes stay in the
    /// temporary file to which they were spilled.
    ///
    /// # Errors
    /// As [`Job::run`].
    pub fn run_observed(self, observer: &mut dyn Observer) -> Result<Record<Rows>, Error> {
        follow::follow(&self, observer)
    }
}
