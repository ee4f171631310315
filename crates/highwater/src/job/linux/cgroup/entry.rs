//! How a child gets into the group without the wait that moving a process by its pid costs.

use std::{io, os::fd::AsRawFd, os::fd::BorrowedFd};

/// The quick way, by version.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Entry<'a> {
    /// v1: the child calls [`enter`] on this.
    Write(BorrowedFd<'a>),
    /// v2: the child is made by [`clone_into`] this.
    Clone(BorrowedFd<'a>),
}

/// Moves the calling thread into the group whose `tasks` file this is; a child right after fork is that one thread.
/// A thread that moves itself, alone, needs none of the locks that moving others does (`cgroup_procs_write_start` in
/// kernel/cgroup/cgroup.c, Linux 5.5). On failure the error number. Async-signal-safe: one write(2).
pub(crate) fn enter(tasks: BorrowedFd<'_>) -> Result<(), i32> {
    rustix::io::write(tasks, b"0").map(drop).map_err(rustix::io::Errno::raw_os_error)
}

/// include/uapi/linux/sched.h. The libc crate has it as an `int`, where it does not fit and becomes 0.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// As fork(2), with the child in the v2 group that is open as `directory` from its first moment
/// (`CLONE_INTO_CGROUP`, clone(2), Linux 5.7). 0 in the child. Sandboxes that refuse clone3 say `ENOSYS`: fork and
/// [`admit`](super::JobGroup::admit) then.
///
/// # Safety
/// The C library does not know of this fork: the child may call only async-signal-safe functions until it execs or
/// exits.
pub(crate) unsafe fn clone_into(directory: BorrowedFd<'_>) -> io::Result<libc::pid_t> {
    // SAFETY: zeroes are valid: no flags, no pointers.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = CLONE_INTO_CGROUP;
    args.exit_signal = libc::SIGCHLD as u64;
    args.cgroup = u64::from(directory.as_raw_fd().unsigned_abs());
    // SAFETY: a live struct of that size; without a stack the child goes on with a copy of ours, as after fork.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of_val(&args)) };
    match libc::pid_t::try_from(pid) {
        Ok(pid @ 0..) => Ok(pid),
        _ => Err(io::Error::last_os_error()),
    }
}
