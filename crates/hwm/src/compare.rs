//! `hwm compare`: what grew from one record to another.

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use highwater::record::Record;

use crate::{
    args::CompareArgs,
    console::complain,
    exit,
    judgement::Judgement,
    output::{
        formats::{json, markdown},
        terminal::comparison,
    },
    record_source::{self, CannotRead},
};

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
    let judgement = Judgement::of((bases, &base), (candidates, &candidate), args.rules.rules());
    Ok(match print(&judgement, args) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            complain(format_args!("standard output: {error}"));
            exit::NOT_COMPARED
        }
        // A reader that stops early (`| head -1`) is no failure.
        _ => judgement.code(),
    })
}

/// Reads the records, and returns them with the names that the user gave.
fn read_all<'a>(
    arguments: impl IntoIterator<Item = &'a PathBuf>,
) -> Result<(Vec<PathBuf>, Vec<Record>), CannotRead> {
    let mut all = (Vec::new(), Vec::new());
    for argument in arguments {
        all.extend(record_source::read_all_ended(argument)?);
    }
    Ok(all)
}

fn print(judgement: &Judgement, args: &CompareArgs) -> io::Result<()> {
    let mut stdout = anstream::stdout().lock();
    if args.json {
        json::write_pretty(judgement, &mut stdout)?;
    } else if args.markdown {
        markdown::write(judgement, args.top, &mut stdout)?;
    } else {
        comparison::write(judgement, args.top, &mut stdout)?;
    }
    stdout.flush()
}
