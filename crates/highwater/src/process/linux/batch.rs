//! Reads processes one after the other on a thread that may be abandoned.
//!
//! `cmdline` waits for the memory map's lock of its process (`get_mm_cmdline`, `fs/proc/base.c`), and only
//! SIGKILL ends that wait. A thread switch for each process would cost as much as reading it. So one thread
//! reads all of them up to one that is late, and another one continues after that.

use std::{
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{directory::ProcDirectory, facts};
use crate::{
    Roots,
    process::{Arguments, ProcessId, ReadProcess},
    thread_with_signals_blocked,
};

/// The time that a process may take. Each that takes longer halves it, so that all of them together take two
/// seconds.
const PROCESS_TIMEOUT: Duration = Duration::from_secs(1);
const MIN_PROCESS_TIMEOUT: Duration = Duration::from_millis(10);
/// The time that all processes may take together that answer before they count as late. After that no arguments are read.
const MAX_SLOW_TIME: Duration = Duration::from_secs(2);
/// The time from which on a process counts as slow.
const MIN_SLOW_TIME: Duration = Duration::from_millis(4);
/// The most threads that may be abandoned. After that no arguments are read until one of them returns.
const MAX_LATE_THREADS: usize = 16;
/// A thread's stack: it keeps nothing there.
const BATCH_STACK_BYTES: usize = 128 << 10;

/// Reads the name of a process from its arguments.
type ReadName = fn(&ProcDirectory) -> Option<String>;

/// A reader of batches of processes, which remembers those that have not answered yet.
#[derive(Debug)]
pub(crate) struct Batches {
    read_name: ReadName,
    patience: Duration,
    most_slow: Duration,
    late: Vec<LateProcess>,
}

impl Default for Batches {
    fn default() -> Self {
        Self {
            read_name: super::of_arguments,
            patience: PROCESS_TIMEOUT,
            most_slow: MAX_SLOW_TIME,
            late: Vec::new(),
        }
    }
}

#[derive(Debug)]
struct LateProcess {
    id: ProcessId,
    /// The batch of the thread that waits for it.
    batch: Arc<Batch>,
}

/// The results of a thread so far.
#[derive(Debug)]
struct Batch {
    progress: Mutex<BatchProgress>,
    ended: Condvar,
}

#[derive(Debug)]
struct BatchProgress {
    read: Vec<ReadProcess>,
    step: BatchStep,
    /// Time that slow processes took.
    slow: Duration,
}

/// The step that a thread has reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BatchStep {
    /// It reads files that no process can delay.
    Reading,
    /// It reads the arguments of the process that was read last.
    ReadingArguments,
    /// It was abandoned.
    Abandoned,
    Ended,
}

/// The task of a thread.
struct Task {
    roots: Roots,
    pids: Vec<u32>,
    /// Processes whose arguments other threads wait for.
    late: Vec<ProcessId>,
    most_slow: Duration,
}

impl Batches {
    /// Reads all of them, in order.
    pub(crate) fn read(&mut self, roots: &Roots, pids: &[u32]) -> Vec<ReadProcess> {
        let mut all = Vec::new();
        let mut patience = self.patience;
        let mut slow = Duration::ZERO;
        while all.len() < pids.len() {
            self.late.retain(|late| late.batch.lock().step != BatchStep::Ended);
            let task = Arc::new(Task {
                roots: roots.clone(),
                pids: pids[all.len()..].to_vec(),
                late: self.late.iter().map(|late| late.id).collect(),
                most_slow: self.most_slow,
            });
            let batch = Arc::new(Batch::of(task.pids.len(), slow));
            if self.late.len() < MAX_LATE_THREADS && task.start(&batch, self.read_name).is_ok() {
                if let Some(id) = batch.wait(patience, &mut all) {
                    slow = batch.lock().slow;
                    self.late.push(LateProcess { id, batch });
                    patience = (patience / 2).max(MIN_PROCESS_TIMEOUT);
                }
            } else {
                task.run(&batch, None);
                all.append(&mut batch.lock().read);
            }
        }
        all
    }
}

impl Task {
    fn start(self: &Arc<Self>, batch: &Arc<Batch>, read_name: ReadName) -> io::Result<()> {
        let (task, end) = (Arc::clone(self), EndOfBatch(Arc::clone(batch)));
        thread_with_signals_blocked::start("hw-processes", BATCH_STACK_BYTES, move || {
            task.run(&end.0, Some(read_name));
        })
        .map(drop)
    }

    /// Reads all of them, with their names if there is a `read_name`, until slow ones have taken too long.
    fn run(&self, batch: &Batch, read_name: Option<ReadName>) {
        for &pid in &self.pids {
            let read_name = read_name.filter(|_| batch.lock().slow < self.most_slow);
            let (directory, facts) = match facts::without_arguments(&self.roots, pid) {
                Ok((directory, facts)) => (Some(directory), Ok(facts)),
                Err(error) => (None, Err(error)),
            };
            let at = Instant::now();
            let is_late = facts.as_ref().is_ok_and(|facts| self.late.contains(&facts.id));
            let has_arguments = facts.as_ref().is_ok_and(|facts| !facts.is_kernel_thread);
            let arguments = match read_name {
                _ if is_late => Arguments::Late,
                None if has_arguments => Arguments::NotAsked,
                _ => Arguments::Asked,
            };
            let asks = directory.zip(read_name).filter(|_| has_arguments && !is_late);
            let goes_on = batch.note(ReadProcess { pid, at, facts, arguments }, asks.is_some());
            if !goes_on
                || !asks.is_none_or(|(directory, read_name)| batch.note_name(read_name(&directory), at))
            {
                break;
            }
        }
    }
}

impl Batch {
    fn of(count: usize, slow: Duration) -> Self {
        let progress = BatchProgress { read: Vec::with_capacity(count), step: BatchStep::Reading, slow };
        Self { progress: Mutex::new(progress), ended: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, BatchProgress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until all are read, or one is late, which is returned. The results are appended to `all`.
    fn wait(&self, patience: Duration, all: &mut Vec<ReadProcess>) -> Option<ProcessId> {
        let mut progress = self.lock();
        loop {
            let before = progress.read.len();
            let goes_on = |progress: &mut BatchProgress| progress.step != BatchStep::Ended;
            (progress, _) = self
                .ended
                .wait_timeout_while(progress, patience, goes_on)
                .unwrap_or_else(PoisonError::into_inner);
            let is_late = progress.step == BatchStep::ReadingArguments && progress.read.len() == before;
            if progress.step == BatchStep::Ended {
                all.append(&mut progress.read);
                return None;
            }
            if is_late {
                progress.step = BatchStep::Abandoned;
                all.append(&mut progress.read);
                let last = all.last_mut()?;
                last.arguments = Arguments::Late;
                return last.facts.as_ref().ok().map(|facts| facts.id);
            }
        }
    }

    /// Stores one process. Returns whether the thread is to continue.
    fn note(&self, read: ReadProcess, reads_arguments: bool) -> bool {
        let mut progress = self.lock();
        if progress.step == BatchStep::Abandoned {
            return false;
        }
        progress.read.push(read);
        progress.step = if reads_arguments { BatchStep::ReadingArguments } else { BatchStep::Reading };
        true
    }

    /// Stores a name that was asked for `since`. Returns whether the thread is to continue. A late name does not count.
    fn note_name(&self, name: Option<String>, since: Instant) -> bool {
        let mut progress = self.lock();
        if progress.step == BatchStep::Abandoned {
            return false;
        }
        progress.step = BatchStep::Reading;
        progress.slow += Some(since.elapsed()).filter(|&time| time >= MIN_SLOW_TIME).unwrap_or_default();
        if let (Some(name), Some(Ok(facts))) =
            (name, progress.read.last_mut().map(|read| read.facts.as_mut()))
        {
            facts.name = Ok(name);
        }
        true
    }
}

/// Announces the end of a thread when it is dropped, after a panic too.
struct EndOfBatch(Arc<Batch>);

impl Drop for EndOfBatch {
    fn drop(&mut self) {
        self.0.lock().step = BatchStep::Ended;
        self.0.ended.notify_all();
    }
}

#[cfg(test)]
mod tests;
