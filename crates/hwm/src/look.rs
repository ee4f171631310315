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
    process::{Arguments, ProcessFacts, ProcessReader, all_processes},
};

#[cfg_attr(not(all(test, target_os = "linux")), allow(unused_imports))] // HOST_PID
pub(crate) use self::{
    rates::{Cpu, Load},
    row::{DeviceRef, HOST_PID, Row},
    select::{Order, Selection},
};
use serde::Serialize;

use crate::{
    gpu_guard::{self, DriverWait},
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
    reader: ProcessReader,
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
    /// Processes whose arguments could not be read in time: their names are the kernel's, of at most 15 bytes.
    pub(crate) late: BTreeSet<u32>,
    /// Whether one of those would have been listed if its whole name matched.
    pub(crate) lacks_late: bool,
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
        self.refused.is_empty() && self.gaps.is_empty() && !self.lacks_nameless && !self.lacks_late
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

    /// Whether a whole name would have kept a late process in the rows.
    fn note_late(&mut self, selection: &Selection) {
        let is_late = |row: &&Row| !row.is_host_pid && self.late.contains(&row.pid);
        let wanted: Vec<&Row> =
            self.rows.iter().filter(is_late).filter(|row| selection.would_keep_named(row)).collect();
        self.lacks_late = wanted.iter().any(|row| !selection.keeps(row));
        self.late = wanted.iter().map(|row| row.pid).collect();
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
        gpu_guard::report_crashes();
        let reader = ProcessReader::new(roots.clone());
        let mut monitor = Monitor::with_roots(roots);
        let _wait = DriverWait::begin();
        if let Some(index) = selection.device {
            monitor.device(index)?;
        }
        Ok(Self { monitor, reader, users, selection, before: None })
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
        let wait = self.before.is_none().then(DriverWait::begin);
        let mut devices = self.monitor.devices();
        devices.retain(|device| self.selection.device.is_none_or(|index| index == device.index));
        let at = Instant::now();
        let listing = if self.selection.pids.is_empty() {
            self.monitor.usages()
        } else {
            self.monitor.usages_of(&self.selection.pids)
        };
        drop(wait);
        let Listing { usages, refused, vanished, gaps, .. } = listing;
        let gaps = gaps.iter().map(Missing::of).collect();
        let mut look = Look { refused, vanished, gaps, devices, ..Look::default() };
        let mut after = Before::at(at);
        let mut seen: HashMap<u32, Known> = HashMap::new();
        let mut asked: BTreeSet<u32> = self.selection.pids.iter().copied().collect();
        // A pid of the host's says nothing about the process that has it here.
        let of_space = |space| usages.iter().filter(move |usage| usage.pid_space == space);
        for usage in of_space(PidSpace::Host) {
            asked.remove(&usage.pid);
        }
        asked.extend(of_space(PidSpace::Own).map(|usage| usage.pid));
        self.read(&Vec::from_iter(asked), &mut seen, &mut after, &mut look);
        for usage in &usages {
            after.note_engines(usage);
            let device = look.devices.iter().find(|device| device.id == usage.device);
            let device = device.map_or_else(|| DeviceRef::only(&usage.device), DeviceRef::of);
            let mut row = Row::of_usage(usage, device);
            if let Some(known) = seen.get(&usage.pid).filter(|_| usage.pid_space == PidSpace::Own) {
                match known {
                    Ok(facts) => row.fill(facts, &mut self.users),
                    Err(why) => row.leave_unread(why, cfg!(windows)),
                }
            }
            self.rate(&mut row, Some(usage), &after);
            look.rows.push(row);
        }
        self.add_others(&mut look, &mut seen, &mut after);
        look.missing.retain(|pid| self.selection.pids.contains(pid));
        look.missing.sort_unstable();
        look.note_nameless(&seen, &self.selection);
        look.note_late(&self.selection);
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
        let mut others = pids;
        others.retain(|pid| !holders.contains(pid) && self.selection.may_be(*pid));
        let unread: Vec<u32> = others.iter().copied().filter(|pid| !seen.contains_key(pid)).collect();
        self.read(&unread, seen, after, look);
        for pid in others {
            let mut row = Row::without_usage(pid, look.refused.binary_search(&pid).is_ok());
            match seen.get(&pid) {
                Some(Ok(facts)) => row.fill(facts, &mut self.users),
                Some(Err(why)) if why.kind != Kind::Gone => row.leave_unread(why, cfg!(windows)),
                _ => {
                    look.vanished += 1;
                    continue;
                }
            }
            self.rate(&mut row, None, after);
            look.rows.push(row);
        }
    }

    /// Reads processes that this look has not read yet.
    fn read(&mut self, pids: &[u32], seen: &mut HashMap<u32, Known>, after: &mut Before, look: &mut Look) {
        seen.reserve(pids.len());
        for process in self.reader.read(pids) {
            let known = process.facts.map_err(|error| Unread::of(&error));
            match &known {
                Ok(facts) => after.note_cpu(facts, process.at),
                Err(why) if why.kind == Kind::Gone => look.missing.push(process.pid),
                Err(_) => {}
            }
            if process.arguments != Arguments::Asked {
                look.late.insert(process.pid);
            }
            seen.insert(process.pid, known);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_process_that_a_name_may_match_leaves_the_look_incomplete() {
        let look = |filter: Option<&str>| {
            let mut row = Row::without_usage(88, false);
            row.name = Ok("a-kernels-name".to_owned());
            let mut look = Look { rows: vec![row], late: [88, 99].into(), ..Look::default() };
            let filter = filter.map(|text| text.parse().expect("a pattern"));
            look.note_late(&Selection { all: true, filter, ..Selection::default() });
            look
        };
        assert_eq!(look(None).late, [88].into(), "99 has no row");
        assert!(look(None).is_complete() && look(Some("kernel")).is_complete());
        assert!(!look(Some("whole")).is_complete());
    }
}
