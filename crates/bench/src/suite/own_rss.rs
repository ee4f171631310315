//! The size of hwm itself while it writes a record (`-q --json=FILE`). It is its high-water mark (`VmHWM`), read every
//! half millisecond until its exit, the writing of the record included. Asked: at most 6 MiB for jobs of up to 1,000
//! processes, at most 16 MiB at any size and length.
//!
//! It is not `ru_maxrss`, which would cover the job's processes, for which hwm waited, too.

use std::{fs::File, process::Command, thread, time::Duration, time::Instant};

use anyhow::{Context, Result};
use rustix::io::pread;

use super::{Setup, measure, record};
use crate::{stats, table::ResultRow};

/// The interval of reads: short beside the writing of a record of any length.
const READ_INTERVAL: Duration = Duration::from_micros(500);

pub(super) fn run(setup: &Setup) -> Result<Vec<ResultRow>> {
    let small = row(setup, "job of 10 processes", &[], &["rest", "10", "1000"], 3)?;
    let large = row(setup, "job of 1,000 processes at once", &[], &["rest", "1000", "2000"], 3)?;
    // At the default pace hwm would see a third of these. With 50 ms it sees all: more than it keeps rows
    // for.
    let count = setup.sized("110000", "4000");
    let what = format!("job of {count} processes, -i 50");
    let long = row(setup, &what, &["-i", "50"], &["churn", count, "2000", "600"], 1)?;
    Ok(vec![small.at_most(6.0), large.at_most(6.0), long.at_most(16.0)])
}

fn row(setup: &Setup, what: &str, options: &[&str], job: &[&str], runs: usize) -> Result<ResultRow> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("record.json");
    let mut marks = Vec::new();
    for _ in 0..runs {
        let json = format!("--json={}", path.display());
        let options = [&["-q", json.as_str()], options].concat();
        let mark = highest(&mut setup.under_hwm(&options, job))?;
        marks.push(mark as f64 / 1024.0);
    }
    let seen = record(&path)?.pointer("/capture/processes_seen").and_then(serde_json::Value::as_u64);
    let seen = seen.map_or_else(|| "unknown".into(), |seen| seen.to_string());
    let note = format!("{seen} processes seen, record of {} KiB", std::fs::metadata(&path)?.len() / 1024);
    Ok(ResultRow::new(format!("own peak RSS, {what}"), "MiB", stats::mean(&marks)).note(note))
}

/// Returns the last `VmHWM` of a process before its exit, in KiB.
fn highest(command: &mut Command) -> Result<u64> {
    let start = Instant::now();
    // `spawn` returns after the exec, so that the mark is of the new image from the first read on.
    let child = command.spawn().context("hwm did not start")?;
    let status = File::open(format!("/proc/{}/status", child.id()));
    let mut last = None;
    if let Ok(status) = status {
        let mut text = [0; 4096];
        // At the end the lines with sizes go first (zombie), then the process (ESRCH).
        while let Some(mark) = pread(&status, &mut text, 0).ok().and_then(|n| mark(text.get(..n)?)) {
            last = Some(mark);
            thread::sleep(READ_INTERVAL);
        }
    }
    measure::finish(child, start)?;
    last.context("it ended before its size could be read")
}

/// Returns `VmHWM` in KiB, from the text of a status file (`proc_pid_status(5)`).
fn mark(status: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(status).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mark_is_read_from_its_line() {
        let text = b"Name:\tVmHWM: 9 kB\nVmPeak:\t    9000 kB\nVmHWM:\t    3520 kB\nVmRSS:\t    3400 kB\n";
        assert_eq!(mark(text), Some(3520));
        assert_eq!(mark(b"Name:\ttrue\nState:\tZ (zombie)\n"), None);
    }

    #[test]
    fn the_mark_is_of_the_program_itself() {
        // The shell stays small whatever its child does.
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", "head -c 50000000 /dev/zero | tail -c 50000000 | tail -c 1 >/dev/null; true"]);
        let kib = highest(&mut shell).unwrap();
        assert!((100..20_000).contains(&kib), "{kib} KiB");
    }
}
