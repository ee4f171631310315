//! The types of the record, in the order in which they stand in the file.

use serde::{Deserialize, Serialize};

use super::{
    Attached, Finding, GpuPeak, Group, LeakSearch, Limit, OomKills, PeakMemory, Process, SchemaVersion,
    Timeline, Timestamp, Usage,
};

/// The record of one run of a job.
///
/// `P` is the collection of process rows: a `Vec` for every reader. The job's own writer streams them from
/// the file to which they were spilled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Record<P = Vec<Process>> {
    /// Name and version of the schema; always the first field.
    pub schema: SchemaVersion,
    /// `false` in a checkpoint written while the job was still running.
    pub complete: bool,
    /// The program that wrote this record.
    pub tool: Tool,
    /// The machine on which the job ran.
    pub host: Host,
    /// The command and its arguments.
    #[serde(deserialize_with = "super::words::deserialize")]
    pub command: Vec<String>,
    /// `command` is the program alone: its arguments were left out on purpose. Not written where it is `false`. Since 1.3.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub arguments_left_out: bool,
    /// When the job started (UTC, whole seconds).
    pub start_time: Timestamp,
    /// When the job ended, or the moment of this checkpoint.
    pub end_time: Timestamp,
    /// Length of the measurement, on a monotonic clock.
    pub duration_seconds: f64,
    /// The fixed sampling interval, or the mean of the adaptive ones (at least 1).
    pub interval_ms: u64,
    /// How `interval_ms` was determined.
    pub interval_mode: IntervalMode,
    /// The number of samples of the whole job.
    pub samples: u64,
    /// How the command ended; absent in a checkpoint.
    pub exit: Option<Exit>,
    /// The metric of the compatible fields (`max_total_rss_kib`, `max_rss_kib`) on this system.
    pub primary_metric: Metric,
    /// Estimate of the peak of the job's total in the primary metric; `null` when nothing could be read.
    pub max_total_rss_kib: Option<u64>,
    /// The job's peaks, metric by metric.
    pub peak: Peaks,
    /// Usage beside memory. Since 1.3.
    #[serde(default)]
    pub usage: Usage,
    /// OOM kills; `null` if none is known. Since 1.3.
    #[serde(default)]
    pub oom: Option<OomKills>,
    /// How the job was measured, and what could not be seen.
    pub capture: Capture,
    /// One row a process, in the order in which they were first seen.
    pub processes: P,
    /// Processes grouped by a key, largest peak first.
    pub groups: Vec<Group>,
    /// Limits that were watched. Since 1.2; empty in older records.
    pub limits: Vec<Limit>,
    /// Findings of the analysis. Since 1.3; empty in older records.
    pub findings: Vec<Finding>,
    /// The search for leaks; `null` if there was none. Since 1.3.
    #[serde(default)]
    pub leak_search: Option<LeakSearch>,
    /// Memory over time; absent in a checkpoint.
    pub timeline: Option<Timeline>,
}

impl<P> Record<P> {
    /// Returns the peak of the job's total in the primary metric: `peak.rss`, or `max_total_rss_kib` if that is all.
    pub fn total_peak_bytes(&self) -> Option<u64> {
        let from_kib = || self.max_total_rss_kib.map(|kib| kib.saturating_mul(1024));
        self.peak.rss.map(|peak| peak.bytes).or_else(from_kib)
    }
}

#[cfg(feature = "job")]
impl<P> Record<P> {
    /// Replaces the rows of processes.
    pub(crate) fn with_processes<Q>(self, processes: Q) -> Record<Q> {
        macro_rules! with_rows {
            ($($field:ident),*) => {{
                let Self { processes: _, $($field),* } = self;
                Record { processes, $($field),* }
            }};
        }
        with_rows!(
            schema,
            complete,
            tool,
            host,
            command,
            arguments_left_out,
            start_time,
            end_time,
            duration_seconds,
            interval_ms,
            interval_mode,
            samples,
            exit,
            primary_metric,
            max_total_rss_kib,
            peak,
            usage,
            oom,
            capture,
            groups,
            limits,
            findings,
            leak_search,
            timeline
        )
    }
}

/// The program that wrote the record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Tool {
    /// Version of highwater.
    pub version: String,
    /// The target that it was built for, such as `x86_64-linux`.
    pub target: String,
}

/// The machine on which the job ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Host {
    /// Host name.
    pub name: Option<String>,
    /// Operating system: `linux`, `windows`, `macos`.
    pub os: String,
    /// Release of the kernel.
    pub kernel: Option<String>,
    /// Processors this process may run on.
    pub cpus: Option<u32>,
    /// Physical memory of the machine.
    pub memory_bytes: Option<u64>,
    /// The tightest memory limit of the cgroups of highwater; `null` when there is none or none is known.
    pub container_limit_bytes: Option<u64>,
    /// Rank in a parallel job (Slurm, `OpenMPI`, PMI, torchrun).
    pub rank: Option<u32>,
}

/// How the sampling interval was determined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum IntervalMode {
    /// Short at the start and while memory changes, long while it does not.
    Adaptive,
    /// As the user asked for.
    Fixed,
    /// A value of a newer version that this one does not know.
    #[serde(other)]
    Other,
}

/// How the command itself ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Exit {
    /// Exit code, when it exited by itself.
    pub code: Option<i32>,
    /// Number of the signal that ended it.
    pub signal: Option<i32>,
    /// Name of that signal, such as `SIGKILL`.
    pub signal_name: Option<String>,
    /// Why it ended, as far as is known.
    pub cause: ExitCause,
}

/// Why the command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ExitCause {
    /// It exited.
    Exited,
    /// A signal ended it.
    Signaled,
    /// highwater killed the job after a second request to stop.
    Killed,
    /// highwater killed the job because it exceeded a limit. Since 1.2.
    Limit,
    /// It is gone, and how it ended is unknown.
    Unknown,
    /// A value of a newer version that this one does not know.
    #[serde(other)]
    Other,
}

/// The quantity that a figure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Metric {
    /// Resident set size (Linux): shared pages count in each process.
    Rss,
    /// Proportional set size (Linux): a page shared by n processes counts 1/n in each.
    Pss,
    /// Swapped-out memory.
    Swap,
    /// Working set (Windows).
    WorkingSet,
    /// Physical footprint (macOS).
    PhysFootprint,
    /// Memory on a GPU. Since 1.2.
    Vram,
    /// Memory of the job with each page counted once, as [`PeakMemory`] counts it (Linux). Since 1.4.
    Memory,
    /// A value of a newer version that this one does not know.
    #[serde(other)]
    Other,
}

/// How certain a figure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Certainty {
    /// The kernel's own figure, complete.
    Exact,
    /// The truth lies between the bounds beside it.
    Bounded,
    /// The highest sample; the truth may be higher between samples.
    Sampled,
    /// The truth is this or more.
    AtLeast,
    /// The truth is this or less.
    AtMost,
}

/// The job's peaks. A metric that was not measured is `null`; `capture.downgrades` says why.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Peaks {
    /// The most memory that the job held at one instant, each page counted once; `null` where no source tells it. Since
    /// 1.4.
    #[doc(alias = "peak memory")]
    #[serde(default)]
    pub memory: Option<PeakMemory>,
    /// Peak of the sum of all members' RSS.
    #[doc(alias = "peak rss")]
    #[doc(alias = "maxrss")]
    #[doc(alias = "max_total_rss")]
    pub rss: Option<PeakInterval>,
    /// Peak of the sum of all members' PSS.
    #[doc(alias = "peak pss")]
    #[doc(alias = "smaps_rollup")]
    pub pss: Option<PeakFigure>,
    /// The kernel's peak for the job's own cgroup: includes page cache, counts shared pages once.
    #[doc(alias = "memory.peak")]
    pub cgroup: Option<PeakFigure>,
    /// The kernel's peak of the whole job's commit charge (Windows: its Job Object's `PeakJobMemoryUsed`).
    /// Since 1.3.
    #[serde(default)]
    pub commit: Option<PeakFigure>,
    /// Peak of the sum of all members' swap in one sample. Since 1.3.
    #[serde(default)]
    pub swap: Option<PeakFigure>,
    /// GPU memory by device, if it was asked for. Since 1.2; empty in older records.
    pub gpu: Vec<GpuPeak>,
}

/// A peak inside an interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct PeakInterval {
    /// Best estimate; `lower_bytes <= bytes <= upper_bytes`.
    pub bytes: u64,
    /// The highest single mark, or the highest sum read in one sample.
    pub lower_bytes: u64,
    /// The highest sum of marks of processes alive together.
    pub upper_bytes: u64,
    /// The truth cannot lie below `lower_bytes`.
    pub lower_rigorous: bool,
    /// The truth cannot lie above `upper_bytes`.
    pub upper_rigorous: bool,
    /// How far the kernel's batched counters may read low, for all processes that made up `upper_bytes`
    /// together; `null` if the kernel keeps them exactly. It is not contained in the bounds. Since 1.1.
    #[serde(default)]
    pub slack_bytes: Option<u64>,
    /// How to read `bytes`.
    pub certainty: Certainty,
    /// Moment of the sample that gave `bytes`; `null` if a high-water mark did.
    pub at_seconds: Option<f64>,
    /// The two moments between which a high-water mark places the peak; `null` if a sample gave it.
    pub between_seconds: Option<[f64; 2]>,
}

/// A peak without bounds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct PeakFigure {
    /// The figure.
    pub bytes: u64,
    /// How certain it is.
    pub certainty: Certainty,
    /// When it was read.
    pub at_seconds: Option<f64>,
}

/// How the job was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Capture {
    /// The process that was attached to; `null` if highwater started the job. Since 1.3.
    #[serde(default)]
    pub attached: Option<Attached>,
    /// The source of forks and exits.
    pub lineage: Lineage,
    /// The source of the processes' peaks.
    pub peaks: PeaksFrom,
    /// Events that the kernel reports as dropped.
    pub lost_events: u64,
    /// The number of processes that were seen.
    pub processes_seen: u64,
    /// `exact`, or `at_least` if short-lived ones may have been missed.
    pub processes_seen_is: Certainty,
    /// Rows whose peak is not exact.
    pub processes_without_exact_peak: u64,
    /// Program images whose final high-water mark was not read (a process has an image after each exec, and
    /// one between fork and exec). Unless this is 0, `peak.rss.upper_bytes` is not rigorous. Since 1.1.
    #[serde(default)]
    pub images_without_last_mark: Option<u64>,
    /// Rows left out of `processes` because there were too many (the smallest are left out; the groups count all).
    pub processes_left_out: u64,
    /// Descendants still running when the measurement ended.
    pub processes_still_running: u64,
    /// Measurements that were wanted but not possible, with the reason.
    pub downgrades: Vec<Downgrade>,
    /// The cost of measuring.
    pub overhead: Option<Overhead>,
}

/// The source of forks and exits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Lineage {
    /// Polling at intervals: `/proc/PID/task/*/children`.
    Children,
    /// Polling at intervals: a scan of `/proc` (no `children` files in this kernel), or of the list of all
    /// processes (Windows, after attaching).
    Scan,
    /// perf side-band events.
    Perf,
    /// The proc connector.
    ProcConnector,
    /// The completion port of a Job Object (Windows). Since 1.3.
    JobObject,
    /// kqueue events of forks, execs and exits; polling finds the children (macOS). Since 1.3.
    Kqueue,
    /// A value of a newer version that this one does not know.
    #[serde(other)]
    Other,
}

impl Lineage {
    /// Returns whether the kernel reports each fork, exec and exit, so that no process is too short to be
    /// seen.
    #[doc(alias = "is_told_by_the_kernel")]
    pub fn is_reported_by_kernel(self) -> bool {
        matches!(self, Self::Perf | Self::ProcConnector | Self::JobObject)
    }
}

/// The source of the processes' peaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PeaksFrom {
    /// The kernel's high-water marks, read while the processes lived (`VmHWM`; macOS: lifetime maximum of the
    /// footprint, kept until a process is reaped).
    Marks,
    /// Samples alone.
    Samples,
    /// The kernel's exit records (taskstats): exact for the last program of each process.
    Taskstats,
    /// Marks read while a process was held at its exec or exit (`--exact`).
    ExitNotify,
    /// Both of these.
    ExitNotifyAndTaskstats,
    /// The kernel's high-water marks, read again after each process's exit through what was kept of it
    /// (Windows: its handle). Since 1.3.
    AfterEnd,
    /// A value of a newer version that this one does not know.
    #[serde(other)]
    Other,
}

/// A measurement that was wanted but not possible.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Downgrade {
    /// The measurement, in a few words.
    pub wanted: String,
    /// The reason.
    pub reason: String,
}

/// The cost of measuring.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Overhead {
    /// CPU time of the measuring thread.
    pub cpu_seconds: f64,
}
