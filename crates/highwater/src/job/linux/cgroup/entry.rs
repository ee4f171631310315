//! Entering the group without the wait that moving a process by its pid costs.

use std::{io, os::fd::AsRawFd, os::fd::BorrowedFd};

/// The quick way in, by version.
#[derive(Debug, Clone, Copy)]
pub(crate) enum CgroupEntry<'a> {
    /// v1: the child calls [`enter`] on this.
    Write(BorrowedFd<'a>),
    /// v2: the child is made by [`clone_into`] this.
    Clone(BorrowedFd<'a>),
}

/// Moves the calling thread into the group with this `tasks` file. A child right after fork has only that thread. A
/// thread that moves only itself needs none of the locks for moving others (`cgroup_procs_write_start` in
/// kernel/cgroup/cgroup.c, Linux 5.5). Returns the error number on failure. Async-signal-safe: one write(2).
pub(crate) fn enter(tasks: BorrowedFd<'_>) -> Result<(), i32> {
    rustix::io::write(tasks, b"0").map(drop).map_err(rustix::io::Errno::raw_os_error)
}

/// include/uapi/linux/sched.h. The libc crate defines it as an `int`, in which it becomes 0.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Forks as fork(2) does, with the child in the v2 group `directory` from its first moment (`CLONE_INTO_CGROUP`,
/// clone(2), Linux 5.7). Returns 0 in the child. Sandboxes that refuse clone3 return `ENOSYS`; then fork and
/// [`admit`](super::JobGroup::admit) do it.
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
    // SAFETY: a live struct of that size. Without a stack the child continues on a copy of this one, as after fork.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of_val(&args)) };
    match libc::pid_t::try_from(pid) {
        Ok(pid @ 0..) => Ok(pid),
        _ => Err(io::Error::last_os_error()),
    }
}
