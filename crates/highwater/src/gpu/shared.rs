//! The one monitor of this process, for callers that do not keep their own.

use std::{
    ptr::null_mut,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicPtr, Ordering},
    },
};

use super::Monitor;
use crate::fork::ForkGeneration;

/// A monitor, and the process that it belongs to.
struct OwnMonitor {
    of: ForkGeneration,
    monitor: Mutex<Monitor>,
}

/// The monitor of this process, or one inherited from an ancestor. A forked child must not touch an inherited
/// one: drivers refuse its sessions, and closing them may close the parent's. A thread that the child does
/// not have may hold its lock. So it is leaked; each generation of a lineage that made a query leaves one
/// behind.
static CURRENT: AtomicPtr<OwnMonitor> = AtomicPtr::new(null_mut());

/// Calls `what` with this process's monitor. The drivers' sessions are opened at the first query.
pub(crate) fn with_monitor<T>(what: impl FnOnce(&mut Monitor) -> T) -> T {
    // A panic leaves the monitor valid: every call reads anew.
    what(&mut own().monitor.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Returns the monitor without a lock: a fork in the middle leaves nothing locked in the child.
fn own() -> &'static OwnMonitor {
    let of = ForkGeneration::current();
    let mut seen = CURRENT.load(Ordering::Acquire);
    loop {
        // SAFETY: the pointer is null, or from a box below, which is never freed once it is stored.
        if let Some(own) = unsafe { seen.as_ref() }.filter(|own| own.of == of) {
            return own;
        }
        let fresh = Box::into_raw(Box::new(OwnMonitor { of, monitor: Mutex::new(Monitor::new()) }));
        match CURRENT.compare_exchange(seen, fresh, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => seen = fresh,
            Err(other) => {
                // SAFETY: the pointer is from the box above and was not published. Nothing is open in it yet.
                drop(unsafe { Box::from_raw(fresh) });
                seen = other;
            }
        }
    }
}

/// Calls `what` while this process's monitor is locked, for tests of other callers. A query for GPU figures
/// inside `what` waits for ever.
#[cfg(feature = "test-helpers")]
pub fn while_locked(what: impl FnOnce()) {
    with_monitor(|_| what());
}
