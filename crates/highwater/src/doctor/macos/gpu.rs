//! GPUs: the figures of Metal, I/O Kit and the kernel's ledger.

use super::verdict;
use crate::{Roots, doctor::MechanismState, gpu::Monitor};

pub(super) fn devices(roots: &Roots) -> MechanismState {
    let mut monitor = Monitor::with_roots(roots.clone());
    let devices = monitor.devices();
    if devices.is_empty() {
        let gaps: Vec<String> =
            monitor.gaps().iter().map(|gap| format!("{}: {}", gap.what, gap.why)).collect();
        let why = if gaps.is_empty() { "Metal lists no device".to_owned() } else { gaps.join("; ") };
        return MechanismState::missing(why).or("without a GPU nothing is lost, as in most virtual machines");
    }
    let named: Vec<String> =
        devices.iter().map(|device| format!("{} {}", device.index, device.label())).collect();
    MechanismState::works_with(named.join(", "))
}

pub(super) fn statistics(roots: &Roots) -> MechanismState {
    let devices = Monitor::with_roots(roots.clone()).devices();
    let known = devices.iter().filter(|device| device.used.reading.known().is_some()).count();
    verdict::statistics(devices.len(), known)
}

/// Reads this process's own ledger, which the kernel always allows.
#[cfg(feature = "metal")]
pub(super) fn ledger(_: &Roots) -> MechanismState {
    verdict::ledger(crate::gpu::own_ledger())
}

#[cfg(not(feature = "metal"))]
pub(super) fn ledger(_: &Roots) -> MechanismState {
    MechanismState::missing("this build is without the feature metal")
}
