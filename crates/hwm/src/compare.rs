//! `hwm compare`: what grew from one record to another.

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use highwater::record::Record;

use crate::{
    exit,
    judgement::{Judgement, RuleArgs},
    output::{comparison, complain, json},
    records::{self, CannotRead},
};

/// Say what grew from one record to another: the job's total, and group by group.
///
/// The records are those of hwm run --json=FILE, or of --save by their names. More than one of a side are runs of the same job: their medians are
/// compared, and growth within their spread is no regression.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CompareArgs {
    /// The record to compare with.
    #[arg(value_name = "BASE")]
    base: PathBuf,

    /// The record to judge; several are runs of the same job.
    #[arg(value_name = "CANDIDATE", required = true)]
    candidates: Vec<PathBuf>,

    /// One more record to compare with. May be given several times.
    #[arg(long = "base", value_name = "FILE")]
    more_bases: Vec<PathBuf>,

    #[command(flatten)]
    rules: RuleArgs,

    /// List at most N groups.
    #[arg(long, value_name = "N", default_value_t = 10)]
    top: usize,

    /// Print JSON.
    #[arg(long, conflicts_with = "markdown")]
    json: bool,

    /// Print Markdown.
    #[arg(long)]
    markdown: bool,
}

const EXAMPLES: &str = "\
Examples:
  hwm compare base.json candidate.json
  hwm compare base.json candidate.json --max-increase 10% --floor 50M
  hwm compare base1.json --base base2.json --base base3.json new1.json new2.json new3.json
  hwm compare before @last                         kept by hwm run --save (see hwm list)
  hwm compare base.json candidate.json --detect-leaks --markdown >> report.md

A regression exceeds both --max-increase and --floor, lies beyond the spread of the runs, and its interval does not \
overlap with the base's. Growth that fails only the last two is said to be without evidence. What is not known \
is never taken for 0.

Exit codes: 0 no regression (or no evidence of one); 1 a regression, or a leak with --detect-leaks; 2 bad usage, or \
it could not be compared.
";

pub(crate) fn run(args: &CompareArgs) -> ExitCode {
    let code = judge(args).unwrap_or_else(|error| {
        complain(error);
        exit::NOT_COMPARED
    });
    ExitCode::from(code)
}

fn judge(args: &CompareArgs) -> Result<u8, CannotRead> {
    let (bases, base) = read_all(std::iter::once(&args.base).chain(&args.more_bases))?;
    let (candidates, candidate) = read_all(&args.candidates)?;
    let judgement = Judgement::of((bases, &base), (candidates, &candidate), &args.rules);
    Ok(match print(&judgement, args) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            complain(format_args!("standard output: {error}"));
            exit::NOT_COMPARED
        }
        // A reader that stops early (`| head -1`) is no failure.
        _ => judgement.code(),
    })
}

/// The records, and what the user calls them.
fn read_all<'a>(
    arguments: impl IntoIterator<Item = &'a PathBuf>,
) -> Result<(Vec<PathBuf>, Vec<Record>), CannotRead> {
    let mut all = (Vec::new(), Vec::new());
    for argument in arguments {
        all.extend(records::read_all_ended(argument)?);
    }
    Ok(all)
}

fn print(judgement: &Judgement, args: &CompareArgs) -> io::Result<()> {
    let mut stdout = anstream::stdout().lock();
    if args.json {
        json::write_pretty(judgement, &mut stdout)?;
    } else if args.markdown {
        comparison::markdown::write(judgement, args.top, &mut stdout)?;
    } else {
        comparison::write(judgement, args.top, &mut stdout)?;
    }
    stdout.flush()
}
