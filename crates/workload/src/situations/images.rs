//! Processes that exec.

use std::{env, ffi::CString, os::unix::process::CommandExt, process::Command};

use super::{
    memory::Block,
    meter,
    own_pages::PageWalk,
    process::{exit_now, ms, raw_fork, sleep, wait},
};

/// Maps `size` bytes, then execs a program that maps `then` MiB: one process, two address spaces.
pub(crate) fn exec(size: usize, then: usize) {
    let block = Block::new(size);
    meter::settle();
    meter::write();
    sleep(ms(300));
    let error = Command::new(env::current_exe().expect("the path of this program"))
        .args(["hold", &then.to_string(), "500"])
        .env_remove("WORKLOAD_TRUTH")
        .exec();
    drop(block);
    panic!("exec: {error}");
}

/// Maps `size` bytes and starts `program` repeatedly. Between fork and exec the child shares all pages of its
/// parent: the RSS sum doubles then, though no memory was added.
pub(crate) fn fork_exec(size: usize, times: usize, program: &str) {
    let program = CString::new(program).expect("no zero byte in a path");
    let arguments = [program.as_ptr(), std::ptr::null()];
    let block = Block::new(size);
    meter::settle();
    meter::add_pss(PageWalk::now().pss);
    sleep(ms(150));
    let mine = meter::mine();
    for _ in 0..times {
        // The doubled sum is on the meter while the child lives: it stands for the moment before the exec.
        meter::lend(mine);
        let child = raw_fork();
        if child == 0 {
            // SAFETY: the arguments are C strings and an array that ends with null.
            unsafe { libc::execv(program.as_ptr(), arguments.as_ptr()) };
            exit_now(127);
        }
        wait(child);
        meter::take_back(mine);
    }
    drop(block);
}
