//! Known usage beside memory: CPU time, bytes written and read, page faults.

use std::{
    fs::File,
    io::{Read, Write},
    path::Path,
    time::Duration,
};

use super::{
    memory::Block,
    process::{fork, wait},
};

/// Uses that much CPU time in user mode, by its own clock.
pub(crate) fn burn(time: Duration) {
    let mut sum = 0_u64;
    while used() < time {
        for number in 0..10_000_u64 {
            sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(number));
        }
    }
}

/// Burns in a child, waits for it, then burns in this process: each has its own time.
pub(crate) fn burn_family(time: Duration) {
    wait(fork(|| burn(time)));
    burn(time);
}

/// Writes this many bytes to FILE and reads them back in a child, then half of that in this process.
pub(crate) fn copy(file: &Path, bytes: usize) {
    wait(fork(|| write_and_read(file, bytes)));
    write_and_read(file, bytes / 2);
}

fn write_and_read(file: &Path, bytes: usize) {
    let block = vec![b'x'; 1 << 16];
    let mut out = File::create(file).expect("the file can be made");
    let mut left = bytes;
    while left > 0 {
        let length = left.min(block.len());
        out.write_all(&block[..length]).expect("written");
        left -= length;
    }
    drop(out);
    let mut back = File::open(file).expect("there");
    let mut buffer = vec![0; 1 << 16];
    while back.read(&mut buffer).expect("read") > 0 {}
}

/// Touches this many bytes, page by page: one fault each.
pub(crate) fn fault(bytes: usize) {
    drop(Block::faulted(bytes));
}

/// Returns the CPU time of this process so far.
fn used() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a live local of the right type.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs().try_into().unwrap_or(0))
}
