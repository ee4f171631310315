//! The one monitor of this process, for those who do not keep their own.

use std::sync::{Mutex, OnceLock, PoisonError};

use super::Monitor;

/// A link of a chain with one for each process: a child that was forked inherits its parent's sessions, which the
/// drivers do not let it use, and perhaps a lock that a thread held which the child does not have. So it gets its own
/// link, and never touches its parent's.
struct Link {
    pid: u32,
    monitor: Mutex<Monitor>,
    next: OnceLock<Box<Link>>,
}

static FIRST: OnceLock<Box<Link>> = OnceLock::new();

/// Calls `what` with this process's monitor. The drivers' sessions are opened at the first call.
pub(crate) fn with_monitor<T>(what: impl FnOnce(&mut Monitor) -> T) -> T {
    let pid = std::process::id();
    let mut place = &FIRST;
    loop {
        // Nothing slow happens inside, so a fork in the middle of it is next to impossible.
        let link = place.get_or_init(|| {
            Box::new(Link { pid, monitor: Mutex::new(Monitor::new()), next: OnceLock::new() })
        });
        if link.pid == pid {
            // What a panic left is as good as before: every call reads anew.
            let mut monitor = link.monitor.lock().unwrap_or_else(PoisonError::into_inner);
            return what(&mut monitor);
        }
        place = &link.next;
    }
}
