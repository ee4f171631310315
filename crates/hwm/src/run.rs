//! `hwm run`: check, run the job, report.

mod console;
mod hook;
mod live;
mod plan;
mod repeat;
mod watcher;

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Context;
use highwater::{
    Job,
    job::{Inherited, Pace, Rows},
    record::{Limit, LimitAction, Limited, Record},
};

use crate::{
    args::RunArgs,
    drivers, exit,
    kept::Keeper,
    leaks,
    output::{self, advice, complain, csv, group_csv, html, json, summary, terminal, warn, warn_unwritten},
    own_pages,
    signals::Signals,
    startup,
};
pub(crate) use hook::HookArgs;
use plan::Plan;
pub(crate) use repeat::RepeatArgs;
use watcher::Watcher;

/// The job was not run.
struct Failure {
    code: exit::Code,
    message: String,
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self { code: exit::NOT_RUN.into(), message: format!("{error:#}{}", advice(error.as_ref())) }
    }
}

/// Runs the job; its exit code, or that of hwm when it could not be started.
pub(crate) fn run(args: &RunArgs) -> ExitCode {
    exit::with(run_all(args, None).unwrap_or_else(|failure| {
        complain(failure.message);
        failure.code
    }))
}

/// Runs the job once, for verbs that go on with its record; the exit code where there is none.
pub(crate) fn once(args: &RunArgs) -> Result<(exit::Code, Record<Rows>), exit::Code> {
    let ran = prepare(args, None).and_then(|(mut plans, mut session)| {
        let plan = plans.pop().context("nothing to run")?;
        let ran = measure(plan, &mut session)?;
        session.say_what_is_kept(args);
        Ok(ran)
    });
    ran.map_err(|failure| {
        complain(failure.message);
        failure.code
    })
}

/// Follows a process that runs already.
pub(crate) fn attach(args: &RunArgs, pid: u32) -> ExitCode {
    exit::with(run_all(args, Some(pid)).unwrap_or_else(|failure| {
        complain(failure.message);
        // What was to be run was not: that is for `hwm run`.
        if failure.code == exit::Code::from(exit::NOT_RUN) { exit::FAILURE.into() } else { failure.code }
    }))
}

fn run_all(args: &RunArgs, attach: Option<u32>) -> Result<exit::Code, Failure> {
    let (plans, mut session) = prepare(args, attach)?;
    let code = repeat::run(plans, args.repeat.keep_going, &mut session);
    session.say_what_is_kept(args);
    code
}

/// Checks everything that can be checked before the job starts.
fn prepare(args: &RunArgs, attach: Option<u32>) -> Result<(Vec<Plan>, Session), Failure> {
    let mut plans = repeat::plans(args)?;
    for plan in &mut plans {
        plan.attach = attach;
    }
    if let Some(Plan { pace: Pace::Fixed { interval, .. }, .. }) =
        plans.first().filter(|plan| plan.has_limits())
    {
        warn(format_args!(
            "with --interval the job is held to its limits every {} ms only",
            interval.as_millis()
        ));
    }
    let mut session = Session::begin()?;
    session.keeper = args.report.save.clone().map(Keeper::new).transpose().context("--save")?;
    Ok((plans, session))
}

/// What this process does once for all runs of the job.
struct Session {
    signals: Signals,
    /// Found before anything of it was changed for the first run.
    inherited: Inherited,
    /// Where the records are kept, if they are.
    keeper: Option<Keeper>,
}

impl Session {
    fn begin() -> Result<Self, Failure> {
        let signals = Signals::block().context("cannot take over the signals")?;
        Ok(Self { signals, inherited: startup::inherited(), keeper: None })
    }

    fn say_what_is_kept(&self, args: &RunArgs) {
        if let Some(name) = self.keeper.as_ref().and_then(Keeper::called).filter(|_| !args.report.quiet) {
            complain(format_args!("kept as {name}: hwm view {name}, hwm list"));
        }
    }

    /// Somebody wants all of it to end.
    fn was_asked_to_end(&self) -> bool {
        self.signals.asked_to_end()
    }
}

/// Up to so many processes leave room for the report's pages beside those of the measurement, and giving these back would
/// cost 0.2 ms for nothing.
const FEW_PROCESSES: usize = 200;

/// Runs the job once and leaves behind what was asked for; the exit code, and the record.
fn measure(mut plan: Plan, session: &mut Session) -> Result<(exit::Code, Record<Rows>), Failure> {
    if plan.gpu {
        drivers::tell_of_crashes();
    }
    let timeline = plan.open_timeline()?;
    let job = match plan.attach {
        Some(pid) => Job::attach(pid),
        None => Job::new(&plan.program).args(&plan.args).sole_owner(true),
    };
    let mut job = job
        .pace(plan.pace)
        .wait_for_descendants(plan.wait)
        .lineage(plan.lineage)
        .exact(plan.exact)
        .cgroup(plan.cgroup)
        .gpu(plan.gpu)
        .cpu(plan.with_cpu)
        .io(plan.with_io)
        .leave_out_arguments(plan.no_args)
        .limits(plan.limits.clone())
        .inherited(session.inherited.clone());
    for by in &plan.group_by {
        job = job.group_by(by.clone());
    }
    if plan.json_on_stdout && plan.attach.is_none() {
        job = redirect_to_stderr(job).context("standard error")?;
    }
    let leaves = plan.attach.is_some();
    session.signals.forward_to(job.control(), leaves).context("cannot take over the signals")?;

    let mut watcher = Watcher::new(timeline, plan.json.as_ref(), plan.live, &plan.limits);
    let ran = job.run_observed(&mut watcher);
    session.signals.job_ended();
    let timeline = watcher.finish();
    let mut record = ran.map_err(|error| Failure {
        code: if plan.attach.is_some() { exit::FAILURE } else { exit::of_error(&error) }.into(),
        message: format!("{error}{}{}", advice(&error), plan.hint(&error)),
    })?;

    if record.processes.len() > FEW_PROCESSES {
        own_pages::give_back();
    }
    if let Some(rules) = plan.leaks {
        leaks::judge(&mut record, rules);
    }
    let written = report(&record, &plan);
    let kept =
        session.keeper.as_mut().map(|keeper| keeper.keep(plan.turn.number, |out| json::write(&record, out)));
    let kept = kept.and_then(|kept| {
        kept.map_err(|error| {
            warn(format_args!("the record is not kept: {error:#}{}", advice(error.as_ref())));
        })
        .ok()
    });
    // From here on a reader or a terminal may be waited for: all files are written.
    timeline.map(|mut timeline| timeline.finish()).into_iter().flatten().for_each(warn);
    say(&record, &plan);
    let by_limit = limit_code(&record, plan.limit_codes).map(exit::Code::from);
    // How a process that we did not start has ended is no success or failure of ours.
    let of_job = || if plan.attach.is_some() { Some(0) } else { exit::of_job(record.exit.as_ref()) };
    let code = by_limit.or_else(of_job);
    let code = code.unwrap_or_else(|| {
        warn("how the job ended could not be learned");
        exit::NOT_RUN.into()
    });
    let file = written.or(kept);
    let code = hook::call(&plan.hook, &session.signals, &record, file.as_deref(), &plan, code);
    Ok((code, record))
}

/// The code for a job that a limit has ended, or that was to be ended for one which it exceeded unseen: unless it failed
/// by itself.
fn limit_code<P>(record: &Record<P>, (total, process): (u8, u8)) -> Option<u8> {
    let ended = |limit: &&Limit| limit.exceeded.as_ref().is_some_and(|exceeded| exceeded.ended_by.is_some());
    let unseen = |limit: &&Limit| limit.exceeded.is_some() && limit.action == LimitAction::Kill;
    let is_well = exit::of_job(record.exit.as_ref()) == Some(0);
    let limit = record.limits.iter().find(ended);
    let limit = limit.or_else(|| record.limits.iter().find(unseen).filter(|_| is_well))?;
    Some(if limit.of == Limited::ProcessRss { process } else { total })
}

#[cfg(unix)]
fn redirect_to_stderr(job: Job) -> io::Result<Job> {
    use std::os::fd::AsFd;
    Ok(job.stdout(io::stderr().as_fd().try_clone_to_owned()?))
}

#[cfg(windows)]
fn redirect_to_stderr(job: Job) -> io::Result<Job> {
    use std::os::windows::io::AsHandle;
    Ok(job.stdout(io::stderr().as_handle().try_clone_to_owned()?))
}

/// Writes everything that was asked for; the file that holds the record now, if one does. The job is over: what fails
/// here is a warning.
fn report(record: &Record<Rows>, plan: &Plan) -> Option<PathBuf> {
    let mut file = None;
    match plan.json.as_ref().map(|to| (to, to.write(|out| json::write(record, out)))) {
        Some((to, Ok(()))) => file = to.is_file().then(|| to.path().to_owned()),
        Some((_, Err(error))) if plan.json_on_stdout && error.kind() == io::ErrorKind::BrokenPipe => {}
        Some((to, Err(error))) => warn_unwritten(to.name(), &error),
        None => {}
    }
    if let Some(to) = &plan.group_csv
        && let Err(error) = to.write(|out| group_csv::write(&record.groups, &plan.listed, plan.cells, out))
    {
        warn_unwritten(to.name(), &error);
    }
    if let Some(to) = &plan.csv
        && let Err(error) = to.write(|out| csv::write(record.processes.iter(), &plan.listed, plan.cells, out))
    {
        warn_unwritten(to.name(), &error);
    }
    if let Some((page, to)) = &plan.html
        && let Err(error) = html::payload::Packed::new(record, record.processes.iter())
            .and_then(|packed| to.write(|out| page.write(&[packed], out)))
    {
        warn_unwritten(to.name(), &error);
    }
    file
}

/// Says on standard error what came of it.
fn say(record: &Record<Rows>, plan: &Plan) {
    if plan.quiet {
        // Without the summary nobody would be told.
        for leak in output::leaks::among(&record.findings) {
            warn(format_args!("leak: {}", output::leaks::sentence(leak)));
        }
    } else if let Err(error) = summarize(record, plan)
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        warn(format_args!("the summary is not complete: {error}"));
    }
}

fn summarize(record: &Record<Rows>, plan: &Plan) -> io::Result<()> {
    if !plan.turn.is_alone() {
        let (number, of) = (plan.turn.number, plan.turn.of);
        return print(|width, out| summary::runs::one(record, number, of, width, out));
    }
    let tally = summary::Tally::of(record.processes.iter(), plan.top, &plan.listed)?;
    print(|width, out| {
        let layout = summary::Layout {
            width,
            top: plan.top,
            listed: &plan.listed,
            with_cpu: plan.with_cpu,
            csv: plan.csv.as_ref().map(|csv| csv.name().to_string()),
        };
        summary::write(record, &tally, &layout, out)
    })
}

/// As one write, so that it does not mix with what still-running processes print.
fn print(write: impl FnOnce(usize, &mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut text = Vec::new();
    write(terminal_width(), &mut text)?;
    anstream::stderr().write_all(&text)
}

/// Columns to use where standard error is no terminal.
const WIDTH: usize = 100;

fn terminal_width() -> usize {
    terminal::width_of_stderr().unwrap_or(WIDTH)
}
