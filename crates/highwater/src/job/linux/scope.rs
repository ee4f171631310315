//! A scope of the service manager: a cgroup for a job where this process may make none itself, such as for an ordinary user
//! in a login shell. systemd makes one on request by D-Bus, and puts processes of the same user into it
//! ([org.freedesktop.systemd1(5)](https://man7.org/linux/man-pages/man5/org.freedesktop.systemd1.5.html),
//! [systemd.scope(5)](https://man7.org/linux/man-pages/man5/systemd.scope.5.html)). `docs/internals/scope.md` describes it.
//!
//! The scope begins with the [`ScopeHolder`] and with the child that becomes the command, which waits before its exec.

use std::{
    collections::hash_map::RandomState,
    ffi::OsStr,
    hash::{BuildHasher, Hasher},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

pub(crate) use self::refusal::ScopeRefusal;
use self::{
    bus::{ServiceBus, path_of_bus},
    holder::ScopeHolder,
    refusal::printable,
    wire::{BusMethod, CallArguments, PropertyValue},
};
use crate::{Roots, cgroup};

mod bus;
mod holder;
mod refusal;
mod wire;

/// Longest time that all requests together may delay the command.
const MAX_REQUEST_TIME: Duration = Duration::from_millis(500);
/// Longest pause between two attempts.
const MAX_PAUSE: Duration = Duration::from_millis(4);
/// Longest description of a scope.
const MAX_DESCRIPTION_CHARS: usize = 100;

/// A scope that this process has asked for. It ends with its last process after it is dropped.
#[derive(Debug)]
pub(crate) struct SystemdScope {
    directory: PathBuf,
    holder: ScopeHolder,
}

impl SystemdScope {
    /// Asks the service manager for a scope with process `child`, which becomes `program`.
    ///
    /// The manager may move it where this user may not: out of a group that belongs to root (cgroups(7), "Delegation
    /// containment").
    pub(crate) fn request(roots: &Roots, program: &OsStr, child: u32) -> Result<Self, ScopeRefusal> {
        let uid = rustix::process::geteuid().as_raw();
        let bus = path_of_bus(uid, std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from))?;
        Self::request_at(&bus, uid, roots, program, child)
    }

    fn request_at(
        bus: &Path,
        uid: u32,
        roots: &Roots,
        program: &OsStr,
        child: u32,
    ) -> Result<Self, ScopeRefusal> {
        let deadline = Instant::now() + MAX_REQUEST_TIME;
        let mut bus = ServiceBus::connect(bus, uid, deadline)?;
        let holder = ScopeHolder::start()
            .map_err(|error| ScopeRefusal::Own { doing: "starting the scope-holder process", error })?;
        let name = new_name();
        let pids = [holder.pid(), child];
        start_unit(&mut bus, &name, &description(program), &pids, deadline)?;
        let directory = wait_for_move(roots, &name, pids, deadline)?;
        Ok(Self { directory, holder })
    }

    /// Returns the directory of its cgroup, which belongs to this user.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Returns the pid of the process that keeps it.
    pub(crate) fn holder_pid(&self) -> u32 {
        self.holder.pid()
    }
}

const fn method(member: &'static str) -> BusMethod {
    BusMethod {
        destination: "org.freedesktop.systemd1",
        path: "/org/freedesktop/systemd1",
        interface: "org.freedesktop.systemd1.Manager",
        member,
    }
}

/// Starts the unit, without the one property that systemd knows for scopes only since version 253 if it has to.
fn start_unit(
    bus: &mut ServiceBus,
    name: &str,
    description: &str,
    pids: &[u32],
    deadline: Instant,
) -> Result<(), ScopeRefusal> {
    let properties = [
        ("Description", PropertyValue::Text(description)),
        ("PIDs", PropertyValue::Pids(pids)),
        ("Delegate", PropertyValue::Bool(true)),
        ("MemoryAccounting", PropertyValue::Bool(true)),
        // Sessions have no limit, and units of users have one.
        ("TasksMax", PropertyValue::U64(u64::MAX)),
        // A scope that failed would stay listed.
        ("CollectMode", PropertyValue::Text("inactive-or-failed")),
        // Otherwise the manager would end the whole job after the kernel has killed one process of it.
        (OOM_POLICY, PropertyValue::Text("continue")),
    ];
    let mut start = |properties: &[(&str, PropertyValue<'_>)]| {
        let arguments =
            CallArguments::default().text(name).text("fail").properties(properties).no_other_units();
        bus.call(method("StartTransientUnit"), &arguments, deadline)
    };
    let mut properties = properties.as_slice();
    let mut pauses = AttemptPauses::new();
    loop {
        match start(properties) {
            Err(ScopeRefusal::Error { text, .. }) if text.contains(OOM_POLICY) && is_whole(properties) => {
                properties = properties.split_last().map_or(&[], |(_, older)| older);
            }
            // The first connection of all starts the bus of a user, and the manager gets its name there a little later.
            Err(ScopeRefusal::Error { name, .. }) if name == NO_OWNER => pauses.pause(deadline)?,
            outcome => return outcome,
        }
    }
}

/// The property that comes last.
const OOM_POLICY: &str = "OOMPolicy";
/// The error for a name on the bus that no process has.
const NO_OWNER: &str = "org.freedesktop.DBus.Error.NameHasNoOwner";

fn is_whole(properties: &[(&str, PropertyValue<'_>)]) -> bool {
    properties.last().is_some_and(|&(name, _)| name == OOM_POLICY)
}

/// Pauses between attempts, each longer than the one before.
struct AttemptPauses {
    next: Duration,
}

impl AttemptPauses {
    fn new() -> Self {
        Self { next: Duration::from_micros(100) }
    }

    fn pause(&mut self, deadline: Instant) -> Result<(), ScopeRefusal> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ScopeRefusal::TimeOver);
        }
        thread::sleep(self.next.min(left));
        self.next = (self.next * 2).min(MAX_PAUSE);
        Ok(())
    }
}

/// Waits until the manager has moved these processes, which follows its reply, and returns the directory of the scope.
fn wait_for_move(
    roots: &Roots,
    name: &str,
    pids: [u32; 2],
    deadline: Instant,
) -> Result<PathBuf, ScopeRefusal> {
    let directory_of = |pid| {
        cgroup::unified_group_of(roots, pid)
            .filter(|directory| directory.file_name() == Some(OsStr::new(name)) && directory.is_dir())
    };
    let mut pauses = AttemptPauses::new();
    loop {
        if let [Some(directory), Some(_)] = pids.map(directory_of) {
            return Ok(directory);
        }
        pauses.pause(deadline)?;
    }
}

/// Returns a name that no other process chooses: pids alone may be the same in two pid namespaces.
fn new_name() -> String {
    let random = RandomState::new().build_hasher().finish();
    format!("highwater-{}-{random:016x}.scope", std::process::id())
}

/// Returns a description that names the program, without its arguments.
fn description(program: &OsStr) -> String {
    let name = Path::new(program).file_name().unwrap_or(program).to_string_lossy();
    let name: String = printable(&name).chars().take(MAX_DESCRIPTION_CHARS).collect();
    format!("memory of {name}, measured by hwm")
}

#[cfg(test)]
mod tests;
