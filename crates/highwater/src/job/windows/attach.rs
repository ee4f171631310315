//! Attaching to a running process. Nothing about it is changed: it is put into no Job Object, so its descendants are
//! found by polling, and a handle shows its exit.

use std::{collections::HashSet, time::Duration};

use windows_sys::Win32::System::Threading::GetProcessId;

use super::{
    Wake,
    exit_wait::ExitWait,
    listing,
    members::{WindowsMembers, wall_clock},
};
use crate::{
    Error, Unavailable,
    job::{
        Start,
        ancestry::{Lives, OpenOutcome},
        event_batch::EventBatch,
        resource_use::UsageWanted,
    },
    process::windows::Opened,
    record::{Attached, Downgrade},
};

/// Pid of the process whose threads are the kernel's own.
const SYSTEM_PID: u32 = 4;
/// Advice for opening processes of other users.
const RUN_ELEVATED: &str = "run hwm in an elevated console (as administrator)";

/// The process and its descendants.
#[derive(Debug)]
pub(super) struct Family {
    /// Wakes the job's thread at its exit. It is dropped before the handle that it waits for.
    _exit_wait: Option<ExitWait>,
    /// Handle of the process: no other process gets its pid while it is open.
    root: Opened,
    pid: u32,
    lives: Lives,
    /// Processes that seem to be descendants and may not be opened.
    refused: HashSet<u32>,
    /// The reason why the processes could not be listed.
    unlisted: Option<String>,
}

impl Family {
    /// Opens the process, finds its descendants, and notes their peaks up to now.
    pub(super) fn attach(
        pid: u32,
        wanted: UsageWanted,
        wake: &Wake,
    ) -> Result<(Self, WindowsMembers, EventBatch, Start), Error> {
        let root = open(pid)?;
        let birth = root.times()?.creation;
        let mut family = Self {
            _exit_wait: ExitWait::register(&root, wake),
            root,
            pid,
            lives: Lives::default(),
            refused: HashSet::new(),
            unlisted: None,
        };
        let (mut start, epoch) = (Start::now(), wall_clock());
        let mut members = WindowsMembers::new(pid, epoch, wanted);
        let mut batch = EventBatch::default();
        family.lives.begin(pid, birth);
        members.add_member(pid, Some(open(pid)?), Duration::ZERO, &mut batch);
        family.find(&mut members, Duration::ZERO, &mut batch);
        let marks_bytes = members.mark_attached(Duration::ZERO, &mut batch);
        if family.root.ends_within(Duration::ZERO) {
            return Err(Error::NoSuchProcess { pid });
        }
        let ran_for = Duration::from_nanos(epoch.saturating_sub(birth).saturating_mul(100));
        let processes = members.pids_and_ids().count() as u64;
        let ran_for_seconds = (epoch >= birth).then_some(ran_for.as_secs_f64());
        let attached = Attached { pid, ran_for_seconds, processes, marks_bytes };
        start.attached = Some((attached, command(&family.root)));
        Ok((family, members, batch, start))
    }

    pub(super) fn root(&self) -> u32 {
        self.pid
    }

    /// Adds descendants of members that were not seen before.
    pub(super) fn find(&mut self, members: &mut WindowsMembers, at: Duration, batch: &mut EventBatch) {
        let now = wall_clock();
        for (pid, end) in members.take_exited() {
            self.lives.end(pid, end.unwrap_or(now));
        }
        let listed = match listing::all() {
            Ok(listed) => listed,
            Err(error) => {
                self.unlisted = Some(error.to_string());
                return;
            }
        };
        // If this process descends from it, as from a shell, it is no part of the job.
        let own = std::process::id();
        let found = self.lives.descendants(&listed, &mut self.refused, |pid| match Opened::of(pid) {
            _ if pid == own => OpenOutcome::Gone,
            Ok(process) => match (process.times(), process.parent()) {
                (Ok(times), Some(parent)) => OpenOutcome::Alive(times.creation, parent, process),
                _ => OpenOutcome::Refused,
            },
            Err(Error::Process { .. }) => OpenOutcome::Refused,
            Err(_) => OpenOutcome::Gone,
        });
        for found in found {
            members.add_member(found.pid, Some(found.process), at, batch);
        }
    }

    pub(super) fn downgrades(&self) -> Vec<Downgrade> {
        let mut downgrades = vec![
            Downgrade {
                wanted: "the time before the attachment".to_owned(),
                reason: "the process was already running".to_owned(),
            },
            Downgrade {
                wanted: "the kernel's own peak of the job's committed memory".to_owned(),
                reason: "only a Job Object keeps it, and an attached process is not put into one".to_owned(),
            },
        ];
        if !self.refused.is_empty() {
            downgrades.push(Downgrade {
                wanted: "all descendants".to_owned(),
                reason: format!(
                    "{} probable descendants are protected from this process; {RUN_ELEVATED}",
                    self.refused.len()
                ),
            });
        }
        if let Some(why) = &self.unlisted {
            downgrades.push(Downgrade {
                wanted: "all descendants".to_owned(),
                reason: format!("the processes could not be listed: {why}"),
            });
        }
        downgrades
    }
}

fn open(pid: u32) -> Result<Opened, Error> {
    let refused = |reason: String| Error::Attach { pid, reason };
    if pid == std::process::id() {
        return Err(refused("it is this process itself".to_owned()));
    }
    if pid == 0 || pid == SYSTEM_PID {
        return Err(refused("it belongs to the kernel and has no memory to measure".to_owned()));
    }
    let process = Opened::of(pid).map_err(|error| match error {
        Error::Process { why: Unavailable::PermissionDenied, .. } => {
            refused(format!("Windows protects it from this process; {RUN_ELEVATED}"))
        }
        Error::NoSuchProcess { .. } => error,
        other => refused(other.to_string()),
    })?;
    // The system ignores the lowest two bits of a pid: 4713 opens process 4712.
    // SAFETY: a live handle that may be queried.
    if unsafe { GetProcessId(process.raw()) } != pid {
        return Err(Error::NoSuchProcess { pid });
    }
    if process.ends_within(Duration::ZERO) {
        return Err(refused("it has exited, but another process still has a handle of it".to_owned()));
    }
    Ok(process)
}

/// Returns the path of its program. Its arguments are in its own memory and are not read.
fn command(process: &Opened) -> Vec<String> {
    let image = process.image();
    vec![image.map_or_else(|| "?".to_owned(), |image| image.to_string_lossy().into_owned())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_that_cannot_be_attached_to() {
        let why = |pid| open(pid).map(|_| ()).unwrap_err().to_string();
        assert!(why(std::process::id()).contains("this process itself"));
        assert!(why(4).contains("belongs to the kernel") && why(0).contains("belongs to the kernel"));
        let mut child = std::process::Command::new("cmd");
        child.args(["/c", "pause"]).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::null());
        let mut child = child.spawn().unwrap();
        let pid = child.id();
        assert!(open(pid).is_ok());
        assert!(matches!(open(pid + 1), Err(Error::NoSuchProcess { .. })), "another pid of the same process");
        child.kill().unwrap();
        child.wait().unwrap();
        // A handle of this process to it is open.
        assert!(why(pid).contains("it has exited"), "{}", why(pid));
        drop(child);
    }
}
