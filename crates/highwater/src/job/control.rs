//! A handle by which other threads reach a running job.

use std::sync::{
    Arc, LazyLock, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use super::os::Wake;

/// A handle by which other threads reach a running job. It may also be used before the job starts. After the job's end
/// it does nothing.
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
    shared: Arc<ControlState>,
}

#[derive(Debug)]
struct ControlState {
    orders: Mutex<Vec<ControlOrder>>,
    /// True once the tree was to be killed.
    is_killed: AtomicBool,
    /// Wakes the job's thread. It is made at its first use, so a job that does not run yet has no descriptor open.
    wake: LazyLock<Wake>,
}

/// An order to the thread that follows the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ControlOrder {
    Signal(i32),
    KillTree,
    Leave,
}

impl Control {
    pub(super) fn new() -> Self {
        let (orders, is_killed) = (Mutex::default(), AtomicBool::new(false));
        Self { shared: Arc::new(ControlState { orders, is_killed, wake: LazyLock::new(Wake::new) }) }
    }

    /// Sends `signal` (its number) to the command, or to all remaining processes of the job once the command has
    /// exited.
    pub fn signal(&self, signal: i32) {
        self.order(ControlOrder::Signal(signal));
    }

    /// Kills every member of the job, children of children included, and ends the measurement.
    pub fn kill_tree(&self) {
        self.shared.is_killed.store(true, Ordering::Relaxed);
        self.order(ControlOrder::KillTree);
    }

    /// Ends the measurement and leaves the job running.
    pub fn leave(&self) {
        self.order(ControlOrder::Leave);
    }

    fn order(&self, order: ControlOrder) {
        self.shared.orders.lock().unwrap_or_else(PoisonError::into_inner).push(order);
        self.shared.wake.wake_up();
    }

    /// Returns whether the tree is to be killed by order. A poll may take long, and this order must not wait for its
    /// end.
    pub(super) fn is_killed(&self) -> bool {
        self.shared.is_killed.load(Ordering::Relaxed)
    }

    pub(super) fn wake(&self) -> &Wake {
        &self.shared.wake
    }

    pub(super) fn take(&self) -> Vec<ControlOrder> {
        self.shared.wake.clear();
        std::mem::take(&mut self.shared.orders.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
