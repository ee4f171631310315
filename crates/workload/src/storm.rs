//! Very many short processes.

use std::time::{Duration, Instant};

use crate::{
    memory::Block,
    meter,
    process::{fork, sleep, wait_any},
};

/// `count` processes of `life` and `size` each, never more than `parallel` at a time.
pub(crate) fn storm(count: usize, life: Duration, parallel: usize, size: usize) {
    for n in 0..count {
        if n >= parallel {
            wait_any();
        }
        fork(|| {
            let start = Instant::now();
            let block = Block::new(size);
            meter::settle();
            sleep(life.saturating_sub(start.elapsed()));
            drop(block);
        });
    }
    for _ in 0..parallel.min(count) {
        wait_any();
    }
}
