//! Memory that follows a course over time: leaks, and what only looks like one.

use std::time::{Duration, Instant};

use super::{
    memory::Block,
    meter,
    process::{fork, ms, sleep, wait},
};

/// The memory as a part of the size, after a part of the time (both 0 to 1).
type MemoryCourse = fn(f64) -> f64;

/// The number of teeth in a run.
const TEETH_PER_RUN: f64 = 16.0;

fn tooth(part: f64) -> f64 {
    (part * TEETH_PER_RUN).fract()
}

/// Returns the course of this name.
pub(crate) fn named(name: &str) -> Option<MemoryCourse> {
    Some(match name {
        "steady" => |part| 0.1 + 0.9 * part,
        // A third of each tooth is never freed.
        "rising-teeth" => {
            |part| 0.1 + 0.8 * (part * TEETH_PER_RUN).floor() / TEETH_PER_RUN + 0.15 * tooth(part)
        }
        "flat-teeth" => |part| 0.1 + 0.9 * tooth(part),
        "warm-up" => |part| 0.05 + 0.95 * (part / 0.3).min(1.0),
        "cache" => |part| 0.05 + 0.95 * (1.0 - (-part * 6.0).exp()),
        "late" => |part| if part < 0.75 { 0.1 } else { 1.0 },
        "level" => |_| 1.0,
        _ => return None,
    })
}

/// Memory is mapped and freed in pieces of this size.
const PIECE_BYTES: usize = 128 << 10;

/// Follows the course up to `size`, for `time`.
pub(crate) fn follow(course: MemoryCourse, size: usize, time: Duration) {
    let mut blocks: Vec<Block> = Vec::with_capacity(size / PIECE_BYTES + 1);
    let begun = Instant::now();
    meter::settle();
    loop {
        let part = begun.elapsed().as_secs_f64() / time.as_secs_f64();
        if part >= 1.0 {
            // The memory stays mapped, as in most programs that exit: the kernel frees it at once.
            std::mem::forget(blocks);
            return;
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        let pieces = (size as f64 * course(part)) as usize / PIECE_BYTES;
        blocks.truncate(pieces);
        while blocks.len() < pieces {
            blocks.push(Block::new(PIECE_BYTES));
        }
        sleep(ms(10));
    }
}

/// Runs this many workers that use a quarter of `size` each; the second one leaks up to `size`.
pub(crate) fn one_leaks(workers: usize, size: usize, time: Duration) {
    let worker = |place: usize| {
        let (course, size): (MemoryCourse, _) =
            if place == 1 { (|part| 0.1 + 0.9 * part, size) } else { (|_| 1.0, size / 4) };
        fork(|| follow(course, size, time))
    };
    let pids: Vec<_> = (0..workers).map(worker).collect();
    pids.into_iter().for_each(wait);
}
