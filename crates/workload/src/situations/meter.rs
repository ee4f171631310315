//! The truth: the sum of all memory of a workload's processes, and its peak.
//!
//! Each process adds its memory to one shared counter, and subtracts it again. Sizes of what it built are known by
//! construction. Its own base (code, libc, stack) is found by walking its page tables. The peak of that counter is the
//! true peak of the job's RSS sum, whatever the scheduler does.

use std::{
    env, fs,
    sync::{
        OnceLock,
        atomic::{AtomicPtr, AtomicUsize, Ordering::SeqCst},
    },
};

use super::own_pages::{PageWalk, shared_page};

/// The largest base of a process here; more means that a size is wrong.
const MAX_BASE_BYTES: usize = 6 << 20;

/// The counters, in memory that all processes of the workload share.
struct Meter {
    now: AtomicUsize,
    peak: AtomicUsize,
    pss: AtomicUsize,
    swap: AtomicUsize,
}

static METER: AtomicPtr<Meter> = AtomicPtr::new(std::ptr::null_mut());
/// Bytes in this process's blocks.
static BUILT_BYTES: AtomicUsize = AtomicUsize::new(0);
/// Bytes of this process on the meter besides its blocks.
static BASE_BYTES: AtomicUsize = AtomicUsize::new(0);
static TRUTH_FILE: OnceLock<Option<std::ffi::OsString>> = OnceLock::new();

/// Makes the meter; this process is its first.
pub(crate) fn start() {
    TRUTH_FILE.get_or_init(|| env::var_os("WORKLOAD_TRUTH"));
    // A huge page in a stack or a heap would be part of a base that nothing touched.
    allow_huge_pages(false);
    METER.store(shared_page().cast(), SeqCst);
    settle();
}

/// Lets the kernel give this process huge pages, or forbids it (`PR_SET_THP_DISABLE(2const)`).
pub(crate) fn allow_huge_pages(are_allowed: bool) {
    // SAFETY: a plain call; a kernel without huge pages refuses it, which does no harm.
    unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, libc::c_ulong::from(!are_allowed), 0, 0, 0) };
}

fn meter() -> Option<&'static Meter> {
    // SAFETY: the pointer is null, or to a mapped page that is never unmapped; zeroes are valid atomics.
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

/// Adds `bytes` that this process has built and touched.
pub(crate) fn grew(bytes: usize) {
    BUILT_BYTES.fetch_add(bytes, SeqCst);
    add(bytes);
}

/// Subtracts `bytes` that this process is about to free.
pub(crate) fn shrank(bytes: usize) {
    BUILT_BYTES.fetch_sub(bytes, SeqCst);
    take(bytes);
}

/// Updates this process's base: the pages of code it has run since are part of it.
pub(crate) fn settle() {
    let (rss, built) = (PageWalk::now().rss, BUILT_BYTES.load(SeqCst));
    let base = rss.checked_sub(built).filter(|base| *base <= MAX_BASE_BYTES);
    let base = base.unwrap_or_else(|| panic!("{built} bytes built, but the page tables hold {rss}"));
    let before = BASE_BYTES.swap(base, SeqCst);
    if base >= before {
        add(base - before);
    } else {
        take(before - base);
    }
}

/// Begins a forked process: only what it inherited in private blocks is on the meter.
pub(crate) fn forked(inherited: usize) {
    BASE_BYTES.store(0, SeqCst);
    BUILT_BYTES.store(inherited, SeqCst);
    add(inherited);
    settle();
}

/// Subtracts all of this process, which is about to end.
pub(crate) fn leave() {
    take(BASE_BYTES.swap(0, SeqCst) + BUILT_BYTES.swap(0, SeqCst));
}

/// Returns this process's amount on the meter.
pub(crate) fn mine() -> usize {
    BASE_BYTES.load(SeqCst) + BUILT_BYTES.load(SeqCst)
}

/// Adds the memory of another process that is too short-lived to add it itself.
pub(crate) fn lend(bytes: usize) {
    add(bytes);
}

/// Subtracts the memory of a process that could not do it itself.
pub(crate) fn take_back(bytes: usize) {
    take(bytes);
}

/// Adds this process's share of the job's proportional set size.
pub(crate) fn add_pss(bytes: usize) {
    if let Some(meter) = meter() {
        meter.pss.fetch_add(bytes, SeqCst);
    }
}

/// Adds memory of this process that is in swap.
pub(crate) fn add_swap(bytes: usize) {
    if let Some(meter) = meter() {
        meter.swap.fetch_add(bytes, SeqCst);
    }
}

/// Writes the truth so far.
pub(crate) fn write() {
    let (Some(Some(path)), Some(meter)) = (TRUTH_FILE.get(), meter()) else { return };
    let peak = meter.peak.load(SeqCst);
    let known = |figure: &AtomicUsize| match figure.load(SeqCst) {
        0 => "null".to_owned(),
        bytes => bytes.to_string(),
    };
    let (pss, swap) = (known(&meter.pss), known(&meter.swap));
    let line = format!("{{\"rss_bytes\":{peak},\"pss_bytes\":{pss},\"swap_bytes\":{swap}}}\n");
    if let Err(error) = fs::write(path, line) {
        eprintln!("workload: {}: {error}", path.to_string_lossy());
        std::process::exit(1);
    }
}

/// Ends the first process.
pub(crate) fn finish() {
    leave();
    write();
}
