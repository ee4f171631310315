//! One process, several threads.

use std::{
    env,
    os::unix::process::CommandExt,
    process::Command,
    sync::{Arc, Barrier},
    thread,
    time::Duration,
};

use super::{
    memory::Block,
    meter,
    process::{exit_now, ms, sleep},
};

/// Runs `count` threads that use `size` bytes each, all at the same time.
pub(crate) fn crowd(count: usize, size: usize) {
    let together = Arc::new(Barrier::new(count + 1));
    let threads: Vec<_> = (0..count)
        .map(|_| {
            let together = Arc::clone(&together);
            thread::spawn(move || {
                let block = Block::new(size);
                together.wait();
                together.wait();
                drop(block);
            })
        })
        .collect();
    together.wait();
    meter::settle();
    sleep(ms(700));
    together.wait();
    for thread in threads {
        thread.join().expect("the thread ended well");
    }
}

/// The first thread leaves, and another one execs a program that holds `size` bytes for 10 s: it takes the first one's id.
pub(crate) fn leaderless_exec(size: usize) -> ! {
    // Its link under /proc goes with the first thread.
    let program = env::current_exe().expect("a path of this program");
    thread::spawn(move || {
        sleep(ms(500));
        let error = Command::new(program)
            .args(["hold", &(size >> 20).to_string(), "10000"])
            .env_remove("WORKLOAD_TRUTH")
            .exec();
        panic!("exec: {error}");
    });
    // SAFETY: exit(2), not exit_group(2): ends this thread alone; its stack stays mapped.
    unsafe { libc::syscall(libc::SYS_exit, 0) };
    unreachable!("exit returned")
}

/// Ends at once, beside a thread with a name of its own that outlives the first one by a little.
pub(crate) fn named_otherwise() {
    let together = Arc::new(Barrier::new(2));
    let theirs = Arc::clone(&together);
    let named = thread::Builder::new().name("other-name".to_owned()).spawn(move || {
        theirs.wait();
        sleep(ms(10_000));
    });
    named.expect("a thread can be started");
    together.wait();
}

/// Exits the main thread as `pthread_exit` does; 100 ms later the others grow, and stay for `time`.
pub(crate) fn leaderless(count: usize, size: usize, time: Duration) -> ! {
    let together = Arc::new(Barrier::new(count));
    for _ in 0..count {
        let together = Arc::clone(&together);
        thread::spawn(move || {
            sleep(ms(100));
            let block = Block::new(size);
            together.wait();
            sleep(time);
            if together.wait().is_leader() {
                drop(block);
                meter::write();
                exit_now(0);
            }
            sleep(ms(10_000));
        });
    }
    sleep(ms(50));
    meter::settle();
    // pthread_exit unwinds, which Rust's frames do not let through. This is the call that it ends in.
    // SAFETY: exit(2), not exit_group(2): ends this thread alone; its stack stays mapped.
    unsafe { libc::syscall(libc::SYS_exit, 0) };
    unreachable!("exit returned")
}
