//! `hwm run`: check, run the job, report. `hwm attach` and `hwm ci-check` measure with the same parts.

mod checkpoint;
mod hook;
mod job_stderr;
mod live;
mod measure;
mod plan;
mod repeat;
mod reports;
mod session;
mod timeline;
mod turn;
mod watcher;

use std::process::ExitCode;

use highwater::{
    job::{Pace, Rows},
    record::Record,
};

use crate::{
    args::{AttachArgs, RunArgs, Save},
    console::{complain, warn},
    exit,
};
use measure::measure;
use plan::RunPlan;
use session::{NotRun, RunSession};
use turn::Turn;

/// Runs the job; its exit code, or that of hwm when it could not be started.
pub(crate) fn run(args: &RunArgs) -> ExitCode {
    let runs = || {
        let plans = repeat::plans(args)?;
        let mut session = begin(&plans, args.report.save.clone())?;
        let code = repeat::run(plans, args.repeat.keep_going, &mut session);
        session.announce_kept(args.report.quiet);
        code
    };
    exit::with(runs().unwrap_or_else(|failure: NotRun| {
        complain(failure.message);
        failure.code
    }))
}

/// Runs the job once, for verbs that go on with its record; returns the exit code if there is no record.
pub(crate) fn once(args: RunArgs) -> Result<(exit::AnyExitCode, Record<Rows>), exit::AnyExitCode> {
    let (save, is_quiet) = (args.report.save.clone(), args.report.quiet);
    let ran = RunPlan::for_run(args, Turn::ONLY)
        .map_err(NotRun::from)
        .and_then(|plan| measure_alone(plan, save, is_quiet));
    ran.map_err(|failure| {
        complain(failure.message);
        failure.code
    })
}

/// Follows a process that runs already.
pub(crate) fn attach(args: AttachArgs) -> ExitCode {
    let (save, is_quiet) = (args.report.save.clone(), args.report.quiet);
    let ran =
        RunPlan::for_attach(args).map_err(NotRun::from).and_then(|plan| measure_alone(plan, save, is_quiet));
    exit::with(ran.map_or_else(
        |failure| {
            complain(failure.message);
            // `NOT_RUN` means that the command of `hwm run` was not started; here there is no command.
            if failure.code == exit::AnyExitCode::from(exit::NOT_RUN) {
                exit::FAILURE.into()
            } else {
                failure.code
            }
        },
        |(code, _)| code,
    ))
}

fn measure_alone(
    plan: RunPlan,
    save: Option<Save>,
    is_quiet: bool,
) -> Result<(exit::AnyExitCode, Record<Rows>), NotRun> {
    let mut session = begin(std::slice::from_ref(&plan), save)?;
    let ran = measure(plan, &mut session)?;
    session.announce_kept(is_quiet);
    Ok(ran)
}

/// Begins the session in which the plans are carried out.
fn begin(plans: &[RunPlan], save: Option<Save>) -> Result<RunSession, NotRun> {
    let limited = plans.first().filter(|plan| plan.has_limits());
    if let Some(Pace::Fixed { interval, .. }) = limited.map(|plan| plan.job.get_pace()) {
        warn(format_args!(
            "with --interval the job's limits are checked every {} ms only",
            interval.as_millis()
        ));
    }
    RunSession::begin(save)
}
