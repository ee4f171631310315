//! A process on a device, or one that holds no GPU memory.

use super::{
    rates::{CpuLoad, EngineLoad},
    unread::UnreadProcess,
    users::UserNames,
};
use crate::{
    Unavailable,
    gpu::{Device, DeviceId, Figure, GpuUsage, PidSpace},
    process::{Arguments, ProcessFacts},
};

/// A process with its memory; one that uses several devices has a row for each.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ProcessRow {
    /// The pid, in the namespace that `pid_space` names.
    pub pid: u32,
    /// The namespace of the pid. Nothing but GPU memory is known of a process with a pid of the host.
    pub pid_space: PidSpace,
    /// The program's name, as [`ProcessFacts::name`]; a kernel thread's stands in brackets. Text that the process chose:
    /// it may hold anything, terminal escapes too.
    pub name: Result<String, Unavailable>,
    /// The outcome of reading the arguments. If they were not read in time, `name` is the kernel's (Linux: at most 15 bytes).
    pub arguments: Arguments,
    /// The user's name; the number of a user without a name. Windows: the account. `NotProvided` if nothing is known.
    pub user: Result<String, Unavailable>,
    /// The user's number (real user id).
    pub uid: Option<u32>,
    /// The state, as [`ProcessFacts::state`]; `None` if the process could not be read.
    pub state: Option<char>,
    /// The start time, which distinguishes processes with the same pid.
    pub start_ticks: Option<u64>,
    /// Resident set size, as [`ProcessFacts::rss_bytes`].
    #[doc(alias = "VmRSS")]
    pub rss_bytes: Result<u64, Unavailable>,
    /// The use of processors since the list before.
    pub cpu: Option<CpuLoad>,
    /// GPU memory, if any was found.
    pub gpu: Option<GpuHolding>,
    /// True if it may hold GPU memory that this process may not see.
    pub gpu_refused: bool,
}

/// The memory of a process on a device.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct GpuHolding {
    /// The device.
    pub device: HoldingDevice,
    /// The driver's figures.
    pub usage: GpuUsage,
    /// The use of the device's engines since the list before.
    pub loads: Vec<EngineLoad>,
}

/// The device of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HoldingDevice {
    /// Its place in the list of devices; `None` if it is not in there.
    pub index: Option<u32>,
    /// The device's identity, the same in every call.
    pub id: DeviceId,
    /// Its name, if the driver has one.
    pub name: Option<String>,
    /// True if it shares the system's RAM; `None` if the driver does not say.
    pub unified: Option<bool>,
}

impl HoldingDevice {
    /// A device of the list.
    #[must_use]
    pub fn of(device: &Device) -> Self {
        Self {
            index: Some(device.index),
            id: device.id.clone(),
            name: device.name.clone(),
            unified: device.unified,
        }
    }

    /// A device that is not in the list.
    #[must_use]
    pub fn unlisted(id: &DeviceId) -> Self {
        Self { index: None, id: id.clone(), name: None, unified: None }
    }
}

impl GpuHolding {
    /// A holding without loads.
    #[must_use]
    pub fn new(device: HoldingDevice, usage: GpuUsage) -> Self {
        Self { device, usage, loads: Vec::new() }
    }
}

impl ProcessRow {
    /// A row of which nothing but the pid is known.
    #[must_use]
    pub fn new(pid: u32) -> Self {
        Self {
            pid,
            pid_space: PidSpace::Own,
            name: Err(Unavailable::Vanished),
            arguments: Arguments::Asked,
            user: Err(Unavailable::NotProvided),
            uid: None,
            state: None,
            start_ticks: None,
            rss_bytes: Err(Unavailable::Vanished),
            cpu: None,
            gpu: None,
            gpu_refused: false,
        }
    }

    /// A row of which nothing but the GPU memory is known.
    pub(super) fn holding(pid: u32, pid_space: PidSpace, gpu: GpuHolding) -> Self {
        let row = Self { pid_space, gpu: Some(gpu), ..Self::new(pid) };
        match pid_space {
            PidSpace::Own => row,
            PidSpace::Host => Self {
                name: Err(Unavailable::PidNamespace),
                rss_bytes: Err(Unavailable::PidNamespace),
                ..row
            },
        }
    }

    /// Returns the memory on the card; `None` if the process holds none.
    #[must_use]
    pub fn vram(&self) -> Option<&Figure> {
        self.gpu.as_ref().map(|holding| &holding.usage.vram)
    }

    /// Returns the system RAM that its buffers on the device take; `None` if the process holds none.
    #[must_use]
    pub fn gpu_system_memory(&self) -> Option<&Figure> {
        self.gpu.as_ref().map(|holding| &holding.usage.system)
    }

    /// Returns the memory on the card in bytes; `None` if there is none, or the driver does not report it.
    #[must_use]
    pub fn vram_bytes(&self) -> Option<u64> {
        self.vram().and_then(Figure::bytes)
    }

    /// Adds the facts that the system knows.
    pub(super) fn fill(&mut self, facts: &ProcessFacts, users: &mut UserNames) {
        self.name = match &facts.name {
            Ok(name) if facts.is_kernel_thread => Ok(format!("[{name}]")),
            name => name.clone(),
        };
        self.uid = facts.uid;
        self.user = facts.uid.map_or_else(|| facts.account.clone(), |uid| Ok(users.name(uid)));
        self.state = Some(facts.state);
        self.start_ticks = Some(facts.id.start_ticks);
        self.rss_bytes.clone_from(&facts.rss_bytes);
    }

    /// Adds the reason why nothing could be read.
    pub(super) fn leave_unread(&mut self, unread: &UnreadProcess, is_windows: bool) {
        let is_denied = is_windows && *unread == UnreadProcess::Denied;
        // Windows opens the process of its kernel to no one, and its pid is always the same.
        self.name =
            if is_denied && self.pid == 4 { Ok("[kernel]".to_owned()) } else { Err(unread.of_name()) };
        if is_denied {
            self.user = Err(Unavailable::PermissionDenied);
        }
        self.rss_bytes = Err(unread.of_memory());
    }
}
