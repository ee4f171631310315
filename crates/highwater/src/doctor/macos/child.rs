//! A child that forks and exits while it is watched, and is reaped only then.

use std::{
    io,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use super::verdict::{self, CHILD_EXIT_CODE};
use crate::{
    Roots, Unavailable,
    doctor::MechanismState,
    job::{KqueueReport, MemberId, Queue},
    process::macos::{
        calls::{self, UniqueIds},
        rusage::{Rusage, why},
    },
};

/// Far more than it needs.
const CHILD_EVENTS_TIMEOUT: Duration = Duration::from_secs(5);
const CHILD_POLL_INTERVAL: Duration = Duration::from_millis(10);

struct Tried {
    reports: Vec<KqueueReport>,
    /// Its unique ids, read while it lived.
    ids: Result<UniqueIds, Unavailable>,
    /// Its usage, read after its exit and before it was reaped.
    remains: Result<Rusage, Unavailable>,
}

fn tried() -> io::Result<Tried> {
    let queue = Queue::new()?;
    // The shell waits until its input is closed.
    let script = format!("read line; /usr/bin/true; exit {CHILD_EXIT_CODE}");
    let mut child = Command::new("/bin/sh")
        .args(["-c", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let (pid, began) = (child.id(), Instant::now());
    let ids = calls::unique_ids(pid).map_err(|error| why(&error));
    let watched = queue.watch(pid, MemberId(0));
    drop(child.stdin.take());
    let mut reports = Vec::new();
    let mut remains = calls::rusage(pid).map_err(|error| why(&error));
    while began.elapsed() < CHILD_EVENTS_TIMEOUT {
        reports.extend(queue.drain());
        remains = calls::rusage(pid).map_err(|error| why(&error));
        let is_reported = reports.iter().any(|report: &KqueueReport| report.ended) || watched.is_err();
        let has_ended = remains.as_ref().map_or(true, |usage| usage.has_ended);
        if is_reported && has_ended {
            break;
        }
        // The exit event may never come, so the state is checked, too.
        queue.wait(CHILD_POLL_INTERVAL, None);
    }
    // The child has exited, or never will by itself; it must be reaped either way.
    let _ = child.kill();
    child.wait()?;
    watched?;
    Ok(Tried { reports, ids, remains })
}

fn of(judge: impl FnOnce(&Tried) -> MechanismState) -> MechanismState {
    match tried() {
        Ok(tried) => judge(&tried),
        Err(error) => MechanismState::missing(format!("a child could not be started and watched: {error}")),
    }
}

pub(super) fn fork_and_exit(_: &Roots) -> MechanismState {
    of(|tried| {
        let has = |what: fn(&KqueueReport) -> bool| tried.reports.iter().any(what);
        verdict::fork_and_exit(has(|report| report.forked), has(|report| report.ended))
    })
}

pub(super) fn exit(_: &Roots) -> MechanismState {
    of(|tried| verdict::exit(tried.reports.iter().find_map(|report| report.exit)))
}

pub(super) fn remains(_: &Roots) -> MechanismState {
    of(|tried| verdict::remains(&tried.remains))
}

pub(super) fn parents(_: &Roots) -> MechanismState {
    let own = calls::unique_ids(std::process::id()).map_err(|error| why(&error));
    of(|tried| {
        verdict::parents(
            own.map(|ids| ids.own),
            tried.ids.as_ref().map(|ids| ids.parent).map_err(Clone::clone),
        )
    })
}
