//! One pass over the rows of a job, however many, that keeps the few to be shown.

use std::{
    borrow::Borrow,
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    io,
};

use highwater::record::{Certainty, PeakMemory, Process};

use super::lines::with_certainty;
use crate::filter::RowFilter;

/// The largest number of processes that are named though they outlive the measurement.
const MAX_NAMED_RUNNING: usize = 5;

/// One process to be shown. Ordered by peak (an unknown one is the smallest), then the first seen first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TallyRow {
    bytes: Option<u64>,
    order: Reverse<u64>,
    pub(crate) pid: u32,
    pub(crate) name: String,
    is: TallyLimit,
}

/// The side of the figure on which the truth lies; [`Certainty`] has no order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum TallyLimit {
    Near,
    AtLeast,
    AtMost,
}

impl TallyRow {
    fn new(process: &Process, order: u64) -> Self {
        let peak = process.peak.rss;
        let bytes = peak.map(|peak| peak.bytes).or(process.max_rss_kib.map(|kib| kib.saturating_mul(1024)));
        let is = match peak.map(|peak| peak.certainty) {
            Some(Certainty::AtLeast) => TallyLimit::AtLeast,
            Some(Certainty::AtMost) => TallyLimit::AtMost,
            _ => TallyLimit::Near,
        };
        Self { bytes, order: Reverse(order), pid: process.pid, name: process.display_name().to_owned(), is }
    }

    /// Returns whether its peak is known to be higher.
    pub(crate) fn exceeds(&self, bytes: u64) -> bool {
        self.bytes.is_some_and(|peak| peak > bytes)
    }

    /// Returns the number of the process's row.
    pub(crate) fn index(&self) -> usize {
        usize::try_from(self.order.0).unwrap_or(usize::MAX)
    }

    pub(crate) fn size(&self) -> String {
        let certainty = match self.is {
            TallyLimit::Near => Certainty::Sampled,
            TallyLimit::AtLeast => Certainty::AtLeast,
            TallyLimit::AtMost => Certainty::AtMost,
        };
        self.bytes.map_or_else(|| "unknown".to_owned(), |bytes| with_certainty(bytes, certainty))
    }
}

/// The facts about all rows that the summary needs.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// The largest process of all, listed or not, if any size is known.
    pub(crate) largest: Option<TallyRow>,
    /// Number of rows that are listed.
    pub(crate) matching: u64,
    /// Number of them that have no figure: they exited before they were read.
    pub(crate) unread: u64,
    /// Pid and name of the first few that outlived the measurement.
    pub(crate) still_running: Vec<(u32, String)>,
    /// The largest of the listed that have a figure, the smallest of them on top.
    top: BinaryHeap<Reverse<TallyRow>>,
    /// Names of the processes that held the memory at the peak, by the number of their row.
    holders: HashMap<u64, String>,
}

impl Tally {
    /// Reads all rows once, keeping the `top` largest of the listed ones, and the names of those that held `memory`.
    pub(crate) fn of<P: Borrow<Process>>(
        rows: impl IntoIterator<Item = io::Result<P>>,
        top: usize,
        filter: &RowFilter,
        memory: Option<&PeakMemory>,
    ) -> io::Result<Self> {
        let holders = memory.and_then(|memory| memory.holders.as_ref());
        let holders = holders.iter().flat_map(|holders| &holders.largest);
        let mut tally = Self {
            holders: holders.map(|holder| (holder.process, String::new())).collect(),
            ..Self::default()
        };
        for (process, order) in rows.into_iter().zip(0..) {
            let process = process?;
            let process = process.borrow();
            let row = TallyRow::new(process, order);
            if let Some(name) = tally.holders.get_mut(&order) {
                process.display_name().clone_into(name);
            }
            if row.bytes.is_some() && tally.largest.as_ref().is_none_or(|largest| row > *largest) {
                tally.largest = Some(row.clone());
            }
            if process.still_running && tally.still_running.len() < MAX_NAMED_RUNNING {
                tally.still_running.push((process.pid, process.display_name().to_owned()));
            }
            if filter.lists(&process.command) {
                tally.matching += 1;
                if row.bytes.is_none() {
                    tally.unread += 1;
                    continue;
                }
                tally.top.push(Reverse(row));
                if tally.top.len() > top {
                    tally.top.pop();
                }
            }
        }
        Ok(tally)
    }

    /// Returns the name of a process that held the memory at the peak.
    pub(crate) fn holder_name(&self, row: u64) -> Option<&str> {
        self.holders.get(&row).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// Returns the kept rows, largest first.
    pub(crate) fn rows(&self) -> Vec<&TallyRow> {
        let mut rows: Vec<_> = self.top.iter().map(|Reverse(row)| row).collect();
        rows.sort_by(|one, two| two.cmp(one));
        rows
    }
}
