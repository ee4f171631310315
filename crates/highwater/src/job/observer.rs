//! Seeing a job while it runs.

use std::time::{Duration, SystemTime};

use super::{LimitNotice, RowsSoFar, follow::Following};
use crate::record::Record;

/// Sees a job while it runs.
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
    /// The command was started.
    fn started(&mut self, pid: u32) {
        let _ = pid;
    }
    /// A limit is nearly reached, or exceeded: each once.
    fn limit(&mut self, notice: &LimitNotice) {
        let _ = notice;
    }
    /// A sample was taken.
    fn sampled(&mut self, progress: &Progress<'_>) {
        let _ = progress;
    }
}

impl Observer for () {}

/// The state of a job right after a sample.
#[non_exhaustive]
pub struct Progress<'a> {
    /// Since the start of the job.
    pub elapsed: Duration,
    /// Wall clock.
    pub time: SystemTime,
    /// Sum of the members' RSS in this sample; `None` when none could be read.
    pub total_rss_bytes: Option<u64>,
    /// Members alive in this sample.
    pub process_count: u64,
    /// What they hold on all GPUs together, as read last; `None` where that is not known or was not asked for.
    pub vram_bytes: Option<u64>,
    /// The sum of the members' swap, as read last.
    pub swap_bytes: Option<u64>,
    /// CPU time of the job so far, as read last; `None` where that was not asked for.
    pub cpu_time: Option<Duration>,
    /// Bytes read and written by the job so far, as read last, in the order of the record's `Io`: through calls, then
    /// from and to storage; each `None` where it was not asked for or the system does not tell it.
    pub io_bytes: [Option<u64>; 4],
    pub(super) following: &'a Following,
}

impl Progress<'_> {
    /// The record so far: `complete` is false, it has no groups and no timeline, and of a job of very many processes
    /// only the first rows (`capture.processes_left_out` says how many are missing). They are made while they are read or
    /// written; [`Record::into_memory`] makes them all.
    pub fn record(&self) -> Record<RowsSoFar<'_>> {
        self.following.checkpoint(self.elapsed)
    }

    /// The best estimate of the total's peak so far, in bytes.
    pub fn peak_rss_bytes(&self) -> Option<u64> {
        self.following.peak_so_far()
    }

    /// Who held most in this sample: pid, name and RSS in bytes.
    pub fn largest(&self) -> Option<(u32, String, u64)> {
        self.following.largest()
    }
}
