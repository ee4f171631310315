//! Exact peaks without privilege. Each task of the job is held at its exec and at its process's exit (seccomp user
//! notification, `seccomp_unotify(2)`). Its high-water mark is read while it stands still.
//!
//! A held task waits for an answer of its listener. If this process were the listener and were killed before the
//! answer, the task would wait for ever. Without any listener every exec and exit of the job would fail with ENOSYS. So
//! a separate process, the *keeper*, receives and answers. It lives in its own session, has no descriptors of this
//! process but one pipe and procfs, and exits after the last task of the job. This process only reads its notices.

mod filter;
mod hand_over;
mod notice;
mod seal;
mod serve;
mod tracer_watch;

use std::{
    fmt, io,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    rc::Rc,
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    net::{AddressFamily, SocketFlags, SocketType, socketpair},
    pipe::{PipeFlags, fcntl_setpipe_size, pipe_with},
};

pub(crate) use self::{
    hand_over::HandOver,
    notice::{HeldTask, HoldPoint},
};
use self::{
    notice::{NOTICE_BYTES, Notice, NoticeKind},
    seal::{NoticeReader, Seal},
};
pub(super) use super::memory_map::same_memory_map;
use super::{helper_process, proc_dir::ProcDir};

/// Bytes of the pipe: 8,000 notices, and the most that ordinary users may ask for (`fs.pipe-max-size`).
const NOTICE_PIPE_BYTES: usize = 1 << 20;
/// Bytes that one call of [`ExecHold::drain`] reads at most, however fast another process fills the pipe.
const MAX_DRAIN_BYTES: usize = 2 * NOTICE_PIPE_BYTES;
/// Longest wait for the keeper's report on the hand-over, which is over before the command runs.
const KEEPER_TIMEOUT: Duration = Duration::from_secs(1);

/// The keeper of one job.
#[derive(Debug)]
pub(crate) struct ExecHold {
    pid: libc::pid_t,
    notice_pipe: OwnedFd,
    hand_over: Option<Rc<HandOver>>,
    notices: NoticeReader,
    dropped: u64,
    unread: u64,
    /// Number of calls that the filter may have hidden from a tracer.
    hidden: u64,
    over: bool,
    gone: bool,
}

/// The reason why tasks are not held.
#[derive(Debug)]
pub(crate) enum Refused {
    /// seccomp(2) failed.
    Filter(io::Error),
    /// The keeper did not answer.
    ExecHold,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Filter(error) if error.raw_os_error() == Some(libc::EBUSY) => {
                f.write_str("another listener is in place already (of a hwm --exact around this one, or of a container); only one is allowed")
            }
            Self::Filter(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {
                f.write_str("this kernel's seccomp notification is too old: it needs Linux 5.9")
            }
            Self::Filter(error) => write!(f, "seccomp notification was refused: {error}"),
            Self::ExecHold => f.write_str("the memory-keeper process did not answer"),
        }
    }
}

impl ExecHold {
    /// Starts the keeper.
    ///
    /// # Errors
    /// No process, pipe or socket can be made.
    pub(crate) fn start(proc: &ProcDir) -> io::Result<Self> {
        helper_process::reap_left();
        let (notice_pipe, notice_end) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // A smaller pipe drops more notices, which are counted.
        let _ = fcntl_setpipe_size(&notice_pipe, NOTICE_PIPE_BYTES);
        let (keeper_end, child_end) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        let seal = Seal::new();
        // SAFETY: `serve` does only what is allowed there; the descriptors are open.
        let pid = unsafe {
            helper_process::fork(|| {
                serve::serve(notice_end.as_raw_fd(), keeper_end.as_raw_fd(), proc.as_raw_fd(), &seal)
            })
        }?;
        Ok(Self {
            pid,
            notice_pipe,
            hand_over: Some(Rc::new(HandOver::new(child_end))),
            notices: NoticeReader::new(seal),
            dropped: 0,
            unread: 0,
            hidden: 0,
            over: false,
            gone: false,
        })
    }

    /// Returns the pid of the keeper.
    pub(crate) fn pid(&self) -> u32 {
        self.pid.unsigned_abs()
    }

    /// Returns the hand-over for the job's first process.
    pub(crate) fn hand_over(&self) -> Option<Rc<HandOver>> {
        self.hand_over.clone()
    }

    /// Asks for marks only, as the kernel reports execs and exits anyway. It must be called before the hand-over.
    pub(crate) fn want_marks_only(&self) {
        if let Some(hand_over) = &self.hand_over {
            hand_over.want_marks_only();
        }
    }

    /// Returns whether the hand-over succeeded, once the command has been exec'ed.
    pub(crate) fn handed_over(&mut self) -> Result<(), Refused> {
        // Once all copies are closed, the keeper no longer waits for a listener.
        self.hand_over = None;
        let timeout = Timespec::try_from(KEEPER_TIMEOUT).ok();
        let _ = poll(&mut [PollFd::new(&self.notice_pipe, PollFlags::IN)], timeout.as_ref());
        self.read();
        match self.notices.next() {
            Some(Notice { kind: NoticeKind::Listening, .. }) => Ok(()),
            Some(Notice { kind: NoticeKind::Refused, number, .. }) => {
                let errno = i32::try_from(number).unwrap_or(libc::EINVAL);
                Err(Refused::Filter(io::Error::from_raw_os_error(errno)))
            }
            _ => Err(Refused::ExecHold),
        }
    }

    /// Appends the new holds in order. Never waits.
    pub(crate) fn drain(&mut self, into: &mut Vec<HeldTask>) {
        let mut left = MAX_DRAIN_BYTES;
        loop {
            while let Some(notice) = self.notices.next() {
                self.dropped = self.dropped.max(notice.dropped);
                self.unread += u64::from(notice.kind == NoticeKind::Unread);
                self.hidden += u64::from(notice.may_be_hidden);
                self.over |= notice.kind == NoticeKind::Over;
                into.extend(notice.held());
            }
            left = match self.read() {
                0 => return,
                length => left.saturating_sub(length),
            };
            if left == 0 {
                return;
            }
        }
    }

    /// Returns the number of tasks without a notice. A notice did not fit into the pipe, another process disturbed it,
    /// or the task could not be read.
    pub(crate) fn lost(&self) -> u64 {
        self.dropped + self.unread + self.disturbed()
    }

    /// Returns whether the keeper ended before the job did.
    pub(crate) fn was_killed(&self) -> bool {
        self.gone && !self.over
    }

    /// Returns the number of execs and exits that the filter may have hidden from a tracer in the job.
    pub(crate) fn hidden_from_tracers(&self) -> u64 {
        self.hidden
    }

    /// Returns the number of notices that another process took out of the pipe, and of foreign byte sequences in it.
    pub(crate) fn disturbed(&self) -> u64 {
        self.notices.disturbed()
    }

    /// Reads a part of the pipe's content; returns its length.
    fn read(&mut self) -> usize {
        let mut buffer = [0; 64 * NOTICE_BYTES];
        let Ok(length) = rustix::io::read(self.notice_pipe.as_fd(), &mut buffer) else { return 0 };
        self.gone |= length == 0;
        self.notices.push(buffer.get(..length).unwrap_or_default());
        length
    }
}

impl Drop for ExecHold {
    fn drop(&mut self) {
        self.hand_over = None;
        self.drain(&mut Vec::new());
        // The pipe's other end is closed when the keeper exits, which follows its final notice at once.
        let timeout = Timespec::try_from(if self.over { KEEPER_TIMEOUT } else { Duration::ZERO }).ok();
        let mut notice_pipe = [PollFd::new(&self.notice_pipe, PollFlags::empty())];
        let _ = poll(&mut notice_pipe, timeout.as_ref());
        let ended = self.gone || notice_pipe[0].revents().contains(PollFlags::HUP);
        if ended {
            let _ = helper_process::reap(self.pid, 0);
        } else {
            // A keeper of a job that lives on lives on, too.
            helper_process::leave(self.pid);
        }
        helper_process::reap_left();
    }
}

#[cfg(test)]
mod tests;
