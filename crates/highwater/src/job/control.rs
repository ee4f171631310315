//! Reaching a running job from other threads.

use std::sync::{
    Arc, LazyLock, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use super::os::Wake;

/// A handle with which other threads reach a running job. It may be used before the job starts, too; after the
/// job's end it does nothing.
///
/// ```no_run
/// let job = highwater::Job::attach(1234);
/// let control = job.control();
/// std::thread::spawn(move || {
///     std::thread::sleep(std::time::Duration::from_secs(60));
///     control.leave();
/// });
/// let record = job.run()?;
/// # Ok::<(), highwater::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Control {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    orders: Mutex<Vec<Order>>,
    /// The tree is to be killed, or was.
    is_killed: AtomicBool,
    /// Wakes the job's thread. Made at its first use: a job that does not run yet holds no descriptor.
    wake: LazyLock<Wake>,
}

/// What the job's thread is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Signal(i32),
    KillTree,
    Leave,
}

impl Control {
    pub(super) fn new() -> Self {
        let (orders, is_killed) = (Mutex::default(), AtomicBool::new(false));
        Self { shared: Arc::new(Shared { orders, is_killed, wake: LazyLock::new(Wake::new) }) }
    }

    /// Sends `signal` (its number) to the command; once that has ended, to all that is left of the job.
    pub fn signal(&self, signal: i32) {
        self.order(Order::Signal(signal));
    }

    /// Kills every member of the job, children of children included, and ends the measurement.
    pub fn kill_tree(&self) {
        self.shared.is_killed.store(true, Ordering::Relaxed);
        self.order(Order::KillTree);
    }

    /// Ends the measurement and leaves the job as it is.
    pub fn leave(&self) {
        self.order(Order::Leave);
    }

    fn order(&self, order: Order) {
        self.shared.orders.lock().unwrap_or_else(PoisonError::into_inner).push(order);
        self.shared.wake.ring();
    }

    /// Returns whether the tree is to be killed by order: a look may take long, and this cannot wait.
    pub(super) fn is_killed(&self) -> bool {
        self.shared.is_killed.load(Ordering::Relaxed)
    }

    pub(super) fn wake(&self) -> &Wake {
        &self.shared.wake
    }

    pub(super) fn take(&self) -> Vec<Order> {
        self.shared.wake.silence();
        std::mem::take(&mut self.shared.orders.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
