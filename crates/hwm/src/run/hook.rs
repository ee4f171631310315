//! `--post-run-cmd`: a command of the user's that is told what a run left behind. It is called when the measurement is
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

use super::plan::Plan;
use crate::{
    exit,
    output::{advice, json, warn},
    signals::Signals,
};

/// What to call after a run.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct HookArgs {
    /// Call CMD (a line for sh; on Windows for cmd) after each run, with the record's path in `HWM_RECORD`, and the exit
    /// code, peaks and others in further variables (see below). If it fails that is said, and changes nothing.
    #[arg(long, value_name = "CMD", value_parser = parse_command, help_heading = "Afterwards")]
    pub(super) post_run_cmd: Option<OsString>,

    /// If CMD fails and the job did not, exit with the code of CMD.
    #[arg(long, requires = "post_run_cmd", help_heading = "Afterwards")]
    pub(super) post_run_fail: bool,
}

fn parse_command(text: &str) -> Result<OsString, String> {
    if text.trim().is_empty() {
        return Err("give a command line, as in --post-run-cmd './upload.sh \"$HWM_RECORD\"'".to_owned());
    }
    Ok(text.into())
}

/// Calls the command; the code to exit with.
pub(super) fn call(
    hook: &HookArgs,
    signals: &Signals,
    record: &Record<Rows>,
    file: Option<&Path>,
    plan: &Plan,
    code: exit::Code,
) -> exit::Code {
    let Some(line) = &hook.post_run_cmd else { return code };
    // Where the record was written nowhere, it is written for the command alone; it goes with this.
    let temporary = if file.is_none() { temporary(record) } else { None };
    let file = file.or(temporary.as_ref().map(tempfile::NamedTempFile::path));
    let mut shell = shell(line);
    for (name, value) in variables(record, file, plan, code) {
        match value {
            Some(value) => shell.env(name, value),
            // That of another hwm around us would be taken for ours.
            None => shell.env_remove(name),
        };
    }
    // What is left of our standard input is the job's, and a record on standard output stays whole.
    shell.stdin(Stdio::null());
    if plan.json_on_stdout {
        shell.stdout(io::stderr());
    }
    let failure = match signals.call(&mut shell) {
        Ok(status) if status.success() => return code,
        Ok(status) => {
            warn(format_args!("the command after the run failed ({status})"));
            code_of(status)
        }
        Err(error) => {
            warn(format_args!("the command after the run cannot be called: {error}{}", advice(&error)));
            exit::NOT_EXECUTABLE.into()
        }
    };
    if hook.post_run_fail && code == 0 { failure } else { code }
}

#[cfg(unix)]
fn shell(line: &OsStr) -> Command {
    // Where PATH leads is for the line, not for its shell.
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
fn code_of(status: ExitStatus) -> exit::Code {
    use std::os::unix::process::ExitStatusExt;
    let by_signal = || status.signal().and_then(exit::of_signal).map(exit::Code::from);
    status.code().or_else(by_signal).unwrap_or(exit::FAILURE.into())
}

#[cfg(not(unix))]
fn code_of(status: ExitStatus) -> exit::Code {
    status.code().unwrap_or(exit::FAILURE.into())
}

fn temporary(record: &Record<Rows>) -> Option<tempfile::NamedTempFile> {
    let write = || {
        let mut file = tempfile::Builder::new().prefix("hwm-").suffix(".json").tempfile()?;
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

/// What the command is told; `None` is not known.
fn variables(
    record: &Record<Rows>,
    file: Option<&Path>,
    plan: &Plan,
    code: exit::Code,
) -> Vec<(String, Option<OsString>)> {
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
    // The command may go elsewhere before it looks.
    let file =
        file.map(|file| absolute(file).unwrap_or_else(|_| file.to_owned())).map(PathBuf::into_os_string);
    let mut variables: Vec<(String, Option<OsString>)> = [
        ("HWM_RECORD", file),
        ("HWM_EXIT_CODE", Some(code.to_string().into())),
        ("HWM_EXIT_SIGNAL", signal),
        ("HWM_RUN", Some(plan.turn.number.to_string().into())),
        ("HWM_RUNS", Some(plan.turn.of.to_string().into())),
        ("HWM_DURATION_SECONDS", Some(record.duration_seconds.to_string().into())),
        ("HWM_PROCESSES", Some(record.capture.processes_seen.to_string().into())),
        ("HWM_METRIC", metric),
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
