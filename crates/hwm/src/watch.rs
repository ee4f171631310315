//! `hwm watch`: what processes hold, over time, as JSON lines.

mod peaks;
mod wait;

use std::{
    collections::BTreeSet,
    process::ExitCode,
    time::{Duration, Instant},
};

use highwater::Ram;
use serde::Serialize;

use crate::{
    args::WatchArgs,
    exit,
    look::{Look, Looker, Order},
    output::{
        advice, complain,
        document::{self, DeviceEntry, DeviceSample, ListingEntry, RamEntry, Schema},
        print_json_line,
    },
    ps,
};
use peaks::Peaks;
use wait::{Waiter, Woken};

/// One line.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Line<'a> {
    Start {
        schema: Schema,
        time: highwater::record::Timestamp,
        interval_seconds: f64,
        duration_seconds: Option<f64>,
        selection: &'a str,
        devices: Vec<DeviceEntry<'a>>,
    },
    Sample {
        time: highwater::record::Timestamp,
        elapsed_seconds: f64,
        ram: RamEntry<'a>,
        devices: Vec<DeviceSample<'a>>,
        #[serde(flatten)]
        listing: ListingEntry<'a>,
    },
    Summary {
        time: highwater::record::Timestamp,
        elapsed_seconds: f64,
        samples: u64,
        /// Whether every sample was.
        complete: bool,
        ended_by: &'static str,
        #[serde(flatten)]
        peaks: &'a Peaks,
    },
}

pub(crate) fn run(args: WatchArgs) -> anyhow::Result<ExitCode> {
    let waiter = Waiter::new()?;
    let roots = args.roots.roots();
    let follows_pids = !args.select.pid.is_empty();
    let mut looker = match Looker::new(roots.clone(), args.select.selection(Order::default())) {
        Ok(looker) => looker,
        Err(error) => {
            complain(format_args!("{error}{}", advice(&error)));
            return Ok(exit::INCOMPLETE.into());
        }
    };
    let begun = Instant::now();
    let mut look = looker.look();
    let selection = looker.selection().to_string();
    let start = Line::Start {
        schema: Schema::WATCH,
        time: document::now(),
        interval_seconds: args.interval.as_secs_f64(),
        duration_seconds: args.duration.map(|duration| duration.as_secs_f64()),
        selection: selection.trim_start_matches(" matching "),
        devices: look.devices.iter().map(DeviceEntry).collect(),
    };
    if !print_json_line(&start)? {
        return Ok(ExitCode::SUCCESS);
    }
    let mut peaks = Peaks::default();
    let mut late_before = BTreeSet::new();
    let mut samples = 0;
    let mut complete = true;
    let ended_by = loop {
        samples += 1;
        complete &= look.is_complete();
        for pid in look.late.difference(&late_before) {
            complain(format_args!(
                "pid {pid} did not answer in time; its name is the kernel's, of at most 15 bytes"
            ));
        }
        late_before.clone_from(&look.late);
        let elapsed = begun.elapsed();
        peaks.add(&look, elapsed);
        let ram = Ram::read(&roots);
        let sample = Line::Sample {
            time: document::now(),
            elapsed_seconds: thousandths(elapsed),
            ram: RamEntry(&ram),
            devices: look.devices.iter().map(DeviceSample).collect(),
            listing: ListingEntry::of(&look),
        };
        if !print_json_line(&sample)? {
            return Ok(ExitCode::SUCCESS);
        }
        if follows_pids && all_ended(&look, looker.selection().pids.len()) {
            break "processes_ended";
        }
        let next = args.interval * u32::try_from(samples).unwrap_or(u32::MAX);
        let until = args.duration.map_or(next, |duration| duration.min(next));
        match waiter.wait(until.saturating_sub(begun.elapsed()))? {
            Woken::TimeUp => {}
            Woken::Asked => break "signal",
            Woken::NobodyReads => return Ok(ExitCode::SUCCESS),
        }
        if args.duration.is_some_and(|duration| begun.elapsed() >= duration) {
            break "duration";
        }
        look = looker.look();
    };
    let summary = Line::Summary {
        time: document::now(),
        elapsed_seconds: thousandths(begun.elapsed()),
        samples,
        complete,
        ended_by,
        peaks: &peaks,
    };
    print_json_line(&summary)?;
    Ok(ps::code(peaks.is_empty(), complete))
}

fn all_ended(look: &Look, asked: usize) -> bool {
    look.missing.len() == asked
}

fn thousandths(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e3).round() / 1e3
}
