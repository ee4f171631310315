use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
};

use rustix::fs::{CWD, FileType, mknodat};

use super::{super::abandonable::MIN_SLOW_TIME, *};

/// Makes a procfs with processes 1 to `count`.
fn tree(count: u32) -> (tempfile::TempDir, Roots) {
    let tree = tempfile::tempdir().unwrap();
    for pid in 1..=count {
        let directory = tree.path().join(pid.to_string());
        fs::create_dir(&directory).unwrap();
        let stat =
            format!("{pid} (kernel-name) S 1 7 7 0 -1 4194304 1 0 0 0 9 9 0 0 20 0 4 0 90{pid} 1 1 0\n");
        fs::write(directory.join("stat"), stat).unwrap();
        fs::write(directory.join("status"), "State:\tS (sleeping)\nVmRSS:\t 8 kB\nThreads:\t1\n").unwrap();
        fs::write(directory.join("cmdline"), format!("/bin/program-{pid}\0")).unwrap();
    }
    let roots = Roots { proc: tree.path().to_owned(), ..Roots::default() };
    (tree, roots)
}

/// Replaces an arguments file by a FIFO: opening it for reading waits for a writer, as a reader waits for a
/// lock.
fn lock(roots: &Roots, pid: u32) -> PathBuf {
    replace_by_fifo(roots, pid, "cmdline")
}

/// Replaces `stat` by a FIFO, as if the process were in an `execve(2)` that waits.
fn lock_facts(roots: &Roots, pid: u32) -> PathBuf {
    replace_by_fifo(roots, pid, "stat")
}

fn replace_by_fifo(roots: &Roots, pid: u32, name: &str) -> PathBuf {
    let path = roots.proc.join(format!("{pid}/{name}"));
    fs::remove_file(&path).unwrap();
    mknodat(CWD, &path, FileType::Fifo, 0o600.into(), 0).unwrap();
    path
}

fn waiting(directory: &ProcDirectory) -> Option<String> {
    let text = fs::read_to_string(directory.path("cmdline")).ok()?;
    Some(text.trim_end_matches('\0').trim_start_matches("/bin/").to_owned())
}

/// Reads facts as the real reader does, but waits at a FIFO.
fn waiting_for_facts(roots: &Roots, pid: u32) -> Result<(ProcDirectory, ProcessFacts), Error> {
    let _ = fs::read(roots.proc.join(format!("{pid}/stat")));
    facts::without_arguments(roots, pid)
}

/// Reads names and facts as the real reader does, but waits at a FIFO.
fn batches(patience: Duration) -> Batches {
    Batches {
        read_facts: waiting_for_facts,
        read_name: waiting,
        patience,
        least_for_facts: patience,
        ..Batches::default()
    }
}

/// Returns the pids without facts, each with the reason.
fn unread(read: &[ReadProcess]) -> Vec<(u32, String, Arguments)> {
    let why = |read: &ReadProcess| match read.facts.as_ref().err()? {
        Error::Read { path, source } if source.kind() == io::ErrorKind::TimedOut => {
            assert!(path.ends_with(format!("{}/stat", read.pid)), "{path:?}");
            Some((read.pid, source.to_string(), read.arguments))
        }
        error => panic!("{}: {error}", read.pid),
    };
    read.iter().filter_map(why).collect()
}

fn names(read: &[ReadProcess]) -> Vec<(u32, &str, Arguments)> {
    read.iter()
        .map(|read| (read.pid, read.facts.as_ref().unwrap().name.as_deref().unwrap(), read.arguments))
        .collect()
}

#[test]
fn as_one_by_one() {
    let (_tree, roots) = tree(3);
    let read = Batches::default().read(&roots, &[3, 9, 1]);
    assert_eq!(read.iter().map(|read| read.pid).collect::<Vec<_>>(), [3, 9, 1]);
    for read in read {
        assert_eq!(read.facts.ok(), facts::of(&roots, read.pid).ok(), "{}", read.pid);
        assert_eq!(read.arguments, Arguments::Asked);
    }
    assert!(Batches::default().read(&roots, &[]).is_empty());
}

#[test]
fn a_late_process_delays_no_other_and_is_not_waited_for_again() {
    let (_tree, roots) = tree(4);
    let (locked, also_locked) = (lock(&roots, 2), lock(&roots, 3));
    let mut batches = batches(Duration::from_millis(1));
    // On a busy machine others that do answer may be late, too; these two cannot answer.
    loop {
        let read = batches.read(&roots, &[1, 2, 3, 4]);
        assert_eq!(
            names(&read[1..3]),
            [(2, "kernel-name", Arguments::Late), (3, "kernel-name", Arguments::Late)]
        );
        batches.patience = Duration::from_secs(60);
        if names(&read)[3] == (4, "program-4", Arguments::Asked) {
            break;
        }
    }
    let is_locked =
        |late: &&LateProcess| matches!(late.reading, LateReading::Arguments(id) if [2, 3].contains(&id.pid));
    assert_eq!(batches.late.iter().filter(is_locked).count(), 2);
    for path in [&locked, &also_locked] {
        fs::write(path, "/bin/too-late").unwrap();
        fs::remove_file(path).unwrap();
        fs::write(path, "/bin/free").unwrap();
    }
    while batches.late.iter().any(|late| late.batch.lock().step != BatchStep::Ended) {
        thread::yield_now();
    }
    let read = batches.read(&roots, &[2, 3]);
    assert_eq!(names(&read), [(2, "free", Arguments::Asked), (3, "free", Arguments::Asked)]);
    assert!(batches.late.is_empty());
}

/// Answers as a process that holds its memory map locked, and lets go before it counts as late.
fn just_in_time(directory: &ProcDirectory) -> Option<String> {
    thread::sleep(MIN_SLOW_TIME);
    waiting(directory)
}

#[test]
fn many_slow_processes_take_a_bounded_time() {
    const COUNT: u32 = 40;
    let (_tree, roots) = tree(COUNT);
    let most_slow = MIN_SLOW_TIME * 4;
    let mut batches = Batches { read_name: just_in_time, most_slow, ..Batches::default() };
    let pids: Vec<u32> = (1..=COUNT).collect();
    // The time begins anew with each list.
    for _ in 0..2 {
        let read = batches.read(&roots, &pids);
        assert_eq!(names(&read)[0], (1, "program-1", Arguments::Asked));
        assert_eq!(names(&read)[39], (COUNT, "kernel-name", Arguments::NotAsked));
    }
    assert!(batches.late.is_empty());
}

#[test]
fn so_many_threads_are_left_behind() {
    let most = u32::try_from(MANY_LATE_THREADS).unwrap();
    let (_tree, roots) = tree(most + 1);
    let locked: Vec<PathBuf> = (1..=most).map(|pid| lock(&roots, pid)).collect();
    let mut batches = batches(Duration::from_millis(1));
    let pids: Vec<u32> = (1..=most + 1).collect();
    let read = batches.read(&roots, &pids);
    assert_eq!(names(&read)[MANY_LATE_THREADS], (most + 1, "kernel-name", Arguments::NotAsked));
    assert!(read[..MANY_LATE_THREADS].iter().all(|read| read.arguments == Arguments::Late));
    assert_eq!(batches.late.len(), MANY_LATE_THREADS);
    for path in locked {
        fs::write(path, "").unwrap();
    }
}

const UNANSWERED: &str = "it did not answer in time";

#[test]
fn a_process_without_facts_delays_no_other_and_is_not_asked_again() {
    let (_tree, roots) = tree(4);
    let (locked, also_locked) = (lock_facts(&roots, 2), lock_facts(&roots, 3));
    let mut batches = batches(Duration::from_millis(1));
    loop {
        let read = batches.read(&roots, &[1, 2, 3, 4]);
        assert_eq!(read.iter().map(|read| read.pid).collect::<Vec<_>>(), [1, 2, 3, 4]);
        let unread = unread(&read);
        for pid in [2, 3] {
            assert!(unread.contains(&(pid, UNANSWERED.to_owned(), Arguments::Late)), "{unread:?}");
        }
        // From now on a wait for one of them would not end.
        batches.patience = Duration::from_secs(3600);
        batches.least_for_facts = Duration::from_secs(3600);
        if unread.len() == 2 && names(&read[3..]) == [(4, "program-4", Arguments::Asked)] {
            break;
        }
    }
    let waits_for = |late: &&LateProcess, pid| late.reading == LateReading::Facts { pid };
    for pid in [2, 3] {
        assert_eq!(batches.late.iter().filter(|late| waits_for(late, pid)).count(), 1);
    }
    for path in [&locked, &also_locked] {
        let pid = if path == &locked { 2 } else { 3 };
        let stat =
            format!("{pid} (kernel-name) S 1 7 7 0 -1 4194304 1 0 0 0 9 9 0 0 20 0 4 0 90{pid} 1 1 0\n");
        let free = path.with_extension("free");
        fs::write(&free, stat).unwrap();
        let mut fifo = fs::OpenOptions::new().write(true).open(path).unwrap();
        fs::rename(free, path).unwrap();
        std::io::Write::write_all(&mut fifo, b"too late").unwrap();
    }
    while batches.late.iter().any(|late| late.batch.lock().step != BatchStep::Ended) {
        thread::yield_now();
    }
    let read = batches.read(&roots, &[2, 3]);
    assert_eq!(names(&read), [(2, "program-2", Arguments::Asked), (3, "program-3", Arguments::Asked)]);
    assert!(batches.late.is_empty());
}

#[test]
fn after_the_last_thread_no_process_is_read_until_the_next_list() {
    let most = u32::try_from(MAX_LATE_THREADS).unwrap();
    let (_tree, roots) = tree(most + 2);
    let locked: Vec<PathBuf> = (1..=most).map(|pid| lock_facts(&roots, pid)).collect();
    let mut batches = batches(Duration::from_millis(1));
    let pids: Vec<u32> = (1..=most + 2).collect();
    let first = unread(&batches.read(&roots, &pids));
    assert_eq!(first.len(), pids.len());
    assert_eq!(first[0], (1, UNANSWERED.to_owned(), Arguments::Late));
    assert!(first[..MAX_LATE_THREADS].iter().all(|(_, why, _)| why == UNANSWERED));
    for (_, why, arguments) in &first[MAX_LATE_THREADS..] {
        assert!(why.contains("too many other processes"), "{why}");
        assert_eq!(*arguments, Arguments::NotAsked);
    }
    assert_eq!(batches.late.len(), MAX_LATE_THREADS);
    // The next list has a thread for those that answer. From now on a wait for a late one would not end.
    batches.patience = Duration::from_secs(3600);
    let next = batches.read(&roots, &pids);
    assert!(unread(&next).iter().all(|(_, why, _)| why == UNANSWERED));
    assert_eq!(
        names(&next[MAX_LATE_THREADS..]).iter().map(|(pid, ..)| *pid).collect::<Vec<_>>(),
        [most + 1, most + 2]
    );
    assert_eq!(batches.late.len(), MAX_LATE_THREADS);
    for path in locked {
        fs::write(path, "").unwrap();
    }
}

static IS_SPINNING: AtomicBool = AtomicBool::new(false);
static MAY_END: AtomicBool = AtomicBool::new(false);

/// Keeps a processor busy until it may end, and lets the other processes be read.
fn spin(roots: &Roots, pid: u32) -> Result<(ProcDirectory, ProcessFacts), Error> {
    if pid == 1 {
        IS_SPINNING.store(true, Relaxed);
        while !MAY_END.load(Relaxed) {
            std::hint::spin_loop();
        }
    }
    facts::without_arguments(roots, pid)
}

#[test]
fn a_thread_that_runs_is_not_late() {
    let (_tree, roots) = tree(2);
    let task = Batches { read_facts: spin, ..Batches::default() }.task(&roots, &[1, 2]);
    let batch = Arc::new(Batch::of(2, SlowTimes::default()));
    Arc::new(task).start(&batch).unwrap();
    while !IS_SPINNING.load(Relaxed) {
        thread::yield_now();
    }
    assert!(batch.is_runnable());
    MAY_END.store(true, Relaxed);
}

#[test]
fn slow_facts_shorten_the_time_for_others() {
    let batches = Batches::default();
    let patience = batches.patience_now(Duration::from_millis(20));
    let mut progress =
        BatchProgress { read: Vec::new(), step: BatchStep::ReadingFacts, slow: SlowTimes::default() };
    assert_eq!(patience.now(&progress), MIN_FACTS_TIMEOUT);
    progress.slow.facts = MAX_SLOW_TIME;
    assert_eq!(patience.now(&progress), MIN_PROCESS_TIMEOUT);
    progress.step = BatchStep::ReadingArguments;
    assert_eq!(patience.now(&progress), Duration::from_millis(20));
}
