//! The start delay of a job under hwm, and how soon after it hwm exits. The job writes `CLOCK_MONOTONIC`,
//! which all processes share, at the start of `main` and right before `_exit`. This program notes it before
//! the spawn and at the end. The job's life varies from pair to pair, so that it ends at different points of
//! hwm's sampling.
//!
//! Asked, of 30 runs, 95 of 100 times: start delay <= 5 ms over bare, and exit <= 10 ms after the job. With the
//! kernel's events the delay may be 40 ms, with a cgroup 60 ms. Root gets a cgroup by default, so the stricter figure
//! is kept.

use std::{io::Read, process::Command, process::Stdio, time::Duration, time::Instant};

use anyhow::{Context, Result};

use super::{
    Setup,
    measure::{self, monotonic},
};
use crate::{
    stats,
    table::{ResultRow, digits},
};

pub(super) fn run(setup: &Setup) -> Result<Vec<ResultRow>> {
    let runs = setup.sized(30.max(setup.pairs), 5);
    let (mut bare_start, mut more_start, mut bare_exit, mut exit) = (vec![], vec![], vec![], vec![]);
    let (mut exact_start, mut cgroup_start) = (vec![], vec![]);
    for turn in 0..runs {
        // 10 to 590 ms in steps of 20, in mixed order.
        let life = (10 + 20 * (turn * 7 % 30)).to_string();
        let bare = delays(&mut setup.bare(&["stamp", &life]))?;
        let hwm = delays(&mut setup.under_hwm(&["-q"], &["stamp", &life]))?;
        let exact = delays(&mut setup.under_hwm(&["-q", "--exact"], &["stamp", &life]))?;
        let cgroup = delays(&mut setup.under_hwm(&["-q", "--cgroup"], &["stamp", &life]))?;
        exact_start.push(exact.0 - bare.0);
        cgroup_start.push(cgroup.0 - bare.0);
        bare_start.push(bare.0);
        more_start.push(hwm.0 - bare.0);
        bare_exit.push(bare.1);
        exit.push(hwm.1);
    }
    Ok(vec![
        row(&format!("start delay over bare, p95 of {runs}"), &more_start)
            .at_most(if rustix::process::geteuid().is_root() { 60.0 } else { 5.0 })
            .note(format!("{}; bare: {}", spread(&more_start), spread(&bare_start))),
        row(&format!("start delay with --exact, p95 of {runs}"), &exact_start)
            .at_most(40.0)
            .note(spread(&exact_start)),
        row(&format!("start delay with --cgroup, p95 of {runs}"), &cgroup_start)
            .at_most(60.0)
            .note(spread(&cgroup_start)),
        row(&format!("hwm's end after the job's, p95 of {runs}"), &exit).at_most(10.0).note(format!(
            "{}; bare: {}",
            spread(&exit),
            spread(&bare_exit)
        )),
    ])
}

fn row(what: &str, millis: &[f64]) -> ResultRow {
    ResultRow::plain(what, "ms", stats::quantile(millis, 0.95))
}

/// Returns the time from the spawn to the job's `main`, and from its last stamp to its end, in milliseconds.
fn delays(command: &mut Command) -> Result<(f64, f64)> {
    command.stdout(Stdio::piped());
    let (start, spawned) = (Instant::now(), monotonic());
    let mut child = command.spawn().context("the job did not start")?;
    let out = child.stdout.take();
    let usage = measure::finish(child, start)?;
    let mut text = String::new();
    out.context("no output")?.read_to_string(&mut text)?;
    let mut stamps = text.split_ascii_whitespace().map(|stamp| stamp.parse().map(Duration::from_nanos));
    let mut stamp = || stamps.next().context("the job wrote no time")?.context("the job's time");
    let (began, ended) = (stamp()?, stamp()?);
    Ok((millis(spawned, began), millis(ended, usage.ended)))
}

fn millis(from: Duration, to: Duration) -> f64 {
    (to.as_secs_f64() - from.as_secs_f64()) * 1e3
}

fn spread(millis: &[f64]) -> String {
    let at = |share| stats::quantile(millis, share).map_or_else(|| "unknown".into(), digits);
    format!("median {}, p95 {}, largest {} ms", at(0.5), at(0.95), at(1.0))
}
