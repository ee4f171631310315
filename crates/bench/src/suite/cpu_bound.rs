//! The CPU time of hwm while one process computes for three seconds and nothing else happens. On this job
//! sampling can be slow, so that any cost is waste. Default settings. Asked: at most 1 % of a core.

use std::time::Instant;

use anyhow::Result;

use super::{
    Setup,
    measure::{self, RunUsage},
    naive::{INTERVAL_MS, Way},
    programs, record,
};
use crate::{
    stats,
    table::{ResultRow, digits},
};

pub(super) fn run(setup: &Setup) -> Result<Vec<ResultRow>> {
    let seconds = setup.sized(3.0, 0.5);
    let turns = turns_of(seconds).to_string();
    let job = ["spin", turns.as_str()];
    let (mut bare, mut hwm, mut naive, mut exact) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..setup.pairs {
        bare.push(measure::run(&mut setup.bare(&job))?);
        hwm.push(measure::run(&mut setup.under_hwm(&[], &job))?);
        exact.push(measure::run(&mut setup.under_hwm(&["--exact"], &job))?);
        naive.push(measure::run(&mut setup.under_naive(Way::Children, &job))?);
    }
    let share = |usage: &RunUsage| 100.0 * usage.own_cpu.as_secs_f64() / usage.wall.as_secs_f64();
    let shares = |runs: &[RunUsage]| stats::mean(&runs.iter().map(share).collect::<Vec<_>>());
    let ratio = |runs: &[RunUsage], of: fn(&RunUsage) -> f64| {
        stats::ratio(bare.iter().zip(runs).map(|(a, b)| (of(a), of(b))))
    };
    let total = |usage: &RunUsage| usage.tree_cpu.as_secs_f64();
    let beside = format!(
        "naive sampler every {INTERVAL_MS} ms: {} %; {}",
        shares(&naive).map_or_else(|| "unknown".into(), |estimate| digits(estimate.mid)),
        own_word(setup, &job)?,
    );
    let what = format!("CPU-bound job, {seconds} s: hwm's own CPU");
    Ok(vec![
        ResultRow::new(what, "% of a core", shares(&hwm)).at_most(1.0).note(beside),
        ResultRow::new(
            "CPU-bound job: wall time, hwm / bare",
            "x",
            ratio(&hwm, |usage| usage.wall.as_secs_f64()),
        ),
        ResultRow::new("CPU-bound job: total CPU, hwm / bare", "x", ratio(&hwm, total))
            .lower_end_at_most(1.01),
        ResultRow::new("CPU-bound job: total CPU, hwm --exact / bare", "x", ratio(&exact, total))
            .lower_end_at_most(1.01),
    ])
}

/// Returns how many turns of `spin` take this long on this machine.
fn turns_of(seconds: f64) -> u64 {
    let probe = 50_000_000;
    programs::spin(probe);
    let start = Instant::now();
    programs::spin(probe);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small positive number")]
    let turns = (probe as f64 * seconds / start.elapsed().as_secs_f64()) as u64;
    turns
}

/// Returns the cost that the record itself states, from one more run, as a second source.
fn own_word(setup: &Setup, job: &[&str]) -> Result<String> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("record.json");
    let usage = measure::run(&mut setup.under_hwm(&["-q", &format!("--json={}", path.display())], job))?;
    let record = record(&path)?;
    let said = record.pointer("/capture/overhead/cpu_seconds").and_then(serde_json::Value::as_f64);
    let samples = record.get("samples").and_then(serde_json::Value::as_u64);
    Ok(format!(
        "one run with --json: process clock {} ms, the record says {} ms for {} samples",
        digits(usage.own_cpu.as_secs_f64() * 1e3),
        said.map_or_else(|| "unknown".into(), |seconds| digits(seconds * 1e3)),
        samples.map_or_else(|| "unknown".into(), |samples| samples.to_string()),
    ))
}
