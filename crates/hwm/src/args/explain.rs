//! `hwm explain`.

use std::path::PathBuf;

/// Explain the peak memory of a record: how it was measured, how sure it is, and what would make it surer.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ExplainArgs {
    /// The record, as hwm run --json=FILE wrote it; - reads standard input [default: the newest that --save kept].
    #[arg(value_name = "RECORD", default_value = "@last", hide_default_value = true)]
    pub(crate) record: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  hwm run --save -- make -j8                   keep the record of this run
  hwm explain                                  how sure is its peak memory?
  hwm explain mem.json                         the same of a file
  hwm run -q --json -- make | hwm explain -    the same of a run

Exit codes: 0 done; 1 the record cannot be read; 2 bad usage.
";
