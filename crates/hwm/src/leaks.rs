//! `hwm leaks`, and the options by which other verbs look for leaks.

use std::{fmt::Write as _, path::PathBuf, process::ExitCode, time::Duration};

use anstyle::{AnsiColor, Style};
use highwater::{
    analysis::{LeakReport, LeakRules, find_leaks, find_leaks_in},
    job::Rows,
    record::Record,
};
use serde::Serialize;

use crate::{
    exit,
    output::{self, complain, document::Schema, leaks, text},
    records::read_all_ended,
    units,
};

/// Looking for leaks beside something else.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct LeakArgs {
    /// Look for memory that went on growing, in the job's total, in each process and on each device.
    #[arg(long, help_heading = "Leaks")]
    detect_leaks: bool,

    /// A leak's floor grew by this much after warm-up.
    #[arg(long, value_name = "PERCENT", value_parser = units::parse_percent, default_value = "50%", requires = "detect_leaks", allow_hyphen_values = true, help_heading = "Leaks")]
    leak_min_growth: f64,

    /// For at least this long.
    #[arg(long, value_name = "TIME", value_parser = units::parse_time, default_value = "60s", requires = "detect_leaks", allow_hyphen_values = true, help_heading = "Leaks")]
    leak_min_duration: Duration,
}

impl LeakArgs {
    /// The rules, if leaks are looked for.
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

/// Looks for leaks in a job that has just ended, and enters what is found into its record.
pub(crate) fn judge(record: &mut Record<Rows>, rules: LeakRules) {
    let rows = &record.processes;
    // A row that cannot be read back leaves a leak without a name.
    let who = |row| rows.get(row)?.ok().map(|process| (process.pid, process.command));
    find_leaks_in(record, rules, who).enter(record);
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
    records: Vec<PathBuf>,

    /// A leak's floor grew by this much after warm-up.
    #[arg(long, visible_alias = "leak-min-growth", value_name = "PERCENT", value_parser = units::parse_percent, default_value = "50%", allow_hyphen_values = true)]
    min_growth: f64,

    /// For at least this long.
    #[arg(long, visible_alias = "leak-min-duration", value_name = "TIME", value_parser = units::parse_time, default_value = "60s", allow_hyphen_values = true)]
    min_duration: Duration,

    /// Print JSON.
    #[arg(long)]
    json: bool,
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

/// `hwm leaks --json`.
#[derive(Debug, Serialize)]
struct Document<'a> {
    schema: Schema,
    records: &'a [Judged],
}

/// What was found in one record.
#[derive(Debug, Serialize)]
struct Judged {
    record: PathBuf,
    #[serde(flatten)]
    report: LeakReport,
}

pub(crate) fn run(args: &LeaksArgs) -> anyhow::Result<ExitCode> {
    let rules = rules(args.min_growth, args.min_duration);
    let mut judged = Vec::new();
    // All are read before anything is said.
    for record in &args.records {
        match read_all_ended(record) {
            Ok(all) => judged.extend(
                all.into_iter()
                    .map(|(record, content)| Judged { record, report: find_leaks(&content, rules) }),
            ),
            Err(error) => {
                complain(error);
                return Ok(ExitCode::from(exit::NOT_COMPARED));
            }
        }
    }
    if args.json {
        output::print_json(&Document { schema: Schema::LEAKS, records: &judged })?;
    } else {
        output::print(in_words(&judged).as_bytes())?;
    }
    let found = judged.iter().any(|judged| !judged.report.leaks.is_empty());
    let untold = judged.iter().any(|judged| !judged.report.search.total_judged);
    Ok(ExitCode::from(match (found, untold) {
        (true, _) => exit::REGRESSION,
        (false, true) => exit::NOT_COMPARED,
        (false, false) => 0,
    }))
}

const BAD: Style = AnsiColor::Red.on_default().bold();
const PLAIN: Style = Style::new();

fn in_words(judged: &[Judged]) -> String {
    let mut said = String::new();
    for Judged { record, report } in judged {
        let style = if report.leaks.is_empty() { PLAIN } else { BAD };
        for line in leaks::lines(&report.search, &report.leaks) {
            if judged.len() > 1 {
                said.push_str(&text::printable(&format!("{}: ", record.display())));
            }
            let _ = writeln!(said, "{style}{line}{style:#}");
        }
    }
    said
}
