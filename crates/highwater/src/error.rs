//! Errors: [`Error`] for a call that failed, [`Unavailable`] for one value that could not be read.

use std::{io, path::PathBuf};

/// The reason why a call failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No such process exists; it may have ended.
    #[error("no process with pid {pid}")]
    NoSuchProcess {
        /// The pid that was asked for.
        pid: u32,
    },
    /// The memory of the calling process could not be read.
    #[error("the memory of this process cannot be read: {0}")]
    Ram(String),
    /// The id is a thread's and not a process's (Linux, where `/proc` accepts it all the same).
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
    /// The command or its environment contains a NUL byte, which no system call can pass.
    #[error("{what} contains a NUL byte")]
    NulByte {
        /// The part that contains it.
        what: String,
    },
    /// No file has that name, as a path or in `PATH`.
    #[error("cannot run {command:?}: {source}")]
    NotFound {
        /// The command.
        command: String,
        /// The system's error.
        source: io::Error,
    },
    /// The file exists but cannot be executed.
    #[error("cannot run {command:?}: {source}")]
    NotExecutable {
        /// The command.
        command: String,
        /// The system's error.
        source: io::Error,
    },
    /// A system call needed for measuring failed.
    #[error("{doing}: {source}")]
    System {
        /// The action that failed.
        doing: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// The process exists, but the value could not be read (systems without procfs).
    #[error("process {pid}: {why}")]
    Process {
        /// The process id.
        pid: u32,
        /// The reason.
        why: Unavailable,
    },
    /// A kernel file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The mounted procfs belongs to another pid namespace, so it does not list the job's processes.
    #[error(
        "{} belongs to another pid namespace (this process is {own} here and {found} there): mount a procfs of this \
         one first, as unshare --mount-proc does",
        path.display()
    )]
    ForeignProc {
        /// The mount point of procfs.
        path: PathBuf,
        /// The pid of this process.
        own: u32,
        /// The pid of this process in that procfs.
        found: String,
    },
    /// A kernel file has unexpected contents.
    #[error("{} has unexpected contents: {found:?}", path.display())]
    Unexpected {
        /// The file.
        path: PathBuf,
        /// Its contents, shortened.
        found: String,
    },
    /// No device has this index.
    #[error("there is no GPU {index}: {}", how_many(*count))]
    DeviceIndexOutOfRange {
        /// The index that was asked for.
        index: u32,
        /// The number of devices.
        count: u32,
    },
    /// Neither a GPU nor a GPU driver was found on this machine.
    #[error("no GPU and no GPU driver was found")]
    NoGpuSource,
    /// A GPU or its driver could not be queried.
    #[error("{what}: {why}")]
    Gpu {
        /// The device or driver.
        what: String,
        /// The reason, with the driver's own code if it has one.
        why: Unavailable,
    },
    /// The job's limit cannot be enforced: the system lacks the mechanism, or refuses it.
    #[error("the limit cannot be enforced: {reason}")]
    Limit {
        /// The limit and the reason.
        reason: String,
    },
    /// A running process cannot be attached to.
    #[error("cannot attach to process {pid}: {reason}")]
    Attach {
        /// Its pid.
        pid: u32,
        /// The reason and the remedy.
        reason: String,
    },
    /// This system is not supported yet.
    #[error("{what} is not supported on this system")]
    Unsupported {
        /// The operation that was asked for.
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

/// The reason why one value is unknown. It stands in place of the value, which never becomes 0.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unavailable {
    /// The kernel refuses access to this user.
    #[error("permission denied")]
    PermissionDenied,
    /// The kernel lacks it (too old, or built without it).
    #[error("this kernel does not provide it")]
    NotProvided,
    /// The process has no memory of its own: it is a zombie or a kernel thread.
    #[error("the process has no memory map (ended, or a kernel thread)")]
    NoMemoryMap,
    /// The process ended while it was being read.
    #[error("the process ended while it was read")]
    Vanished,
    /// The driver does not support this on this device.
    #[error("the driver does not support it on this device")]
    NotSupported,
    /// The driver has the value, but says that it is not available now.
    #[error("the driver reports it as not available")]
    DriverSaysNotAvailable,
    /// The driver reports pids of the host, which cannot be mapped to pids of this container.
    #[error("the driver uses the host's pids, which cannot be mapped to processes of this container")]
    PidNamespace,
    /// No source for the value is installed.
    #[error("no source is available: {0}")]
    NoBackend(String),
    /// The driver or its library is installed but fails.
    #[error("the driver fails: {text} (code {code})")]
    DriverBroken {
        /// The vendor's code.
        code: i64,
        /// The vendor's text for the code.
        text: String,
    },
    /// The driver reported an impossible value.
    #[error("the driver reports an impossible value: {0}")]
    Implausible(String),
    /// The driver's answer has an unknown layout.
    #[error("the driver's answer has an unknown layout")]
    LayoutUnknown,
    /// Reading failed.
    #[error("reading failed: {0}")]
    Failed(String),
}
