//! Reading files of `/proc` that take the lock of a process's memory map: `cmdline` (`get_mm_cmdline`,
//! `fs/proc/base.c`), `smaps` and `smaps_rollup` (`fs/proc/task_mmu.c`).
//!
//! A process can hold that lock for any time: an `mmap` of a file on FUSE or NFS waits under it for the server. Only
//! SIGKILL ends the wait of a reader. So a thread reads, and is left behind if it is late; the next file is read by
//! another thread. `statm`, `status`, `stat`, `io` and `exe` do not take this lock (seen on Linux 6.18). `stat`, `io`,
//! `exe` and `smaps_rollup` take another one, which an `execve(2)` holds (`docs/internals/bounds.md`).

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    time::{Duration, Instant},
};

use super::proc_dir::{ProcDir, ProcPath};
use crate::{
    Error,
    bounded::Extent,
    job::{Job, unix::thread_cpu},
    process::linux::stat::Stat,
    thread_with_signals_blocked,
};

/// Most threads, late ones included. Nothing is read while all of them are late.
const MAX_READER_THREADS: usize = 4;
/// Timeouts for which a thread may also wait for a processor.
const MAX_WAITS_FOR_PROCESSOR: u32 = 8;
/// First time after which a thread is looked at; later ones double. Most files are read before it.
const FIRST_LOOK: Duration = Duration::from_millis(2);
/// Bytes of a thread's stack, on which it keeps nothing.
const READER_STACK_BYTES: usize = 64 << 10;

/// A reader of such files, one at a time.
#[derive(Debug)]
pub(super) struct MapReader {
    read: Read,
    threads: Vec<Thread>,
    /// CPU time of the threads.
    cpu: Duration,
    /// Time for which threads were seen to wait for a lock, also where they got it in time.
    waited: Duration,
}

pub(super) type Read = fn(&ProcDir, ProcPath, usize, &mut Vec<u8>) -> io::Result<Extent>;

impl Default for MapReader {
    fn default() -> Self {
        Self { read: ProcDir::read_start, threads: Vec::new(), cpu: Duration::ZERO, waited: Duration::ZERO }
    }
}

/// Outcome of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MapOutcome {
    Read(Extent),
    Failed,
    /// The process did not release the lock of its memory map in time.
    Late,
}

#[derive(Debug)]
struct Thread {
    requests: Sender<Request>,
    answers: Receiver<MapAnswer>,
    /// The file on which it is late.
    late: Option<ProcPath>,
    /// Thread id; 0 before it has started.
    tid: Arc<AtomicU32>,
}

#[derive(Debug)]
struct Request {
    proc: ProcDir,
    path: ProcPath,
    most: usize,
    text: Vec<u8>,
}

#[derive(Debug)]
struct MapAnswer {
    read: Option<Extent>,
    text: Vec<u8>,
    cpu: Duration,
}

impl MapReader {
    /// Makes the reader of a job.
    ///
    /// # Errors
    /// PSS is limited, and the thread that reads it cannot be started.
    pub(super) fn for_job(job: &Job) -> Result<Self, Error> {
        let mut reader = Self::default();
        if job.limits.may_need_pss() {
            reader.start_thread().map_err(|error| Error::Limit {
                reason: format!("no thread could be started to read PSS: {error}; raise ulimit -u"),
            })?;
        }
        Ok(reader)
    }

    /// Reads at most `most` bytes of a file into `text`, and waits at most `timeout` for a lock. On a busy machine the
    /// thread may also wait for a processor, up to `MAX_WAITS_FOR_PROCESSOR` times as long.
    pub(super) fn read(
        &mut self,
        proc: &ProcDir,
        path: ProcPath,
        most: usize,
        text: &mut Vec<u8>,
        timeout: Duration,
    ) -> MapOutcome {
        self.take_back_late_threads();
        if self.is_late_on(path) {
            return MapOutcome::Late;
        }
        let thread = match self.threads.iter().position(|thread| thread.late.is_none()) {
            Some(idle) => &mut self.threads[idle],
            None if self.threads.len() >= MAX_READER_THREADS => return MapOutcome::Late,
            None => {
                let Ok(thread) = Thread::start(self.read) else { return MapOutcome::Failed };
                self.threads.push(thread);
                let last = self.threads.len() - 1;
                &mut self.threads[last]
            }
        };
        let request = Request { proc: proc.clone(), path, most, text: std::mem::take(text) };
        if thread.requests.send(request).is_err() {
            return MapOutcome::Failed;
        }
        let begin = Instant::now();
        let (mut locked, mut look) = (Duration::ZERO, FIRST_LOOK.min(timeout));
        while locked < timeout && begin.elapsed() < timeout * MAX_WAITS_FOR_PROCESSOR {
            let since = Instant::now();
            let answer = thread.answers.recv_timeout(look);
            // Once it was seen to wait for a lock, the rest of that wait counts, too.
            let waits = if answer.is_err() { !thread.is_runnable(proc) } else { !locked.is_zero() };
            let waited = if waits { since.elapsed() } else { Duration::ZERO };
            locked += waited;
            self.waited += waited;
            match answer {
                Ok(answer) => {
                    self.cpu += answer.cpu;
                    *text = answer.text;
                    return answer.read.map_or(MapOutcome::Failed, MapOutcome::Read);
                }
                Err(RecvTimeoutError::Timeout) => look = (look * 2).min(timeout.saturating_sub(locked)),
                Err(RecvTimeoutError::Disconnected) => return MapOutcome::Failed,
            }
        }
        thread.late = Some(path);
        MapOutcome::Late
    }

    /// Returns a reader that reads by another function.
    #[cfg(test)]
    pub(super) fn with(read: Read) -> Self {
        Self { read, ..Self::default() }
    }

    /// Starts the first thread now. A job may use up the processes that its user may have (`RLIMIT_NPROC`, setrlimit(2)),
    /// and threads count as processes.
    pub(super) fn start_thread(&mut self) -> io::Result<()> {
        if self.threads.is_empty() {
            self.threads.push(Thread::start(self.read)?);
        }
        Ok(())
    }

    /// Returns the CPU time of the threads so far.
    pub(super) fn cpu(&self) -> Duration {
        self.cpu
    }

    /// Returns the time for which files were waited for so far, those that came in time included.
    ///
    /// A job of many processes can hold each of its memory maps locked for a little less than a timeout. So callers bound the
    /// sum of these waits, too.
    pub(super) fn waited(&self) -> Duration {
        self.waited
    }

    fn is_late_on(&self, path: ProcPath) -> bool {
        self.threads.iter().any(|thread| thread.late == Some(path))
    }

    /// Takes late threads back that have answered. Their answers are too old to count.
    fn take_back_late_threads(&mut self) {
        for thread in self.threads.iter_mut().filter(|thread| thread.late.is_some()) {
            if let Ok(answer) = thread.answers.try_recv() {
                self.cpu += answer.cpu;
                thread.late = None;
            }
        }
    }
}

impl Thread {
    fn start(read: Read) -> io::Result<Self> {
        let (requests, received) = channel::<Request>();
        let (sender, answers) = channel();
        let tid = Arc::new(AtomicU32::new(0));
        let own_tid = Arc::clone(&tid);
        thread_with_signals_blocked::start("hw-map-reader", READER_STACK_BYTES, move || {
            own_tid.store(rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs(), Relaxed);
            for Request { proc, path, most, mut text } in received {
                let begin = thread_cpu();
                let read = read(&proc, path, most, &mut text).ok();
                let cpu = thread_cpu().saturating_sub(begin);
                if sender.send(MapAnswer { read, text, cpu }).is_err() {
                    break;
                }
            }
        })?;
        Ok(Self { requests, answers, late: None, tid })
    }

    /// Returns whether it runs or waits for a processor (state `R` of `proc_pid_stat(5)`): it waits for no lock then.
    fn is_runnable(&self, proc: &ProcDir) -> bool {
        let (tid, mut text) = (self.tid.load(Relaxed), Vec::new());
        // Before its first instruction its id is not known.
        tid == 0
            || proc.read_into(ProcPath::of_own_thread(tid, "stat"), &mut text)
                && Stat::parse_bytes(&text).is_some_and(|stat| stat.state == b'R')
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Read as _, sync::atomic::AtomicBool, thread};

    use rustix::fs::{CWD, FileType, mknodat};

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    /// Reads a file without a bound: opening a FIFO waits for its writer, as a reader waits for the lock.
    fn read_all(tree: &ProcDir, path: ProcPath, _: usize, text: &mut Vec<u8>) -> io::Result<Extent> {
        text.clear();
        tree.open_waiting(path)?.read_to_end(text)?;
        Ok(Extent::Whole)
    }

    /// A made-up procfs with FIFOs of these names, which stand for locked files.
    struct LockedTree {
        tree: tempfile::TempDir,
        proc: ProcDir,
    }

    impl LockedTree {
        fn new(names: &[&str]) -> Self {
            let tree = tempfile::tempdir().unwrap();
            for name in names {
                mknodat(CWD, tree.path().join(name), FileType::Fifo, 0o600.into(), 0).unwrap();
            }
            Self { proc: ProcDir::made_up(tree.path()), tree }
        }

        fn write(&self, name: &str, text: &str) {
            fs::write(self.tree.path().join(name), text).unwrap();
        }
    }

    #[test]
    fn a_file_is_read_up_to_its_bound() {
        let (mut reader, mut text) = (MapReader::default(), Vec::new());
        let proc = ProcDir::of_this_machine();
        let mut read = |path, most| (reader.read(&proc, path, most, &mut text, LONG), text.clone());
        let own = ProcPath::of(std::process::id(), "cmdline");
        let whole = fs::read("/proc/self/cmdline").unwrap();
        assert_eq!(read(own, 1 << 20), (MapOutcome::Read(Extent::Whole), whole.clone()));
        assert_eq!(read(own, 9), (MapOutcome::Read(Extent::Cut), whole[..9].to_vec()));
        assert_eq!(read(ProcPath::of(u32::MAX, "cmdline"), 9).0, MapOutcome::Failed);
        assert_eq!(reader.threads.len(), 1);
    }

    #[test]
    fn a_late_file_does_not_delay_the_next() {
        let tree = LockedTree::new(&["locked"]);
        let (locked, free) = (ProcPath::named("locked"), ProcPath::named("free"));
        tree.write("free", "text");
        let (mut reader, mut text) = (MapReader::with(read_all), Vec::new());
        assert_eq!(reader.read(&tree.proc, locked, 9, &mut text, Duration::ZERO), MapOutcome::Late);
        assert_eq!(reader.read(&tree.proc, free, 9, &mut text, LONG), MapOutcome::Read(Extent::Whole));
        assert_eq!(text, b"text");
        assert_eq!(
            reader.read(&tree.proc, locked, 9, &mut text, LONG),
            MapOutcome::Late,
            "it is not waited for again"
        );
        tree.write("locked", "too late");
        while reader.is_late_on(locked) {
            thread::yield_now();
            reader.take_back_late_threads();
        }
        assert_eq!(reader.read(&tree.proc, free, 9, &mut text, LONG), MapOutcome::Read(Extent::Whole));
        assert_eq!((text.as_slice(), reader.threads.len()), (&b"text"[..], 2), "not the late text");
    }

    static IS_SPINNING: AtomicBool = AtomicBool::new(false);
    static MAY_END: AtomicBool = AtomicBool::new(false);

    /// Keeps a processor busy until it may end.
    #[allow(clippy::unnecessary_wraps)] // The signature of a read.
    fn spin(_: &ProcDir, _: ProcPath, _: usize, _: &mut Vec<u8>) -> io::Result<Extent> {
        IS_SPINNING.store(true, Relaxed);
        while !MAY_END.load(Relaxed) {
            std::hint::spin_loop();
        }
        Ok(Extent::Whole)
    }

    #[test]
    fn waiting_for_a_processor_differs_from_waiting_for_a_lock() {
        let (tree, proc) = (LockedTree::new(&["locked"]), ProcDir::of_this_machine());
        let path = ProcPath::named("locked");
        let request = || Request { proc: tree.proc.clone(), path, most: 9, text: Vec::new() };
        let busy = Thread::start(spin).unwrap();
        busy.requests.send(request()).unwrap();
        while !IS_SPINNING.load(Relaxed) {
            thread::yield_now();
        }
        assert!(busy.is_runnable(&proc));
        MAY_END.store(true, Relaxed);
        let blocked = Thread::start(read_all).unwrap();
        blocked.requests.send(request()).unwrap();
        while blocked.is_runnable(&proc) {
            thread::yield_now();
        }
        tree.write("locked", "");
    }

    #[test]
    fn a_limited_number_of_threads_is_left_behind() {
        const LOCKED: [&str; MAX_READER_THREADS] = ["0", "1", "2", "3"];
        let tree = LockedTree::new(&LOCKED);
        tree.write("free", "text");
        let (mut reader, mut text) = (MapReader::with(read_all), Vec::new());
        let mut read = |name, timeout| reader.read(&tree.proc, ProcPath::named(name), 9, &mut text, timeout);
        for name in LOCKED {
            assert_eq!(read(name, Duration::ZERO), MapOutcome::Late);
        }
        assert_eq!(read("free", LONG), MapOutcome::Late);
        assert_eq!(reader.threads.len(), MAX_READER_THREADS);
        for name in LOCKED {
            tree.write(name, "");
        }
    }
}
