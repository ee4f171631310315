//! What can fail: [`Error`] for a call, [`Unavailable`] for one value that could not be had.

use std::{io, path::PathBuf};

/// A call failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no such process (it ended, or never was).
    #[error("no process with pid {pid}")]
    NoSuchProcess {
        /// The pid that was asked for.
        pid: u32,
    },
    /// The memory of the calling process could not be read.
    #[error("the memory of this process cannot be read: {0}")]
    Ram(String),
    /// The id is that of a thread, and not of a process (Linux, where `/proc` answers to it all the same).
    #[error("{tid} is the id of a thread; its process has pid {pid}")]
    Thread {
        /// The id that was asked for.
        tid: u32,
        /// The process that the thread belongs to.
        pid: u32,
    },
    /// The command to run is empty.
    #[error("the command is empty")]
    EmptyCommand,
    /// The command or its environment holds a NUL byte, which no system call can carry.
    #[error("{what} holds a NUL byte")]
    NulByte {
        /// Which part.
        what: String,
    },
    /// No file of that name, as a path or in `PATH`.
    #[error("cannot run {command:?}: {source}")]
    NotFound {
        /// The command.
        command: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The file is there but cannot be executed.
    #[error("cannot run {command:?}: {source}")]
    NotExecutable {
        /// The command.
        command: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// A system call needed for measuring failed.
    #[error("{doing}: {source}")]
    System {
        /// What was being done.
        doing: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// A process is there, but what was asked for could not be had (systems without procfs).
    #[error("process {pid}: {why}")]
    Process {
        /// The process.
        pid: u32,
        /// Why not.
        why: Unavailable,
    },
    /// A kernel file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The procfs that is mounted belongs to another pid namespace: its processes are not those that we start.
    #[error(
        "{} belongs to another pid namespace (this process is {own} here and {found} there): mount a procfs of this \
         one first, as unshare --mount-proc does",
        path.display()
    )]
    ForeignProc {
        /// Where procfs is mounted.
        path: PathBuf,
        /// Our own pid.
        own: u32,
        /// What procfs calls us.
        found: String,
    },
    /// A kernel file holds something else than this library expects.
    #[error("{} does not look as expected: {found:?}", path.display())]
    Unexpected {
        /// The file.
        path: PathBuf,
        /// What was found, shortened.
        found: String,
    },
    /// There is no such device.
    #[error("there is no GPU {index}: {}", how_many(*count))]
    DeviceIndexOutOfRange {
        /// The index that was asked for.
        index: u32,
        /// How many devices there are.
        count: u32,
    },
    /// Nothing that could tell of GPUs was found on this machine.
    #[error("no GPU was found, and no driver that could tell of one")]
    NoGpuSource,
    /// A GPU or its driver could not be asked.
    #[error("{what}: {why}")]
    Gpu {
        /// Which device or driver.
        what: String,
        /// Why not; a driver's own code is kept in it.
        why: Unavailable,
    },
    /// Nothing would keep the job within this limit: the system has no such thing, or refuses it.
    #[error("the limit cannot be kept: {reason}")]
    Limit {
        /// The limit, and the reason.
        reason: String,
    },
    /// A process that runs already cannot be followed.
    #[error("cannot attach to process {pid}: {reason}")]
    Attach {
        /// Its pid.
        pid: u32,
        /// The reason, and what would help.
        reason: String,
    },
    /// This system is not supported yet.
    #[error("{what} is not supported on this system")]
    Unsupported {
        /// What was asked for.
        what: &'static str,
    },
}

fn how_many(count: u32) -> String {
    match count {
        0 => "this machine has none".into(),
        1 => "this machine has one, number 0".into(),
        _ => format!("this machine has {count}, numbered from 0 to {}", count - 1),
    }
}

/// Why one value could not be had. It stands where the value would stand; it never becomes 0.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unavailable {
    /// The kernel refuses us.
    #[error("permission denied")]
    PermissionDenied,
    /// The kernel does not have it (too old, or built without it).
    #[error("this kernel does not provide it")]
    NotProvided,
    /// The process has no memory of its own: it has ended and was not yet waited for, or is a kernel thread.
    #[error("the process has no memory map (ended, or a kernel thread)")]
    NoMemoryMap,
    /// The process ended while it was being read.
    #[error("the process ended while it was read")]
    Vanished,
    /// The driver does not support this on this device.
    #[error("the driver does not support it on this device")]
    NotSupported,
    /// The driver has the value, but says that it is not available now.
    #[error("the driver says: not available")]
    DriverSaysNotAvailable,
    /// Processes are named by the host's pids, and we run in a container that cannot know its own.
    #[error("the driver names processes by the pids of the host, which this container cannot know")]
    PidNamespace,
    /// Nothing that could tell is installed.
    #[error("nothing here could tell: {0}")]
    NoBackend(String),
    /// The driver or its library is there and fails.
    #[error("the driver fails: {text} (code {code})")]
    DriverBroken {
        /// The vendor's code.
        code: i64,
        /// What it means.
        text: String,
    },
    /// What the driver says cannot be.
    #[error("what the driver says cannot be: {0}")]
    Implausible(String),
    /// The driver's answer is laid out in a way that is not known.
    #[error("the driver's answer is laid out in an unknown way")]
    LayoutUnknown,
    /// Reading failed.
    #[error("reading failed: {0}")]
    Failed(String),
}
