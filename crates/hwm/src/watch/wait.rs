//! Waiting for time to pass, for a request to stop, or for the reader to leave.

use std::{io, time::Duration};

/// The reason why waiting ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WaitEnd {
    TimeUp,
    /// INT, TERM, HUP or QUIT came.
    StopRequested,
    /// The other end of standard output was closed.
    #[cfg_attr(not(unix), allow(dead_code))] // Writing reports it there.
    OutputClosed,
}

/// Takes over the signals that ask to stop, so that a summary can be written.
#[derive(Debug)]
pub(super) struct Waiter {
    #[cfg(unix)]
    signals: Option<std::fs::File>,
    #[cfg(windows)]
    asked: crate::signals::StopRequests,
}

impl Waiter {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            #[cfg(unix)]
            signals: crate::signals::take_over()?,
            #[cfg(windows)]
            asked: crate::signals::StopRequests::new()?,
        })
    }

    #[cfg(unix)]
    #[allow(clippy::unused_self)] // elsewhere
    pub(super) fn wait(&self, time: Duration) -> io::Result<WaitEnd> {
        use std::time::Instant;

        use rustix::{
            event::{PollFd, PollFlags, Timespec, poll},
            io::Errno,
        };

        let until = Instant::now() + time;
        let stdout = io::stdout();
        loop {
            // A closed pipe is reported without being asked for (poll(2)).
            let mut fds = vec![PollFd::new(&stdout, PollFlags::empty())];
            fds.extend(self.signals.as_ref().map(|signals| PollFd::new(signals, PollFlags::IN)));
            let left = until.saturating_duration_since(Instant::now());
            let left = Timespec::try_from(left).map_err(|_| io::ErrorKind::InvalidInput)?;
            match poll(&mut fds, Some(&left)) {
                Ok(0) => return Ok(WaitEnd::TimeUp),
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(errno.into()),
                Ok(_) => {}
            }
            if fds.get(1).is_some_and(|signals| signals.revents().contains(PollFlags::IN)) {
                return Ok(WaitEnd::StopRequested);
            }
            return Ok(WaitEnd::OutputClosed);
        }
    }

    #[cfg(windows)]
    #[allow(clippy::unnecessary_wraps)] // It may fail elsewhere. A missing reader shows at the next line.
    pub(super) fn wait(&self, time: Duration) -> io::Result<WaitEnd> {
        Ok(if self.asked.within(time) { WaitEnd::StopRequested } else { WaitEnd::TimeUp })
    }
}
