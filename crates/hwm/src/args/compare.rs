//! `hwm compare`.

use std::path::PathBuf;

use super::rules::RuleArgs;

/// Show what grew from one record to another: the job's total, and group by group.
///
/// The records are those of hwm run --json=FILE, or of --save by their names. More than one of a side are runs of the same job: their medians are
/// compared, and growth within their spread is no regression.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CompareArgs {
    /// The record to compare with.
    #[arg(value_name = "BASE")]
    pub(crate) base: PathBuf,

    /// The record to judge; several are runs of the same job.
    #[arg(value_name = "CANDIDATE", required = true)]
    pub(crate) candidates: Vec<PathBuf>,

    /// One more record to compare with. May be given several times.
    #[arg(long = "base", value_name = "FILE")]
    pub(crate) more_bases: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) rules: RuleArgs,

    /// List at most N groups.
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) top: usize,

    /// Print JSON.
    #[arg(long, conflicts_with = "markdown")]
    pub(crate) json: bool,

    /// Print Markdown.
    #[arg(long)]
    pub(crate) markdown: bool,
}

const EXAMPLES: &str = "\
Examples:
  hwm compare base.json candidate.json
  hwm compare base.json candidate.json --max-increase 10% --floor 50M
  hwm compare base1.json --base base2.json --base base3.json new1.json new2.json new3.json
  hwm compare before @last                         kept by hwm run --save (see hwm list)
  hwm compare base.json candidate.json --detect-leaks --markdown >> report.md

A regression exceeds both --max-increase and --floor, lies beyond the spread of the runs, and its interval does not \
overlap with the base's. Growth that fails only the last two is reported as without evidence. An unknown figure \
is never taken for 0.

Exit codes: 0 no regression (or no evidence of one); 1 a regression, or a leak with --detect-leaks; 2 bad usage, or \
it could not be compared.
";
