//! The choice of processes for a list.

use std::collections::HashSet;

use super::row::ProcessRow;

/// The processes that are listed. The default: those that hold GPU memory.
///
/// ```
/// use highwater::listing::{ListScope, ProcessLister};
///
/// let mut scope = ListScope::all();
/// scope.pids.insert(std::process::id());
/// let list = ProcessLister::new().list(&scope);
/// assert!(list.rows.iter().all(|row| row.pid == std::process::id()));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListScope {
    /// Only these processes; if empty, all.
    pub pids: HashSet<u32>,
    /// Only holders of memory on the device with this index.
    pub device: Option<u32>,
    /// Also processes that hold no GPU memory.
    pub without_gpu: bool,
}

impl ListScope {
    /// All processes of the machine.
    #[must_use]
    pub fn all() -> Self {
        Self { without_gpu: true, ..Self::default() }
    }

    /// Returns true for a pid in the scope.
    #[must_use]
    pub fn has_pid(&self, pid: u32) -> bool {
        self.pids.is_empty() || self.pids.contains(&pid)
    }

    /// Returns true for a row in the scope.
    pub(super) fn contains(&self, row: &ProcessRow) -> bool {
        let device = row.gpu.as_ref().and_then(|holding| holding.device.index);
        self.has_pid(row.pid) && (self.device.is_none() || self.device == device)
    }
}
