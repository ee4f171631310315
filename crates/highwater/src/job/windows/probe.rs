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
    port::PortMessage,
    used,
};
use crate::{
    helper,
    job::resource_use::{ResourceUse, UsageWanted},
    process::windows::Opened,
};

/// Longest time in which an empty command must start, exit, or be reported.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(20);
const MAX_MARK_LINGERING: Duration = Duration::from_millis(400);

#[derive(Debug)]
pub(crate) struct JobObjectProbe {
    object: JobObject,
    wake: Wake,
    child: Child,
    /// Handle of the child once it has exited.
    ended: Option<Opened>,
}

impl JobObjectProbe {
    /// Starts the child suspended in the job. Errors are messages.
    pub(crate) fn begin(commit_limit: Option<u64>) -> Result<Self, String> {
        let wake = Wake::new();
        let port = wake.raw().ok_or("no completion port could be made")?;
        // The job ends with this process in any way.
        let object = JobObject::new(port, commit_limit, true).map_err(|error| error.to_string())?;
        let mut command = Command::new(helper::system_directory().join("cmd.exe"));
        command.args(["/d", "/c", "exit", "0"]).creation_flags(CREATE_SUSPENDED | CREATE_NO_WINDOW);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().map_err(|error| format!("starting cmd: {error}"))?;
        let probe = Self { object, wake, child, ended: None };
        let assigned = probe.object.assign(probe.child.as_raw_handle());
        assigned.map_err(|error| format!("putting a process into a Job Object: {error}"))?;
        Ok(probe)
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
    pub(crate) fn used(&self) -> Option<ResourceUse> {
        self.object.account().map(|Account { used, .. }| used)
    }

    /// Lets the child run to its exit, with a handle of it kept. Returns whether its start and its exit were reported.
    pub(crate) fn run(&mut self) -> Result<ReportedLifetime, String> {
        let process = Opened::of(self.child.id()).map_err(|error| error.to_string())?;
        resume(self.child.id()).map_err(|error| format!("letting a process run: {error}"))?;
        let mut reported = ReportedLifetime::default();
        let begin = Instant::now();
        while !(reported.started && reported.exited) {
            let left = COMMAND_TIMEOUT.saturating_sub(begin.elapsed());
            match self.wake.next(left) {
                Some(PortMessage::Started(pid)) => reported.started |= pid == self.child.id(),
                Some(PortMessage::Ended(pid)) => reported.exited |= pid == self.child.id(),
                Some(_) => {}
                None => break,
            }
        }
        if !process.ends_within(COMMAND_TIMEOUT) {
            return Err("cmd does not exit".to_owned());
        }
        self.ended = Some(process);
        Ok(reported)
    }

    /// Returns the marks of the exited child: of its working set and its commit charge. Marks that vanish soon do not
    /// count: Wine reports an exit a little before the memory is freed.
    pub(crate) fn marks(&self) -> (Option<u64>, Option<u64>) {
        let begin = Instant::now();
        loop {
            let counters = self.ended.as_ref().and_then(|process| process.counters().ok());
            let marks = counters.map(|counters| counters.last_marks()).unwrap_or_default();
            if marks.0.is_none() || begin.elapsed() > MAX_MARK_LINGERING {
                return marks;
            }
            sleep(MAX_MARK_LINGERING / 10);
        }
    }
}

/// Reports of a short process.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ReportedLifetime {
    pub(crate) started: bool,
    pub(crate) exited: bool,
}

impl Drop for JobObjectProbe {
    fn drop(&mut self) {
        // It may have exited.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the usage of this process so far.
pub(crate) fn own_use() -> Option<ResourceUse> {
    let own = Opened::of(std::process::id()).ok()?;
    Some(used::of(&own, UsageWanted { cpu: true, io: true }))
}

/// Returns whether the list of all processes contains this one.
pub(crate) fn own_is_listed() -> io::Result<bool> {
    Ok(super::listing::all()?.iter().any(|listed| listed.pid == std::process::id()))
}
