//! Reading files of `/proc` that take the lock of a process's memory map: `cmdline` (`get_mm_cmdline`,
//! `fs/proc/base.c`) and `smaps_rollup` (`fs/proc/task_mmu.c`).
//!
//! A process can hold that lock for any time: an `mmap` of a file on FUSE or NFS waits under it for the server. Only
//! SIGKILL ends the wait of a reader. So a thread reads, and is left behind if it is late; the next file is read by
//! another thread. `statm`, `status`, `stat`, `io` and `exe` take no such lock (seen on Linux 6.18).

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicI32, Ordering::Relaxed},
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    time::Duration,
};

use crate::{
    bounded::{self, Extent, MAX_PROCESS_FILE_BYTES},
    job::unix::thread_cpu,
    process::linux::stat::Stat,
    thread_with_signals_blocked,
};

/// Most threads, late ones included. Nothing is read while all of them are late.
const MAX_READER_THREADS: usize = 4;
/// Most waits of the full timeout for a thread that waits for a processor, and not for a lock.
const MAX_WAITS_FOR_PROCESSOR: u32 = 8;
/// Bytes of a thread's stack, on which it keeps nothing.
const READER_STACK_BYTES: usize = 64 << 10;

/// A reader of such files, one at a time.
#[derive(Debug)]
pub(super) struct MapReader {
    read: Read,
    threads: Vec<Thread>,
    /// CPU time of the threads.
    cpu: Duration,
}

type Read = fn(&Path, usize, &mut Vec<u8>) -> io::Result<Extent>;

impl Default for MapReader {
    fn default() -> Self {
        Self { read: bounded::read_start, threads: Vec::new(), cpu: Duration::ZERO }
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
    late: Option<PathBuf>,
    /// Thread id; 0 before it has started.
    tid: Arc<AtomicI32>,
}

#[derive(Debug)]
struct Request {
    path: PathBuf,
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
    /// Reads at most `most` bytes of a file into `text`, and waits at most `timeout` for a lock. On a busy machine the
    /// thread may also wait for a processor, up to `MAX_WAITS_FOR_PROCESSOR` times as long.
    pub(super) fn read(
        &mut self,
        path: PathBuf,
        most: usize,
        text: &mut Vec<u8>,
        timeout: Duration,
    ) -> MapOutcome {
        self.take_back_late_threads();
        if self.is_late_on(&path) {
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
        let request = Request { path: path.clone(), most, text: std::mem::take(text) };
        if thread.requests.send(request).is_err() {
            return MapOutcome::Failed;
        }
        for _ in 0..MAX_WAITS_FOR_PROCESSOR {
            match thread.answers.recv_timeout(timeout) {
                Ok(answer) => {
                    self.cpu += answer.cpu;
                    *text = answer.text;
                    return answer.read.map_or(MapOutcome::Failed, MapOutcome::Read);
                }
                Err(RecvTimeoutError::Timeout) if thread.is_runnable() => {}
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => return MapOutcome::Failed,
            }
        }
        thread.late = Some(path);
        MapOutcome::Late
    }

    /// Returns the CPU time of the threads so far.
    pub(super) fn cpu(&self) -> Duration {
        self.cpu
    }

    fn is_late_on(&self, path: &Path) -> bool {
        self.threads.iter().any(|thread| thread.late.as_deref() == Some(path))
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
        let tid = Arc::new(AtomicI32::new(0));
        let own_tid = Arc::clone(&tid);
        thread_with_signals_blocked::start("hw-map-reader", READER_STACK_BYTES, move || {
            own_tid.store(rustix::thread::gettid().as_raw_nonzero().get(), Relaxed);
            for Request { path, most, mut text } in received {
                let begin = thread_cpu();
                let read = read(&path, most, &mut text).ok();
                let cpu = thread_cpu().saturating_sub(begin);
                if sender.send(MapAnswer { read, text, cpu }).is_err() {
                    break;
                }
            }
        })?;
        Ok(Self { requests, answers, late: None, tid })
    }

    /// Returns whether it runs or waits for a processor (state `R` of `proc_pid_stat(5)`): it waits for no lock then.
    fn is_runnable(&self) -> bool {
        let tid = self.tid.load(Relaxed);
        let path = PathBuf::from(format!("/proc/self/task/{tid}/stat"));
        let text = bounded::read(&path, MAX_PROCESS_FILE_BYTES);
        // Before its first instruction its id is not known.
        tid == 0 || text.is_ok_and(|text| Stat::parse_bytes(&text).is_some_and(|stat| stat.state == b'R'))
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, sync::atomic::AtomicBool, thread};

    use rustix::fs::{CWD, FileType, mknodat};

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    /// Reads a file without a bound: opening a FIFO waits for its writer, as a reader waits for the lock.
    fn read_all(path: &Path, _: usize, text: &mut Vec<u8>) -> io::Result<Extent> {
        *text = fs::read(path)?;
        Ok(Extent::Whole)
    }

    fn fifo(tree: &tempfile::TempDir, name: &str) -> PathBuf {
        let path = tree.path().join(name);
        mknodat(CWD, &path, FileType::Fifo, 0o600.into(), 0).unwrap();
        path
    }

    #[test]
    fn a_file_is_read_up_to_its_bound() {
        let (mut reader, mut text) = (MapReader::default(), Vec::new());
        let own = PathBuf::from("/proc/self/cmdline");
        assert_eq!(reader.read(own.clone(), 1 << 20, &mut text, LONG), MapOutcome::Read(Extent::Whole));
        assert_eq!(text, fs::read(&own).unwrap());
        assert_eq!(reader.read("/dev/zero".into(), 9, &mut text, LONG), MapOutcome::Read(Extent::Cut));
        assert_eq!(text, [0; 9]);
        assert_eq!(reader.read("/nonexistent".into(), 9, &mut text, LONG), MapOutcome::Failed);
        assert_eq!(reader.threads.len(), 1);
    }

    #[test]
    fn a_late_file_does_not_delay_the_next() {
        let tree = tempfile::tempdir().unwrap();
        let (locked, free) = (fifo(&tree, "locked"), tree.path().join("free"));
        fs::write(&free, "text").unwrap();
        let (mut reader, mut text) = (MapReader { read: read_all, ..MapReader::default() }, Vec::new());
        assert_eq!(reader.read(locked.clone(), 9, &mut text, Duration::ZERO), MapOutcome::Late);
        assert_eq!(reader.read(free.clone(), 9, &mut text, LONG), MapOutcome::Read(Extent::Whole));
        assert_eq!(text, b"text");
        assert_eq!(
            reader.read(locked.clone(), 9, &mut text, LONG),
            MapOutcome::Late,
            "it is not waited for again"
        );
        fs::write(&locked, "too late").unwrap();
        while reader.is_late_on(&locked) {
            thread::yield_now();
            reader.take_back_late_threads();
        }
        assert_eq!(reader.read(free, 9, &mut text, LONG), MapOutcome::Read(Extent::Whole));
        assert_eq!((text.as_slice(), reader.threads.len()), (&b"text"[..], 2), "not the late text");
    }

    static IS_SPINNING: AtomicBool = AtomicBool::new(false);
    static MAY_END: AtomicBool = AtomicBool::new(false);

    /// Keeps a processor busy until it may end.
    #[allow(clippy::unnecessary_wraps)] // The signature of a read.
    fn spin(_: &Path, _: usize, _: &mut Vec<u8>) -> io::Result<Extent> {
        IS_SPINNING.store(true, Relaxed);
        while !MAY_END.load(Relaxed) {
            std::hint::spin_loop();
        }
        Ok(Extent::Whole)
    }

    #[test]
    fn waiting_for_a_processor_differs_from_waiting_for_a_lock() {
        let request = |path: PathBuf| Request { path, most: 9, text: Vec::new() };
        let busy = Thread::start(spin).unwrap();
        busy.requests.send(request("/".into())).unwrap();
        while !IS_SPINNING.load(Relaxed) {
            thread::yield_now();
        }
        assert!(busy.is_runnable());
        MAY_END.store(true, Relaxed);
        let tree = tempfile::tempdir().unwrap();
        let locked = fifo(&tree, "locked");
        let blocked = Thread::start(read_all).unwrap();
        blocked.requests.send(request(locked.clone())).unwrap();
        while blocked.is_runnable() {
            thread::yield_now();
        }
        fs::write(&locked, "").unwrap();
    }

    #[test]
    fn a_limited_number_of_threads_is_left_behind() {
        let tree = tempfile::tempdir().unwrap();
        let (mut reader, mut text) = (MapReader { read: read_all, ..MapReader::default() }, Vec::new());
        let locked: Vec<PathBuf> =
            (0..MAX_READER_THREADS).map(|number| fifo(&tree, &number.to_string())).collect();
        for path in &locked {
            assert_eq!(reader.read(path.clone(), 9, &mut text, Duration::ZERO), MapOutcome::Late);
        }
        assert_eq!(reader.read("/proc/self/cmdline".into(), 9, &mut text, LONG), MapOutcome::Late);
        assert_eq!(reader.threads.len(), MAX_READER_THREADS);
        for path in &locked {
            fs::write(path, "").unwrap();
        }
    }
}
