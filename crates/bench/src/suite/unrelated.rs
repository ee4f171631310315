//! Checks that hwm's cost follows the job and not the machine. The same job (10 idle processes, one second) runs beside
//! 100 and beside 5,000 unrelated idle processes. Asked: own CPU at most 1.5 times as much with 5,000. The naive way,
//! which scans `/proc` for each sample, is measured too.

use std::{thread, time::Duration};

use anyhow::{Context, Result};

use super::{Setup, crowd::Crowd, measure, naive::Way};
use crate::{
    stats,
    table::{ResultRow, digits},
};

const IDLE_JOB: [&str; 3] = ["rest", "10", "1000"];

/// The start and end of a crowd leave the kernel work to do, which must not affect the next run.
const CROWD_SETTLE_TIME: Duration = Duration::from_millis(300);

pub(super) fn run(setup: &Setup) -> Result<Vec<ResultRow>> {
    let (few, many) = (100, setup.sized(5_000, 500));
    let (mut hwm, mut naive) = (Vec::new(), Vec::new());
    for _ in 0..setup.pairs {
        let (hwm_few, naive_few) = beside(setup, few)?;
        let (hwm_many, naive_many) = beside(setup, many)?;
        hwm.push((hwm_few, hwm_many));
        naive.push((naive_few, naive_many));
    }
    let with_few: Vec<f64> = hwm.iter().map(|pair| pair.0 * 1e3).collect();
    let naive = stats::ratio(naive).context("the naive sampler took no CPU")?;
    Ok(vec![
        ResultRow::new(
            format!("own CPU with {many} unrelated processes / with {few}"),
            "x",
            stats::ratio(hwm),
        )
        .at_most(1.5)
        .note(format!(
            "naive scan of /proc: {} ({} .. {})",
            digits(naive.mid),
            digits(naive.low),
            digits(naive.high)
        )),
        ResultRow::new(
            format!("own CPU with {few} unrelated processes, 1 s job"),
            "ms",
            stats::mean(&with_few),
        ),
    ])
}

/// Own CPU, in seconds, of hwm and of the naive sampler, with a crowd of this size.
fn beside(setup: &Setup, unrelated: usize) -> Result<(f64, f64)> {
    let crowd = Crowd::start(setup, unrelated)?;
    thread::sleep(CROWD_SETTLE_TIME);
    let hwm = measure::run(&mut setup.under_hwm(&[], &IDLE_JOB))?;
    let naive = measure::run(&mut setup.under_naive(Way::Scan, &IDLE_JOB))?;
    drop(crowd);
    thread::sleep(CROWD_SETTLE_TIME);
    Ok((hwm.own_cpu.as_secs_f64(), naive.own_cpu.as_secs_f64()))
}
