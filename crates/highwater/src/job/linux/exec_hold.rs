//! Exact peaks without privilege: each task of the job is held at its exec and at its process's exit (seccomp user
//! notification, `seccomp_unotify(2)`), and its mark is read while it stands still.
//!
//! A task that is held waits for whoever listens. If that were us and we were killed between hearing of a task and
//! answering it, it would wait for ever, and without any listener every exec and exit of the job would fail with
//! ENOSYS. So a process of its own, the *keeper*, hears and answers; it lives in a session of its own, holds none of
//! our descriptors but one pipe, and leaves when the last task of the job has gone. We only read what it tells.

mod filter;
mod hand_over;
mod notice;
mod seal;
mod serve;

use std::{
    fmt, io, mem,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    ptr,
    rc::Rc,
    sync::Mutex,
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
    notice::{Kind, Notice, SIZE},
    seal::{Opened, Seal},
};
pub(super) use super::memory_map::same_memory_map;

/// Room for 8,000 notices; the most that ordinary users may ask for (`fs.pipe-max-size`).
const ROOM: usize = 1 << 20;
/// Bytes that one call of [`ExecHold::drain`] reads at most, however fast another process fills the pipe.
const MAX_DRAIN_BYTES: usize = 2 * ROOM;
/// The hand-over is over before the command runs; so long we wait for the keeper to say so.
const PATIENCE: Duration = Duration::from_secs(1);

/// The keeper of one job.
#[derive(Debug)]
pub(crate) struct ExecHold {
    pid: libc::pid_t,
    news: OwnedFd,
    hand_over: Option<Rc<HandOver>>,
    notices: Opened,
    dropped: u64,
    unread: u64,
    over: bool,
    gone: bool,
}

/// Why tasks are not held.
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
                f.write_str("another program around us listens already (a hwm --exact, or a container's), and only one can")
            }
            Self::Filter(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {
                f.write_str("seccomp notification lacks what is needed here: Linux 5.9")
            }
            Self::Filter(error) => write!(f, "seccomp notification was refused: {error}"),
            Self::ExecHold => f.write_str("the keeper process did not answer"),
        }
    }
}

impl ExecHold {
    /// Starts the keeper.
    ///
    /// # Errors
    /// When no process, pipe or socket can be had.
    pub(crate) fn start() -> io::Result<Self> {
        bury_the_left();
        let (news, to_us) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // With less room more notices may be dropped, which is counted.
        let _ = fcntl_setpipe_size(&news, ROOM);
        let (keeper_end, child_end) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        let seal = Seal::new();
        // clone(2) with all arguments 0 is fork without an exit signal: no SIGCHLD reaches our host program, and its
        // own wait(-1) never sees the keeper, which only `__WALL` finds.
        // SAFETY: the child runs on a copy of our memory, and `serve` keeps to what is allowed there.
        let pid = with_signals_blocked(|| unsafe {
            let pid = libc::syscall(libc::SYS_clone, 0, 0, 0, 0, 0);
            if pid == 0 {
                serve::serve(to_us.as_raw_fd(), keeper_end.as_raw_fd(), &seal)
            }
            if pid < 0 { Err(io::Error::last_os_error()) } else { Ok(pid) }
        })?;
        Ok(Self {
            pid: libc::pid_t::try_from(pid).map_err(io::Error::other)?,
            news,
            hand_over: Some(Rc::new(HandOver::new(child_end))),
            notices: Opened::new(seal),
            dropped: 0,
            unread: 0,
            over: false,
            gone: false,
        })
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.pid.unsigned_abs()
    }

    /// For the job's first process.
    pub(crate) fn hand_over(&self) -> Option<Rc<HandOver>> {
        self.hand_over.clone()
    }

    /// The kernel tells of execs and ends anyway: only the marks are wanted. Before the hand-over.
    pub(crate) fn want_marks_only(&self) {
        if let Some(hand_over) = &self.hand_over {
            hand_over.want_marks_only();
        }
    }

    /// How the hand-over went, once the command has been exec'ed.
    pub(crate) fn handed_over(&mut self) -> Result<(), Refused> {
        // Once all copies are gone, the keeper no longer waits for a listener.
        self.hand_over = None;
        let timeout = Timespec::try_from(PATIENCE).ok();
        let _ = poll(&mut [PollFd::new(&self.news, PollFlags::IN)], timeout.as_ref());
        self.read();
        match self.notices.next() {
            Some(Notice { kind: Kind::Listening, .. }) => Ok(()),
            Some(Notice { kind: Kind::Refused, number, .. }) => {
                let errno = i32::try_from(number).unwrap_or(libc::EINVAL);
                Err(Refused::Filter(io::Error::from_raw_os_error(errno)))
            }
            _ => Err(Refused::ExecHold),
        }
    }

    /// Appends what came since, in order. Never waits.
    pub(crate) fn drain(&mut self, into: &mut Vec<HeldTask>) {
        let mut left = MAX_DRAIN_BYTES;
        loop {
            while let Some(notice) = self.notices.next() {
                self.dropped = self.dropped.max(notice.dropped);
                self.unread += u64::from(notice.kind == Kind::Unread);
                self.over |= notice.kind == Kind::Over;
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

    /// Tasks of which nothing was told: notices that did not fit into the pipe or that another process disturbed, and
    /// tasks that could not be read.
    pub(crate) fn lost(&self) -> u64 {
        self.dropped + self.unread + self.disturbed()
    }

    /// Returns whether the keeper ended before the job did.
    pub(crate) fn was_killed(&self) -> bool {
        self.gone && !self.over
    }

    /// Notices that another process took out of the pipe, and stretches of bytes that it put in.
    pub(crate) fn disturbed(&self) -> u64 {
        self.notices.disturbed()
    }

    /// Reads a part of what waits in the pipe; its length.
    fn read(&mut self) -> usize {
        let mut buffer = [0; 64 * SIZE];
        let Ok(length) = rustix::io::read(self.news.as_fd(), &mut buffer) else { return 0 };
        self.gone |= length == 0;
        self.notices.push(buffer.get(..length).unwrap_or_default());
        length
    }
}

impl Drop for ExecHold {
    fn drop(&mut self) {
        self.hand_over = None;
        self.drain(&mut Vec::new());
        // The pipe's other end is closed when it ends, which it does right after its last word. If the job lives on
        // without us, so does the keeper.
        let timeout = Timespec::try_from(if self.over { PATIENCE } else { Duration::ZERO }).ok();
        let mut news = [PollFd::new(&self.news, PollFlags::empty())];
        let _ = poll(&mut news, timeout.as_ref());
        let ended = self.gone || news[0].revents().contains(PollFlags::HUP);
        if ended {
            let _ = reap(self.pid, 0);
        } else if let Ok(mut left) = LEFT.lock() {
            left.push(self.pid);
        }
        bury_the_left();
    }
}

/// Keepers of jobs that outlived their being followed.
static LEFT: Mutex<Vec<libc::pid_t>> = Mutex::new(Vec::new());

/// Only we can: nobody else waits for a process without an exit signal.
fn bury_the_left() {
    if let Ok(mut left) = LEFT.lock() {
        left.retain(|&pid| reap(pid, libc::WNOHANG) == 0);
    }
}

/// As waitpid(2) returns: 0 while it lives (with `WNOHANG`).
fn reap(pid: libc::pid_t, options: libc::c_int) -> libc::pid_t {
    loop {
        // SAFETY: no status is asked for.
        let reaped = unsafe { libc::waitpid(pid, ptr::null_mut(), libc::__WALL | options) };
        if reaped >= 0 || io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            return reaped;
        }
    }
}

/// No handler of our host program may run in a child between its fork and its end, nor may a Ctrl-C end it there.
fn with_signals_blocked<T>(call: impl FnOnce() -> T) -> T {
    // SAFETY: zero is a valid set, and all pointers are to live sets.
    unsafe {
        let (mut all, mut before): (libc::sigset_t, libc::sigset_t) = (mem::zeroed(), mem::zeroed());
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
        let result = call();
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, ptr::null_mut());
        result
    }
}

#[cfg(test)]
mod tests;
