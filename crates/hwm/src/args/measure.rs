//! The options for measuring a job, whether it is started or attached to.

use std::time::Duration;

use clap::{Args, ValueEnum};
use highwater::{
    Job, Ram, Roots,
    job::{Limits, LineageFrom, OnLimit, Pace},
};

use crate::units;

/// The options for the pace of samples.
#[derive(Debug, Clone, Args)]
pub(crate) struct PaceArgs {
    /// Sample every MS milliseconds [default: adaptive, quick while things change, slow when still].
    #[arg(short, long, value_name = "MS", value_parser = parse_interval, allow_negative_numbers = true)]
    pub(crate) interval: Option<Duration>,

    /// With --interval: sample quickly during the first quarter of a second all the same.
    #[arg(long)]
    pub(crate) burst: bool,
}

impl PaceArgs {
    /// Returns the pace that the options ask for.
    pub(crate) fn pace(&self) -> anyhow::Result<Pace> {
        match (self.interval, self.burst) {
            (Some(interval), burst) => Ok(Pace::Fixed { interval, burst }),
            (None, true) => {
                anyhow::bail!("--burst needs --interval, as in -i 200 --burst; without them sampling adapts")
            }
            (None, false) => Ok(Pace::Adaptive),
        }
    }
}

/// Longest interval: above it a sampling interval is surely a mistake, and sums of times stay far from overflow.
const LONGEST_INTERVAL_MS: u64 = 24 * 60 * 60 * 1000;

fn parse_interval(text: &str) -> Result<Duration, String> {
    match text.trim().parse() {
        Ok(ms @ 1..=LONGEST_INTERVAL_MS) => Ok(Duration::from_millis(ms)),
        Ok(_) => Err(format!("give 1 to {LONGEST_INTERVAL_MS} milliseconds, as in -i 200")),
        Err(_) => Err("give a whole number of milliseconds, as in -i 200".to_owned()),
    }
}

/// Figures that are measured beside memory.
#[derive(Debug, Clone, Args)]
pub(crate) struct AlsoArgs {
    /// Also measure GPU memory: what the job's processes hold on each device, over time and at the peak. The drivers
    /// are opened before the job starts.
    #[arg(long, visible_alias = "with-gpu")]
    pub(crate) gpu: bool,

    /// Also measure CPU time and page faults, process by process and over time.
    #[arg(long)]
    pub(crate) with_cpu: bool,

    /// Also measure what is read and written, process by process and over time.
    #[arg(long)]
    pub(crate) with_io: bool,
}

impl AlsoArgs {
    /// Adds what they ask for to a job.
    pub(crate) fn apply(&self, job: Job) -> Job {
        job.gpu(self.gpu).cpu(self.with_cpu).io(self.with_io)
    }
}

/// Where births, execs and ends of processes are learned from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LineageSource {
    /// The best that works here: perf, else the proc connector, else sampling.
    Auto,
    /// The kernel's perf events.
    Perf,
    /// The kernel's proc connector.
    ProcConnector,
    /// Looking at intervals alone.
    Sampling,
}

impl From<LineageSource> for LineageFrom {
    fn from(source: LineageSource) -> Self {
        match source {
            LineageSource::Auto => Self::Auto,
            LineageSource::Perf => Self::Perf,
            LineageSource::ProcConnector => Self::ProcConnector,
            LineageSource::Sampling => Self::Sampling,
        }
    }
}

/// Limits that hwm itself holds the job to.
#[derive(Debug, Clone, Args)]
#[allow(clippy::struct_field_names)] // The fields are named as the options.
pub(crate) struct LimitArgs {
    /// End the job when its memory exceeds SIZE (8G, 512M: 1024-based; 8GB: 1000-based), each page counted once, however
    /// many of its processes share it. 50% is half of the RAM, or of the container's limit. Linux only.
    #[arg(long, value_name = "SIZE", value_parser = parse_memory_limit, help_heading = "Limits")]
    pub(crate) max_memory: Option<u64>,

    /// End the job when the sum of its processes' RSS exceeds SIZE: a page counts in each process that maps it.
    #[arg(long, value_name = "SIZE", value_parser = parse_limit_size, help_heading = "Limits")]
    pub(crate) max_total_rss: Option<u64>,

    /// End the job when the RSS of one of its processes exceeds SIZE.
    #[arg(long, value_name = "SIZE", value_parser = parse_limit_size, help_heading = "Limits")]
    pub(crate) max_per_proc_rss: Option<u64>,

    /// End the job when the sum of its PSS exceeds SIZE: shared pages count once. PSS is read once the RSS sum is over
    /// SIZE. A process whose PSS is refused (not dumpable, or a program that you may not read) is held to SIZE by its
    /// anonymous memory, each process by itself; --max-total-rss has no such gap.
    #[arg(long, value_name = "SIZE", value_parser = parse_limit_size, help_heading = "Limits")]
    pub(crate) max_total_pss: Option<u64>,
}

/// Parses the size of a limit. 0 is refused: it would end every job.
pub(super) fn parse_limit_size(text: &str) -> Result<u64, String> {
    match units::parse_memory(text)? {
        0 => Err("a limit of 0 ends every job; give a size such as 8G".to_owned()),
        bytes => Ok(bytes),
    }
}

/// Parses the limit on the job's memory: a size, or a share of the RAM that the job may use.
fn parse_memory_limit(text: &str) -> Result<u64, String> {
    let Some(share) = text.trim().strip_suffix('%') else { return parse_limit_size(text) };
    let percent = units::parse_percent(share)?;
    if !(percent > 0.0 && percent <= 100.0) {
        return Err("give more than 0% and at most 100%".to_owned());
    }
    let ram =
        Ram::read(&Roots::default()).map_err(|error| format!("the size of the RAM is unknown: {error}"))?;
    let most = ram.container_limit_bytes.or(ram.total_bytes);
    let most = most.ok_or_else(|| "the size of the RAM is unknown; give a size such as 8G".to_owned())?;
    Ok(units::share(most, percent))
}

/// The response to a limit that is exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LimitResponse {
    /// End the whole job: TERM, then KILL.
    Kill,
    /// Print a warning on standard error.
    Warn,
}

/// The response to a limit that is exceeded, and its delay.
#[derive(Debug, Clone, Args)]
pub(crate) struct OverLimitArgs {
    /// Action when a limit is exceeded.
    #[arg(long, value_name = "ACTION", value_enum, default_value_t = LimitResponse::Kill, help_heading = "Limits")]
    pub(crate) on_limit: LimitResponse,

    /// Time between TERM and KILL for a job that is over a limit. If it grows past 1.2 times the limit in that time, it
    /// is killed at once.
    #[arg(long, value_name = "TIME", value_parser = units::parse_time, default_value = "5s", help_heading = "Limits")]
    pub(crate) grace: Duration,
}

impl LimitArgs {
    /// Returns the limits, and what to do about a job over one.
    pub(crate) fn limits(&self, over: &OverLimitArgs) -> Limits {
        let mut limits = Limits::default();
        limits.memory_bytes = self.max_memory;
        limits.total_rss_bytes = self.max_total_rss;
        limits.process_rss_bytes = self.max_per_proc_rss;
        limits.total_pss_bytes = self.max_total_pss;
        limits.grace = over.grace;
        limits.on_limit = match over.on_limit {
            LimitResponse::Kill => OnLimit::Kill,
            LimitResponse::Warn => OnLimit::Warn,
        };
        limits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_ram() {
        let half = parse_memory_limit("50%").unwrap();
        let all = parse_memory_limit("100 %").unwrap();
        assert!(half > 0 && all.abs_diff(2 * half) <= 1, "{half} of {all}");
        for wrong in ["0%", "101%", "-5%", "%", "half"] {
            assert!(parse_memory_limit(wrong).is_err(), "{wrong}");
        }
        assert_eq!(parse_memory_limit("8G"), Ok(8 << 30));
    }

    #[test]
    fn intervals() {
        assert!(parse_interval("0").is_err());
        assert!(parse_interval("-5").is_err());
        assert!(parse_interval("abc").is_err());
        assert!(parse_interval("99999999999999999999").is_err());
        assert_eq!(parse_interval("1"), Ok(Duration::from_millis(1)));
    }
}
