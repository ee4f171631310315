//! One run: the job, followed to its end, and its reports.

use std::{ffi::OsStr, io};

use anyhow::Context;
use highwater::{
    Error, Job,
    analysis::{LeakRules, find_leaks_in},
    job::Rows,
    record::{Limit, LimitAction, Limited, Record},
};

use super::{
    hook,
    plan::{LimitCodes, RunPlan},
    session::{NotRun, RunSession},
    watcher::Watcher,
};
use crate::{
    console::warn,
    exit, gpu_guard,
    output::{formats::json, terminal::summary::NextStep},
    page_trim,
    text::advice,
};

/// The number of processes up to which the report's pages fit beside those of the measurement. Giving pages back would
/// then cost 0.2 ms for nothing.
const MAX_PROCESSES_WITHOUT_TRIM: usize = 200;

/// Runs the job once and leaves behind what was asked for; the exit code, and the record.
pub(super) fn measure(
    plan: RunPlan,
    session: &mut RunSession,
) -> Result<(exit::AnyExitCode, Record<Rows>), NotRun> {
    let RunPlan { job, mut reports, live, leaks, limit_codes, hook, turn } = plan;
    if job.get_gpu() {
        gpu_guard::report_crashes();
    }
    let timeline = reports.open_timeline(job.get_pace())?;
    let is_attached = job.get_attached().is_some();
    let program = job.get_program().to_owned();
    let limits = job.get_limits().clone();
    let mut job = job.inherited_state(session.inherited_state.clone());
    if reports.record_on_stdout && !is_attached {
        job = redirect_to_stderr(job).context("standard error")?;
    }
    session.signals.forward_to(job.control(), is_attached).context("cannot take over the signals")?;

    let mut watcher = Watcher::new(timeline, reports.record_destination(), live, &limits);
    let ran = job.run_observed(&mut watcher);
    session.signals.job_ended();
    let timeline = watcher.finish();
    let mut record = ran.map_err(|error| NotRun {
        code: if is_attached { exit::FAILURE } else { exit::of_error(&error) }.into(),
        message: format!("{error}{}{}", advice(&error), hint(&error, &program, reports.record_on_stdout)),
    })?;

    if record.processes.len() > MAX_PROCESSES_WITHOUT_TRIM {
        page_trim::give_back();
    }
    if let Some(rules) = leaks {
        judge_leaks(&mut record, rules);
    }
    let written = reports.write(&record);
    let kept = session.saver.as_mut().map(|saver| saver.keep(turn.number, |out| json::write(&record, out)));
    let kept = kept.and_then(|kept| {
        kept.map_err(|error| {
            warn(format_args!("the record is not kept: {error:#}{}", advice(error.as_ref())));
        })
        .ok()
    });
    // From here on a reader or a terminal may be waited for: all files are written.
    timeline.map(|mut timeline| timeline.finish()).into_iter().flatten().for_each(warn);
    let next = match (&written, &kept) {
        (Some(file), _) => NextStep::Record(file.display().to_string()),
        (None, Some(_)) => NextStep::Record("@last".to_owned()),
        (None, None) => NextStep::NoRecord,
    };
    reports.summary.print(&record, turn, next);
    let code = exit_code(&record, limit_codes, is_attached);
    let file = written.or(kept);
    let code = match hook {
        Some(hook) => {
            let ran = hook::Ran {
                record: &record,
                file: file.as_deref(),
                turn,
                record_on_stdout: reports.record_on_stdout,
                code,
            };
            hook.call(&session.signals, &ran)
        }
        None => code,
    };
    Ok((code, record))
}

/// Looks for leaks in a job that has just ended, and enters what is found into its record.
fn judge_leaks(record: &mut Record<Rows>, rules: LeakRules) {
    let rows = &record.processes;
    // A row that cannot be read back leaves a leak without a name.
    let name_of = |row| rows.get(row)?.ok().map(|process| (process.pid, process.command));
    find_leaks_in(record, rules, name_of).enter(record);
}

fn exit_code(record: &Record<Rows>, limit_codes: LimitCodes, is_attached: bool) -> exit::AnyExitCode {
    let by_limit = limit_code(record, limit_codes).map(exit::AnyExitCode::from);
    // The exit of a process that hwm did not start is no success or failure of hwm.
    let of_job = || if is_attached { Some(0) } else { exit::of_job(record.exit.as_ref()) };
    by_limit.or_else(of_job).unwrap_or_else(|| {
        warn("how the job ended could not be learned");
        exit::NOT_RUN.into()
    })
}

/// Returns the code for a job that a limit has ended. A limit that was exceeded unseen counts only if the job did not
/// fail by itself.
fn limit_code<P>(record: &Record<P>, codes: LimitCodes) -> Option<u8> {
    let ended = |limit: &&Limit| limit.exceeded.as_ref().is_some_and(|exceeded| exceeded.ended_by.is_some());
    let unseen = |limit: &&Limit| limit.exceeded.is_some() && limit.action == LimitAction::Kill;
    let is_well = exit::of_job(record.exit.as_ref()) == Some(0);
    let limit = record.limits.iter().find(ended);
    let limit = limit.or_else(|| record.limits.iter().find(unseen).filter(|_| is_well))?;
    Some(if limit.of == Limited::ProcessRss { codes.process } else { codes.total })
}

/// Returns a hint at a likely mistake: `--json FILE` takes FILE for the command.
fn hint(error: &Error, program: &OsStr, record_on_stdout: bool) -> String {
    let program = program.to_string_lossy();
    let mistaken = matches!(error, Error::NotFound { .. } | Error::NotExecutable { .. })
        && record_on_stdout
        && program.ends_with(".json");
    if mistaken { format!("; to write the record to a file use --json={program}") } else { String::new() }
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
