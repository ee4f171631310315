//! `hwm ci-check`: run a command or take a record, compare with the baseline, and report to the CI in its own format.

mod outputs;

use std::{
    ffi::OsString,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{anyhow, bail};
use highwater::{analysis::Verdict, record::Record};

use crate::{
    args::{CiCheckArgs, RunArgs},
    console::{complain_of, warn},
    exit,
    files::{Destination, NewFileMode},
    judgement::Judgement,
    output::{
        ci::{BaselineState, CheckReport, text},
        formats::json,
    },
    paths, record_source, run, usage_errors,
};
use outputs::CheckOutputs;

pub(crate) fn run(args: &CiCheckArgs) -> ExitCode {
    exit::with(check(args).unwrap_or_else(|error| {
        complain_of(&error);
        exit::NOT_COMPARED.into()
    }))
}

fn check(args: &CiCheckArgs) -> anyhow::Result<exit::AnyExitCode> {
    if args.record.is_none() && args.command.is_empty() {
        bail!("nothing to check; name a record (--record mem.json) or a command (-- cargo test)");
    }
    let outputs = CheckOutputs::check(&args.outputs)?;
    let (bases, base) = base(args.baseline.as_deref())?;
    let keep = match &args.baseline {
        Some(file) if args.update_baseline => {
            if !base.is_empty() && fs::symlink_metadata(file).is_err() {
                bail!(
                    "--update-baseline needs a file; {} is a kept record, which stays as it is",
                    file.display()
                );
            }
            Some(Destination::check("--baseline", file, NewFileMode::Private)?)
        }
        _ => None,
    };
    let taken = match &args.record {
        Some(file) => Taken::read(file)?,
        None => match run::once(run_args(args)?) {
            Ok((code, record)) => Taken::Measured { code, record: record.into_memory()? },
            // The command was not started, and hwm run has printed the reason.
            Err(code) => return Ok(code),
        },
    };
    let (record, code) = (taken.record(), taken.code());
    // The name of the record's file, if there is one.
    let file = match (&args.record, &args.json) {
        (Some(file), _) => Some(file.clone()),
        (None, Some(file)) => Some(paths::expand(file)?),
        (None, None) => None,
    };

    let records = std::slice::from_ref(record);
    let shown = file.clone().unwrap_or_else(|| PathBuf::from("this run"));
    let judgement = Judgement::of((bases, &base), (vec![shown], records), args.rules.rules());
    let failed = (code != 0).then_some(code);
    let updated = keep
        .filter(|_| is_worth_keeping(record, &judgement, failed))
        .map(|to| to.write(|out| taken.write(out)).map_err(|error| format!("{}: {error}", to.name())));
    if let Some(Err(error)) = &updated {
        warn(format_args!("the baseline could not be kept: {error}"));
    }
    let baseline = match (&args.baseline, !base.is_empty()) {
        _ if matches!(updated, Some(Ok(()))) => BaselineState::Updated,
        (None, _) => BaselineState::NotGiven,
        (Some(_), true) => BaselineState::There,
        (Some(to), false) => BaselineState::Missing { to: to.clone(), from: file.clone() },
    };
    let name = args.outputs.name(record);
    let report = CheckReport { name, record, judgement: &judgement, failed, baseline, top: args.top };
    print(&report);
    outputs.write(&report);
    Ok(if code == 0 { judgement.code().into() } else { code })
}

/// Reads the baseline, with the name that the user gave it. It has several runs if `--repeat` made them, and none if
/// there is no baseline yet. Any other fault of it is reported before the command starts.
fn base(argument: Option<&Path>) -> anyhow::Result<(Vec<PathBuf>, Vec<Record>)> {
    match argument.map(record_source::read_all_ended) {
        None => Ok((Vec::new(), Vec::new())),
        Some(Ok(all)) => Ok(all.into_iter().unzip()),
        Some(Err(error)) if error.is_missing() => Ok((Vec::new(), Vec::new())),
        Some(Err(error)) => bail!("--baseline {error}"),
    }
}

/// The record to judge.
enum Taken {
    /// The record was read from a file.
    Read {
        record: Record,
        /// The content of the file, which holds what a newer version may have put into it.
        content: Vec<u8>,
    },
    /// The record was measured. A file that the run wrote is not read back: the job could have changed it.
    Measured { record: Record, code: exit::AnyExitCode },
}

impl Taken {
    fn read(file: &Path) -> anyhow::Result<Self> {
        let (record, content) =
            record_source::read_ended_with_content(file).map_err(|error| anyhow!("--record {error}"))?;
        Ok(Self::Read { record, content })
    }

    fn record(&self) -> &Record {
        match self {
            Self::Read { record, .. } | Self::Measured { record, .. } => record,
        }
    }

    /// Returns the exit code of the command, if one was run.
    fn code(&self) -> exit::AnyExitCode {
        match self {
            Self::Read { .. } => 0,
            Self::Measured { code, .. } => *code,
        }
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Read { content, .. } => out.write_all(content),
            Self::Measured { record, .. } => json::write(record, out),
        }
    }
}

/// Returns the options of `hwm run` that were asked for, with the command.
fn run_args(args: &CiCheckArgs) -> anyhow::Result<RunArgs> {
    let mut options = args.run_option.clone();
    if let Some(json) = &args.json {
        let mut option = OsString::from("--json=");
        option.push(json);
        options.push(option);
    }
    let run = RunArgs::parse_options(options, &args.command)
        .map_err(|error| anyhow!("--run-option: {} (see hwm run --help)", usage_errors::message(&error)))?;
    if run.repeat.is_given() {
        bail!("--run-option=--repeat: a check judges one run; use hwm run --repeat and hwm compare");
    }
    Ok(run)
}

/// Returns whether the run may become the baseline: it ended well, did not grow, and its figures are known.
fn is_worth_keeping(record: &Record, judgement: &Judgement, failed: Option<exit::AnyExitCode>) -> bool {
    let known = record.total_peak_bytes().is_some();
    failed.is_none() && known && judgement.verdict == Verdict::Fine
}

fn print(report: &CheckReport<'_>) {
    let mut shown = Vec::new();
    let written = text::write(report, &mut shown).and_then(|()| {
        let mut stdout = anstream::stdout().lock();
        stdout.write_all(&shown)?;
        stdout.flush()
    });
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            warn(format_args!("standard output: {error}"));
        }
        _ => {}
    }
}
