//! A Job Object with a short-lived child in it, to probe what this system's Job Objects can do. It ends with the value.

use std::{
    io,
    os::windows::{io::AsRawHandle, process::CommandExt},
    process::{Child, Command, Stdio},
    ptr::null,
    thread::sleep,
    time::{Duration, Instant},
};

use windows_sys::Win32::System::{
    Memory::{MEM_COMMIT, MEM_RESERVE, PAGE_READWRITE, VirtualAllocEx},
    Threading::{CREATE_NO_WINDOW, CREATE_SUSPENDED},
};

use super::{
    Wake,
    launch::resume,
    object::{Account, JobObject},
    port::Message,
    used,
};
use crate::{
    helper,
    job::used::{UsageWanted, Used},
    process::windows::Opened,
};

/// Longest time in which an empty command must start, exit, or be reported.
const PATIENCE: Duration = Duration::from_secs(20);
const A_MOMENT: Duration = Duration::from_millis(400);

#[derive(Debug)]
pub(crate) struct Trial {
    object: JobObject,
    wake: Wake,
    child: Child,
    /// Handle of the child once it has exited.
    ended: Option<Opened>,
}

impl Trial {
    /// Starts the child suspended in the job. Errors are messages.
    pub(crate) fn begin(commit_limit: Option<u64>) -> Result<Self, String> {
        let wake = Wake::new();
        let port = wake.raw().ok_or("no completion port was to be had")?;
        // The job ends with this process in any way.
        let object = JobObject::new(port, commit_limit, true).map_err(|error| error.to_string())?;
        let mut command = Command::new(helper::system_directory().join("cmd.exe"));
        command.args(["/d", "/c", "exit", "0"]).creation_flags(CREATE_SUSPENDED | CREATE_NO_WINDOW);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().map_err(|error| format!("starting cmd: {error}"))?;
        let trial = Self { object, wake, child, ended: None };
        let assigned = trial.object.assign(trial.child.as_raw_handle());
        assigned.map_err(|error| format!("putting a process into a Job Object: {error}"))?;
        Ok(trial)
    }

    /// Lets the child commit `bytes` without running.
    pub(crate) fn commit(&self, bytes: usize) -> io::Result<()> {
        // SAFETY: the memory belongs to another process; nothing here points to it.
        let block = unsafe {
            VirtualAllocEx(
                self.child.as_raw_handle(),
                null(),
                bytes,
                MEM_COMMIT | MEM_RESERVE,
                PAGE_READWRITE,
            )
        };
        if block.is_null() { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    pub(crate) fn peak_commit(&self) -> Option<u64> {
        self.object.peak_commit()
    }

    /// Returns the usage that the Job Object counts for its processes, once they have exited.
    pub(crate) fn used(&self) -> Option<Used> {
        self.object.account().map(|Account { used, .. }| used)
    }

    /// Lets the child run to its exit, with a handle of it kept. Returns whether its start and its exit were reported.
    pub(crate) fn run(&mut self) -> Result<Heard, String> {
        let process = Opened::of(self.child.id()).map_err(|error| error.to_string())?;
        resume(self.child.id()).map_err(|error| format!("letting a process run: {error}"))?;
        let mut heard = Heard::default();
        let begin = Instant::now();
        while !(heard.born && heard.ended) {
            let left = PATIENCE.saturating_sub(begin.elapsed());
            match self.wake.next(left) {
                Some(Message::Born(pid)) => heard.born |= pid == self.child.id(),
                Some(Message::Ended(pid)) => heard.ended |= pid == self.child.id(),
                Some(_) => {}
                None => break,
            }
        }
        if !process.ends_within(PATIENCE) {
            return Err("cmd does not end".to_owned());
        }
        self.ended = Some(process);
        Ok(heard)
    }

    /// Returns the marks of the exited child: of its working set and its commit charge. Marks that vanish soon do not
    /// count: Wine reports an exit a little before the memory is freed.
    pub(crate) fn marks(&self) -> (Option<u64>, Option<u64>) {
        let begin = Instant::now();
        loop {
            let counters = self.ended.as_ref().and_then(|process| process.counters().ok());
            let marks = counters.map(|counters| counters.last_marks()).unwrap_or_default();
            if marks.0.is_none() || begin.elapsed() > A_MOMENT {
                return marks;
            }
            sleep(A_MOMENT / 10);
        }
    }
}

/// Reports of a short process.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Heard {
    pub(crate) born: bool,
    pub(crate) ended: bool,
}

impl Drop for Trial {
    fn drop(&mut self) {
        // It may have exited.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the usage of this process so far.
pub(crate) fn own_use() -> Option<Used> {
    let own = Opened::of(std::process::id()).ok()?;
    Some(used::of(&own, UsageWanted { cpu: true, io: true }))
}

/// Returns whether the list of all processes contains this one.
pub(crate) fn own_is_listed() -> io::Result<bool> {
    Ok(super::listing::all()?.iter().any(|listed| listed.pid == std::process::id()))
}
