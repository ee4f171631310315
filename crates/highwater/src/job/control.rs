//! Reaching a running job from other threads.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{Arc, Mutex, PoisonError},
};

use rustix::event::{EventfdFlags, eventfd};

/// A handle with which other threads reach a running job. It may be used before the job starts, too; after the
/// job's end it does nothing.
#[derive(Debug, Clone)]
pub struct Control {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    orders: Mutex<Vec<Order>>,
    /// Wakes the job's thread. `None` where no descriptor could be had: orders wait for the next sample then.
    wake: Option<OwnedFd>,
}

/// What the job's thread is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Signal(i32),
    KillTree,
}

impl Control {
    pub(super) fn new() -> Self {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).ok();
        Self { shared: Arc::new(Shared { orders: Mutex::default(), wake }) }
    }

    /// Sends `signal` (its number) to the command; once that has ended, to all that is left of the job.
    pub fn signal(&self, signal: i32) {
        self.order(Order::Signal(signal));
    }

    /// Kills every member of the job, children of children included, and ends the measurement.
    pub fn kill_tree(&self) {
        self.order(Order::KillTree);
    }

    fn order(&self, order: Order) {
        self.shared.orders.lock().unwrap_or_else(PoisonError::into_inner).push(order);
        if let Some(wake) = &self.shared.wake {
            // Fails only when it is full, and then the thread is awake anyway.
            let _ = rustix::io::write(wake, &1u64.to_ne_bytes());
        }
    }

    pub(super) fn wake(&self) -> Option<BorrowedFd<'_>> {
        self.shared.wake.as_ref().map(AsFd::as_fd)
    }

    pub(super) fn take(&self) -> Vec<Order> {
        if let Some(wake) = &self.shared.wake {
            let _ = rustix::io::read(wake, &mut [0; 8]);
        }
        std::mem::take(&mut self.shared.orders.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
