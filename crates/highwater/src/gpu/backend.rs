//! The interface of every source of GPU figures.

use std::{collections::HashSet, fmt::Debug};

use super::{Device, GpuQuerySource, Listing};
use crate::{Roots, Unavailable};

/// The processes that a query asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum PidFilter<'a> {
    /// All processes.
    All,
    /// These processes. Where the source allows, the cost grows with their number and not with the machine's.
    Of(&'a HashSet<u32>),
}

impl PidFilter<'_> {
    /// Returns whether the query asks for `pid` alone.
    pub(crate) fn is_only(self, pid: u32) -> bool {
        matches!(self, Self::Of(pids) if pids.len() == 1 && pids.contains(&pid))
    }

    /// Returns whether the query asks for `pid`.
    pub(crate) fn holds(self, pid: u32) -> bool {
        match self {
            Self::All => true,
            Self::Of(pids) => pids.contains(&pid),
        }
    }
}

/// One source of GPU figures: a vendor's library, or the kernel's common interface.
///
/// A backend is opened once and kept. It never panics on what a driver says.
pub(crate) trait GpuBackend: Debug + Send {
    /// Returns the name of the source in gaps and in the doctor's report.
    fn name(&self) -> &'static str;

    /// Returns the source that it queries.
    fn source(&self) -> GpuQuerySource;

    /// Finds the devices with their identity and all that never changes. Their figures may be unknown yet.
    ///
    /// # Errors
    /// The reason why no device can be listed. [`Unavailable::NoBackend`] means that nothing of the sort is
    /// installed, which is no fault; any other reason is one.
    fn find(&mut self, roots: &Roots) -> Result<Vec<Device>, Unavailable>;

    /// Reads the memory of one device that [`find`](Self::find) returned.
    fn read(&mut self, roots: &Roots, device: &mut Device);

    /// Appends the memory of processes on `devices`, the pids that could not be read, and the gaps. The devices are all
    /// or some of those that this backend found.
    fn usages(&mut self, roots: &Roots, devices: &[Device], whose: PidFilter<'_>, into: &mut Listing);

    /// Adds what it knows of devices that other sources found too, after those sources have reported.
    fn complete(&mut self, _roots: &Roots, _devices: &[Device], _whose: PidFilter<'_>, _into: &mut Listing) {}

    /// Returns raw values for the doctor, one line each.
    fn raw(&mut self, _roots: &Roots) -> Vec<String> {
        Vec::new()
    }
}
