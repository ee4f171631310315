//! `--repeat`: the same job several times, a record each, and how far the runs differ.

use std::path::{Path, PathBuf};

use anyhow::bail;
use highwater::{job::Rows, record::Record};

use super::{Failure, Session, measure, plan::Plan};
use crate::{
    args::RunArgs,
    output::{complain, summary, warn},
    paths,
};

/// More than anybody has patience for; all of their outputs are checked before the first one starts.
const MOST: u32 = 1000;

/// How often to run.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct RepeatArgs {
    // clap breaks the line at the name of the placeholder.
    #[arg(
        help = "Run the command N times, one after the other, and say the median and the spread. Each run has a record of \
                  its own: {\x1b[0mn} in the names of output files is its number. It stops at a run that fails"
    )]
    #[arg(long, value_name = "N", value_parser = parse_repeat, default_value = "1", hide_default_value = true, help_heading = "Repeating")]
    repeat: u32,

    /// With --repeat: go on after a run that failed. The exit code is that of the first that did, and the median counts
    /// those that did not.
    #[arg(long, requires = "repeat", help_heading = "Repeating")]
    pub(super) keep_going: bool,
}

fn parse_repeat(text: &str) -> Result<u32, String> {
    text.trim()
        .parse()
        .ok()
        .filter(|runs| (1..=MOST).contains(runs))
        .ok_or_else(|| format!("give a whole number from 1 to {MOST}"))
}

impl RepeatArgs {
    pub(crate) fn is_given(&self) -> bool {
        self.repeat > 1
    }
}

/// Which run of how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) number: u32,
    pub(super) of: u32,
}

impl Turn {
    pub(super) fn is_alone(self) -> bool {
        self.of == 1
    }
}

/// A plan for each run, all of them checked before the first one starts.
pub(super) fn plans(args: &RunArgs) -> anyhow::Result<Vec<Plan>> {
    let of = args.repeat.repeat;
    let mut plans: Vec<Plan> = Vec::new();
    for number in 1..=of {
        let mut args = args.clone();
        for output in args.report.outputs() {
            *output = paths::with_number(output, number);
        }
        let plan = Plan::check(args, Turn { number, of })?;
        if plan.json_on_stdout && of > 1 {
            bail!(
                "--repeat writes a record for each run; name files for them, as in --json='mem-{{n}}.json'"
            );
        }
        plans.push(plan);
    }
    let mut taken = std::collections::HashSet::new();
    for plan in &plans {
        for (option, output) in plan.outputs() {
            if output.place().is_some_and(|place| !taken.insert(place)) {
                bail!(
                    "each run would overwrite {option} {}; put {{n}}, the number of the run, into its name: '{}'",
                    output.name(),
                    numbered(output.path()).display()
                );
            }
        }
    }
    Ok(plans)
}

/// `mem-{n}.json` for `mem.json`.
fn numbered(name: &Path) -> PathBuf {
    let mut file = name.file_stem().unwrap_or_default().to_owned();
    file.push("-{n}");
    if let Some(extension) = name.extension() {
        file.push(".");
        file.push(extension);
    }
    name.with_file_name(file)
}

/// Runs all of them; the first failing run's code.
pub(super) fn run(
    plans: Vec<Plan>,
    keep_going: bool,
    session: &mut Session,
) -> Result<crate::exit::Code, Failure> {
    let (mut well, mut failed) = (Vec::new(), 0);
    let mut first_failure = None;
    let quiet = plans.iter().any(|plan| plan.quiet);
    for plan in plans {
        let turn = plan.turn;
        let (code, record) = match measure(plan, session) {
            Ok(ran) => ran,
            Err(failure) => {
                conclude(&well, failed, quiet);
                return Err(failure);
            }
        };
        if code == 0 {
            well.push(figures_of(record));
        } else {
            failed += 1;
            first_failure.get_or_insert(code);
        }
        let more = turn.of - turn.number;
        if more == 0 {
            break;
        }
        if session.was_asked_to_end() {
            complain(format_args!("told to stop after run {} of {}", turn.number, turn.of));
            break;
        }
        if code != 0 && !keep_going {
            complain(format_args!(
                "run {} of {} failed with exit code {code}, and no more were made (--keep-going makes them all)",
                turn.number, turn.of
            ));
            break;
        }
    }
    conclude(&well, failed, quiet);
    Ok(first_failure.unwrap_or(0))
}

/// What the runs are compared by; of many runs of a large job all the rest would take much memory.
fn figures_of(mut record: Record<Rows>) -> Record<Rows> {
    record.processes = Rows::default();
    record.timeline = None;
    record.groups.clear();
    record
}

fn conclude(well: &[Record<Rows>], failed: usize, quiet: bool) {
    if quiet || well.len() + failed < 2 {
        return;
    }
    if let Err(error) = super::print(|width, out| summary::runs::write(well, failed, width, out)) {
        warn(format_args!("the summary is not complete: {error}"));
    }
}
