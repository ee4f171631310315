//! `hwm view`.

use std::path::PathBuf;

use super::output_mode::OutputModeArgs;

/// Look at a record: in the terminal, or as a page of charts for the browser.
///
/// The terminal shows the summary, and draws the memory over time: the total, the largest processes, and the groups.
/// The page is one file that needs no network. It has memory over time by process or group, a lane for each process,
/// and a table of the chosen moment or range.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ViewArgs {
    /// The record, as hwm run --json=FILE wrote it; - reads standard input.
    #[arg(value_name = "RECORD")]
    pub(crate) record: PathBuf,

    /// A second record: the page shows both runs in one picture, the terminal one after the other.
    #[arg(value_name = "OTHER")]
    pub(crate) other: Option<PathBuf>,

    /// Write the page to FILE.
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) output_mode: OutputModeArgs,

    /// Show the page in the browser; without --html it is a temporary file.
    #[arg(long)]
    pub(crate) open: bool,

    /// In the terminal: list at most N processes and N groups.
    #[arg(long, value_name = "N", default_value_t = 10, conflicts_with_all = ["html", "open"])]
    pub(crate) top: usize,
}

const EXAMPLES: &str = "\
Examples:
  hwm view mem.json                            in the terminal
  hwm run -q --json -- make | hwm view -       the same of a run
  hwm view mem.json --html mem.html            one file, to keep or to send
  hwm view mem.json --open                     look at it now
  hwm view before.json after.json --open       what changed between two runs?
  hwm run --html mem.html -- cargo build       run and write the page in one go

In the terminal the width is that of the terminal (or COLUMNS), NO_COLOR turns colour off, and where the locale is not \
UTF-8 all is plain ASCII.

Exit codes: 0 done; 1 a record cannot be read, or the page cannot be written or shown; 2 bad usage.
";
