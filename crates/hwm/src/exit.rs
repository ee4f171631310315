//! The one table of exit codes.
//!
//! | code | of | meaning |
//! |---|---|---|
//! | the job's own | `run` | how the job exited |
//! | 128 + n | `run` | signal n ended the job |
//! | 10 | `run` | a limit on the job's total, or of its cgroup, ended it |
//! | 11 | `run` | the limit on single processes ended it |
//! | 125 | `run` | bad usage, or a failure of hwm itself, before the job started |
//! | 126 | `run` | the command is there but cannot be executed (as with `env` and `timeout`) |
//! | 127 | `run` | the command was not found |
//! | 0 | `attach` | it was measured, however it ended |
//! | 10, 11 | `attach` | a limit ended it (`--on-limit kill`), as with `run` |
//! | 0 | `ps`, `watch` | all that was asked for was found |
//! | 1 | `ps`, `watch` | nothing was found, and nothing can be missing |
//! | 2 | `ps`, `watch` | some may be missing: a driver fails, or processes are protected; or bad usage |
//! | 0, 1, 2 | `fits` | yes, no, unknown; or bad usage (2) |
//! | 0 | others | done |
//! | 1 | others | failed |
//! | 2 | others | bad usage |
//! | 1 | `compare`, `ci-check` | a regression or a leak |
//! | 2 | `compare`, `ci-check` | bad usage, or it could not be compared |
//! | 0, 1, 2 | `leaks` | none, a leak, unknown; or bad usage (2) |
//! | the job's own | `ci-check` | unless it is 0 |
//!
//! 10 and 11 can be changed by options, since a job may use them itself. They also stand for a limit that was found
//! exceeded when the job was over, unless it failed by itself.

use std::process::ExitCode;

use highwater::{Error, record};

/// A verb other than `run` failed.
pub(crate) const FAILURE: u8 = 1;
/// `ps`, `watch`: nothing was found; `fits`: no.
pub(crate) const NOTHING: u8 = 1;
/// `ps`, `watch`: some may be missing; `fits`: unknown.
pub(crate) const INCOMPLETE: u8 = 2;
/// Bad usage of a verb other than `run`.
pub(crate) const USAGE: u8 = 2;
/// `run`: a limit on the total ended the job.
pub(crate) const TOTAL_LIMIT: u8 = 10;
/// `run`: the limit on single processes ended the job.
pub(crate) const PROCESS_LIMIT: u8 = 11;
/// `compare`, `ci-check`: something grew.
pub(crate) const REGRESSION: u8 = 1;
/// `compare`, `ci-check`: a record cannot be read, or what decides is not known.
pub(crate) const NOT_COMPARED: u8 = 2;
/// `run`: bad usage, or a failure of hwm itself before the job started.
pub(crate) const NOT_RUN: u8 = 125;
/// `run`: the command cannot be executed.
pub(crate) const NOT_EXECUTABLE: u8 = 126;
/// `run`: the command was not found.
pub(crate) const NOT_FOUND: u8 = 127;
/// `run`: added to the number of the signal that ended the job.
pub(crate) const SIGNAL_BASE: u8 = 128;

/// Returns the code for a job that could not be run.
pub(crate) fn of_error(error: &Error) -> u8 {
    match error {
        Error::NotFound { .. } => NOT_FOUND,
        Error::NotExecutable { .. } => NOT_EXECUTABLE,
        _ => NOT_RUN,
    }
}

/// The exit code of a job: one byte (wait(2), `WEXITSTATUS`), on Windows any number of 32 bits.
pub(crate) type AnyExitCode = i32;

/// Returns the job's own code; `None` if the end of the job is unknown.
pub(crate) fn of_job(exit: Option<&record::Exit>) -> Option<AnyExitCode> {
    let exit = exit?;
    match (exit.code, exit.signal) {
        (Some(code), _) if cfg!(windows) => Some(code),
        (Some(code), _) => Some(code & 0xff),
        (None, Some(signal)) => of_signal(signal).map(AnyExitCode::from),
        (None, None) => None,
    }
}

/// Ends with any code that a job may have left. All that was to be written has been.
pub(crate) fn with(code: AnyExitCode) -> ExitCode {
    // Rust's own exit codes have one byte everywhere.
    u8::try_from(code).map_or_else(|_| std::process::exit(code), ExitCode::from)
}

/// Returns the code that stands for "ended by this signal".
pub(crate) fn of_signal(signal: i32) -> Option<u8> {
    u8::try_from(signal).ok().and_then(|signal| SIGNAL_BASE.checked_add(signal))
}

/// Returns the code for bad usage of a verb.
pub(crate) fn of_usage(verb: Option<&str>) -> ExitCode {
    ExitCode::from(if verb == Some("run") { NOT_RUN } else { USAGE })
}
