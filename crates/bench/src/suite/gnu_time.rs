//! The cost of wrapping the smallest command, `true`, beside GNU time, which prints one inherited figure.
//! Compared are whole runs of `hwm run -q -- true` and `time -f %M true`, 20 of each per pair.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use anyhow::Result;

use super::{Setup, measure};
use crate::{
    stats,
    table::{ResultRow, digits},
};

const GNU_TIME: &str = "/usr/bin/time";
const RUNS_PER_BATCH: u32 = 20;

pub(super) fn run(setup: &Setup) -> Result<Vec<ResultRow>> {
    if !Path::new(GNU_TIME).exists() {
        return Ok(vec![
            ResultRow::new("beside GNU time", "", None).note(format!("there is no {GNU_TIME} here")),
        ]);
    }
    let (mut bare, mut gnu, mut hwm) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..setup.pairs {
        bare.push(batch(&mut Command::new("/bin/true"))?);
        gnu.push(batch(Command::new(GNU_TIME).args(["-f", "%M", "/bin/true"]))?);
        hwm.push(batch(Command::new(&setup.hwm).args(["run", "-q", "--", "/bin/true"]))?);
    }
    let (wall, cpu) = (|run: &(f64, f64)| run.0, |run: &(f64, f64)| run.1);
    Ok(vec![row("wall time", wall, &bare, &gnu, &hwm), row("CPU", cpu, &bare, &gnu, &hwm)])
}

fn row(
    what: &str,
    of: fn(&(f64, f64)) -> f64,
    bare: &[(f64, f64)],
    gnu: &[(f64, f64)],
    hwm: &[(f64, f64)],
) -> ResultRow {
    let ratio = stats::ratio(gnu.iter().zip(hwm).map(|(a, b)| (of(a), of(b))));
    let millis = |runs: &[(f64, f64)]| {
        let mean = stats::mean(&runs.iter().map(of).collect::<Vec<_>>());
        mean.map_or_else(|| "unknown".into(), |mean| digits(mean.mid))
    };
    let note = format!("bare {} ms, GNU time {} ms, hwm {} ms", millis(bare), millis(gnu), millis(hwm));
    ResultRow::new(format!("wrapping `true`: {what}, hwm / GNU time"), "x", ratio).note(note)
}

/// Wall and CPU time of one run, in milliseconds: the mean of a batch.
fn batch(command: &mut Command) -> Result<(f64, f64)> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let (mut wall, mut cpu) = (0.0, 0.0);
    for _ in 0..RUNS_PER_BATCH {
        let usage = measure::run(command)?;
        wall += usage.wall.as_secs_f64() * 1e3 / f64::from(RUNS_PER_BATCH);
        cpu += usage.tree_cpu.as_secs_f64() * 1e3 / f64::from(RUNS_PER_BATCH);
    }
    Ok((wall, cpu))
}
