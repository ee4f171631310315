//! One process, one thread.

use std::time::Duration;

use super::{
    memory::Block,
    meter,
    process::{ms, sleep},
};

pub(crate) fn hold(size: usize, time: Duration) {
    let block = Block::new(size);
    meter::settle();
    sleep(time);
    drop(block);
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
