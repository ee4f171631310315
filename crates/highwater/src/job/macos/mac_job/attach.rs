//! Attaching to a running process. Nothing about it is changed: kqueue watches it, and its figures are read.

use std::time::{Instant, SystemTime};

use super::{MacJob, RootChild, made_members, new_queue, refuse_limits};
use crate::{
    Error,
    job::{Job, Start, event_batch::EventBatch, macos::members::attach::Refusal},
    process::macos::{arguments, calls},
    record::{Attached, Downgrade},
};

pub(super) fn attach(job: &Job, pid: u32) -> Result<(MacJob, Start), Error> {
    refuse_limits(job)?;
    let mut downgrades = super::downgrades(job);
    downgrades.push(Downgrade {
        wanted: "the time before the attachment".to_owned(),
        reason: "the process was already running".to_owned(),
    });
    let mut members = made_members(new_queue()?, job);
    let mut batch = EventBatch::default();
    let mut start = Start::now();
    members.attach(pid, std::process::id(), &mut batch).map_err(|refusal| match refusal {
        Refusal::NoSuchProcess => Error::NoSuchProcess { pid },
        Refusal::Because(reason) => Error::Attach { pid, reason },
    })?;
    let (processes, marks_bytes) = members.marks_before();
    // If the clock was set back since, the figure is left out.
    let ran_for = calls::started(pid).and_then(|born| SystemTime::now().duration_since(born).ok());
    let attached =
        Attached { pid, ran_for_seconds: ran_for.map(|ran| ran.as_secs_f64()), processes, marks_bytes };
    start.attached = Some((attached, command_line(job, pid)));
    let tree = MacJob {
        root: pid,
        ending: RootChild::Attached,
        members,
        batch,
        downgrades,
        polled_at: Instant::now(),
        before: std::time::Duration::ZERO,
        next_usage: std::time::Duration::ZERO,
    };
    Ok((tree, start))
}

fn command_line(job: &Job, pid: u32) -> Vec<String> {
    if !job.leaves_out_arguments {
        let words = calls::arguments(pid).map(|text| arguments::words(&text)).unwrap_or_default();
        if !words.is_empty() {
            return words;
        }
    }
    let short = calls::short_info(pid).ok();
    short.map(|short| arguments::text(&short.pbsi_comm.map(i8::cast_unsigned))).into_iter().collect()
}
