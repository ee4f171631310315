//! Two processes that get the same pid, one after the other.

use std::fs;

use super::{
    memory::Block,
    meter,
    process::{exit_now, ms, raw_fork, sleep, wait},
};

/// The file whose number the kernel increments for the next pid: proc(5), `/proc/sys/kernel/ns_last_pid`.
const LAST_PID: &str = "/proc/sys/kernel/ns_last_pid";
/// Exit code of a situation that cannot be made here, as in automake's tests.
const SKIPPED_EXIT_CODE: i32 = 77;

pub(crate) fn twice(first: usize, second: usize) {
    let hold = |size| {
        meter::forked(0);
        let block = Block::new(size);
        meter::settle();
        sleep(ms(250));
        drop(block);
        meter::leave();
        exit_now(0);
    };
    let pid = raw_fork();
    if pid == 0 {
        hold(first);
    }
    wait(pid);
    sleep(ms(50));
    for _ in 0..100 {
        if let Err(error) = fs::write(LAST_PID, (pid - 1).to_string()) {
            eprintln!("workload: {LAST_PID}: {error} (same-pid needs root)");
            exit_now(SKIPPED_EXIT_CODE);
        }
        let again = raw_fork();
        if again == 0 {
            // SAFETY: the call has no arguments.
            if unsafe { libc::getpid() } != pid {
                exit_now(0);
            }
            hold(second);
        }
        wait(again);
        if again == pid {
            return;
        }
    }
    eprintln!("workload: another process took pid {pid} each time");
    exit_now(SKIPPED_EXIT_CODE);
}
