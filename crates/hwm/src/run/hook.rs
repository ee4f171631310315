//! `--post-run-cmd`: a command of the user's that gets the results of a run. It is called when the measurement is
//! over, so its memory is not the job's.

use std::{
    ffi::{OsStr, OsString},
    io::{self, Write},
    path::{Path, PathBuf, absolute},
    process::{Command, ExitStatus, Stdio},
};

use highwater::{
    job::Rows,
    record::{Finding, Metric, Record},
};

use super::turn::Turn;
use crate::{
    args::HookArgs, console::warn, exit, files::create_temporary, output::formats::json, signals::Signals,
    text::advice,
};

/// A command that is called after a run.
#[derive(Debug)]
pub(super) struct Hook {
    line: OsString,
    /// True if its failure becomes that of a run that succeeded.
    decides_code: bool,
}

/// A run, and what is left of it.
pub(super) struct Ran<'a> {
    pub(super) record: &'a Record<Rows>,
    /// The file that holds the record.
    pub(super) file: Option<&'a Path>,
    pub(super) turn: Turn,
    pub(super) record_on_stdout: bool,
    pub(super) code: exit::AnyExitCode,
}

impl Hook {
    pub(super) fn of(args: HookArgs) -> Option<Self> {
        Some(Self { line: args.post_run_cmd?, decides_code: args.post_run_fail })
    }

    /// Calls the command; the code to exit with.
    pub(super) fn call(&self, signals: &Signals, ran: &Ran<'_>) -> exit::AnyExitCode {
        // If the record was written nowhere, it is written for the command only. The file is removed afterwards.
        let temporary = if ran.file.is_none() { temporary(ran.record) } else { None };
        let file = ran.file.or(temporary.as_ref().map(tempfile::NamedTempFile::path));
        let mut shell = shell(&self.line);
        // Those of an hwm around this one may name other devices.
        let of_devices = std::env::vars_os().map(|(name, _)| name);
        for name in of_devices.filter(|name| name.to_string_lossy().starts_with("HWM_PEAK_GPU_")) {
            shell.env_remove(name);
        }
        for (name, value) in variables(ran, file) {
            match value {
                Some(value) => shell.env(name, value),
                // A variable of another hwm around this one would be taken for a variable of this run.
                None => shell.env_remove(name),
            };
        }
        // The rest of standard input is the job's, and a record on standard output stays whole.
        shell.stdin(Stdio::null());
        if ran.record_on_stdout {
            shell.stdout(io::stderr());
        }
        let failure = match signals.call(&mut shell) {
            Ok(status) if status.success() => return ran.code,
            Ok(status) => {
                warn(format_args!("the command after the run failed ({status})"));
                code_of(status)
            }
            Err(error) => {
                warn(format_args!("the command after the run cannot be called: {error}{}", advice(&error)));
                exit::NOT_EXECUTABLE.into()
            }
        };
        if self.decides_code && ran.code == 0 { failure } else { ran.code }
    }
}

#[cfg(unix)]
fn shell(line: &OsStr) -> Command {
    // PATH decides about the programs in the line, not about its shell.
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(line);
    shell
}

#[cfg(windows)]
fn shell(line: &OsStr) -> Command {
    use std::os::windows::process::CommandExt;
    let mut shell = Command::new(highwater::helper::system_directory().join("cmd.exe"));
    // cmd has quoting rules of its own; the line goes to it as it was typed.
    shell.arg("/C").raw_arg(line);
    shell
}

#[cfg(unix)]
fn code_of(status: ExitStatus) -> exit::AnyExitCode {
    use std::os::unix::process::ExitStatusExt;
    let by_signal = || status.signal().and_then(exit::of_signal).map(exit::AnyExitCode::from);
    status.code().or_else(by_signal).unwrap_or(exit::FAILURE.into())
}

#[cfg(not(unix))]
fn code_of(status: ExitStatus) -> exit::AnyExitCode {
    status.code().unwrap_or(exit::FAILURE.into())
}

fn temporary(record: &Record<Rows>) -> Option<tempfile::NamedTempFile> {
    let write = || {
        let mut file = create_temporary(".json")?;
        json::write(record, file.as_file_mut())?;
        file.as_file_mut().flush()?;
        Ok(file)
    };
    write()
        .map_err(|error: io::Error| {
            warn(format_args!("the command after the run gets no record: {error}{}", advice(&error)));
        })
        .ok()
}

/// Returns the variables that the command gets; `None` stands for an unknown value.
fn variables(ran: &Ran<'_>, file: Option<&Path>) -> Vec<(String, Option<OsString>)> {
    let record = ran.record;
    let number = |value: Option<u64>| value.map(|value| value.to_string().into());
    let peak = record.peak.rss;
    let total = record.total_peak_bytes();
    let is_rss = record.primary_metric == Metric::Rss;
    let metric = serde_json::to_value(record.primary_metric).ok();
    let metric = metric.as_ref().and_then(serde_json::Value::as_str).map(OsString::from);
    let leaks = record.findings.iter().filter(|finding| matches!(finding, Finding::Leak(_))).count() as u64;
    let leaks = record.leak_search.filter(|search| search.total_judged || leaks > 0).map(|_| leaks);
    let exceeded = record.limits.iter().find(|limit| limit.exceeded.is_some());
    let exceeded = exceeded.and_then(|limit| serde_json::to_value(limit.of).ok());
    let exceeded = exceeded.as_ref().and_then(serde_json::Value::as_str).map(OsString::from);
    let signal = record.exit.as_ref().and_then(|exit| exit.signal_name.clone()).map(OsString::from);
    // The command may change its directory before it opens the file.
    let file =
        file.map(|file| absolute(file).unwrap_or_else(|_| file.to_owned())).map(PathBuf::into_os_string);
    let memory = record.peak.memory.as_ref();
    let mut variables: Vec<(String, Option<OsString>)> = [
        ("HWM_RECORD", file),
        ("HWM_EXIT_CODE", Some(ran.code.to_string().into())),
        ("HWM_EXIT_SIGNAL", signal),
        ("HWM_RUN", Some(ran.turn.number.to_string().into())),
        ("HWM_RUNS", Some(ran.turn.of.to_string().into())),
        ("HWM_DURATION_SECONDS", Some(record.duration_seconds.to_string().into())),
        ("HWM_PROCESSES", Some(record.capture.processes_seen.to_string().into())),
        ("HWM_METRIC", metric),
        ("HWM_PEAK_MEMORY_BYTES", number(memory.map(|memory| memory.bytes))),
        ("HWM_PEAK_MEMORY_LOWER_BYTES", number(memory.map(|memory| memory.lower_bytes))),
        ("HWM_PEAK_MEMORY_UPPER_BYTES", number(memory.map(|memory| memory.upper_bytes))),
        ("HWM_PEAK_BYTES", number(total)),
        ("HWM_PEAK_LOWER_BYTES", number(peak.map(|peak| peak.lower_bytes))),
        ("HWM_PEAK_UPPER_BYTES", number(peak.map(|peak| peak.upper_bytes))),
        ("HWM_PEAK_RSS_BYTES", number(total.filter(|_| is_rss))),
        ("HWM_PEAK_PSS_BYTES", number(record.peak.pss.map(|peak| peak.bytes))),
        ("HWM_PEAK_CGROUP_BYTES", number(record.peak.cgroup.map(|peak| peak.bytes))),
        ("HWM_LEAKS", number(leaks)),
        ("HWM_LIMIT_EXCEEDED", exceeded),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    for device in &record.peak.gpu {
        let name = format!("HWM_PEAK_GPU_{}_BYTES", device.index);
        variables.push((name, number(device.vram.map(|vram| vram.bytes))));
    }
    variables
}
