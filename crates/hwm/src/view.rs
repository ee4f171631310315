//! `hwm view`: a record in the terminal, or as a page.

mod browser;

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use highwater::record::Record;

use crate::{
    args::OutputModeArgs,
    files::{Destination, NewFileMode},
    output::{
        html::{Page, payload::Packed},
        print,
        summary::BOLD,
        terminal, text, view, warn,
    },
    records,
};

/// Look at a record: in the terminal, or as a page of charts for the browser.
///
/// The terminal shows what the summary says, and draws the memory over time: the total, the largest processes, and the
/// groups. The page is one file that needs no network: memory over time by process or group, a lane for each process, and a
/// table that follows the moment or the range that is chosen.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ViewArgs {
    /// The record, as hwm run --json=FILE wrote it; - reads standard input.
    #[arg(value_name = "RECORD")]
    record: PathBuf,

    /// A second record: the page shows both runs in one picture, the terminal one after the other.
    #[arg(value_name = "OTHER")]
    other: Option<PathBuf>,

    /// Write the page to FILE.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,

    #[command(flatten)]
    output_mode: OutputModeArgs,

    /// Show the page in the browser; without --html it is a temporary file.
    #[arg(long)]
    open: bool,

    /// In the terminal: list at most N processes and N groups.
    #[arg(long, value_name = "N", default_value_t = 10, conflicts_with_all = ["html", "open"])]
    top: usize,
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

pub(crate) fn run(args: &ViewArgs) -> anyhow::Result<ExitCode> {
    if args.html.is_none() && !args.open {
        return in_terminal(args);
    }
    let is_stdout = args.html.as_ref().is_some_and(|path| path.as_os_str() == "-");
    if args.open && is_stdout {
        bail!("--open needs a file; name one with --html FILE, or leave --html out");
    }
    let page = Page::built_in()?;
    let files = std::iter::once(&args.record).chain(&args.other);
    let packed = files.map(|file| pack(file)).collect::<anyhow::Result<Vec<_>>>()?;
    let destination = match &args.html {
        Some(_) if is_stdout => Destination::stdout()?,
        Some(path) => Destination::check("--html", path, args.output_mode.mode())?,
        None => Destination::check("--open", &browser::temporary()?, NewFileMode::Private)?,
    };
    destination
        .write(|out| page.write(&packed, out))
        .with_context(|| format!("cannot write {}", destination.name()))?;
    if args.open {
        browser::open(destination.path())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn pack(file: &Path) -> anyhow::Result<Packed> {
    let record: Record = records::read(file).map_err(anyhow::Error::msg)?;
    if !record.complete {
        warn(format_args!("{}: a checkpoint, its job had not ended: it has no timeline", file.display()));
    }
    Ok(Packed::new(&record, record.processes.iter().cloned().map(Ok))?)
}

/// The record in the terminal; two of them one after the other.
fn in_terminal(args: &ViewArgs) -> anyhow::Result<ExitCode> {
    let layout =
        view::Layout { width: terminal::wanted_width(), top: args.top, is_utf8: terminal::is_utf8() };
    let files = || std::iter::once(&args.record).chain(&args.other);
    let read = |file: &PathBuf| records::read(file).map_err(anyhow::Error::msg);
    let records = files().map(read).collect::<anyhow::Result<Vec<_>>>()?;
    let mut out = Vec::new();
    for (file, record) in files().zip(&records) {
        if records.len() > 1 {
            let gap = if out.is_empty() { "" } else { "\n" };
            writeln!(out, "{gap}{BOLD}{}{BOLD:#}", text::printable(&records::name(file).to_string()))?;
        }
        view::write(record, layout, &mut out)?;
    }
    print(&out)?;
    Ok(ExitCode::SUCCESS)
}
