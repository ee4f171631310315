//! Processes for `hwm ps` and `hwm watch`: the library's list, and the rows of it that were asked for.

use std::collections::{BTreeSet, HashSet};

use highwater::{
    Error, Roots, Unavailable,
    gpu::{Device, PidSpace},
    listing::{ListScope, ProcessList, ProcessLister, ProcessRow},
    process::Arguments,
};

use crate::{
    gpu_guard::{self, DriverWait},
    missing_part::MissingPart,
    process_selection::ProcessSelection,
};

/// The source of the list: if it fails, processes are missing.
const LIST_SOURCE: &str = if cfg!(windows) {
    "EnumProcesses"
} else if cfg!(target_os = "macos") {
    "proc_listallpids"
} else {
    "procfs"
};

/// The reason why nothing but the pid is known of a process of the host, and what would help.
const HOST_PID_REASON: &str = "host pid; run with --pid=host, or with the host's /proc and --procfs";

/// Lists the selected processes again and again.
#[derive(Debug)]
pub(crate) struct SelectiveLister {
    lister: ProcessLister,
    selection: ProcessSelection,
    is_first: bool,
}

/// The selected processes at one moment.
#[derive(Debug, Default)]
pub(crate) struct SelectedProcesses {
    /// One row a process and device, in the order that was asked for.
    pub(crate) rows: Vec<ProcessRow>,
    /// Processes whose use of GPUs hwm may not see.
    pub(crate) refused: Vec<u32>,
    /// Processes that run and whose names hwm may not read.
    pub(crate) nameless: BTreeSet<u32>,
    /// True if one of those would have been listed if its name could be matched.
    pub(crate) lacks_nameless: bool,
    /// Processes whose arguments could not be read in time. Their names are the kernel's, of at most 15 bytes, or
    /// unknown.
    pub(crate) late: BTreeSet<u32>,
    /// Late processes without any figure: not even their facts came in time.
    pub(crate) unread: BTreeSet<u32>,
    /// True if one of the late ones would have been listed if its whole name matched, or has no name and no memory.
    pub(crate) lacks_late: bool,
    /// Number of processes that ended while they were read.
    pub(crate) vanished: u32,
    /// Drivers and devices that could not be read.
    pub(crate) gaps: Vec<MissingPart>,
    /// Pids that were asked for and that no process has.
    pub(crate) missing: Vec<u32>,
    /// The devices that were asked for.
    pub(crate) devices: Vec<Device>,
}

impl SelectiveLister {
    /// # Errors
    /// Fails if the selection names a missing device; the message has the number of devices.
    pub(crate) fn new(roots: Roots, selection: ProcessSelection) -> Result<Self, Error> {
        gpu_guard::report_crashes();
        let mut lister = ProcessLister::with_roots(roots);
        let _wait = DriverWait::begin();
        if let Some(index) = selection.scope.device {
            lister.monitor().device(index)?;
        }
        Ok(Self { lister, selection, is_first: true })
    }

    pub(crate) fn selection(&self) -> &ProcessSelection {
        &self.selection
    }

    /// Returns whether this machine is listed. In a recorded tree no time passes.
    pub(crate) fn is_live(&self) -> bool {
        self.lister.roots().is_this_machine()
    }

    /// Lists them now. Loads are those since the list before.
    pub(crate) fn list(&mut self) -> SelectedProcesses {
        let scope: &ListScope = &self.selection.scope;
        let wait = self.is_first.then(DriverWait::begin);
        let holders = self.lister.read_gpus(scope);
        drop(wait);
        self.is_first = false;
        SelectedProcesses::of(self.lister.join(scope, holders), &self.selection)
    }
}

impl SelectedProcesses {
    fn of(list: ProcessList, selection: &ProcessSelection) -> Self {
        let ProcessList { mut rows, devices, refused, vanished, gaps, unlisted, missing, .. } = list;
        let (mut nameless, mut lacks_nameless) = (BTreeSet::new(), false);
        let (mut late, mut unread, mut lacks_late) = (BTreeSet::new(), BTreeSet::new(), false);
        for row in rows.iter().filter(|row| selection.would_keep_named(row)) {
            if is_protected(row) && !refused.contains(&row.pid) {
                nameless.insert(row.pid);
                lacks_nameless |= !selection.keeps(row);
            }
            if row.arguments != Arguments::Asked {
                late.insert(row.pid);
                let is_unread = row.name.is_err() && row.state.is_none();
                if is_unread {
                    unread.insert(row.pid);
                }
                lacks_late |= is_unread || !selection.keeps(row);
            }
        }
        let unmatched = unmatched(&rows, selection);
        rows.retain(|row| selection.keeps(row));
        selection.sort(&mut rows);
        let unlisted =
            unlisted.map(|error| MissingPart { what: LIST_SOURCE.to_owned(), why: error.to_string() });
        let gaps = gaps.iter().map(MissingPart::of).chain(unlisted).chain(unmatched).collect();
        Self {
            rows,
            refused,
            nameless,
            lacks_nameless,
            late,
            unread,
            lacks_late,
            vanished,
            gaps,
            missing,
            devices,
        }
    }

    /// Returns whether no selected process can be missing.
    pub(crate) fn is_complete(&self) -> bool {
        self.refused.is_empty() && self.gaps.is_empty() && !self.lacks_nameless && !self.lacks_late
    }

    /// Returns the number of processes; one on two devices counts once.
    pub(crate) fn process_count(&self) -> usize {
        self.rows.iter().map(|row| (row.pid_space, row.pid)).collect::<HashSet<_>>().len()
    }
}

/// Returns the processes that reading failed for, if a filter on their names leaves them out.
fn unmatched(rows: &[ProcessRow], selection: &ProcessSelection) -> Option<MissingPart> {
    let left_out = rows.iter().filter(|row| selection.would_keep_named(row) && !selection.keeps(row));
    let mut failed = left_out.filter_map(|row| match &row.name {
        Err(Unavailable::Failed(why)) => Some(why),
        _ => None,
    });
    let why = failed.next()?;
    let names = match 1 + failed.count() {
        1 => "the name of one process".to_owned(),
        count => format!("the names of {count} processes"),
    };
    Some(MissingPart { what: LIST_SOURCE.to_owned(), why: format!("{names} could not be read: {why}") })
}

/// True if the process runs and its name may not be read.
fn is_protected(row: &ProcessRow) -> bool {
    match &row.name {
        Ok(_) => false,
        Err(_) if row.pid_space == PidSpace::Host => false,
        // A row without a state could not be read at all.
        Err(why) if row.state.is_none() => *why == Unavailable::PermissionDenied,
        Err(why) => *why != Unavailable::Vanished,
    }
}

/// Returns the reason why the name of a process is unknown, and what would help.
pub(crate) fn why_nameless(row: &ProcessRow) -> Option<String> {
    let why = row.name.as_ref().err()?;
    Some(match (row.pid_space, row.state, why) {
        (PidSpace::Host, ..) => HOST_PID_REASON.to_owned(),
        (_, None, Unavailable::Vanished) => {
            "no such process here; it has ended, or is hidden from this user".to_owned()
        }
        (_, None, Unavailable::Failed(text)) => text.clone(),
        (_, _, why) => why.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_process_leaves_the_list_incomplete() {
        let found = |filter: Option<&str>| {
            let mut row = ProcessRow::new(88);
            row.name = Ok("a-kernels-name".to_owned());
            row.arguments = Arguments::Late;
            let mut list = ProcessList::default();
            list.rows = vec![row];
            let filter = filter.map(|text| text.parse().expect("a pattern"));
            let scope = ListScope::all();
            SelectedProcesses::of(list, &ProcessSelection { scope, filter, ..ProcessSelection::default() })
        };
        assert_eq!(found(None).late, [88].into());
        assert!(found(None).is_complete() && found(Some("kernel")).is_complete());
        assert!(!found(Some("whole")).is_complete());
        assert!(found(None).unread.is_empty());
    }

    #[test]
    fn an_unread_process_is_named_and_leaves_the_list_incomplete() {
        let found = |filter: Option<&str>| {
            let mut row = ProcessRow::new(88);
            row.name = Err(Unavailable::Failed("it did not answer in time".to_owned()));
            row.rss_bytes = row.name.clone().map(|_| 0);
            row.arguments = Arguments::Late;
            let mut list = ProcessList::default();
            list.rows = vec![row];
            let filter = filter.map(|text| text.parse().expect("a pattern"));
            let scope = ListScope::all();
            SelectedProcesses::of(list, &ProcessSelection { scope, filter, ..ProcessSelection::default() })
        };
        for filter in [None, Some("any")] {
            let found = found(filter);
            assert_eq!((&found.late, &found.unread), (&[88].into(), &[88].into()));
            assert!(!found.is_complete());
        }
        assert_eq!(found(None).rows.len(), 1);
    }
}
