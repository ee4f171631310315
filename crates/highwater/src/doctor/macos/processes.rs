//! The kernel's answers about this process and about others.

use std::process;

use super::verdict;
use crate::{
    Roots, Unavailable,
    doctor::MechanismState,
    process::macos::{
        calls,
        rusage::{Rusage, why},
    },
};

/// The first process of the system, which is root's.
const LAUNCHD: u32 = 1;

fn usage(pid: u32) -> Result<Rusage, Unavailable> {
    calls::rusage(pid).map_err(|error| why(&error))
}

pub(super) fn footprint(_: &Roots) -> MechanismState {
    verdict::positive("ri_phys_footprint", usage(process::id()).map(|usage| usage.footprint_bytes))
}

pub(super) fn mark(_: &Roots) -> MechanismState {
    verdict::mark(&usage(process::id()))
}

pub(super) fn resident(_: &Roots) -> MechanismState {
    verdict::positive("ri_resident_size", usage(process::id()).map(|usage| usage.resident_bytes))
}

pub(super) fn faults(_: &Roots) -> MechanismState {
    verdict::faults(calls::task_faults(process::id()).map_err(|error| why(&error)))
}

pub(super) fn others(_: &Roots) -> MechanismState {
    verdict::others(&usage(LAUNCHD))
}
