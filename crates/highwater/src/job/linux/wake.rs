//! What wakes the job's thread from others: eventfd(2).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{EventfdFlags, eventfd};

/// `None` where no descriptor could be had: orders wait for the next sample then.
#[derive(Debug)]
pub(crate) struct Wake(Option<OwnedFd>);

impl Wake {
    pub(crate) fn new() -> Self {
        Self(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).ok())
    }

    /// Ends the wait that is in progress, or the next.
    pub(crate) fn ring(&self) {
        if let Some(wake) = &self.0 {
            // Fails only when it is full, and then the thread is awake anyway.
            let _ = rustix::io::write(wake, &1u64.to_ne_bytes());
        }
    }

    /// It has been heard.
    pub(crate) fn silence(&self) {
        if let Some(wake) = &self.0 {
            let _ = rustix::io::read(wake, &mut [0; 8]);
        }
    }

    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.0.as_ref().map(AsFd::as_fd)
    }
}
