//! `hwm ci-check`: run a command or take a record, compare with the baseline, and tell the CI in its own language.

mod outputs;

use std::{
    ffi::OsString,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{anyhow, bail};
use clap::Parser;
use highwater::{analysis::Verdict, record::Record};

use crate::{
    args::{Cli, RunArgs, Verb},
    exit,
    files::{Destination, NewFileMode},
    judgement::{Judgement, RuleArgs},
    output::{
        ci::{Baseline, Report, text},
        complain_of, json, warn,
    },
    paths, records, run, usage,
};
use outputs::{OutputArgs, Outputs};

/// Run a command, or take a record, compare it with a baseline, and tell the CI.
///
/// Without a baseline the check passes and says how to keep one. On GitHub the step's summary, its outputs and
/// annotations are written by themselves.
#[derive(Debug, clap::Args)]
#[command(override_usage = "hwm ci-check [OPTIONS] (--record FILE | [--] CMD [ARGS...])", after_help = EXAMPLES)]
pub(crate) struct CiCheckArgs {
    /// Judge this record; no command is run.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["command", "json", "run_option"])]
    record: Option<PathBuf>,

    /// Compare with this record, if it exists.
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,

    /// Keep the record as the baseline: where there is none, and where nothing grew.
    #[arg(long, requires = "baseline")]
    update_baseline: bool,

    /// Keep the record of the command.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// An option of hwm run for the command, such as --run-option=--exact. May be given several times.
    #[arg(long, value_name = "OPTION", allow_hyphen_values = true)]
    run_option: Vec<OsString>,

    #[command(flatten)]
    rules: RuleArgs,

    /// List at most N groups.
    #[arg(long, value_name = "N", default_value_t = 10)]
    top: usize,

    #[command(flatten)]
    outputs: OutputArgs,

    /// The command and its arguments; options after CMD belong to CMD.
    #[arg(trailing_var_arg = true, value_names = ["CMD", "ARGS"])]
    command: Vec<OsString>,
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

pub(crate) fn run(args: &CiCheckArgs) -> ExitCode {
    exit::with(check(args).unwrap_or_else(|error| {
        complain_of(&error);
        exit::NOT_COMPARED.into()
    }))
}

fn check(args: &CiCheckArgs) -> anyhow::Result<exit::Code> {
    if args.record.is_none() && args.command.is_empty() {
        bail!("nothing to check; name a record (--record mem.json) or a command (-- cargo test)");
    }
    let outputs = Outputs::check(&args.outputs)?;
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
        None => match run::once(&run_args(args)?) {
            Ok((code, record)) => Taken::Measured { code, record: record.into_memory()? },
            // It was not started, and hwm run has said why.
            Err(code) => return Ok(code),
        },
    };
    let (record, code) = (taken.record(), taken.code());
    // Its name, where the record stands in a file.
    let file = match (&args.record, &args.json) {
        (Some(file), _) => Some(file.clone()),
        (None, Some(file)) => Some(paths::expand(file)?),
        (None, None) => None,
    };

    let records = std::slice::from_ref(record);
    let shown = file.clone().unwrap_or_else(|| PathBuf::from("this run"));
    let judgement = Judgement::of((bases, &base), (vec![shown], records), &args.rules);
    let failed = (code != 0).then_some(code);
    let updated = keep
        .filter(|_| is_worth_keeping(record, &judgement, failed))
        .map(|to| to.write(|out| taken.write(out)).map_err(|error| format!("{}: {error}", to.name())));
    if let Some(Err(error)) = &updated {
        warn(format_args!("the baseline could not be kept: {error}"));
    }
    let baseline = match (&args.baseline, !base.is_empty()) {
        _ if matches!(updated, Some(Ok(()))) => Baseline::Updated,
        (None, _) => Baseline::NotGiven,
        (Some(_), true) => Baseline::There,
        (Some(to), false) => Baseline::Missing { to: to.clone(), from: file.clone() },
    };
    let name = args.outputs.name(record);
    let report = Report { name, record, judgement: &judgement, failed, baseline, top: args.top };
    print(&report);
    outputs.write(&report);
    Ok(if code == 0 { judgement.code().into() } else { code })
}

/// The baseline, with what the user calls it: several runs where `--repeat` made them; nothing where there is none yet.
/// Whatever else is wrong with it is said before the command starts.
fn base(argument: Option<&Path>) -> anyhow::Result<(Vec<PathBuf>, Vec<Record>)> {
    match argument.map(records::read_all_ended) {
        None => Ok((Vec::new(), Vec::new())),
        Some(Ok(all)) => Ok(all.into_iter().unzip()),
        Some(Err(error)) if error.is_missing() => Ok((Vec::new(), Vec::new())),
        Some(Err(error)) => bail!("--baseline {error}"),
    }
}

/// The record to judge.
enum Taken {
    /// It was read from a file.
    Read {
        record: Record,
        /// The content of the file, which holds what a newer version may have put into it.
        content: Vec<u8>,
    },
    /// It was measured. A file that the run wrote is not read back: the job could have changed it.
    Measured { record: Record, code: exit::Code },
}

impl Taken {
    fn read(file: &Path) -> anyhow::Result<Self> {
        let (record, content) =
            records::read_ended_with_content(file).map_err(|error| anyhow!("--record {error}"))?;
        Ok(Self::Read { record, content })
    }

    fn record(&self) -> &Record {
        match self {
            Self::Read { record, .. } | Self::Measured { record, .. } => record,
        }
    }

    /// The exit code of the command, if one was run.
    fn code(&self) -> exit::Code {
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

/// The command line of `hwm run` that was asked for: any of its options can be used.
fn run_args(args: &CiCheckArgs) -> anyhow::Result<RunArgs> {
    let mut line = vec!["hwm".into(), "run".into()];
    line.extend_from_slice(&args.run_option);
    if let Some(json) = &args.json {
        let mut option = OsString::from("--json=");
        option.push(json);
        line.push(option);
    }
    line.push("--".into());
    line.extend_from_slice(&args.command);
    match Cli::try_parse_from(line) {
        Ok(Cli { verb: Some(Verb::Run(args)), .. }) if args.repeat.is_given() => {
            bail!("--run-option=--repeat: a check judges one run; use hwm run --repeat and hwm compare")
        }
        Ok(Cli { verb: Some(Verb::Run(args)), .. }) => Ok(args),
        Ok(_) => bail!("--run-option takes options of hwm run"),
        Err(error) => bail!("--run-option: {} (see hwm run --help)", usage::message(&error)),
    }
}

/// A run that failed, grew or is not known is no baseline.
fn is_worth_keeping(record: &Record, judgement: &Judgement, failed: Option<exit::Code>) -> bool {
    let known = record.total_peak_bytes().is_some();
    failed.is_none() && known && judgement.verdict == Verdict::Fine
}

fn print(report: &Report<'_>) {
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
