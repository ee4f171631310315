//! Very many short processes.

use std::{
    env,
    ffi::CString,
    fs::File,
    io::Write,
    path::Path,
    time::{Duration, Instant},
};

use super::{
    memory::Block,
    meter,
    process::{BytePipe, exit_now, fork, raw_fork, sleep, wait_any},
};

/// Runs `count` processes of `life` and `size` each, never more than `parallel` at a time. The first of them
/// wait for each other, so that `parallel` are alive together however busy the machine is.
pub(crate) fn storm(count: usize, life: Duration, parallel: usize, size: usize) {
    let (ready, go) = (BytePipe::new(), BytePipe::new());
    for n in 0..count {
        if n == parallel {
            (0..parallel).for_each(|_| ready.hear());
            (0..parallel).for_each(|_| go.say());
        }
        if n >= parallel {
            wait_any();
        }
        fork(|| {
            let start = Instant::now();
            let block = Block::new(size);
            meter::settle();
            if n < parallel && parallel < count {
                ready.say();
                go.hear();
            }
            sleep(life.saturating_sub(start.elapsed()));
            drop(block);
        });
    }
    for _ in 0..parallel.min(count) {
        wait_any();
    }
}

/// Runs `program` `count` times by fork and exec, never more than `parallel` at a time.
pub(crate) fn exec_storm(program: &str, count: usize, parallel: usize) {
    let program = CString::new(program).expect("no zero byte in a path");
    let arguments = [program.as_ptr(), std::ptr::null()];
    for n in 0..count {
        if n >= parallel {
            wait_any();
        }
        if raw_fork() == 0 {
            // SAFETY: the arguments are C strings and an array that ends with null.
            unsafe { libc::execv(program.as_ptr(), arguments.as_ptr()) };
            exit_now(127);
        }
    }
    for _ in 0..parallel.min(count) {
        wait_any();
    }
}

/// Starts `program` up to `count` times by vfork, one after the other, as fast as possible. Prints how often it was started
/// within `most_time`: on a busy machine each start waits for its turn.
pub(crate) fn vfork_storm(program: &str, count: usize, most_time: Duration) {
    let begun = Instant::now();
    let path = CString::new(program).expect("no zero byte in a path");
    let arguments = [path.as_ptr().cast_mut(), std::ptr::null_mut()];
    let environment: Vec<CString> = env::vars()
        .map(|(name, value)| {
            CString::new(format!("{name}={value}")).expect("no zero byte in the environment")
        })
        .collect();
    let mut environment: Vec<_> = environment.iter().map(|entry| entry.as_ptr().cast_mut()).collect();
    environment.push(std::ptr::null_mut());
    let mut started = 0;
    while started < count && begun.elapsed() < most_time {
        let mut pid = 0;
        // posix_spawn(3) is vfork in glibc and musl.
        // SAFETY: the arguments are C strings, and arrays of them that end with null.
        let failed = unsafe {
            libc::posix_spawn(
                &raw mut pid,
                path.as_ptr(),
                std::ptr::null(),
                std::ptr::null(),
                arguments.as_ptr(),
                environment.as_ptr(),
            )
        };
        assert!(failed == 0, "posix_spawn: error {failed}");
        wait_any();
        started += 1;
    }
    println!("{started}");
}

/// Runs chains of processes, each of which forks and exits at once: a process that was seen has exited before
/// a signal reaches it. This process waits until they all have ended.
pub(crate) fn fork_chains(dir: &Path, count: usize, length: usize) {
    let (ended, pipe) = (dir.join("ended"), BytePipe::new());
    for _ in 0..count {
        if raw_fork() == 0 {
            for _ in 1..length {
                if raw_fork() != 0 {
                    exit_now(0);
                }
            }
            let file = File::options().append(true).create(true).open(&ended);
            file.and_then(|mut file| file.write_all(b"x")).expect("written");
            exit_now(0);
        }
    }
    File::create(dir.join("begun")).expect("made");
    pipe.wait_until_all_left();
}
