//! A child that forks and ends while it is watched, and is waited for only then.

use std::{
    io,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use super::verdict::{self, CODE};
use crate::{
    Roots, Unavailable,
    doctor::State,
    job::{KqueueReport, MemberId, Queue},
    process::macos::{
        calls::{self, UniqueIds},
        rusage::{Rusage, why},
    },
};

/// Far more than it needs.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(10);

struct Tried {
    told: Vec<KqueueReport>,
    /// Its numbers, while it lived.
    ids: Result<UniqueIds, Unavailable>,
    /// What was to be read of it after its end.
    remains: Result<Rusage, Unavailable>,
}

fn tried() -> io::Result<Tried> {
    let queue = Queue::new()?;
    // It stands still until its input ends.
    let script = format!("read held; /usr/bin/true; exit {CODE}");
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
    let mut told = Vec::new();
    let mut remains = calls::rusage(pid).map_err(|error| why(&error));
    while began.elapsed() < PATIENCE {
        told.extend(queue.drain());
        remains = calls::rusage(pid).map_err(|error| why(&error));
        let is_told = told.iter().any(|told: &KqueueReport| told.ended) || watched.is_err();
        let has_ended = remains.as_ref().map_or(true, |usage| usage.has_ended);
        if is_told && has_ended {
            break;
        }
        // A death that is never told must not be waited for without end, so it is looked for, too.
        queue.wait(PAUSE, None);
    }
    // It has ended, or never will by itself; it is ours to wait for either way.
    let _ = child.kill();
    child.wait()?;
    watched?;
    Ok(Tried { told, ids, remains })
}

fn of(judge: impl FnOnce(&Tried) -> State) -> State {
    match tried() {
        Ok(tried) => judge(&tried),
        Err(error) => State::missing(format!("a child could not be started and watched: {error}")),
    }
}

pub(super) fn news(_: &Roots) -> State {
    of(|tried| {
        let has = |what: fn(&KqueueReport) -> bool| tried.told.iter().any(what);
        verdict::news(has(|told| told.forked), has(|told| told.ended))
    })
}

pub(super) fn exit(_: &Roots) -> State {
    of(|tried| verdict::exit(tried.told.iter().find_map(|told| told.exit)))
}

pub(super) fn remains(_: &Roots) -> State {
    of(|tried| verdict::remains(&tried.remains))
}

pub(super) fn parents(_: &Roots) -> State {
    let own = calls::unique_ids(std::process::id()).map_err(|error| why(&error));
    of(|tried| {
        verdict::parents(
            own.map(|ids| ids.own),
            tried.ids.as_ref().map(|ids| ids.parent).map_err(Clone::clone),
        )
    })
}
