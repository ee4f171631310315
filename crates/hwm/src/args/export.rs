//! `hwm export`.

use std::path::PathBuf;

use super::{cell::CellArgs, output_mode::OutputModeArgs};

/// Write a record in a format that another tool reads.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ExportArgs {
    /// The record of hwm run --json=FILE; - is standard input.
    pub(crate) record: PathBuf,

    /// The format to write.
    #[arg(short, long, value_enum)]
    pub(crate) format: ExportFormat,

    /// Write to PATH instead of standard output; with --format parquet a directory, made if need be.
    #[arg(short, long, value_name = "PATH")]
    pub(crate) output: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) output_mode: OutputModeArgs,

    #[command(flatten)]
    pub(crate) cells: CellArgs,
}

/// A format of another tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ExportFormat {
    /// Trace events, for Perfetto (ui.perfetto.dev) and Chrome.
    ChromeTrace,
    /// A profile, for the Firefox Profiler (profiler.firefox.com).
    FirefoxProfiler,
    /// Memory over time, one row a figure.
    Csv,
    /// Tables for SQL and data frames: samples, processes and run.
    Parquet,
}

const EXAMPLES: &str = "\
Examples:
  hwm export mem.json --format chrome-trace -o mem.trace.json   open it in https://ui.perfetto.dev
  hwm export mem.json --format firefox-profiler -o mem.profile.json
  hwm export mem.json --format csv | head
  hwm export mem.json --format parquet -o mem.parquet
  duckdb -c \"select max(bytes) from 'mem.parquet/samples.parquet' where scope = 'total'\"
  hwm run --json -- make | hwm export - --format csv

What is not known is left out of traces, empty in CSV, and NULL in Parquet; it is never 0.

Exit codes: 0 written; 1 the record cannot be read or the output cannot be written; 2 bad usage.
";
