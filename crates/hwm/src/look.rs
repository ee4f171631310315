//! One look at all processes that hold GPU memory: joins what the drivers say with what the system says, and with
//! the look before, which makes rates.

mod rates;
mod row;
mod select;
mod unread;

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    time::Instant,
};

use highwater::{
    Error, Roots, Unavailable,
    gpu::{Device, DeviceId, Gap, Listing, Monitor, PidSpace, Usage},
    process::{ProcessFacts, all_processes},
};

#[cfg_attr(not(all(test, target_os = "linux")), allow(unused_imports))] // HOST_PID
pub(crate) use self::{
    rates::{Cpu, Load},
    row::{DeviceRef, HOST_PID, Row},
    select::{Order, Selection},
};
use serde::Serialize;

use crate::{
    drivers::{self, Patience},
    users::Users,
};
use rates::Before;
use unread::{Kind, Unread};

/// Who lists the processes: where that fails, this part of the picture is missing.
const LISTED_BY: &str = if cfg!(windows) {
    "EnumProcesses"
} else if cfg!(target_os = "macos") {
    "proc_listallpids"
} else {
    "procfs"
};

/// Looks again and again with the same drivers' sessions.
#[derive(Debug)]
pub(crate) struct Looker {
    monitor: Monitor,
    users: Users,
    selection: Selection,
    before: Option<Before>,
}

/// A part of the picture that is missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Missing {
    /// Which driver, device or file system.
    pub(crate) what: String,
    pub(crate) why: String,
}

impl Missing {
    pub(crate) fn of(gap: &Gap) -> Self {
        Self { what: gap.what.clone(), why: gap.why.to_string() }
    }
}

/// What one look found.
#[derive(Debug, Default)]
pub(crate) struct Look {
    /// One row a process and device, in the order that was asked for.
    pub(crate) rows: Vec<Row>,
    /// Processes that we may not look into.
    pub(crate) refused: Vec<u32>,
    /// Processes that are there and whose names we may not read.
    pub(crate) nameless: BTreeSet<u32>,
    /// Whether one of those would have been listed if its name could be matched.
    pub(crate) lacks_nameless: bool,
    /// Processes that ended while they were read.
    pub(crate) vanished: u32,
    /// Drivers and devices that could not be asked.
    pub(crate) gaps: Vec<Missing>,
    /// Pids that were asked for and that nobody has.
    pub(crate) missing: Vec<u32>,
    /// The devices that were asked for.
    pub(crate) devices: Vec<Device>,
}

impl Look {
    /// Whether nothing of what was asked for may be missing.
    pub(crate) fn is_complete(&self) -> bool {
        self.refused.is_empty() && self.gaps.is_empty() && !self.lacks_nameless
    }

    /// Who is protected from us, and whether that keeps one from the rows. Those that were refused are counted already.
    fn note_nameless(&mut self, seen: &HashMap<u32, Known>, selection: &Selection) {
        let is_protected = |pid: u32| match seen.get(&pid) {
            Some(Err(why)) => why.kind == Kind::Protected,
            Some(Ok(facts)) => facts.name.as_ref().is_err_and(|why| *why != Unavailable::Vanished),
            None => false,
        };
        let nameless = self.rows.iter().filter(|row| {
            !row.is_host_pid && row.name.is_err() && is_protected(row.pid) && !self.refused.contains(&row.pid)
        });
        let wanted: Vec<&Row> = nameless.filter(|row| selection.would_keep_named(row)).collect();
        self.lacks_nameless = wanted.iter().any(|row| !selection.keeps(row));
        self.nameless = wanted.iter().map(|row| row.pid).collect();
    }

    /// How many processes there are; one on two devices counts once.
    pub(crate) fn processes(&self) -> usize {
        self.rows.iter().map(|row| (row.is_host_pid, row.pid)).collect::<HashSet<_>>().len()
    }
}

impl Looker {
    /// # Errors
    /// Where the selection names a device that is not there; how many there are is in the message.
    pub(crate) fn new(roots: Roots, selection: Selection) -> Result<Self, Error> {
        let users = Users::of(&roots);
        drivers::tell_of_crashes();
        let mut monitor = Monitor::with_roots(roots);
        let _patience = Patience::begin();
        if let Some(index) = selection.device {
            monitor.device(index)?;
        }
        Ok(Self { monitor, users, selection, before: None })
    }

    pub(crate) fn selection(&self) -> &Selection {
        &self.selection
    }

    /// Whether time passes in what is read: a recorded tree stands still.
    pub(crate) fn is_live(&self) -> bool {
        self.monitor.roots().is_this_machine()
    }

    /// Looks now. Rates are since the look before.
    pub(crate) fn look(&mut self) -> Look {
        let patience = self.before.is_none().then(Patience::begin);
        let mut devices = self.monitor.devices();
        devices.retain(|device| self.selection.device.is_none_or(|index| index == device.index));
        let at = Instant::now();
        let listing = if self.selection.pids.is_empty() {
            self.monitor.usages()
        } else {
            self.monitor.usages_of(&self.selection.pids)
        };
        drop(patience);
        let Listing { usages, refused, vanished, gaps, .. } = listing;
        let gaps = gaps.iter().map(Missing::of).collect();
        let mut look = Look { refused, vanished, gaps, devices, ..Look::default() };
        let mut after = Before::at(at);
        let mut seen: HashMap<u32, Known> = HashMap::new();
        for usage in &usages {
            after.note_engines(usage);
            let device = look.devices.iter().find(|device| device.id == usage.device);
            let device = device.map_or_else(|| DeviceRef::only(&usage.device), DeviceRef::of);
            let mut row = Row::of_usage(usage, device);
            if usage.pid_space == PidSpace::Own {
                match self.facts(usage.pid, &mut seen, &mut after, &mut look.missing) {
                    Ok(facts) => row.fill(&facts, &mut self.users),
                    Err(why) => row.leave_unread(&why, cfg!(windows)),
                }
            }
            self.rate(&mut row, Some(usage), &after);
            look.rows.push(row);
        }
        self.add_others(&mut look, &mut seen, &mut after);
        if !self.selection.pids.is_empty() {
            let known: HashSet<u32> = look.rows.iter().map(|row| row.pid).collect();
            for &pid in self.selection.pids.iter().filter(|pid| !known.contains(pid)) {
                // Only whether it is there.
                let _ = self.facts(pid, &mut seen, &mut after, &mut look.missing);
            }
        }
        look.missing.retain(|pid| self.selection.pids.contains(pid));
        look.missing.sort_unstable();
        look.note_nameless(&seen, &self.selection);
        look.rows.retain(|row| self.selection.keeps(row));
        self.selection.sort(&mut look.rows);
        self.before = Some(after);
        look
    }

    /// With `--all`: a row for each process that holds no GPU memory, as far as one sees.
    fn add_others(&mut self, look: &mut Look, seen: &mut HashMap<u32, Known>, after: &mut Before) {
        if !self.selection.all || self.selection.device.is_some() {
            return;
        }
        let holders: HashSet<u32> =
            look.rows.iter().filter(|row| !row.is_host_pid).map(|row| row.pid).collect();
        let pids = match all_processes(self.monitor.roots()) {
            Ok(pids) => pids,
            Err(error) => {
                look.gaps.push(Missing { what: LISTED_BY.to_owned(), why: error.to_string() });
                return;
            }
        };
        for pid in pids {
            if holders.contains(&pid) || !self.selection.may_be(pid) {
                continue;
            }
            let mut row = Row::without_usage(pid, look.refused.binary_search(&pid).is_ok());
            match self.facts(pid, seen, after, &mut look.missing) {
                Ok(facts) => row.fill(&facts, &mut self.users),
                Err(Unread { kind: Kind::Gone, .. }) => {
                    look.vanished += 1;
                    continue;
                }
                Err(why) => row.leave_unread(&why, cfg!(windows)),
            }
            self.rate(&mut row, None, after);
            look.rows.push(row);
        }
    }

    /// Reads a process once a look.
    fn facts(
        &self,
        pid: u32,
        seen: &mut HashMap<u32, Known>,
        after: &mut Before,
        missing: &mut Vec<u32>,
    ) -> Known {
        let read = || match ProcessFacts::read(self.monitor.roots(), pid) {
            Ok(facts) => {
                after.note_cpu(&facts);
                Ok(facts)
            }
            Err(error) => {
                let why = Unread::of(&error);
                if why.kind == Kind::Gone {
                    missing.push(pid);
                }
                Err(why)
            }
        };
        seen.entry(pid).or_insert_with(read).clone()
    }

    fn rate(&self, row: &mut Row, usage: Option<&Usage>, after: &Before) {
        let Some(before) = &self.before else { return };
        if !row.is_host_pid {
            row.cpu = after.cpu_since(before, row.pid);
        }
        if let Some(usage) = usage {
            row.engines = after.loads_since(before, usage);
        }
    }
}

/// What the system says of a process, or why nothing.
type Known = Result<ProcessFacts, Unread>;
/// A process's place in what was noted of engines.
type Holder = (u32, DeviceId);
