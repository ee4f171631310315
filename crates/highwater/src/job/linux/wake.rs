//! Waking the job's thread from other threads: eventfd(2).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{EventfdFlags, eventfd};

/// The wake-up. `None` if no descriptor could be opened: orders then wait for the next sample.
#[derive(Debug)]
pub(crate) struct Wake(Option<OwnedFd>);

impl Wake {
    pub(crate) fn new() -> Self {
        Self(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).ok())
    }

    /// Ends the current wait, or the next one.
    pub(crate) fn wake_up(&self) {
        if let Some(wake) = &self.0 {
            // It fails only when it is full, and then the thread is awake anyway.
            let _ = rustix::io::write(wake, &1u64.to_ne_bytes());
        }
    }

    /// Takes the wake-up.
    pub(crate) fn clear(&self) {
        if let Some(wake) = &self.0 {
            let _ = rustix::io::read(wake, &mut [0; 8]);
        }
    }

    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.0.as_ref().map(AsFd::as_fd)
    }
}
