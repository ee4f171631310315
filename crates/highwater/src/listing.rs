//! Lists processes with their memory: RAM, and memory on GPUs.
//!
//! A row joins what the system knows of a process (name, user, RSS, CPU time) with what a GPU driver knows of it. All
//! processes of this machine:
//!
//! ```
//! use highwater::listing::{ListScope, ProcessLister};
//!
//! for row in ProcessLister::new().list(&ListScope::all()).rows {
//!     println!("{} {:?} {:?} RSS {:?} VRAM {:?}", row.pid, row.name, row.user, row.rss_bytes, row.vram_bytes());
//! }
//! ```
//!
//! A second list from the same [`ProcessLister`] also has loads: CPU and engines, between the two lists.
//! [`ProcessList`] says what may be missing from it.

mod rates;
mod row;
mod scope;
#[cfg(test)]
mod tests;
mod unread;
mod users;

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    time::Instant,
};

use self::{rates::ReadCounters, unread::UnreadProcess, users::UserNames};
use crate::{
    Error, Roots,
    gpu::{Device, Gap, GpuUsage, Listing, Monitor, PidSpace},
    process::{Arguments, ProcessFacts, ProcessReader, all_processes},
};

pub use self::{
    rates::{CpuLoad, EngineLoad},
    row::{GpuHolding, HoldingDevice, ProcessRow},
    scope::ListScope,
};

/// Lists processes again and again with the same sessions of the GPU drivers.
///
/// ```
/// use highwater::listing::{ListScope, ProcessLister};
///
/// let mut lister = ProcessLister::new();
/// lister.list(&ListScope::all());
/// std::thread::sleep(std::time::Duration::from_millis(50));
/// let list = lister.list(&ListScope::all());
/// for row in &list.rows {
///     if let Some(cpu) = row.cpu.filter(|cpu| cpu.percent > 50.0) {
///         println!("{} {:?}: {:.0} % of a processor", row.pid, row.name, cpu.percent);
///     }
/// }
/// println!("complete: {}", list.is_complete());
/// ```
#[derive(Debug)]
pub struct ProcessLister {
    monitor: Monitor,
    reader: ProcessReader,
    users: UserNames,
    before: Option<ReadCounters>,
}

/// The processes at one moment.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct ProcessList {
    /// One row a process and device; a process without GPU memory has one row.
    pub rows: Vec<ProcessRow>,
    /// The devices in the scope.
    pub devices: Vec<Device>,
    /// Processes whose use of GPUs this process may not see.
    pub refused: Vec<u32>,
    /// Number of processes that ended while they were read.
    pub vanished: u32,
    /// Drivers and devices that could not be read.
    pub gaps: Vec<Gap>,
    /// The reason why processes without GPU memory are missing.
    pub unlisted: Option<Error>,
    /// Pids in the scope that no process has.
    pub missing: Vec<u32>,
}

impl ProcessList {
    /// Returns true if no process of the scope can be missing.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.refused.is_empty() && self.gaps.is_empty() && self.unlisted.is_none()
    }
}

/// Figures of the GPU drivers: the first half of a list.
#[derive(Debug)]
pub struct GpuHolders {
    devices: Vec<Device>,
    listing: Listing,
    read_at: Instant,
}

impl Default for ProcessLister {
    fn default() -> Self {
        Self::new()
    }
}

impl ProcessLister {
    /// A lister for this machine. Drivers are opened at the first list.
    #[must_use]
    pub fn new() -> Self {
        Self::with_roots(Roots::default())
    }

    /// A lister for the procfs and sysfs that `roots` names.
    #[must_use]
    pub fn with_roots(roots: Roots) -> Self {
        Self {
            users: UserNames::of(&roots),
            reader: ProcessReader::new(roots.clone()),
            monitor: Monitor::with_roots(roots),
            before: None,
        }
    }

    /// The monitor that reads the GPUs.
    pub fn monitor(&mut self) -> &mut Monitor {
        &mut self.monitor
    }

    /// The roots that are read.
    #[must_use]
    pub fn roots(&self) -> &Roots {
        self.monitor.roots()
    }

    /// Lists the processes now. Loads are those since the list before.
    pub fn list(&mut self, scope: &ListScope) -> ProcessList {
        let holders = self.read_gpus(scope);
        self.join(scope, holders)
    }

    /// Reads the GPUs alone: the half of [`Self::list`] that may take seconds while a driver wakes up.
    pub fn read_gpus(&mut self, scope: &ListScope) -> GpuHolders {
        let mut devices = self.monitor.devices();
        devices.retain(|device| scope.device.is_none_or(|index| index == device.index));
        let read_at = Instant::now();
        let listing =
            if scope.pids.is_empty() { self.monitor.usages() } else { self.monitor.usages_of(&scope.pids) };
        GpuHolders { devices, listing, read_at }
    }

    /// Joins what the drivers know with what the system knows: the other half of [`Self::list`].
    pub fn join(&mut self, scope: &ListScope, holders: GpuHolders) -> ProcessList {
        let GpuHolders { devices, listing, read_at } = holders;
        let Listing { usages, refused, vanished, gaps } = listing;
        let list = ProcessList { devices, refused, vanished, gaps, ..ProcessList::default() };
        let mut join = Join {
            roots: self.monitor.roots(),
            reader: &mut self.reader,
            users: &mut self.users,
            before: self.before.as_ref(),
            now: ReadCounters::at(read_at),
            read: HashMap::new(),
            list,
        };
        join.read_asked(scope, &usages);
        join.add_holders(usages);
        join.add_others(scope);
        let Join { now, mut list, .. } = join;
        list.missing.retain(|pid| scope.pids.contains(pid));
        list.missing.sort_unstable();
        list.rows.retain(|row| scope.contains(row));
        self.before = Some(now);
        list
    }
}

/// A process as it was read for one list.
#[derive(Debug)]
struct KnownProcess {
    facts: Result<ProcessFacts, UnreadProcess>,
    arguments: Arguments,
}

/// One list in the making.
struct Join<'a> {
    roots: &'a Roots,
    reader: &'a mut ProcessReader,
    users: &'a mut UserNames,
    before: Option<&'a ReadCounters>,
    now: ReadCounters,
    /// Each process is read once a list.
    read: HashMap<u32, KnownProcess>,
    list: ProcessList,
}

impl Join<'_> {
    /// Reads the holders of GPU memory and the pids of the scope.
    fn read_asked(&mut self, scope: &ListScope, usages: &[GpuUsage]) {
        let mut asked: BTreeSet<u32> = scope.pids.iter().copied().collect();
        // A pid of the host says nothing about the process that has it here.
        let of_space = |space| usages.iter().filter(move |usage| usage.pid_space == space);
        for usage in of_space(PidSpace::Host) {
            asked.remove(&usage.pid);
        }
        asked.extend(of_space(PidSpace::Own).map(|usage| usage.pid));
        self.read(&Vec::from_iter(asked));
    }

    /// Adds a row for each process and device.
    fn add_holders(&mut self, usages: Vec<GpuUsage>) {
        for usage in usages {
            self.now.note_engines(&usage);
            let device = self.list.devices.iter().find(|device| device.id == usage.device);
            let device = device.map_or_else(|| HoldingDevice::unlisted(&usage.device), HoldingDevice::of);
            let loads = self.before.map(|before| self.now.loads_since(before, &usage));
            let (pid, pid_space) = (usage.pid, usage.pid_space);
            let holding = GpuHolding { device, usage, loads: loads.unwrap_or_default() };
            let mut row = ProcessRow::holding(pid, pid_space, holding);
            if pid_space == PidSpace::Own {
                self.complete(&mut row);
            }
            self.list.rows.push(row);
        }
    }

    /// Adds a row for each process that holds no GPU memory, as far as this process can see.
    fn add_others(&mut self, scope: &ListScope) {
        if !scope.without_gpu || scope.device.is_some() {
            return;
        }
        let mut others = match all_processes(self.roots) {
            Ok(pids) => pids,
            Err(error) => {
                self.list.unlisted = Some(error);
                return;
            }
        };
        let own = self.list.rows.iter().filter(|row| row.pid_space == PidSpace::Own);
        let holders: HashSet<u32> = own.map(|row| row.pid).collect();
        others.retain(|&pid| !holders.contains(&pid) && scope.has_pid(pid));
        let unread: Vec<u32> = others.iter().copied().filter(|pid| !self.read.contains_key(pid)).collect();
        self.read(&unread);
        for pid in others {
            let is_gone = |known: &KnownProcess| known.facts.as_ref().is_err_and(UnreadProcess::is_gone);
            if self.read.get(&pid).is_none_or(is_gone) {
                self.list.vanished += 1;
                continue;
            }
            let mut row = ProcessRow::new(pid);
            row.gpu_refused = self.list.refused.binary_search(&pid).is_ok();
            self.complete(&mut row);
            self.list.rows.push(row);
        }
    }

    /// Adds what was read of the row's process.
    fn complete(&mut self, row: &mut ProcessRow) {
        if let Some(known) = self.read.get(&row.pid) {
            row.arguments = known.arguments;
            match &known.facts {
                Ok(facts) => row.fill(facts, self.users),
                Err(unread) => row.leave_unread(unread, cfg!(windows)),
            }
        }
        row.cpu = self.before.and_then(|before| self.now.cpu_since(before, row.pid));
    }

    /// Reads processes that this list has not read yet.
    fn read(&mut self, pids: &[u32]) {
        self.read.reserve(pids.len());
        for process in self.reader.read(pids) {
            let facts = process.facts.map_err(|error| UnreadProcess::of(&error));
            match &facts {
                Ok(facts) => self.now.note_cpu(facts, process.at),
                Err(unread) if unread.is_gone() => self.list.missing.push(process.pid),
                Err(_) => {}
            }
            self.read.insert(process.pid, KnownProcess { facts, arguments: process.arguments });
        }
    }
}
