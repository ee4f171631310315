//! Work on a thread that is abandoned if it waits too long.
//!
//! A process can hold a lock for any time that readers of its files in `/proc` wait for, and only SIGKILL ends such a
//! wait (`docs/internals/bounds.md`). So a thread reads, the caller watches it, and goes on without it if it is late.

use std::{
    path::Path,
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use super::stat::Stat;
use crate::{
    bounded::{self, MAX_PROCESS_FILE_BYTES},
    roots::OWN_THREADS,
};

/// Number of times that a thread must be seen waiting, one after the other, until it counts as late.
const LOOKS: u32 = 4;
/// Number of abandoned threads from which on others are waited for briefly.
pub(crate) const MANY_LATE_THREADS: usize = 16;
/// The most threads that one owner may have abandoned. After that nothing is read until one of them returns.
pub(crate) const MAX_LATE_THREADS: usize = 128;
/// The time that all processes may take together that answer before they count as late.
pub(crate) const MAX_SLOW_TIME: Duration = Duration::from_secs(2);
/// The time from which on a process counts as slow.
pub(crate) const MIN_SLOW_TIME: Duration = Duration::from_millis(4);

/// Work of a thread, as far as its caller sees it.
#[derive(Debug)]
pub(crate) struct Abandonable<P> {
    progress: Mutex<P>,
    changed: Condvar,
    /// The thread's id; 0 before it has begun.
    tid: AtomicU32,
}

/// The end of a wait for a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AbandonableEnd {
    /// The work has ended.
    Ended,
    /// The thread waits for something, and is to be abandoned.
    Late,
}

impl<P> Abandonable<P> {
    pub(crate) fn new(progress: P) -> Self {
        Self { progress: Mutex::new(progress), changed: Condvar::new(), tid: AtomicU32::new(0) }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, P> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that the calling thread does the work.
    pub(crate) fn begin(&self) {
        self.tid.store(rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs(), Relaxed);
    }

    /// Wakes the caller after the work has ended.
    pub(crate) fn notify(&self) {
        self.changed.notify_all();
    }

    /// Waits until the work has ended, or the thread is late: it was seen waiting `LOOKS` times at one position, for
    /// the time `patience` together. `position` returns `None` after the end. The progress stays locked, so that the
    /// thread cannot move on before it is told that it was abandoned.
    pub(crate) fn wait<T: PartialEq>(
        &self,
        position: impl Fn(&P) -> Option<T>,
        patience: impl Fn(&P) -> Duration,
    ) -> (MutexGuard<'_, P>, AbandonableEnd) {
        let mut progress = self.lock();
        let mut seen_waiting = 0;
        while seen_waiting < LOOKS {
            let before = position(&progress);
            let look = patience(&progress) / LOOKS;
            (progress, _) = self
                .changed
                .wait_timeout_while(progress, look, |progress| position(progress).is_some())
                .unwrap_or_else(PoisonError::into_inner);
            let mut waits = false;
            if position(&progress) == before {
                // The thread may wait for this very mutex, so its state is read without it.
                drop(progress);
                waits = !self.is_runnable();
                progress = self.lock();
            }
            let now = position(&progress);
            if now.is_none() {
                return (progress, AbandonableEnd::Ended);
            }
            if now != before {
                seen_waiting = 0;
            } else if waits {
                seen_waiting += 1;
            }
        }
        (progress, AbandonableEnd::Late)
    }

    /// Returns whether the thread runs or waits for a processor (state `R` of `proc_pid_stat(5)`): it waits for no lock
    /// then. The file of an own thread waits for no other process.
    pub(crate) fn is_runnable(&self) -> bool {
        let tid = self.tid.load(Relaxed);
        // Before its first instruction its id is not known.
        tid == 0
            || bounded::read(&Path::new(OWN_THREADS).join(format!("{tid}/stat")), MAX_PROCESS_FILE_BYTES)
                .is_ok_and(|text| Stat::parse(&text).is_some_and(|stat| stat.state == b'R'))
    }
}

/// Returns the part of a time that counts as slow.
pub(crate) fn slow_time(took: Duration) -> Duration {
    if took < MIN_SLOW_TIME { Duration::ZERO } else { took }
}
