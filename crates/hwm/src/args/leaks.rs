//! `hwm leaks`, and the options by which other verbs look for leaks.

use std::{path::PathBuf, time::Duration};

use highwater::analysis::LeakRules;

use crate::units;

/// Looking for leaks beside something else.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct LeakArgs {
    /// Look for memory that went on growing, in the job's total, in each process and on each device.
    #[arg(long, help_heading = "Leaks")]
    pub(crate) detect_leaks: bool,

    /// A leak's floor grew by this much after warm-up.
    #[arg(long, value_name = "PERCENT", value_parser = units::parse_percent, default_value = "50%", requires = "detect_leaks", allow_hyphen_values = true, help_heading = "Leaks")]
    pub(crate) leak_min_growth: f64,

    /// For at least this long.
    #[arg(long, value_name = "TIME", value_parser = units::parse_time, default_value = "60s", requires = "detect_leaks", allow_hyphen_values = true, help_heading = "Leaks")]
    pub(crate) leak_min_duration: Duration,
}

impl LeakArgs {
    /// Returns the rules, if leaks are looked for.
    pub(crate) fn rules(&self) -> Option<LeakRules> {
        self.detect_leaks.then(|| rules(self.leak_min_growth, self.leak_min_duration))
    }
}

fn rules(min_growth: f64, min_duration: Duration) -> LeakRules {
    let mut rules = LeakRules::default();
    rules.min_growth_percent = min_growth;
    rules.min_duration_seconds = min_duration.as_secs_f64();
    rules
}

/// Look for memory that went on growing while a job ran.
///
/// Judges the records of hwm run --json=FILE: the job's total, each process that has a series of its own, and each
/// device.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct LeaksArgs {
    /// The records.
    #[arg(value_name = "RECORD", required = true)]
    pub(crate) records: Vec<PathBuf>,

    /// A leak's floor grew by this much after warm-up.
    #[arg(long, visible_alias = "leak-min-growth", value_name = "PERCENT", value_parser = units::parse_percent, default_value = "50%", allow_hyphen_values = true)]
    pub(crate) min_growth: f64,

    /// For at least this long.
    #[arg(long, visible_alias = "leak-min-duration", value_name = "TIME", value_parser = units::parse_time, default_value = "60s", allow_hyphen_values = true)]
    pub(crate) min_duration: Duration,

    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

impl LeaksArgs {
    pub(crate) fn rules(&self) -> LeakRules {
        rules(self.min_growth, self.min_duration)
    }
}

const EXAMPLES: &str = "\
Examples:
  hwm leaks mem.json
  hwm leaks mem.json --min-growth 20% --min-duration 10s
  hwm leaks --json mem.json | jq '.records[].leaks[].bytes_per_minute'
  hwm run --detect-leaks -- ./server        at the end of the job itself

The floor is judged, not the peaks: what comes and goes is no leak, nor is warm-up, a cache that fills up, or one \
large allocation. A job that loads data for all its life and ends looks like a leak; only you know.

Exit codes: 0 none was found; 1 a leak; 2 bad usage, a record that cannot be read, or one too short to judge.
";
