//! The process rows of a running job.

use std::fmt;

use serde::{Serialize, Serializer};

use super::Ledger;
use crate::record::{Process, Record};

/// The process rows so far: rows in memory of exited processes, then rows of living ones. Each row is made when it is
/// asked for, so a checkpoint of a thousand processes takes the memory of one.
#[derive(Clone, Copy)]
pub struct RowsSoFar<'a>(&'a Ledger);

impl<'a> RowsSoFar<'a> {
    pub(super) fn of(ledger: &'a Ledger) -> Self {
        Self(ledger)
    }

    /// Returns the number of rows.
    pub fn len(&self) -> usize {
        self.0.rows.in_memory().len() + self.0.living.len()
    }

    /// Returns whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Iterates over the rows.
    pub fn iter(&self) -> impl Iterator<Item = Process> + '_ {
        let Self(ledger) = self;
        let living = ledger.living.iter().map(|(&id, member)| {
            let mut row = member.row(ledger.header.started, None, ledger.usage.wanted());
            row.peak.vram = ledger.gpu.peak_of(id);
            row
        });
        ledger.rows.in_memory().iter().cloned().chain(living)
    }
}

impl fmt::Debug for RowsSoFar<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl Serialize for RowsSoFar<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl Record<RowsSoFar<'_>> {
    /// Returns the record with all rows in memory.
    pub fn into_memory(self) -> Record {
        let processes = self.processes.iter().collect();
        self.with_processes(processes)
    }
}
