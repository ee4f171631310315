//! Passing the listener from the job's first process to the keeper (unix(7), `SCM_RIGHTS`).

use std::{
    mem,
    os::fd::{AsRawFd, OwnedFd, RawFd},
    ptr,
};

use libc::{c_int, c_long, c_void, sock_filter};

use super::filter;

/// What goes with the listener: the error number of the filter, 0 if it is in place.
type Errno = [u8; 4];
/// In place of an error number: execs and ends are told by the kernel anyway, so only marks are wanted.
const MARKS_ONLY: i32 = -1;
/// From the keeper: it stands ready to answer.
const READY: i32 = -2;
/// The keeper is ready long before the job's first process asks; so many milliseconds that waits for it at most.
const PATIENCE_MS: c_int = 1000;

/// Room for one descriptor in a control message, aligned as `cmsghdr` must be.
#[repr(C)]
union Control {
    _align: libc::cmsghdr,
    bytes: [u8; 64],
}

/// What the job's first process needs to pass its listener on.
#[derive(Debug)]
pub(crate) struct HandOver {
    to: OwnedFd,
    filter: Vec<sock_filter>,
}

impl HandOver {
    pub(super) fn new(to: OwnedFd) -> Self {
        Self { to, filter: filter::instructions() }
    }

    /// Tells the keeper that only marks are wanted. Before the job's first process goes on.
    pub(super) fn want_marks_only(&self) {
        // SAFETY: our own descriptor. If it fails, more than marks is told, which harms nothing.
        let _ = unsafe { send(self.to.as_raw_fd(), MARKS_ONLY, None) };
    }

    /// Returns whether the keeper has said anything yet, or is gone.
    #[cfg(test)]
    pub(super) fn has_news(&self) -> bool {
        let mut poll = libc::pollfd { fd: self.to.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one live struct.
        unsafe { libc::poll(&raw mut poll, 1, 0) == 1 }
    }

    /// In the job's first process, between its fork and its exec: puts the filter on itself and passes the listener
    /// on. Where the filter is refused, the keeper is told why, and the process goes on without it. A filter cannot
    /// be taken off again and without a listener every exec fails, so nothing is done before the keeper is ready.
    ///
    /// # Safety
    /// Only in a child right after fork. Only async-signal-safe calls are made, and nothing is allocated.
    pub(crate) unsafe fn perform(&self) {
        let to = self.to.as_raw_fd();
        // SAFETY: system calls on memory that lives long enough; descriptors are our own. If the sending fails, the
        // keeper sees the end of the socket.
        unsafe {
            if !is_ready(to) {
                return;
            }
            let _ = match listen(&self.filter) {
                Ok(listener) => {
                    let sent = send(to, 0, Some(listener));
                    libc::close(listener);
                    sent
                }
                Err(refused) => send(to, refused, None),
            };
        }
    }
}

/// Returns whether the keeper has said that it can answer, and has not been killed since.
///
/// # Safety
/// As [`HandOver::perform`].
unsafe fn is_ready(from: RawFd) -> bool {
    let mut poll = libc::pollfd { fd: from, events: libc::POLLIN, revents: 0 };
    let mut word: Errno = [0; 4];
    // SAFETY: live memory, as long as it says. An interrupted poll is followed by a receive that does not wait.
    unsafe {
        libc::poll(&raw mut poll, 1, PATIENCE_MS);
        let got = libc::recv(from, word.as_mut_ptr().cast(), word.len(), libc::MSG_DONTWAIT);
        got == 4 && i32::from_ne_bytes(word) == READY && poll.revents & libc::POLLHUP == 0
    }
}

/// In the keeper: tells the job's first process that it may go ahead.
///
/// # Safety
/// As [`HandOver::perform`].
pub(super) unsafe fn say_ready(to: RawFd) {
    // SAFETY: a descriptor of our own. If nobody is there any more, no listener comes either.
    let _ = unsafe { send(to, READY, None) };
}

/// Puts the filter on this process and returns its listener.
///
/// # Safety
/// As [`HandOver::perform`].
pub(super) unsafe fn listen(filter: &[sock_filter]) -> Result<c_int, i32> {
    let program = libc::sock_fprog {
        len: filter.len().try_into().map_err(|_| libc::EINVAL)?,
        filter: filter.as_ptr().cast_mut(),
    };
    let install = |flags: libc::c_ulong| {
        // SAFETY: `program` and its instructions live; the kernel only reads them.
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) }
    };
    // The filter guards nothing, so programs shall not pay for mitigations that come with filters by default before
    // Linux 5.16 (SPEC_ALLOW). Once a task's call has been received, only a deadly signal shall end the wait (Linux
    // 5.19): else calls that a signal interrupts are held again.
    let basic = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    let flags = [basic | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, basic];
    let attempt = || {
        let mut result: c_long = -1;
        for flags in flags {
            result = install(flags);
            if result >= 0 || errno() != libc::EINVAL {
                break;
            }
        }
        c_int::try_from(result).ok().filter(|&listener| listener >= 0).ok_or_else(errno)
    };
    match attempt() {
        // Who may not do it freely must promise to gain no privileges. Whoever may keeps setuid programs working.
        Err(libc::EACCES) => {
            // SAFETY: integers only.
            if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } < 0 {
                return Err(errno());
            }
            attempt()
        }
        done => done,
    }
}

fn errno() -> i32 {
    // SAFETY: points to this thread's errno.
    unsafe { *libc::__errno_location() }
}

/// # Safety
/// As [`HandOver::perform`].
unsafe fn send(to: RawFd, refused: i32, descriptor: Option<c_int>) -> Result<(), i32> {
    let mut data: Errno = refused.to_ne_bytes();
    let mut part = libc::iovec { iov_base: data.as_mut_ptr().cast(), iov_len: data.len() };
    let mut control = Control { bytes: [0; 64] };
    // SAFETY: zero is a valid value of this plain C struct.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    (message.msg_iov, message.msg_iovlen) = (&raw mut part, 1);
    if let Some(descriptor) = descriptor {
        /// Of one descriptor: an `int`.
        const SIZE: u32 = c_int::BITS / 8;
        message.msg_control = (&raw mut control).cast();
        // SAFETY: these only compute; `control` has room for one descriptor, and its header is aligned.
        unsafe {
            message.msg_controllen = libc::CMSG_SPACE(SIZE) as _;
            let header = libc::CMSG_FIRSTHDR(&raw const message);
            if header.is_null() {
                return Err(libc::EINVAL);
            }
            ((*header).cmsg_level, (*header).cmsg_type) = (libc::SOL_SOCKET, libc::SCM_RIGHTS);
            (*header).cmsg_len = libc::CMSG_LEN(SIZE) as _;
            ptr::write_unaligned(libc::CMSG_DATA(header).cast::<c_int>(), descriptor);
        }
    }
    // SAFETY: everything that `message` points to lives.
    match unsafe { libc::sendmsg(to, &raw const message, libc::MSG_NOSIGNAL) } {
        -1 => Err(errno()),
        _ => Ok(()),
    }
}

/// What the job's first process handed over.
pub(super) struct HandedOver {
    pub(super) listener: c_int,
    pub(super) marks_only: bool,
}

/// In the keeper: waits for the listener. `Err`: the error number of the filter; `None`: nobody sends one.
///
/// # Safety
/// As [`HandOver::perform`].
pub(super) unsafe fn receive(from: RawFd) -> Option<Result<HandedOver, i32>> {
    let mut marks_only = false;
    let mut data: Errno = [0; 4];
    let mut part = libc::iovec { iov_base: data.as_mut_ptr().cast::<c_void>(), iov_len: data.len() };
    let mut control = Control { bytes: [0; 64] };
    loop {
        let (mut message, got): (libc::msghdr, isize);
        // SAFETY: zero is a valid value; everything that `message` points to lives.
        unsafe {
            message = mem::zeroed();
            (message.msg_iov, message.msg_iovlen) = (&raw mut part, 1);
            message.msg_control = (&raw mut control).cast();
            message.msg_controllen = mem::size_of::<Control>() as _;
            got = libc::recvmsg(from, &raw mut message, libc::MSG_CMSG_CLOEXEC);
        }
        if got < 0 && errno() == libc::EINTR {
            continue;
        }
        if got != 4 {
            return None;
        }
        let refused = i32::from_ne_bytes(data);
        if refused == MARKS_ONLY {
            marks_only = true;
            continue;
        }
        if refused != 0 {
            return Some(Err(refused));
        }
        // SAFETY: the kernel has filled in `message` and `control`.
        return unsafe {
            let header = libc::CMSG_FIRSTHDR(&raw const message);
            let is_descriptor = !header.is_null()
                && (*header).cmsg_level == libc::SOL_SOCKET
                && (*header).cmsg_type == libc::SCM_RIGHTS;
            is_descriptor.then(|| {
                let listener = ptr::read_unaligned(libc::CMSG_DATA(header).cast::<c_int>());
                Ok(HandedOver { listener, marks_only })
            })
        };
    }
}
