//! `--repeat`: the same job several times, a record each, and how far the runs differ.

use std::path::{Path, PathBuf};

use anyhow::bail;
use highwater::{job::Rows, record::Record};

use super::{
    measure::measure,
    plan::RunPlan,
    session::{NotRun, RunSession},
    turn::Turn,
};
use crate::{
    args::RunArgs,
    console::{complain, print_to_stderr, warn},
    output::terminal::summary::{self, runs::RunQuantities},
};

/// Makes a plan for each run; all are checked before the first run starts.
pub(super) fn plans(args: &RunArgs) -> anyhow::Result<Vec<RunPlan>> {
    let of = args.repeat.repeat;
    let mut plans: Vec<RunPlan> = Vec::new();
    for number in 1..=of {
        let plan = RunPlan::for_run(args.clone(), Turn { number, of })?;
        if plan.reports.record_on_stdout && of > 1 {
            bail!(
                "--repeat writes a record for each run; name files for them, as in --json='mem-{{n}}.json'"
            );
        }
        plans.push(plan);
    }
    let mut taken = std::collections::HashSet::new();
    for plan in &plans {
        for (option, output) in plan.reports.outputs() {
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

/// Returns `mem-{n}.json` for `mem.json`.
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
    plans: Vec<RunPlan>,
    keep_going: bool,
    session: &mut RunSession,
) -> Result<crate::exit::AnyExitCode, NotRun> {
    let (mut well, mut failed) = (Vec::new(), 0);
    let mut first_failure = None;
    let quantities = plans.first().and_then(|plan| plan.reports.summary.quantities_of_runs());
    for plan in plans {
        let turn = plan.turn;
        let (code, record) = match measure(plan, session) {
            Ok(ran) => ran,
            Err(failure) => {
                conclude(&well, failed, quantities);
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
            complain(format_args!("stopped as requested after run {} of {}", turn.number, turn.of));
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
    conclude(&well, failed, quantities);
    Ok(first_failure.unwrap_or(0))
}

/// Returns the figures by which runs are compared. The rest of many runs of a large job would take much memory.
fn figures_of(mut record: Record<Rows>) -> Record<Rows> {
    record.processes = Rows::default();
    record.timeline = None;
    record.groups.clear();
    record
}

fn conclude(well: &[Record<Rows>], failed: usize, quantities: Option<RunQuantities>) {
    let Some(quantities) = quantities.filter(|_| well.len() + failed > 1) else { return };
    let printed = print_to_stderr(|width, out| summary::runs::write(well, failed, quantities, width, out));
    if let Err(error) = printed {
        warn(format_args!("the summary is not complete: {error}"));
    }
}
