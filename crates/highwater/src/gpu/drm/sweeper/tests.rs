use std::{
    collections::HashSet,
    ffi::CStr,
    fs,
    io::Write,
    path::PathBuf,
    sync::atomic::{AtomicBool, AtomicU32},
    thread,
};

use rustix::{
    fd::BorrowedFd,
    fs::{FileType, OFlags, mknodat},
    io::Errno,
};

use super::{
    super::{Drm, tests::tree::MachineTree},
    sweep::LinkBuffer,
    *,
};
use crate::gpu::{Device, backend::GpuBackend};

const UNANSWERED: &str = "did not answer in time";
const FOR_EVER: Duration = Duration::from_secs(3600);

/// Reads a link, but waits first if the process has a FIFO `lock`: opening it waits for a writer, as a reader waits for
/// a lock.
fn waiting<'a>(
    directory: BorrowedFd<'_>,
    name: &CStr,
    buffer: &'a mut LinkBuffer,
) -> Result<&'a [u8], Errno> {
    drop(openat(directory, "../lock", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()));
    sweep::read_link(directory, name, buffer)
}

/// A machine with one card, on which each of `pids` has a client.
fn machine(pids: impl IntoIterator<Item = u32>) -> MachineTree {
    let tree = MachineTree::new();
    tree.card(0, "0000:03:00.0", "xe");
    for pid in pids {
        let text = format!("drm-driver:\txe\ndrm-client-id:\t{pid}\ndrm-resident-vram0:\t{pid} KiB\n");
        tree.fd(pid, 3, "/dev/dri/renderD128", &text);
    }
    tree
}

/// Makes a process wait, as if it were in an `execve(2)` that waits.
fn lock(tree: &MachineTree, pid: u32) -> PathBuf {
    let path = tree.roots().proc.join(format!("{pid}/lock"));
    mknodat(CWD, &path, FileType::Fifo, 0o600.into(), 0).unwrap();
    path
}

/// Lets the threads go that wait at a FIFO.
fn unlock(path: &PathBuf) {
    let mut fifo = fs::OpenOptions::new().write(true).open(path).unwrap();
    fs::remove_file(path).unwrap();
    let _ = fifo.write_all(b"too late");
}

fn drm(tree: &MachineTree, read_link: ReadLink, patience: Duration) -> (Drm, Vec<Device>) {
    let sweeper = Sweeper { read_link, patience, ..Sweeper::default() };
    let mut drm = Drm { sweeper, ..Drm::default() };
    let devices = drm.find(&tree.roots()).unwrap();
    (drm, devices)
}

fn list(drm: &mut Drm, tree: &MachineTree, devices: &[Device], whose: PidFilter<'_>) -> Listing {
    let mut listing = Listing::default();
    drm.usages(&tree.roots(), devices, whose, &mut listing);
    listing.usages.sort_by_key(|usage| usage.pid);
    listing
}

fn pids(listing: &Listing) -> Vec<u32> {
    listing.usages.iter().map(|usage| usage.pid).collect()
}

fn gaps(listing: &Listing) -> Vec<(&str, String)> {
    listing.gaps.iter().map(|gap| (gap.what.as_str(), gap.why.to_string())).collect()
}

#[test]
fn a_late_process_delays_no_other_is_named_and_is_not_waited_for_again() {
    let tree = machine([2, 3, 4]);
    let locked = [lock(&tree, 2), lock(&tree, 3)];
    let (mut drm, devices) = drm(&tree, waiting, Duration::from_millis(4));
    // On a busy machine others that do answer may be late, too; these two cannot answer.
    loop {
        let listing = list(&mut drm, &tree, &devices, PidFilter::All);
        assert!(!listing.is_complete());
        let late: Vec<u32> = drm.sweeper.late.iter().map(|late| late.pid).collect();
        assert!(late.contains(&2) && late.contains(&3), "{late:?}");
        // From now on a wait for one of them would not end.
        drm.sweeper.patience = FOR_EVER;
        if late.len() == 2 && pids(&listing) == [4] {
            let why = format!("reading failed: they {UNANSWERED}");
            assert_eq!(gaps(&listing), [("pids 2, 3", why)]);
            break;
        }
    }
    // Only processes that were asked for are named.
    assert!(list(&mut drm, &tree, &devices, PidFilter::Of(&HashSet::from([4]))).is_complete());
    let of_late = list(&mut drm, &tree, &devices, PidFilter::Of(&HashSet::from([2, 4])));
    assert_eq!(gaps(&of_late), [("pid 2", format!("reading failed: it {UNANSWERED}"))]);
    assert_eq!(pids(&of_late), [4]);

    locked.iter().for_each(unlock);
    while drm.sweeper.late.iter().any(|late| !late.sweep.has_ended()) {
        thread::yield_now();
    }
    let listing = list(&mut drm, &tree, &devices, PidFilter::All);
    assert_eq!(pids(&listing), [2, 3, 4]);
    assert!(listing.is_complete() && drm.sweeper.late.is_empty(), "{listing:?}");
}

#[test]
fn the_last_thread_is_left_behind_and_no_other_process_is_read() {
    let most = u32::try_from(MAX_LATE_THREADS).unwrap();
    let tree = machine(2..most + 4);
    let locked: Vec<PathBuf> = (2..most + 4).map(|pid| lock(&tree, pid)).collect();
    let (mut drm, devices) = drm(&tree, waiting, Duration::from_millis(4));
    let asked: HashSet<u32> = (2..most + 4).collect();
    for _ in 0..2 {
        let listing = list(&mut drm, &tree, &devices, PidFilter::Of(&asked));
        assert!(listing.usages.is_empty());
        assert_eq!(drm.sweeper.late.len(), MAX_LATE_THREADS);
        let gaps = gaps(&listing);
        assert!(gaps[0].0.ends_with(" and 112 more") && gaps[0].1.contains("they did not"), "{gaps:?}");
        assert!(gaps[1].0.starts_with("pids ") && gaps[1].1.contains("too many other"), "{gaps:?}");
    }
    for (pid, path) in (2..).zip(&locked) {
        if drm.sweeper.late.iter().any(|late| late.pid == pid) {
            unlock(path);
        }
    }
}

static THREADS: [AtomicU32; 2] = [const { AtomicU32::new(0) }; 2];

/// Notes the threads that read descriptors.
fn noting<'a>(directory: BorrowedFd<'_>, name: &CStr, buffer: &'a mut LinkBuffer) -> Result<&'a [u8], Errno> {
    let tid = rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs();
    let first = THREADS[0].load(Relaxed);
    THREADS[usize::from(first != 0 && first != tid)].store(tid, Relaxed);
    sweep::read_link(directory, name, buffer)
}

#[test]
fn one_thread_reads_all_and_is_kept() {
    let tree = machine([2, 3, 4]);
    let (mut drm, devices) = drm(&tree, noting, FOR_EVER);
    for _ in 0..3 {
        assert_eq!(pids(&list(&mut drm, &tree, &devices, PidFilter::All)), [2, 3, 4]);
    }
    let first = THREADS[0].load(Relaxed);
    assert!(first != 0 && first != rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs());
    // The calling process is read without it.
    let own = std::process::id();
    tree.fd(own, 3, "/dev/dri/renderD128", "drm-driver:\txe\ndrm-client-id:\t9\n");
    assert_eq!(THREADS[1].load(Relaxed), 0);
    let own_alone = HashSet::from([own]);
    assert_eq!(pids(&list(&mut drm, &tree, &devices, PidFilter::Of(&own_alone))), [own]);
    assert_eq!(THREADS[1].load(Relaxed), rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs());
}

static MAY_PANIC: AtomicBool = AtomicBool::new(true);

fn panicking<'a>(
    directory: BorrowedFd<'_>,
    name: &CStr,
    buffer: &'a mut LinkBuffer,
) -> Result<&'a [u8], Errno> {
    let link = sweep::read_link(directory, name, buffer)?;
    assert!(!MAY_PANIC.load(Relaxed) || !link.ends_with(b"renderD128"), "meant to fail");
    Ok(link)
}

#[test]
fn a_thread_that_panics_is_replaced() {
    let tree = machine([2]);
    let (mut drm, devices) = drm(&tree, panicking, FOR_EVER);
    let listing = list(&mut drm, &tree, &devices, PidFilter::All);
    assert!(pids(&listing).is_empty() && !listing.is_complete(), "{listing:?}");
    MAY_PANIC.store(false, Relaxed);
    assert_eq!(pids(&list(&mut drm, &tree, &devices, PidFilter::All)), [2]);
}

#[test]
fn slow_and_late_processes_shorten_the_time_for_others() {
    let mut sweeper = Sweeper::default();
    assert_eq!(sweeper.patience(), READ_TIMEOUT);
    let asked = AskedSweep {
        proc: openat(CWD, "/", DIRECTORY, Mode::empty()).unwrap(),
        cards: Arc::default(),
        pids: vec![7],
        read_link: sweep::read_link,
    };
    let sweep = Arc::new(Sweep::of(&Arc::new(asked), 0, Findings::default(), Duration::ZERO));
    let mut late = |count: u32| {
        while sweeper.late.len() < usize::try_from(count).unwrap() {
            sweeper.late.push(LateSweptProcess { pid: 7, sweep: Arc::clone(&sweep) });
        }
        sweeper.patience()
    };
    assert_eq!([1, 2, 3].map(&mut late), [READ_TIMEOUT / 2, READ_TIMEOUT / 4, READ_TIMEOUT / 8]);
    assert_eq!(late(15), READ_TIMEOUT / LEAST_TIMEOUT_DIVISOR);
    assert_eq!(late(16), LAST_TIMEOUT);
}
