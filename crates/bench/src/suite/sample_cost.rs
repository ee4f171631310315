//! The cost of one sample of 300 processes, by three ways of reading in one process. The cost of hwm per sample of as
//! many stands beside it. Asked: at most 0.2 ms with kept descriptors.

use std::{fs::File, thread, time::Duration};

use anyhow::{Context, Result};
use rustix::{
    io::pread,
    process::{Resource, Rlimit, getrlimit, setrlimit},
    time::{ClockId, Timespec, clock_gettime},
};

use super::{Setup, crowd::Crowd, measure, naive, record};
use crate::{
    stats::{self, Estimate},
    table::{ResultRow, digits},
};

const PROCESSES: usize = 300;
/// Processes of a large job that does nothing.
const STILL_PROCESSES: usize = 1000;

/// Samples timed together, by the quick ways and by the slow one.
const QUICK_SAMPLES: u32 = 100;
const SLOW_SAMPLES: u32 = 10;

pub(super) fn run(setup: &Setup) -> Result<Vec<ResultRow>> {
    let mut rows = ways(setup)?;
    rows.push(hwm(setup)?);
    rows.extend(still_job(setup)?);
    Ok(rows)
}

/// Times the three ways, in turn, on the same processes.
fn ways(setup: &Setup) -> Result<Vec<ResultRow>> {
    let crowd = Crowd::start(setup, PROCESSES)?;
    raise_open_files();
    let kept = crowd.pids().iter().map(|pid| File::open(format!("/proc/{pid}/statm")));
    let kept: Vec<File> = kept.collect::<Result<_, _>>().context("keeping descriptors open")?;
    thread::sleep(Duration::from_millis(300));

    let by_kept = || kept.iter().filter_map(resident_kept).sum::<u64>();
    let by_opening = || crowd.pids().iter().filter_map(|&pid| naive::resident_pages(pid)).sum::<u64>();
    let by_scanning = || {
        let members = naive::by_scan(crowd.parent());
        members.iter().filter_map(|&pid| naive::resident_pages(pid)).sum::<u64>()
    };
    let (mut kept_us, mut opened_us, mut scanned_us) = (Vec::new(), Vec::new(), Vec::new());
    time(SLOW_SAMPLES, by_kept);
    for _ in 0..setup.pairs {
        kept_us.push(time(QUICK_SAMPLES, by_kept));
        opened_us.push(time(QUICK_SAMPLES, by_opening));
        scanned_us.push(time(SLOW_SAMPLES, by_scanning));
    }
    let against = |naive: &[f64]| stats::ratio(kept_us.iter().copied().zip(naive.iter().copied()));
    let row = |what: &str, us: &[f64]| {
        ResultRow::new(format!("a sample of {PROCESSES} processes: {what}"), "us", stats::mean(us))
    };
    Ok(vec![
        row("kept descriptors, pread", &kept_us).at_most(200.0),
        row("open, read, close", &opened_us)
            .note(format!("{} that of kept descriptors", times(against(&opened_us)))),
        row("scan of /proc", &scanned_us)
            .note(format!("{} that of kept descriptors", times(against(&scanned_us)))),
    ])
}

/// Returns hwm's own CPU time per sample: the difference between a long and a short run of the same job. Its start, the
/// search for members and the report cancel out.
fn hwm(setup: &Setup) -> Result<ResultRow> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("record.json");
    let count = PROCESSES.to_string();
    let run = |millis: &str| -> Result<(f64, Option<u64>)> {
        let json = format!("--json={}", path.display());
        let options = ["-q", "-i", "10", json.as_str()];
        let usage = measure::run(&mut setup.under_hwm(&options, &["rest", &count, millis]))?;
        let samples = record(&path)?.get("samples").and_then(serde_json::Value::as_u64);
        Ok((usage.own_cpu.as_secs_f64() * 1e6, samples))
    };
    let mut per_sample = Vec::new();
    for _ in 0..setup.pairs {
        let (short_us, short) = run("1000")?;
        let (long_us, long) = run("3000")?;
        let more = long.zip(short).and_then(|(long, short)| long.checked_sub(short)).filter(|&more| more > 0);
        if let Some(more) = more {
            per_sample.push((long_us - short_us) / more as f64);
        }
    }
    let row = ResultRow::new(
        format!("hwm's own CPU per sample, {PROCESSES} processes, -i 10"),
        "us",
        stats::mean(&per_sample),
    );
    Ok(row.note("all that hwm does per sample: members, marks, PSS passes, timeline"))
}

/// Compares hwm's own CPU time per second of a large job that does nothing, with a group of its own and without one.
fn still_job(setup: &Setup) -> Result<Vec<ResultRow>> {
    let count = STILL_PROCESSES.to_string();
    let run = |option: &str, millis: &str| -> Result<f64> {
        let usage = measure::run(&mut setup.under_hwm(&["-q", option], &["rest", &count, millis]))?;
        Ok(usage.own_cpu.as_secs_f64() * 1e3)
    };
    // Start, search and report cancel out.
    let per_second =
        |option: &str| Ok::<f64, anyhow::Error>((run(option, "9000")? - run(option, "3000")?) / 6.0);
    let (mut with_group, mut without) = (Vec::new(), Vec::new());
    for _ in 0..setup.pairs {
        with_group.push(per_second("--cgroup")?);
        without.push(per_second("--no-cgroup")?);
    }
    let row = |what: &str, each: &[f64]| {
        let what = format!("hwm's own CPU per second, {STILL_PROCESSES} still processes, {what}");
        ResultRow::new(what, "ms", stats::mean(each))
    };
    Ok(vec![
        row("cgroup", &with_group)
            .note("if a group can be made: it is read every 50 ms, and members less often"),
        row("no cgroup", &without).note("passes over PSS are included"),
    ])
}

fn resident_kept(statm: &File) -> Option<u64> {
    let mut text = [0; 128];
    let n = pread(statm, &mut text, 0).ok()?;
    naive::resident(text.get(..n)?)
}

/// Returns the microseconds of CPU time per call, over `times` calls: a busy machine must not matter.
pub(super) fn time(times: u32, sample: impl Fn() -> u64) -> f64 {
    let start = clock_gettime(ClockId::ThreadCPUTime);
    for _ in 0..times {
        std::hint::black_box(sample());
    }
    since(ClockId::ThreadCPUTime, start, times)
}

/// As [`time`], for calls since `start` of a CPU clock.
pub(super) fn since(clock: ClockId, start: Timespec, times: u32) -> f64 {
    let end = clock_gettime(clock);
    let (seconds, nanoseconds) = (end.tv_sec - start.tv_sec, end.tv_nsec - start.tv_nsec);
    (seconds as f64 * 1e6 + nanoseconds as f64 / 1e3) / f64::from(times)
}

fn times(ratio: Option<Estimate>) -> String {
    ratio.map_or_else(
        || "unknown".into(),
        |r| format!("{} x ({} .. {})", digits(r.mid), digits(r.low), digits(r.high)),
    )
}

/// Raises the limit: with one descriptor a process, the usual soft limit of 1,024 is near.
fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    // If this is refused, opening fails and says so.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}
