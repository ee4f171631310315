//! Waiting for exits of the command and its survivors, and for orders.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, pidfd_open},
};

use super::{super::wake::Wake, LinuxJob};
use crate::job::backend::JobBackend as _;

/// Most survivors of the command whose exits are watched one by one.
const MAX_WATCHED_SURVIVORS: usize = 256;
impl LinuxJob {
    /// Waits for `pause`. Returns whether an awaited process exited or an order came before.
    pub(super) fn is_woken(&self, pause: Duration, wake: &Wake) -> bool {
        let survivors = if self.root_lives() { Vec::new() } else { self.survivors() };
        let mut fds: Vec<BorrowedFd<'_>> = survivors.iter().map(AsFd::as_fd).collect();
        if self.root_lives() {
            fds.push(self.child.pidfd.as_fd());
        }
        fds.extend(wake.descriptor());
        let mut polled: Vec<PollFd<'_>> =
            fds.into_iter().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        // A pause of weeks does not fit; polls come more often than that.
        let timeout = Timespec::try_from(pause).ok();
        // If it is interrupted or fails, the next poll comes early, which does no harm.
        poll(&mut polled, timeout.as_ref()).is_ok_and(|ready| ready > 0)
    }

    /// Opens descriptors of the processes that survived the command.
    fn survivors(&self) -> Vec<OwnedFd> {
        self.observation
            .pids()
            .take(MAX_WATCHED_SURVIVORS)
            .filter_map(|pid| Pid::from_raw(i32::try_from(pid).ok()?))
            .filter_map(|pid| pidfd_open(pid, PidfdFlags::empty()).ok())
            .collect()
    }
}
