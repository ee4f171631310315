//! `hwm ci-check`.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use highwater::record::Record;

use super::rules::RuleArgs;

/// Run a command, or take a record, compare it with a baseline, and report the result to the CI.
///
/// Without a baseline the check passes and explains how to keep one. On GitHub the step's summary, its outputs and
/// annotations are written automatically.
#[derive(Debug, clap::Args)]
#[command(override_usage = "hwm ci-check [OPTIONS] (--record FILE | [--] CMD [ARGS...])", after_help = EXAMPLES)]
pub(crate) struct CiCheckArgs {
    /// Judge this record; no command is run.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["command", "json", "run_option"])]
    pub(crate) record: Option<PathBuf>,

    /// Compare with this record, if it exists.
    #[arg(long, value_name = "FILE")]
    pub(crate) baseline: Option<PathBuf>,

    /// Keep the record as the baseline: where there is none, and where nothing grew.
    #[arg(long, requires = "baseline")]
    pub(crate) update_baseline: bool,

    /// Keep the record of the command.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// An option of hwm run for the command, such as --run-option=--exact. May be given several times.
    #[arg(long, value_name = "OPTION", allow_hyphen_values = true)]
    pub(crate) run_option: Vec<OsString>,

    #[command(flatten)]
    pub(crate) rules: RuleArgs,

    /// List at most N groups.
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) top: usize,

    #[command(flatten)]
    pub(crate) outputs: CheckOutputArgs,

    /// The command and its arguments; options after CMD belong to CMD.
    #[arg(trailing_var_arg = true, value_names = ["CMD", "ARGS"])]
    pub(crate) command: Vec<OsString>,
}

const EXAMPLES: &str = "\
Examples:
  hwm ci-check --baseline base.json --update-baseline -- cargo test
  hwm ci-check --baseline base.json --max-increase 10% --floor 50M --junit mem.xml -- make check
  hwm ci-check --record mem.json --baseline base.json --benchmark-json bench.json
  hwm ci-check --baseline base.json --run-option=--exact --json mem.json -- ./run-tests

On GitHub (GITHUB_ACTIONS=true) it prints ::error and ::warning lines; a summary is appended to the file that \
GITHUB_STEP_SUMMARY names, and verdict, peak_bytes and others to that of GITHUB_OUTPUT.

Exit codes: the job's own unless it is 0 (125, 126 and 127 as of hwm run); else 0 no regression, or no baseline yet; \
1 a regression, or a leak with --detect-leaks; 2 bad usage, or it could not be compared. The baseline and the \
output files are checked before the command starts.
";

/// Files that the check writes.
#[derive(Debug, clap::Args)]
pub(crate) struct CheckOutputArgs {
    /// Name of the check in reports [default: the command's base name].
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,

    /// Write the report as Markdown.
    #[arg(long, value_name = "FILE")]
    pub(crate) markdown: Option<PathBuf>,

    /// Write verdict, `peak_bytes` and others as lines `key=value` (a dotenv report for GitLab).
    #[arg(long, value_name = "FILE")]
    pub(crate) env_file: Option<PathBuf>,

    /// Write the report as `JUnit` XML.
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,

    /// Write the peaks for github-action-benchmark (customSmallerIsBetter).
    #[arg(long, value_name = "FILE")]
    pub(crate) benchmark_json: Option<PathBuf>,

    /// Write the peaks for Bencher (Bencher Metric Format).
    #[arg(long, value_name = "FILE")]
    pub(crate) bencher_json: Option<PathBuf>,
}

impl CheckOutputArgs {
    pub(crate) fn name(&self, record: &Record) -> String {
        let program = || record.command.first().map(Path::new).and_then(Path::file_name);
        self.name.clone().or_else(|| Some(program()?.to_string_lossy().into_owned())).unwrap_or_default()
    }
}
