//! Observing a job while it runs.

use std::time::{Duration, SystemTime};

use super::{IoBytes, LimitNotice, RowsSoFar, UnjudgedLimit, follow::Following};
use crate::record::Record;

/// Observes a job while it runs.
///
/// ```
/// use highwater::{Job, job::{Observer, Progress}};
///
/// struct Highest(Option<u64>);
///
/// impl Observer for Highest {
///     fn sampled(&mut self, progress: &Progress<'_>) {
///         // `None` is less than any figure, and stays where none is known.
///         self.0 = self.0.max(progress.total_rss_bytes);
///     }
/// }
///
/// let mut highest = Highest(None);
/// let record = Job::new("cargo").arg("--version").run_observed(&mut highest)?;
/// match highest.0 {
///     Some(bytes) => println!("at most {bytes} bytes in each of {} samples", record.samples),
///     None => println!("no sample could be read"),
/// }
/// # Ok::<(), highwater::Error>(())
/// ```
pub trait Observer {
    /// Called once the command was started.
    fn started(&mut self, pid: u32) {
        let _ = pid;
    }
    /// Called when a limit is nearly reached, and when it is exceeded: once for each.
    fn limit(&mut self, notice: &LimitNotice) {
        let _ = notice;
    }
    /// Called when a limit cannot be judged, or only in part: at most once for each.
    fn limit_unjudged(&mut self, unjudged: &UnjudgedLimit) {
        let _ = unjudged;
    }
    /// Called after each sample.
    fn sampled(&mut self, progress: &Progress<'_>) {
        let _ = progress;
    }
    /// Called when the memory of the job as a whole was read between two samples, from its cgroup: `memory_bytes` and
    /// `swap_bytes` are new. Processes and the sum of their RSS are those of the sample before. Only on Linux.
    fn memory_read(&mut self, progress: &Progress<'_>) {
        let _ = progress;
    }
}

impl Observer for () {}

/// The largest process in a sample.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LargestProcess {
    /// Its pid.
    pub pid: u32,
    /// Its name, as in [`Process::command`](crate::record::Process::command).
    pub name: String,
    /// Its RSS in bytes.
    pub rss_bytes: u64,
}

/// The state of a job right after a sample, or after a reading between two.
#[non_exhaustive]
pub struct Progress<'a> {
    /// Time since the start of the job.
    pub elapsed: Duration,
    /// Wall clock time.
    pub time: SystemTime,
    /// Memory of the job in this sample or reading in bytes, each page counted once: the figure of
    /// [`PeakMemory`](crate::record::PeakMemory), by the readings so far. `None` where it is not known, and on other systems
    /// than Linux.
    pub memory_bytes: Option<u64>,
    /// Sum of the members' RSS in this sample; `None` when none could be read.
    pub total_rss_bytes: Option<u64>,
    /// Members alive in this sample.
    pub process_count: u64,
    /// Memory of the members on all GPUs together, as read last; `None` if it is not known or was not asked for.
    pub vram_bytes: Option<u64>,
    /// The sum of the members' swap, as read last.
    pub swap_bytes: Option<u64>,
    /// CPU time of the job so far, as read last; `None` if it was not asked for.
    pub cpu_time: Option<Duration>,
    /// Bytes read and written by the job so far, as read last.
    pub io_bytes: IoBytes,
    pub(super) following: &'a Following,
}

impl Progress<'_> {
    /// Returns the record so far: `complete` is false, and it has no groups and no timeline. Of a job of very many
    /// processes it has only the first rows; `capture.processes_left_out` is the number of the others. Rows are made
    /// while they are read or written; [`Record::into_memory`] makes them all.
    pub fn record(&self) -> Record<RowsSoFar<'_>> {
        self.following.checkpoint(self.elapsed)
    }

    /// Returns the best estimate of the peak of [`Self::memory_bytes`] so far, in bytes.
    pub fn peak_memory_bytes(&self) -> Option<u64> {
        self.following.memory_peak_so_far()
    }

    /// Returns the best estimate of the total's peak so far, in bytes.
    pub fn peak_rss_bytes(&self) -> Option<u64> {
        self.following.peak_so_far()
    }

    /// Returns the largest process in this sample.
    pub fn largest(&self) -> Option<LargestProcess> {
        self.following.largest()
    }
}
