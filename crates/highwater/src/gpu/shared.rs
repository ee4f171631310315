//! The one monitor of this process, for those who do not keep their own.

use std::{
    ptr::null_mut,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicPtr, Ordering},
    },
};

use super::Monitor;
use crate::fork::Generation;

/// A monitor, and the process that it belongs to.
struct Own {
    of: Generation,
    monitor: Mutex<Monitor>,
}

/// That of this process, or an ancestor's that was inherited. A forked child must not touch the latter: the drivers
/// do not let it use the sessions, closing them may close its parent's, and a thread that the child does not have
/// may hold the lock. So it is left where it is, for good; a lineage of processes leaves one behind for each generation
/// that asked.
static CURRENT: AtomicPtr<Own> = AtomicPtr::new(null_mut());

/// Calls `what` with this process's monitor. The drivers' sessions are opened at the first question.
pub(crate) fn with_monitor<T>(what: impl FnOnce(&mut Monitor) -> T) -> T {
    // What a panic left is as good as before: every call reads anew.
    what(&mut own().monitor.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Takes no lock: a fork in the middle of it leaves nothing locked in the child.
fn own() -> &'static Own {
    let of = Generation::current();
    let mut seen = CURRENT.load(Ordering::Acquire);
    loop {
        // SAFETY: null, or from a box below that is never freed once it stands there.
        if let Some(own) = unsafe { seen.as_ref() }.filter(|own| own.of == of) {
            return own;
        }
        let fresh = Box::into_raw(Box::new(Own { of, monitor: Mutex::new(Monitor::new()) }));
        match CURRENT.compare_exchange(seen, fresh, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => seen = fresh,
            Err(other) => {
                // SAFETY: from the box above, and nobody else has seen it. Nothing is open in it yet.
                drop(unsafe { Box::from_raw(fresh) });
                seen = other;
            }
        }
    }
}

/// Calls `what` while this process's monitor is taken, for tests of what happens to others meanwhile. Anything that
/// asks for GPU figures inside waits for ever.
#[cfg(feature = "test-helpers")]
pub fn while_held(what: impl FnOnce()) {
    with_monitor(|_| what());
}
