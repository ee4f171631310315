//! The cost of hwm for a job that only starts processes: `/bin/true`, 3,000 times, one after the other. Total
//! CPU is that of the job and of hwm together, with the kernel's work for hwm inside the job's forks and
//! exits.
//!
//! Asked: at most 1.06 times the bare job's, 1.12 as root (with exit records and a cgroup), 1.10 with `--exact`. The
//! lower end of the interval is judged, because bare against bare scatters by 5 to 10 %. That scatter is measured in
//! the same run, and reported too.

use anyhow::Result;

use super::{Setup, measure, naive::Way};
use crate::{
    stats::{self, Estimate},
    table::{ResultRow, digits},
};

pub(super) fn run(setup: &Setup) -> Result<Vec<ResultRow>> {
    let forks = setup.sized(3_000_u32, 300);
    let count = forks.to_string();
    let job = ["trues", count.as_str()];
    let (mut bare, mut hwm, mut again, mut naive) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut exact = Vec::new();
    // The first run warms the caches for all others.
    measure::run(&mut setup.bare(&job))?;
    for _ in 0..setup.pairs {
        bare.push(measure::run(&mut setup.bare(&job))?);
        hwm.push(measure::run(&mut setup.under_hwm(&["-q"], &job))?);
        exact.push(measure::run(&mut setup.under_hwm(&["-q", "--exact"], &job))?);
        again.push(measure::run(&mut setup.bare(&job))?);
        naive.push(measure::run(&mut setup.under_naive(Way::Children, &job))?);
    }
    let cpu = |runs: &[measure::RunUsage]| {
        let seconds = runs.iter().zip(&bare).map(|(run, bare)| (bare.tree_cpu, run.tree_cpu));
        stats::ratio(seconds.map(|(a, b)| (a.as_secs_f64(), b.as_secs_f64())))
    };
    let wall = bare.iter().zip(&hwm).map(|(a, b)| (a.wall.as_secs_f64(), b.wall.as_secs_f64()));
    let own: Vec<f64> =
        hwm.iter().map(|run| run.own_cpu.as_secs_f64() * 1e3 * 1e3 / f64::from(forks)).collect();
    Ok(vec![
        ResultRow::new(format!("{forks} x /bin/true: total CPU, hwm / bare"), "x", cpu(&hwm))
            .lower_end_at_most(if rustix::process::geteuid().is_root() { 1.12 } else { 1.06 })
            .note(format!("bare / bare {}; naive sampler / bare {}", shown(cpu(&again)), shown(cpu(&naive)))),
        ResultRow::new(format!("{forks} x /bin/true: total CPU, hwm --exact / bare"), "x", cpu(&exact))
            .lower_end_at_most(1.10)
            .note("the memory-keeper's CPU is included".to_owned()),
        ResultRow::new(format!("{forks} x /bin/true: wall time, hwm / bare"), "x", stats::ratio(wall)),
        ResultRow::new("hwm's own CPU per 1,000 forks", "ms", stats::mean(&own)),
    ])
}

fn shown(estimate: Option<Estimate>) -> String {
    estimate.map_or_else(
        || "unknown".into(),
        |e| format!("{} ({} .. {})", digits(e.mid), digits(e.low), digits(e.high)),
    )
}
