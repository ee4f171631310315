//! What every source of GPU figures can do.

use std::{collections::HashSet, fmt::Debug};

use super::{Device, Listing};
use crate::{Roots, Unavailable};

/// The processes whose memory is read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum PidFilter<'a> {
    /// All processes.
    All,
    /// These processes. Cost follows them, not the machine, where the source allows.
    Of(&'a HashSet<u32>),
}

impl PidFilter<'_> {
    /// Whether nobody but `pid` is meant.
    pub(crate) fn is_only(self, pid: u32) -> bool {
        matches!(self, Self::Of(pids) if pids.len() == 1 && pids.contains(&pid))
    }

    /// Whether `pid` is meant.
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
pub(crate) trait Backend: Debug + Send {
    /// What it is called in gaps and by the doctor.
    fn name(&self) -> &'static str;

    /// Which devices there are: who they are, and what of them never changes. Their figures may be unknown yet.
    ///
    /// # Errors
    /// Why none can be told: [`Unavailable::NoBackend`] where nothing of the sort is installed, which is no
    /// reason to worry; anything else is.
    fn find(&mut self, roots: &Roots) -> Result<Vec<Device>, Unavailable>;

    /// Reads the memory of one device that [`find`](Self::find) returned.
    fn read(&mut self, roots: &Roots, device: &mut Device);

    /// Appends what processes hold on `devices` (those that this backend found, or some of them), who could not be
    /// read, and what is missing.
    fn usages(&mut self, roots: &Roots, devices: &[Device], whose: PidFilter<'_>, into: &mut Listing);

    /// Adds what it knows of devices that other sources have found, too, once those have said what they know.
    fn complete(&mut self, _roots: &Roots, _devices: &[Device], _whose: PidFilter<'_>, _into: &mut Listing) {}

    /// What it saw, raw, for the doctor: a line each.
    fn raw(&mut self, _roots: &Roots) -> Vec<String> {
        Vec::new()
    }
}
