//! Runs in a child a system call that would change this process permanently.

use std::io;

/// Calls `attempt` in a child and returns its error. `attempt` returns -1 and sets errno on failure, as
/// system calls do. It must make nothing but system calls (no allocation, no locks). Other threads of this
/// process may hold locks that the child can never take: signal-safety(7), fork(2).
pub(super) fn errno_of(attempt: fn() -> libc::c_long) -> io::Result<()> {
    // clone(2) with all arguments 0 is fork without an exit signal. The program that uses this library gets
    // no SIGCHLD, and its own wait(-1) never sees this child, which only `__WALL` finds.
    // SAFETY: the child runs on a copy of the memory, makes system calls only, and leaves by `_exit`.
    let pid = unsafe { libc::syscall(libc::SYS_clone, 0, 0, 0, 0, 0) };
    if pid == 0 {
        let errno = if attempt() < 0 {
            // SAFETY: the pointer is to this thread's errno.
            unsafe { *libc::__errno_location() }
        } else {
            0
        };
        // SAFETY: this ends the child at once.
        unsafe { libc::_exit(errno) }
    }
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    let pid = libc::pid_t::try_from(pid).map_err(io::Error::other)?;
    let status = wait(pid)?;
    match (libc::WIFEXITED(status), libc::WEXITSTATUS(status)) {
        (true, 0) => Ok(()),
        (true, errno) => Err(io::Error::from_raw_os_error(errno)),
        _ => Err(io::Error::other("the child that made the attempt was killed")),
    }
}

fn wait(pid: libc::pid_t) -> io::Result<libc::c_int> {
    let mut status = 0;
    loop {
        // SAFETY: `status` is a valid place for the result; `pid` is a child of this process.
        if unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL) } == pid {
            return Ok(status);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}
