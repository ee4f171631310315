//! Several processes, each with memory of its own.

use std::time::Duration;

use crate::{
    memory::Block,
    meter,
    process::{Pipe, exit_now, fork, ms, raw_fork, sleep, wait},
};

/// All children live all along; their spikes follow one another. The peak is one spike above the bases.
pub(crate) fn spikes_in_turn(children: usize, size: usize, high: Duration) {
    let turns: Vec<Pipe> = (0..children).map(|_| Pipe::new()).collect();
    let ends: Vec<Pipe> = (0..children).map(|_| Pipe::new()).collect();
    let done = Pipe::new();
    let pids: Vec<_> = (0..children)
        .map(|n| {
            fork(|| {
                turns[n].hear();
                meter::settle();
                let block = Block::new(size);
                sleep(high);
                drop(block);
                meter::settle();
                done.say();
                ends[n].hear();
            })
        })
        .collect();
    meter::settle();
    sleep(ms(300));
    for turn in &turns {
        turn.say();
        done.hear();
        sleep(ms(200));
    }
    ends.iter().for_each(Pipe::say);
    pids.into_iter().for_each(wait);
}

/// Parent, child and grandchild, each there from the start, holding 50, 100 and 70 MiB; the first two
/// overlap, then the last two: the peak is 170 MiB, the sum of the three marks 220.
pub(crate) fn generations() {
    let phase = |before, size: usize, time| {
        sleep(ms(before));
        let block = Block::new(size << 20);
        meter::settle();
        sleep(ms(time));
        drop(block);
    };
    let child = fork(|| {
        let grandchild = fork(|| phase(600, 70, 300));
        phase(200, 100, 600);
        wait(grandchild);
    });
    phase(0, 50, 400);
    wait(child);
}

/// The new owner allocates only after the old one has freed: never more than one `size` at a time.
pub(crate) fn hand_over(size: usize, each: Duration, turns: usize) {
    let (here, there) = (Pipe::new(), Pipe::new());
    let hold = || {
        let block = Block::new(size);
        meter::settle();
        sleep(each);
        drop(block);
    };
    let child = fork(|| {
        for _ in 0..turns {
            there.hear();
            hold();
            here.say();
        }
    });
    for _ in 0..turns {
        hold();
        there.say();
        here.hear();
    }
    wait(child);
}

/// The middle process dies; whoever inherits its child, it grows only then.
pub(crate) fn orphan(size: usize, middle_lives: Duration) {
    let gone = Pipe::new();
    let middle = fork(|| {
        // SAFETY: no arguments, cannot fail.
        let parent = unsafe { libc::getpid() };
        fork(|| {
            // SAFETY: as above.
            while unsafe { libc::getppid() } == parent {
                sleep(ms(1));
            }
            sleep(ms(100));
            let block = Block::new(size);
            meter::settle();
            sleep(ms(500));
            drop(block);
        });
        sleep(middle_lives);
    });
    wait(middle);
    gone.wait_until_all_left();
}

/// Exits at once; what it leaves behind has a session of its own, and grows later. It writes the truth.
pub(crate) fn daemon(size: usize) {
    let first = fork(|| {
        // SAFETY: no arguments.
        unsafe { libc::setsid() };
        if raw_fork() == 0 {
            meter::forked(0);
            sleep(ms(300));
            let block = Block::new(size);
            meter::settle();
            sleep(ms(700));
            drop(block);
            meter::finish();
            exit_now(0);
        }
    });
    wait(first);
    meter::leave();
    exit_now(0);
}
