//! Processes, pipes and time.

use std::{thread, time::Duration};

use super::meter;

pub(crate) fn ms(n: usize) -> Duration {
    Duration::from_millis(n as u64)
}

pub(crate) fn sleep(time: Duration) {
    thread::sleep(time);
}

/// Forks a child that runs `body` and exits with 0. It is on the meter from its first line to its last.
pub(crate) fn fork(body: impl FnOnce()) -> libc::pid_t {
    fork_with(0, body)
}

/// As [`fork`], for a parent with `inherited` bytes in private blocks: the child has them too.
pub(crate) fn fork_with(inherited: usize, body: impl FnOnce()) -> libc::pid_t {
    let pid = raw_fork();
    if pid == 0 {
        meter::forked(inherited);
        body();
        meter::leave();
        exit_now(0);
    }
    pid
}

/// Calls fork(2); returns 0 in the child.
pub(crate) fn raw_fork() -> libc::pid_t {
    // SAFETY: the callers have one thread, so the child may do anything.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork: {}", std::io::Error::last_os_error());
    pid
}

pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: this ends the process.
    unsafe { libc::_exit(code) }
}

pub(crate) fn wait(pid: libc::pid_t) {
    let mut status = 0;
    // SAFETY: status is a local value.
    while unsafe { libc::waitpid(pid, &raw mut status, 0) } < 0 {
        let error = std::io::Error::last_os_error();
        assert!(error.kind() == std::io::ErrorKind::Interrupted, "waitpid: {error}");
    }
    assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0, "child {pid} ended with {status:#x}");
}

/// Waits for any child.
pub(crate) fn wait_any() {
    // SAFETY: no status is wanted.
    unsafe { libc::waitpid(-1, std::ptr::null_mut(), 0) };
}

/// A pipe that carries single bytes between processes.
pub(crate) struct BytePipe {
    read: libc::c_int,
    write: libc::c_int,
}

impl BytePipe {
    pub(crate) fn new() -> Self {
        let mut ends = [0; 2];
        // SAFETY: there is room for two descriptors.
        assert!(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } == 0, "pipe");
        Self { read: ends[0], write: ends[1] }
    }

    pub(crate) fn say(&self) {
        // SAFETY: the byte is a constant.
        unsafe { libc::write(self.write, b"x".as_ptr().cast(), 1) };
    }

    /// Waits for a byte.
    pub(crate) fn hear(&self) {
        let mut byte = 0_u8;
        // SAFETY: the byte is a local value.
        unsafe { libc::read(self.read, (&raw mut byte).cast(), 1) };
    }

    /// Waits until every other process has closed its writing end: until they have all exited.
    pub(crate) fn wait_until_all_left(&self) {
        self.leave();
        self.hear();
    }

    /// Closes the writing end of this process.
    pub(crate) fn leave(&self) {
        // SAFETY: the descriptor belongs to this value and is not used again.
        unsafe { libc::close(self.write) };
    }
}
