//! Usage beside memory: CPU time, input and output, page faults, memory pressure.

use serde::{Deserialize, Serialize};

use super::Certainty;

/// The job's usage beside memory. Since 1.3.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Usage {
    /// CPU time of all members, as `getrusage(2)` counts it; also of those too short to be sampled.
    pub cpu: Option<CpuTime>,
    /// Bytes that all members read and wrote, if they were asked for.
    pub io: Option<Io>,
    /// Page faults of all members.
    pub faults: Option<Faults>,
    /// The time that tasks waited for memory.
    pub pressure: Option<Pressure>,
}

/// One process's usage beside memory, without its descendants. Since 1.3.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ProcessUsage {
    /// CPU time.
    pub cpu: Option<CpuTime>,
    /// Bytes that it read and wrote.
    pub io: Option<Io>,
    /// Page faults.
    pub faults: Option<Faults>,
}

/// CPU time while the measurement lasted. Since 1.3.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct CpuTime {
    /// Seconds in user mode.
    pub user_seconds: f64,
    /// Seconds in the kernel on its behalf.
    pub system_seconds: f64,
    /// Utilisation: the mean number of processors kept busy over the measured life. It is 2.0 for two of them all the
    /// time, and `null` if that life is too short to divide by.
    pub mean_processors: Option<f64>,
    /// The source of the figure.
    pub source: UsageSource,
    /// `exact`; or `at_least` if usage after the last reading is missing.
    pub certainty: Certainty,
}

/// Bytes read and written during the measurement. Since 1.3. An amount that the system does not report is
/// `None`: Windows reports none of storage, macOS only those.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
#[allow(clippy::struct_field_names)] // The unit belongs to the name.
pub struct Io {
    /// Bytes that read(2) and its like returned: from files, the page cache, pipes, terminals.
    pub read_bytes: Option<u64>,
    /// Bytes that were passed to write(2) and its like.
    pub written_bytes: Option<u64>,
    /// Bytes fetched from storage, read-ahead included.
    pub storage_read_bytes: Option<u64>,
    /// Bytes of pages made dirty that are to be written to storage, whether they have been or not; on macOS
    /// bytes written.
    pub storage_written_bytes: Option<u64>,
    /// The source of the figures.
    pub source: UsageSource,
    /// `exact`; or `at_least` if usage after the last reading is missing.
    pub certainty: Certainty,
}

/// Page faults during the measurement. Since 1.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Faults {
    /// Faults without I/O: the page was made, copied, or was in memory already. `None` if the system does not
    /// separate them (Windows).
    pub minor: Option<u64>,
    /// Faults whose page had to be read from storage or swap; `None` as above.
    pub major: Option<u64>,
    /// Both kinds together; `None` also in records of versions that did not write it.
    pub total: Option<u64>,
    /// The source of the figures.
    pub source: UsageSource,
    /// `exact`; or `at_least` if usage after the last reading is missing.
    pub certainty: Certainty,
}

/// The source of a usage figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum UsageSource {
    /// Read while the process lived.
    Sampled,
    /// Read after the exit and before reaping; on Windows through a handle that was kept.
    AtExit,
    /// The kernel's exit records.
    Taskstats,
    /// Reported by the wait for the command and for orphans: with all descendants that were waited for.
    Waited,
    /// The Job Object's own count of all its processes, those that have ended too (Windows). Since 1.3.
    JobObject,
    /// A value of a newer version that this one does not know.
    #[serde(other)]
    Other,
}

/// The time that tasks were stalled because memory was short (`/proc/pressure`). Since 1.3.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Pressure {
    /// The tasks that are counted.
    pub of: PressureOf,
    /// Time during which at least one of them waited for memory.
    pub some_seconds: f64,
    /// Time during which all runnable ones waited for memory; `null` if the kernel does not report it.
    pub full_seconds: Option<f64>,
}

/// The tasks that are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PressureOf {
    /// The job's tasks; it had its own cgroup.
    Job,
    /// The tasks of the cgroup in which highwater ran, also those outside the job.
    Cgroup,
    /// All tasks on the machine.
    Machine,
    /// A value of a newer version that this one does not know.
    #[serde(other)]
    Other,
}

/// OOM kills while the job ran. Since 1.3.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct OomKills {
    /// Processes killed in the job's cgroup, as the kernel counts them; `null` if the job had none of its
    /// own.
    pub in_job: Option<u64>,
    /// Processes killed in the cgroup of highwater or, if that does not count, on the machine. They may include
    /// others than the job's.
    pub around: Option<u64>,
    /// The tasks among which `around` counts.
    pub around_is: PressureOf,
    /// Processes of the job that were killed, or may have been.
    pub victims: Vec<OomVictim>,
}

/// A process that was, or may have been, killed by the OOM killer. Since 1.3.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct OomVictim {
    /// Its process id.
    pub pid: u32,
    /// Its command.
    pub command: String,
    /// The evidence of the kill.
    pub evidence: OomEvidence,
}

/// The evidence of an OOM kill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OomEvidence {
    /// The kernel's log names it.
    KernelLog,
    /// The kernel counted as many kills in the job's cgroup as processes of the job ended by SIGKILL.
    Counted,
    /// It ended by a SIGKILL that highwater did not send, while the kernel killed some process for lack of memory.
    Possible,
    /// A value of a newer version that this one does not know.
    #[serde(other)]
    Other,
}

/// A process that already ran when it was attached to. Since 1.3.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Attached {
    /// Its process id.
    pub pid: u32,
    /// How long it had run before; nothing of that time is in this record.
    pub ran_for_seconds: Option<f64>,
    /// The number of members that already ran.
    pub processes: u64,
    /// Sum of their high-water marks at that moment. Each is the highest since its exec, at different
    /// moments.
    pub marks_bytes: Option<u64>,
}
