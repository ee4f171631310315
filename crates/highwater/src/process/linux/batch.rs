//! Reads processes one after the other on a thread that may be abandoned.
//!
//! `cmdline` waits for the memory map's lock of its process (`get_mm_cmdline`, `fs/proc/base.c`). `stat` waits while
//! its process is in an `execve(2)` (`exec_update_lock`, seen on Linux 6.18). Both locks may be held for any time, and
//! only SIGKILL ends such a wait. A thread switch for each process would cost as much as reading it. So one thread
//! reads all of them up to one that is late, and another one continues after that.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    abandonable::{
        Abandonable, AbandonableEnd, MANY_LATE_THREADS, MAX_LATE_THREADS, MAX_SLOW_TIME, slow_time,
    },
    directory::ProcDirectory,
    facts,
};
use crate::{
    Error, Roots,
    process::{Arguments, ProcessFacts, ProcessId, ReadProcess},
    thread_with_signals_blocked,
};

/// The time that a process may take. Each that takes longer halves it, so that all of them together take two
/// seconds.
const PROCESS_TIMEOUT: Duration = Duration::from_secs(1);
const MIN_PROCESS_TIMEOUT: Duration = Duration::from_millis(10);
/// The least time that a process may take for its facts, without which its row is empty. It holds until many are late,
/// or slow ones have taken too long.
const MIN_FACTS_TIMEOUT: Duration = Duration::from_millis(100);
/// A thread's stack: it keeps nothing there.
const BATCH_STACK_BYTES: usize = 128 << 10;

/// Reads the facts about a process, with the kernel's name.
type ReadFacts = fn(&Roots, u32) -> Result<(ProcDirectory, ProcessFacts), Error>;
/// Reads the name of a process from its arguments.
type ReadName = fn(&ProcDirectory) -> Option<String>;

/// A reader of batches of processes, which remembers those that have not answered yet.
#[derive(Debug)]
pub(crate) struct Batches {
    read_facts: ReadFacts,
    read_name: ReadName,
    patience: Duration,
    least_for_facts: Duration,
    most_slow: Duration,
    late: Vec<LateProcess>,
}

impl Default for Batches {
    fn default() -> Self {
        Self {
            read_facts: facts::without_arguments,
            read_name: super::of_arguments,
            patience: PROCESS_TIMEOUT,
            least_for_facts: MIN_FACTS_TIMEOUT,
            most_slow: MAX_SLOW_TIME,
            late: Vec::new(),
        }
    }
}

#[derive(Debug)]
struct LateProcess {
    reading: LateReading,
    /// The batch of the thread that waits for it.
    batch: Arc<Batch>,
}

/// The reading that a thread waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LateReading {
    /// All of a process. Its pid is not given to another one while the thread waits.
    Facts { pid: u32 },
    /// The arguments alone.
    Arguments(ProcessId),
}

/// The results of a thread so far.
type Batch = Abandonable<BatchProgress>;

#[derive(Debug)]
struct BatchProgress {
    read: Vec<ReadProcess>,
    step: BatchStep,
    slow: SlowTimes,
}

/// Times that slow processes took.
#[derive(Debug, Clone, Copy, Default)]
struct SlowTimes {
    facts: Duration,
    arguments: Duration,
}

/// The step that a thread has reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BatchStep {
    /// It reads the facts about the process after the one that was read last.
    ReadingFacts,
    /// It reads the arguments of the process that was read last.
    ReadingArguments,
    /// It was abandoned.
    Abandoned,
    Ended,
}

/// The times that a thread may wait for one process.
#[derive(Debug, Clone, Copy)]
struct Patience {
    facts: Duration,
    /// The time for facts once slow ones have taken `most_slow`.
    facts_at_last: Duration,
    arguments: Duration,
    most_slow: Duration,
}

/// The task of a thread.
struct Task {
    roots: Roots,
    pids: Vec<u32>,
    /// Readings that other threads wait for.
    late: Vec<LateReading>,
    read_facts: ReadFacts,
    /// `None` if no arguments are to be read.
    read_name: Option<ReadName>,
    most_slow: Duration,
}

impl Batches {
    /// Reads all of them, in order.
    pub(crate) fn read(&mut self, roots: &Roots, pids: &[u32]) -> Vec<ReadProcess> {
        let mut all = Vec::new();
        let mut patience = self.patience;
        let mut slow = SlowTimes::default();
        while all.len() < pids.len() {
            self.late.retain(|late| late.batch.lock().step != BatchStep::Ended);
            let task = Arc::new(self.task(roots, &pids[all.len()..]));
            // Each list begins with one thread more, which skips the late ones: no user can empty all lists of others.
            let most_late = if all.is_empty() { 2 * MAX_LATE_THREADS } else { MAX_LATE_THREADS };
            if self.late.len() >= most_late {
                all.extend(task.pids.iter().map(|&pid| task.unread(pid)));
                break;
            }
            let batch = Arc::new(Batch::of(task.pids.len(), slow));
            if task.start(&batch).is_ok() {
                if let Some(reading) = batch.wait_for(self.patience_now(patience), &task, &mut all) {
                    slow = batch.lock().slow;
                    self.late.push(LateProcess { reading, batch });
                    patience = (patience / 2).max(MIN_PROCESS_TIMEOUT);
                }
            } else {
                // A user without a free thread (`RLIMIT_NPROC`) still gets a list. It waits for locked processes.
                task.run(&batch, None);
                all.append(&mut batch.lock().read);
            }
        }
        all
    }

    fn task(&self, roots: &Roots, pids: &[u32]) -> Task {
        Task {
            roots: roots.clone(),
            pids: pids.to_vec(),
            late: self.late.iter().map(|late| late.reading).collect(),
            read_facts: self.read_facts,
            read_name: Some(self.read_name).filter(|_| self.late.len() < MANY_LATE_THREADS),
            most_slow: self.most_slow,
        }
    }

    /// Returns the times that a thread may wait now, where a process may take `patience`.
    fn patience_now(&self, patience: Duration) -> Patience {
        let facts_at_last = patience.min(MIN_PROCESS_TIMEOUT);
        let are_few_late = self.late.len() < MANY_LATE_THREADS;
        Patience {
            facts: if are_few_late { patience.max(self.least_for_facts) } else { facts_at_last },
            facts_at_last,
            arguments: patience,
            most_slow: self.most_slow,
        }
    }
}

impl Task {
    fn start(self: &Arc<Self>, batch: &Arc<Batch>) -> io::Result<()> {
        let (task, end) = (Arc::clone(self), EndOfBatch(Arc::clone(batch)));
        thread_with_signals_blocked::start("hw-processes", BATCH_STACK_BYTES, move || {
            end.0.begin();
            task.run(&end.0, task.read_name);
        })
        .map(drop)
    }

    /// Reads all of them, with their names if there is a `read_name`, until slow ones have taken too long.
    fn run(&self, batch: &Batch, read_name: Option<ReadName>) {
        for &pid in &self.pids {
            let read_name = read_name.filter(|_| batch.lock().slow.arguments < self.most_slow);
            if self.is_late(pid) {
                if !batch.note(self.unread(pid), Duration::ZERO, false) {
                    break;
                }
                continue;
            }
            let begin = Instant::now();
            let (directory, facts) = match (self.read_facts)(&self.roots, pid) {
                Ok((directory, facts)) => (Some(directory), Ok(facts)),
                Err(error) => (None, Err(error)),
            };
            let at = Instant::now();
            let are_arguments_late =
                facts.as_ref().is_ok_and(|facts| self.late.contains(&LateReading::Arguments(facts.id)));
            let has_arguments = facts.as_ref().is_ok_and(|facts| !facts.is_kernel_thread);
            let arguments = match read_name {
                _ if are_arguments_late => Arguments::Late,
                None if has_arguments => Arguments::NotAsked,
                _ => Arguments::Asked,
            };
            let asks = directory.zip(read_name).filter(|_| has_arguments && !are_arguments_late);
            let read = ReadProcess { pid, at, facts, arguments };
            let goes_on = batch.note(read, at.saturating_duration_since(begin), asks.is_some());
            if !goes_on
                || !asks.is_none_or(|(directory, read_name)| batch.note_name(read_name(&directory), at))
            {
                break;
            }
        }
    }

    /// Returns whether another thread waits for the facts of this process.
    fn is_late(&self, pid: u32) -> bool {
        self.late.contains(&LateReading::Facts { pid })
    }

    /// Returns the result for a process that was not read: it is late, or too many others are.
    fn unread(&self, pid: u32) -> ReadProcess {
        if self.is_late(pid) {
            return self.did_not_answer(pid);
        }
        let why = "it was not read, since too many other processes did not answer in time";
        ReadProcess { arguments: Arguments::NotAsked, ..self.failed(pid, why) }
    }

    /// Returns the result for a process whose facts are late.
    fn did_not_answer(&self, pid: u32) -> ReadProcess {
        self.failed(pid, "it did not answer in time")
    }

    fn failed(&self, pid: u32, why: &'static str) -> ReadProcess {
        let path = self.roots.proc.join(pid.to_string()).join("stat");
        let source = io::Error::new(io::ErrorKind::TimedOut, why);
        let facts = Err(Error::Read { path, source });
        ReadProcess { pid, at: Instant::now(), facts, arguments: Arguments::Late }
    }
}

impl Batch {
    fn of(count: usize, slow: SlowTimes) -> Self {
        Self::new(BatchProgress { read: Vec::with_capacity(count), step: BatchStep::ReadingFacts, slow })
    }

    /// Waits until all are read, or one is late, whose reading is returned. The results are appended to `all`.
    fn wait_for(&self, patience: Patience, task: &Task, all: &mut Vec<ReadProcess>) -> Option<LateReading> {
        let (mut progress, end) = self.wait(BatchProgress::position, |progress| patience.now(progress));
        if end == AbandonableEnd::Ended {
            all.append(&mut progress.read);
            return None;
        }
        let step = std::mem::replace(&mut progress.step, BatchStep::Abandoned);
        let next = task.pids.get(progress.read.len());
        all.append(&mut progress.read);
        if step == BatchStep::ReadingArguments {
            let last = all.last_mut()?;
            last.arguments = Arguments::Late;
            return last.facts.as_ref().ok().map(|facts| LateReading::Arguments(facts.id));
        }
        // After the last process it waits for nothing, and ends.
        let &pid = next?;
        all.push(task.did_not_answer(pid));
        Some(LateReading::Facts { pid })
    }

    /// Stores one process, for whose facts the thread took `took`. Returns whether the thread is to continue.
    fn note(&self, read: ReadProcess, took: Duration, reads_arguments: bool) -> bool {
        let mut progress = self.lock();
        if progress.step == BatchStep::Abandoned {
            return false;
        }
        progress.read.push(read);
        progress.step = if reads_arguments { BatchStep::ReadingArguments } else { BatchStep::ReadingFacts };
        progress.slow.facts += slow_time(took);
        true
    }

    /// Stores a name that was asked for `since`. Returns whether the thread is to continue. A late name does not count.
    fn note_name(&self, name: Option<String>, since: Instant) -> bool {
        let mut progress = self.lock();
        if progress.step == BatchStep::Abandoned {
            return false;
        }
        progress.step = BatchStep::ReadingFacts;
        progress.slow.arguments += slow_time(since.elapsed());
        if let (Some(name), Some(Ok(facts))) =
            (name, progress.read.last_mut().map(|read| read.facts.as_mut()))
        {
            facts.name = Ok(name);
        }
        true
    }
}

impl BatchProgress {
    /// Returns what differs after each reading; `None` after the last.
    fn position(&self) -> Option<(usize, BatchStep)> {
        (self.step != BatchStep::Ended).then_some((self.read.len(), self.step))
    }
}

impl Patience {
    /// Returns the time for the present reading.
    fn now(&self, progress: &BatchProgress) -> Duration {
        match progress.step {
            BatchStep::ReadingArguments => self.arguments,
            _ if progress.slow.facts < self.most_slow => self.facts,
            _ => self.facts_at_last,
        }
    }
}

/// Announces the end of a thread when it is dropped, after a panic too.
struct EndOfBatch(Arc<Batch>);

impl Drop for EndOfBatch {
    fn drop(&mut self) {
        self.0.lock().step = BatchStep::Ended;
        self.0.notify();
    }
}

#[cfg(test)]
mod tests;
