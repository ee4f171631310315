//! The kernel's events of processes: kqueue(2), `EVFILT_PROC`.

use std::{
    io, mem,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    ptr,
    time::Duration,
};

use super::members::KqueueReport;
use crate::job::{identity::MemberId, unix::wait};

/// Most events that one call takes in.
const MAX_EVENTS_PER_CALL: i32 = 128;

/// The queue, which no child inherits.
#[derive(Debug)]
pub(crate) struct Queue(OwnedFd);

/// The reason for the end of a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QueueWaitEnd {
    TimeUp,
    /// Events of members have arrived.
    Events,
    /// The other descriptor can be read.
    Called,
}

impl Queue {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: no arguments; a new descriptor without another owner, or -1.
        let queue = unsafe { libc::kqueue() };
        if queue < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: see above.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(queue) }))
    }

    /// Watches its forks, execs and exit from now on. It is an error if it has exited already.
    pub(crate) fn watch(&self, pid: u32, id: MemberId) -> io::Result<()> {
        let all = libc::NOTE_FORK | libc::NOTE_EXEC | libc::NOTE_EXIT;
        // An exit status is reported only for processes that this one may signal (`filt_procattach` in
        // `bsd/kern/kern_event.c`).
        match self.add(pid, id, all | libc::NOTE_EXITSTATUS) {
            Err(error) if error.raw_os_error() == Some(libc::EACCES) => self.add(pid, id, all),
            answer => answer,
        }
    }

    fn add(&self, pid: u32, id: MemberId, what: u32) -> io::Result<()> {
        let change = libc::kevent {
            ident: pid as usize,
            filter: libc::EVFILT_PROC,
            flags: libc::EV_ADD | libc::EV_CLEAR,
            fflags: what,
            data: 0,
            // It is never dereferenced: it names the member, in case the pid is reused.
            udata: ptr::without_provenance_mut(id.0 as usize),
        };
        // SAFETY: one live change, no room for events, so nothing is written and an error is returned.
        let result = unsafe {
            libc::kevent(self.0.as_raw_fd(), &raw const change, 1, ptr::null_mut(), 0, ptr::null())
        };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Returns the events since the last call, without waiting.
    pub(crate) fn drain(&self) -> Vec<KqueueReport> {
        let mut reports = Vec::new();
        loop {
            // SAFETY: an all-zero kevent is a valid value of this plain C struct.
            let mut events: [libc::kevent; MAX_EVENTS_PER_CALL as usize] = unsafe { mem::zeroed() };
            let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            // SAFETY: no changes; room for as many events as given; a live time.
            let count = unsafe {
                libc::kevent(
                    self.0.as_raw_fd(),
                    ptr::null(),
                    0,
                    events.as_mut_ptr(),
                    MAX_EVENTS_PER_CALL,
                    &raw const now,
                )
            };
            let arrived = events.iter().take(usize::try_from(count).unwrap_or_default());
            reports.extend(arrived.filter(|event| event.filter == libc::EVFILT_PROC).map(report_of));
            if count < MAX_EVENTS_PER_CALL {
                return reports;
            }
        }
    }

    /// Waits for events without taking them in.
    pub(crate) fn wait(&self, pause: Duration, other: Option<BorrowedFd<'_>>) -> QueueWaitEnd {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let mut polled = vec![PollFd::new(&self.0, PollFlags::IN)];
        polled.extend(other.map(|other| PollFd::from_borrowed_fd(other, PollFlags::IN)));
        // A pause of weeks does not fit, but polls come more often than that. If it is interrupted or fails, the next
        // poll comes early, which does no harm.
        let ready = poll(&mut polled, Timespec::try_from(pause).ok().as_ref());
        match (ready, polled.get(1).is_some_and(|other| other.revents().contains(PollFlags::IN))) {
            (_, true) => QueueWaitEnd::Called,
            (Ok(1..), false) => QueueWaitEnd::Events,
            _ => QueueWaitEnd::TimeUp,
        }
    }
}

fn report_of(event: &libc::kevent) -> KqueueReport {
    let has = |note| event.fflags & note != 0;
    let status = has(libc::NOTE_EXITSTATUS).then(|| i32::try_from(event.data).ok()).flatten();
    KqueueReport {
        id: MemberId(u32::try_from(event.udata.addr()).unwrap_or(u32::MAX)),
        forked: has(libc::NOTE_FORK),
        execed: has(libc::NOTE_EXEC),
        ended: has(libc::NOTE_EXIT),
        exit: status.map(wait::process_exit),
    }
}
