//! One process, one thread.

use std::{fs::File, path::Path, time::Duration};

use super::{
    memory::Block,
    meter,
    process::{exit_now, ms, sleep},
};

pub(crate) fn hold(size: usize, time: Duration) {
    let block = Block::new(size);
    meter::settle();
    sleep(time);
    drop(block);
}

/// Maps all pages of a file for that long.
pub(crate) fn map(file: &Path, time: Duration) {
    let block = Block::reading(&File::open(file).expect("a file to map"));
    meter::settle();
    sleep(time);
    drop(block);
}

/// Holds `size` bytes, with its memory map closed to other processes of its user.
pub(crate) fn undumpable(size: usize, time: Duration) {
    forbid_dumps();
    hold(size, time);
}

/// Closes the memory map of this process to other processes of its user (`PR_SET_DUMPABLE(2const)`).
pub(crate) fn forbid_dumps() {
    // SAFETY: a plain call.
    assert!(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0) } == 0, "prctl");
}

/// Forks children until that is refused. The first one and this process hold `size` bytes each.
pub(crate) fn crowded(size: usize, time: Duration) {
    const MAX_CHILDREN: usize = 1_000;
    for child in 0..MAX_CHILDREN {
        // SAFETY: this process has one thread, so the child may do anything.
        match unsafe { libc::fork() } {
            0 => {
                let block = (child == 0).then(|| Block::new(size));
                sleep(time);
                drop(block);
                exit_now(0)
            }
            refused if refused < 0 => return hold(size, time),
            _ => {}
        }
    }
    panic!("{MAX_CHILDREN} children were not refused");
}

/// Uses nothing, then a spike, then nothing.
pub(crate) fn spike(size: usize, high: Duration, whole: Duration) {
    let before = whole.saturating_sub(high) / 2;
    sleep(before);
    meter::settle();
    drop({
        let block = Block::new(size);
        sleep(high);
        block
    });
    meter::settle();
    sleep(before);
}

pub(crate) fn leak(size: usize, steps: usize) {
    let mut lost = Vec::with_capacity(steps);
    for _ in 0..steps {
        lost.push(Block::new(size / steps));
        sleep(ms(20));
    }
    meter::settle();
}

pub(crate) fn killed(size: usize, signal: usize) {
    let block = Block::new(size);
    meter::settle();
    meter::write();
    sleep(ms(100));
    let signal = i32::try_from(signal).expect("a signal's number");
    // There is no core file: writing 120 MiB of it is not the subject.
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: these are plain calls. Rust's own handler for SIGSEGV would only print first.
    unsafe {
        libc::setrlimit(libc::RLIMIT_CORE, &raw const none);
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
    }
    drop(block);
}
