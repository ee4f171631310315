//! The end of a process that is known by a descriptor.

use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Returns whether the process has exited: its pidfd can be read then (`pidfd_open(2)`).
pub(super) fn has_exited(pidfd: &impl AsFd) -> bool {
    let mut polled = [PollFd::new(pidfd, PollFlags::IN)];
    poll(&mut polled, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
}
