//! Several processes, each with memory of its own.

use std::time::Duration;

use super::{
    memory::Block,
    meter,
    process::{BytePipe, exit_now, fork, ms, raw_fork, sleep, wait},
};

/// Keeps all children alive throughout; their spikes follow one another. The peak is one spike above the
/// bases.
pub(crate) fn spikes_in_turn(children: usize, size: usize, high: Duration) {
    let turns: Vec<BytePipe> = (0..children).map(|_| BytePipe::new()).collect();
    let ends: Vec<BytePipe> = (0..children).map(|_| BytePipe::new()).collect();
    let done = BytePipe::new();
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
    ends.iter().for_each(BytePipe::say);
    pids.into_iter().for_each(wait);
}

/// Runs parent, child and grandchild, each from the start, with 50, 100 and 70 MiB. The first two overlap,
/// then the last two: the peak is 170 MiB, the sum of the three high-water marks 220.
pub(crate) fn generations() {
    let (child_has_grown, parent_has_freed, grandchild_has_grown) =
        (BytePipe::new(), BytePipe::new(), BytePipe::new());
    let grow = |size: usize| {
        let block = Block::new(size << 20);
        meter::settle();
        block
    };
    let hold = |block: Block, time| {
        sleep(ms(time));
        drop(block);
    };
    // No process grows or frees at the same time as another, however busy the machine is.
    let child = fork(|| {
        let grandchild = fork(|| {
            parent_has_freed.hear();
            sleep(ms(200));
            let block = grow(70);
            grandchild_has_grown.say();
            hold(block, 400);
        });
        sleep(ms(200));
        let block = grow(100);
        child_has_grown.say();
        grandchild_has_grown.hear();
        hold(block, 200);
        wait(grandchild);
    });
    let block = grow(50);
    child_has_grown.hear();
    hold(block, 200);
    parent_has_freed.say();
    wait(child);
}

/// Lets the new owner allocate only after the old one has freed: never more than one `size` at a time.
pub(crate) fn hand_over(size: usize, each: Duration, turns: usize) {
    let (here, there) = (BytePipe::new(), BytePipe::new());
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

/// Ends the middle process; its child is reparented, and grows only then.
pub(crate) fn orphan(size: usize, middle_lives: Duration) {
    let gone = BytePipe::new();
    let middle = fork(|| {
        // SAFETY: the call has no arguments and cannot fail.
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

/// Exits at once; its child has a new session, and grows later. The child writes the truth.
pub(crate) fn daemon(size: usize) {
    let first = fork(|| {
        // SAFETY: the call has no arguments.
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
