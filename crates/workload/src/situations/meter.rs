//! The truth: the sum of what all processes of a workload hold, and how high it rose.
//!
//! Each process adds what it built (sizes known by construction) and its own base (code, libc, stack: found by
//! walking its page tables) to one shared counter, and takes it off again. The peak of that counter is the
//! true peak of the job's RSS sum, whatever the scheduler does.

use std::{
    env, fs,
    sync::{
        OnceLock,
        atomic::{AtomicPtr, AtomicUsize, Ordering::SeqCst},
    },
};

use super::own_pages::{PageWalk, shared_page};

/// No process here needs more than this for itself; more means that a size is not what it should be.
const MOST_BASE: usize = 6 << 20;

/// Lives in memory that all processes of the workload share.
struct Meter {
    now: AtomicUsize,
    peak: AtomicUsize,
    pss: AtomicUsize,
}

static METER: AtomicPtr<Meter> = AtomicPtr::new(std::ptr::null_mut());
/// Bytes in this process's blocks.
static BUILT: AtomicUsize = AtomicUsize::new(0);
/// What this process has on the meter besides its blocks.
static BASE: AtomicUsize = AtomicUsize::new(0);
static TRUTH_FILE: OnceLock<Option<std::ffi::OsString>> = OnceLock::new();

/// Makes the meter; this process is its first.
pub(crate) fn start() {
    TRUTH_FILE.get_or_init(|| env::var_os("WORKLOAD_TRUTH"));
    METER.store(shared_page().cast(), SeqCst);
    settle();
}

fn meter() -> Option<&'static Meter> {
    // SAFETY: null, or a mapped page that is never unmapped; zeroes are valid atomics.
    unsafe { METER.load(SeqCst).as_ref() }
}

fn add(bytes: usize) {
    if let Some(meter) = meter() {
        let now = meter.now.fetch_add(bytes, SeqCst) + bytes;
        meter.peak.fetch_max(now, SeqCst);
    }
}

fn take(bytes: usize) {
    if let Some(meter) = meter() {
        meter.now.fetch_sub(bytes, SeqCst);
    }
}

/// This process built and touched `bytes`.
pub(crate) fn grew(bytes: usize) {
    BUILT.fetch_add(bytes, SeqCst);
    add(bytes);
}

/// This process is about to free `bytes`.
pub(crate) fn shrank(bytes: usize) {
    BUILT.fetch_sub(bytes, SeqCst);
    take(bytes);
}

/// Looks at this process's own base again: the pages of code it has run since are part of it.
pub(crate) fn settle() {
    let (rss, built) = (PageWalk::now().rss, BUILT.load(SeqCst));
    let base = rss.checked_sub(built).filter(|base| *base <= MOST_BASE);
    let base = base.unwrap_or_else(|| panic!("{built} bytes built, but the page tables hold {rss}"));
    let before = BASE.swap(base, SeqCst);
    if base >= before {
        add(base - before);
    } else {
        take(before - base);
    }
}

/// In a process just forked: it has nothing on the meter yet but what it inherited in private blocks.
pub(crate) fn forked(inherited: usize) {
    BASE.store(0, SeqCst);
    BUILT.store(inherited, SeqCst);
    add(inherited);
    settle();
}

/// This process is about to end: takes off all it has.
pub(crate) fn leave() {
    take(BASE.swap(0, SeqCst) + BUILT.swap(0, SeqCst));
}

/// What a process holds now by the meter.
pub(crate) fn mine() -> usize {
    BASE.load(SeqCst) + BUILT.load(SeqCst)
}

/// Adds what another process holds, for one too short-lived to say it itself.
pub(crate) fn lend(bytes: usize) {
    add(bytes);
}

/// Takes off what a process had that could not do it itself.
pub(crate) fn buried(bytes: usize) {
    take(bytes);
}

/// Adds this process's share of the job's proportional set size.
pub(crate) fn add_pss(bytes: usize) {
    if let Some(meter) = meter() {
        meter.pss.fetch_add(bytes, SeqCst);
    }
}

/// Writes the truth so far.
pub(crate) fn write() {
    let (Some(Some(path)), Some(meter)) = (TRUTH_FILE.get(), meter()) else { return };
    let peak = meter.peak.load(SeqCst);
    let pss = match meter.pss.load(SeqCst) {
        0 => "null".to_owned(),
        bytes => bytes.to_string(),
    };
    let line = format!("{{\"rss_bytes\":{peak},\"pss_bytes\":{pss}}}\n");
    if let Err(error) = fs::write(path, line) {
        eprintln!("workload: {}: {error}", path.to_string_lossy());
        std::process::exit(1);
    }
}

/// The end of the first process.
pub(crate) fn finish() {
    leave();
    write();
}
