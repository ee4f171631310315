//! What was used beside memory: CPU time, input and output, page faults, memory pressure.

use serde::{Deserialize, Serialize};

use super::Certainty;

/// What the job used beside memory. Since 1.3.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Usage {
    /// CPU time of all members, as `getrusage(2)` counts it; also of those too short to be sampled.
    pub cpu: Option<CpuTime>,
    /// What all members read and wrote, where that was asked for.
    pub io: Option<Io>,
    /// Page faults of all members.
    pub faults: Option<Faults>,
    /// How long tasks waited for memory.
    pub pressure: Option<Pressure>,
}

/// What one process used beside memory, its own descendants not included. Since 1.3.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ProcessUsage {
    /// CPU time.
    pub cpu: Option<CpuTime>,
    /// What it read and wrote.
    pub io: Option<Io>,
    /// Page faults.
    pub faults: Option<Faults>,
}

/// CPU time while the measurement lasted. Since 1.3.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct CpuTime {
    /// In user mode.
    pub user_seconds: f64,
    /// In the kernel on its behalf.
    pub system_seconds: f64,
    /// Utilisation: processors kept busy on average over the life that was measured (2.0 is two of them all the time);
    /// `null` where that life is too short to divide by.
    pub mean_processors: Option<f64>,
    /// Where it comes from.
    pub source: UsageSource,
    /// `exact`; or `at_least` where what came after the last reading is missing.
    pub certainty: Certainty,
}

/// What was read and written while the measurement lasted. Since 1.3. An amount that the system does not tell is `None`:
/// Windows tells none of storage, macOS those alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
#[allow(clippy::struct_field_names)] // The unit belongs to the name.
pub struct Io {
    /// What read(2) and its like returned: from files, the page cache, pipes, terminals.
    pub read_bytes: Option<u64>,
    /// What was handed to write(2) and its like.
    pub written_bytes: Option<u64>,
    /// What had to be fetched from storage, read ahead included.
    pub storage_read_bytes: Option<u64>,
    /// Pages made dirty that are to go to storage, whether they have yet or not; on macOS what has gone there.
    pub storage_written_bytes: Option<u64>,
    /// Where it comes from.
    pub source: UsageSource,
    /// `exact`; or `at_least` where what came after the last reading is missing.
    pub certainty: Certainty,
}

/// Page faults while the measurement lasted. Since 1.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Faults {
    /// Without I/O: a page was made, copied, or was in memory already. `None` where the system does not tell them apart
    /// (Windows).
    pub minor: Option<u64>,
    /// The page had to be read from storage or swap. `None` as above.
    pub major: Option<u64>,
    /// Both kinds together; `None` also in records that were written before it was told.
    pub total: Option<u64>,
    /// Where it comes from.
    pub source: UsageSource,
    /// `exact`; or `at_least` where what came after the last reading is missing.
    pub certainty: Certainty,
}

/// Where a figure on usage comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum UsageSource {
    /// Read while it lived.
    Sampled,
    /// Read when it had ended and had not been waited for; on Windows through a handle that was kept.
    AtExit,
    /// The kernel's exit records.
    Taskstats,
    /// What the wait for the command, and for those who outlived their parents, reported: with all waited-for
    /// descendants.
    Waited,
    /// The Job Object's own count of all its processes, those that have ended too (Windows). Since 1.3.
    JobObject,
    /// Something that a newer version wrote and this one does not know.
    #[serde(other)]
    Other,
}

/// How long tasks stood still because memory was short (`/proc/pressure`). Since 1.3.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Pressure {
    /// Whose tasks.
    pub of: PressureOf,
    /// Time during which at least one of them waited for memory.
    pub some_seconds: f64,
    /// Time during which all that could have run waited for memory; `null` where the kernel does not tell.
    pub full_seconds: Option<f64>,
}

/// Whose tasks waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PressureOf {
    /// The job's: it had a cgroup of its own.
    Job,
    /// Those of the cgroup in which highwater ran, whoever they belong to.
    Cgroup,
    /// All on the machine.
    Machine,
    /// Something that a newer version wrote and this one does not know.
    #[serde(other)]
    Other,
}

/// Kills for want of memory while the job ran. Since 1.3.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct OomKills {
    /// Processes killed in the job's cgroup, as the kernel counts them; `null` where it had none of its own.
    pub in_job: Option<u64>,
    /// Killed in the cgroup around us or, where that does not tell, on the machine: others' may be among them.
    pub around: Option<u64>,
    /// Whose those are.
    pub around_is: PressureOf,
    /// Processes of the job that were killed, or may have been.
    pub victims: Vec<OomVictim>,
}

/// A process that was, or may have been, killed for want of memory. Since 1.3.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct OomVictim {
    /// Which one.
    pub pid: u32,
    /// What it is called.
    pub command: String,
    /// How that is known.
    pub evidence: OomEvidence,
}

/// How an OOM kill is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OomEvidence {
    /// The kernel's log names it.
    KernelLog,
    /// The kernel counted as many kills in the job's cgroup as processes of the job ended by SIGKILL.
    Counted,
    /// It ended by a SIGKILL that we did not send, while the kernel killed somebody for want of memory. Possible, no more.
    Possible,
    /// Something that a newer version wrote and this one does not know.
    #[serde(other)]
    Other,
}

/// A process that already ran when it was attached to. Since 1.3.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Attached {
    /// Which one.
    pub pid: u32,
    /// How long it had run by then: nothing of that time is in this record.
    pub ran_for_seconds: Option<f64>,
    /// Members that already ran.
    pub processes: u64,
    /// Sum of their marks at that moment: each one's highest since its exec, at moments of their own.
    pub marks_bytes: Option<u64>,
}
