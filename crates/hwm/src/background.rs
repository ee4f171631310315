//! Output that may block, written by a thread of its own.
//!
//! A terminal that is stopped (termios(3), `TCOOFF`), a full pipe (pipe(7)) or a slow disk takes nothing for as long as it
//! likes. The thread that judges limits must not wait for it: it changes a queue in memory and goes on. Each user of a
//! queue bounds it, and counts what does not fit.

#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

/// Stack of a writing thread.
const WRITER_STACK_BYTES: usize = 256 << 10;

/// A queue, and the thread that writes its items one by one.
#[derive(Debug)]
pub(crate) struct BackgroundWriter<T> {
    shared: Arc<WriterShared<T>>,
}

#[derive(Debug)]
struct WriterShared<T> {
    progress: Mutex<WriterProgress<T>>,
    changed: Condvar,
}

#[derive(Debug)]
struct WriterProgress<T> {
    queue: VecDeque<T>,
    /// No further item will come.
    is_closed: bool,
    activity: WriterActivity,
    /// Items that the thread has taken so far.
    taken: u64,
    /// The first failure that was not asked for yet.
    failure: Option<io::Error>,
}

/// The activity of the thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WriterActivity {
    Waiting,
    Writing,
    Ended,
}

/// The result of ending an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finish {
    /// All items were written, or failed.
    Done,
    /// An item took too long. The thread is left behind.
    GivenUp,
}

impl<T: Send + 'static> BackgroundWriter<T> {
    /// Starts the thread. `write` gets each item; its failures wait for [`Self::take_failure`].
    pub(crate) fn start(
        name: &str,
        mut write: impl FnMut(T) -> io::Result<()> + Send + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(WriterShared {
            progress: Mutex::new(WriterProgress {
                queue: VecDeque::new(),
                is_closed: false,
                activity: WriterActivity::Waiting,
                taken: 0,
                failure: None,
            }),
            changed: Condvar::new(),
        });
        let end = EndOfThread(Arc::clone(&shared));
        thread::Builder::new().name(name.to_owned()).stack_size(WRITER_STACK_BYTES).spawn(move || {
            #[cfg(unix)]
            crate::signals::write_from_background();
            while let Some(item) = end.0.next_item() {
                if let Err(error) = write(item) {
                    end.0.lock().failure.get_or_insert(error);
                }
            }
            // Its files are closed, and temporary files are removed, before the end is announced.
            drop(write);
            drop(end);
        })?;
        Ok(Self { shared })
    }
}

impl<T> BackgroundWriter<T> {
    /// Changes the queue. Never waits for what is being written.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut VecDeque<T>) -> R) -> R {
        let result = change(&mut self.shared.lock().queue);
        self.shared.changed.notify_all();
        result
    }

    /// Returns whether all items were written.
    pub(crate) fn is_idle(&self) -> bool {
        let progress = self.shared.lock();
        progress.queue.is_empty() && progress.activity != WriterActivity::Writing
    }

    /// Takes the first failure since the last call.
    pub(crate) fn take_failure(&self) -> Option<io::Error> {
        self.shared.lock().failure.take()
    }

    /// Waits until all items are written. A single item may take up to `patience`; without it there is no bound.
    pub(crate) fn finish(&self, patience: Option<Duration>) -> Finish {
        let changed = &self.shared.changed;
        let mut progress = self.shared.close();
        while progress.activity != WriterActivity::Ended {
            let taken = progress.taken;
            let stands =
                |now: &mut WriterProgress<T>| now.activity != WriterActivity::Ended && now.taken == taken;
            progress = match patience {
                None => changed.wait_while(progress, stands).unwrap_or_else(PoisonError::into_inner),
                Some(patience) => {
                    let (progress, wait) = changed
                        .wait_timeout_while(progress, patience, stands)
                        .unwrap_or_else(PoisonError::into_inner);
                    if wait.timed_out() {
                        return Finish::GivenUp;
                    }
                    progress
                }
            };
        }
        Finish::Done
    }
}

impl<T> Drop for BackgroundWriter<T> {
    fn drop(&mut self) {
        drop(self.shared.close());
    }
}

impl<T> WriterShared<T> {
    fn lock(&self) -> MutexGuard<'_, WriterProgress<T>> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the thread end after the last item.
    fn close(&self) -> MutexGuard<'_, WriterProgress<T>> {
        let mut progress = self.lock();
        progress.is_closed = true;
        self.changed.notify_all();
        progress
    }

    /// Waits for the next item; `None` once there will be no more.
    fn next_item(&self) -> Option<T> {
        let mut progress = self.lock();
        progress.activity = WriterActivity::Waiting;
        let waits = |progress: &mut WriterProgress<T>| progress.queue.is_empty() && !progress.is_closed;
        let mut progress = self.changed.wait_while(progress, waits).unwrap_or_else(PoisonError::into_inner);
        let item = progress.queue.pop_front()?;
        progress.activity = WriterActivity::Writing;
        progress.taken += 1;
        self.changed.notify_all();
        Some(item)
    }
}

/// Announces the end of the thread when it is dropped, after a panic too.
struct EndOfThread<T>(Arc<WriterShared<T>>);

impl<T> Drop for EndOfThread<T> {
    fn drop(&mut self) {
        self.0.lock().activity = WriterActivity::Ended;
        self.0.changed.notify_all();
    }
}
