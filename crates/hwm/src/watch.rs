//! `hwm watch`: what processes hold, over time, as JSON lines.

mod peaks;
mod wait;

use std::{collections::BTreeSet, process::ExitCode, time::Instant};

use highwater::Ram;
use serde::Serialize;

use crate::{
    args::WatchArgs,
    console::{complain, print_json_line},
    exit,
    output::formats::documents::{self, DeviceEntry, DeviceSample, ListingEntry, RamEntry},
    process_listing::{SelectedProcesses, SelectiveLister},
    process_selection::RowOrder,
    ps,
    schema::Schema,
    text::advice,
};
use peaks::{WatchPeaks, thousandths};
use wait::{WaitEnd, Waiter};

/// One line.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum WatchEvent<'a> {
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
        /// True if every sample was.
        complete: bool,
        ended_by: &'static str,
        #[serde(flatten)]
        peaks: &'a WatchPeaks,
    },
}

pub(crate) fn run(args: WatchArgs) -> anyhow::Result<ExitCode> {
    let waiter = Waiter::new()?;
    let roots = args.roots.roots();
    let follows_pids = !args.select.pid.is_empty();
    let mut lister = match SelectiveLister::new(roots.clone(), args.select.selection(RowOrder::default())) {
        Ok(lister) => lister,
        Err(error) => {
            complain(format_args!("{error}{}", advice(&error)));
            return Ok(exit::INCOMPLETE.into());
        }
    };
    let begun = Instant::now();
    let mut found = lister.list();
    let selection = lister.selection().to_string();
    let start = WatchEvent::Start {
        schema: Schema::WATCH,
        time: documents::now(),
        interval_seconds: args.interval.as_secs_f64(),
        duration_seconds: args.duration.map(|duration| duration.as_secs_f64()),
        selection: selection.trim_start_matches(" matching "),
        devices: found.devices.iter().map(DeviceEntry).collect(),
    };
    if !print_json_line(&start)? {
        return Ok(ExitCode::SUCCESS);
    }
    let mut peaks = WatchPeaks::default();
    let mut late_before = BTreeSet::new();
    let mut samples = 0;
    let mut complete = true;
    let ended_by = loop {
        samples += 1;
        complete &= found.is_complete();
        for pid in found.late.difference(&late_before) {
            let then = if found.unread.contains(pid) {
                "nothing is known of it"
            } else {
                "its name is the kernel's, of at most 15 bytes"
            };
            complain(format_args!("pid {pid} did not answer in time; {then}"));
        }
        late_before.clone_from(&found.late);
        let elapsed = begun.elapsed();
        peaks.add(&found, elapsed);
        let ram = Ram::read(&roots);
        let sample = WatchEvent::Sample {
            time: documents::now(),
            elapsed_seconds: thousandths(elapsed),
            ram: RamEntry(&ram),
            devices: found.devices.iter().map(DeviceSample).collect(),
            listing: ListingEntry::of(&found),
        };
        if !print_json_line(&sample)? {
            return Ok(ExitCode::SUCCESS);
        }
        if follows_pids && all_ended(&found, lister.selection().scope.pids.len()) {
            break "processes_ended";
        }
        let next = args.interval * u32::try_from(samples).unwrap_or(u32::MAX);
        let until = args.duration.map_or(next, |duration| duration.min(next));
        match waiter.wait(until.saturating_sub(begun.elapsed()))? {
            WaitEnd::TimeUp => {}
            WaitEnd::StopRequested => break "signal",
            WaitEnd::OutputClosed => return Ok(ExitCode::SUCCESS),
        }
        if args.duration.is_some_and(|duration| begun.elapsed() >= duration) {
            break "duration";
        }
        found = lister.list();
    };
    peaks.leave_out_ended();
    if peaks.left_out() > 0 {
        complain(format_args!(
            "the summary leaves out {} rows of ended processes, as others are larger",
            peaks.left_out()
        ));
    }
    let summary = WatchEvent::Summary {
        time: documents::now(),
        elapsed_seconds: thousandths(begun.elapsed()),
        samples,
        complete,
        ended_by,
        peaks: &peaks,
    };
    print_json_line(&summary)?;
    Ok(ps::code(peaks.is_empty(), complete))
}

fn all_ended(found: &SelectedProcesses, asked: usize) -> bool {
    found.missing.len() == asked
}
