//! Programs that are as small as one likes.

use std::{
    fs,
    path::Path,
    process::{Command, ExitStatus},
    thread,
    time::Duration,
};

use crate::programs::workload;

/// Writes a program that touches `kib` and lives `ms` milliseconds.
pub(crate) fn write_tiny(file: &Path, kib: u64, ms: u64) -> Result<(), String> {
    let written =
        Command::new(workload()?).arg("tiny").arg(file).args([kib.to_string(), ms.to_string()]).status();
    let is_written = written.as_ref().is_ok_and(ExitStatus::success);
    if is_written { Ok(()) } else { Err(format!("workload tiny: {written:?}")) }
}

/// Writes a program of `kib` that lives `ms` milliseconds, and returns its size as the kernel's own mark has it.
#[allow(dead_code)] // Not every program of tests needs the size.
pub(crate) fn make_tiny(file: &Path, kib: u64, ms: u64) -> Result<u64, String> {
    write_tiny(file, kib, ms)?;
    // Another one that lives long enough to be asked.
    let lasting = file.with_extension("lasting");
    write_tiny(&lasting, kib, 1000)?;
    let mut alone = Command::new(&lasting).spawn().map_err(|error| error.to_string())?;
    thread::sleep(Duration::from_millis(200));
    let status = fs::read_to_string(format!("/proc/{}/status", alone.id())).unwrap_or_default();
    alone.wait().map_err(|error| error.to_string())?;
    let mark = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    let kib =
        mark.trim().trim_end_matches(" kB").parse::<u64>().map_err(|error| format!("VmHWM: {error}"))?;
    Ok(kib << 10)
}
