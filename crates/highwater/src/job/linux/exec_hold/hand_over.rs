//! Passing the listener from the job's first process to the keeper (unix(7), `SCM_RIGHTS`).

use std::{
    mem,
    os::fd::{AsRawFd, OwnedFd, RawFd},
    ptr,
};

use libc::{c_int, c_long, c_void, sock_filter};

use super::filter;

/// The data that goes with the listener: the error number of the filter, 0 if it is in place.
type Errno = [u8; 4];
/// Value in place of an error number: only marks are wanted, as the kernel reports execs and exits anyway.
const MARKS_ONLY: i32 = -1;
/// Value from the keeper: it is ready to answer.
const READY: i32 = -2;
/// Longest wait of the job's first process for the keeper in milliseconds; the keeper is ready long before.
const KEEPER_READY_TIMEOUT_MS: c_int = 1000;

/// Space for one descriptor in a control message, aligned as `cmsghdr` must be.
#[repr(C)]
union ControlBuffer {
    _align: libc::cmsghdr,
    bytes: [u8; 64],
}

/// The means by which the job's first process passes its listener on.
#[derive(Debug)]
pub(crate) struct HandOver {
    to: OwnedFd,
    filter: Vec<sock_filter>,
}

impl HandOver {
    pub(super) fn new(to: OwnedFd) -> Self {
        Self { to, filter: filter::instructions() }
    }

    /// Asks the keeper for marks only. It must be called before the job's first process continues.
    pub(super) fn want_marks_only(&self) {
        // SAFETY: this process's own descriptor. If it fails, more than marks is reported, which does no harm.
        let _ = unsafe { send(self.to.as_raw_fd(), MARKS_ONLY, None) };
    }

    /// Returns whether the keeper has sent anything yet, or has exited.
    #[cfg(test)]
    pub(super) fn has_input(&self) -> bool {
        let mut poll = libc::pollfd { fd: self.to.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one live struct.
        unsafe { libc::poll(&raw mut poll, 1, 0) == 1 }
    }

    /// Puts the filter on this process and passes the listener on, in the job's first process between its fork and its
    /// exec. If the filter is refused, the keeper gets the error number, and the process continues without it. A filter
    /// cannot be removed, and without a listener every exec fails, so nothing is done before the keeper is ready.
    ///
    /// # Safety
    /// Only in a child right after fork. Only async-signal-safe calls are made, and nothing is allocated.
    pub(crate) unsafe fn perform(&self) {
        let to = self.to.as_raw_fd();
        // SAFETY: system calls on memory that lives long enough; the descriptors are this process's own. If the sending
        // fails, the keeper sees the end of the socket.
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

/// Returns whether the keeper has reported that it is ready, and has not been killed since.
///
/// # Safety
/// As [`HandOver::perform`].
unsafe fn is_ready(from: RawFd) -> bool {
    let mut poll = libc::pollfd { fd: from, events: libc::POLLIN, revents: 0 };
    let mut word: Errno = [0; 4];
    // SAFETY: live memory of the given length. An interrupted poll is followed by a receive that does not wait.
    unsafe {
        libc::poll(&raw mut poll, 1, KEEPER_READY_TIMEOUT_MS);
        let got = libc::recv(from, word.as_mut_ptr().cast(), word.len(), libc::MSG_DONTWAIT);
        got == 4 && i32::from_ne_bytes(word) == READY && poll.revents & libc::POLLHUP == 0
    }
}

/// Lets the job's first process go ahead, in the keeper.
///
/// # Safety
/// As [`HandOver::perform`].
pub(super) unsafe fn send_ready(to: RawFd) {
    // SAFETY: this process's own descriptor. If the other end is closed, no listener comes either.
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
    // The filter protects nothing, so programs need no mitigations, which filters switch on by default before Linux
    // 5.16 (SPEC_ALLOW). Once a task's call has been received, only a fatal signal may end the wait (Linux 5.19).
    // Otherwise calls that a signal interrupts are held again.
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
        // An unprivileged process must promise to gain no privileges. A privileged one does not, so that setuid
        // programs keep working.
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
    // SAFETY: the pointer is to this thread's errno.
    unsafe { *libc::__errno_location() }
}

/// # Safety
/// As [`HandOver::perform`].
unsafe fn send(to: RawFd, refused: i32, descriptor: Option<c_int>) -> Result<(), i32> {
    let mut data: Errno = refused.to_ne_bytes();
    let mut part = libc::iovec { iov_base: data.as_mut_ptr().cast(), iov_len: data.len() };
    let mut control = ControlBuffer { bytes: [0; 64] };
    // SAFETY: zero is a valid value of this plain C struct.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    (message.msg_iov, message.msg_iovlen) = (&raw mut part, 1);
    if let Some(descriptor) = descriptor {
        /// Size of one descriptor, an `int`.
        const DESCRIPTOR_BYTES: u32 = c_int::BITS / 8;
        message.msg_control = (&raw mut control).cast();
        // SAFETY: these only compute; `control` has space for one descriptor, and its header is aligned.
        unsafe {
            message.msg_controllen = libc::CMSG_SPACE(DESCRIPTOR_BYTES) as _;
            let header = libc::CMSG_FIRSTHDR(&raw const message);
            if header.is_null() {
                return Err(libc::EINVAL);
            }
            ((*header).cmsg_level, (*header).cmsg_type) = (libc::SOL_SOCKET, libc::SCM_RIGHTS);
            (*header).cmsg_len = libc::CMSG_LEN(DESCRIPTOR_BYTES) as _;
            ptr::write_unaligned(libc::CMSG_DATA(header).cast::<c_int>(), descriptor);
        }
    }
    // SAFETY: everything that `message` points to lives.
    match unsafe { libc::sendmsg(to, &raw const message, libc::MSG_NOSIGNAL) } {
        -1 => Err(errno()),
        _ => Ok(()),
    }
}

/// The descriptor and the wish that the job's first process handed over.
pub(super) struct HandedOver {
    pub(super) listener: c_int,
    pub(super) marks_only: bool,
}

/// Waits for the listener, in the keeper. `Err`: the error number of the filter; `None`: no process sends a listener.
///
/// # Safety
/// As [`HandOver::perform`].
pub(super) unsafe fn receive(from: RawFd) -> Option<Result<HandedOver, i32>> {
    let mut marks_only = false;
    let mut data: Errno = [0; 4];
    let mut part = libc::iovec { iov_base: data.as_mut_ptr().cast::<c_void>(), iov_len: data.len() };
    let mut control = ControlBuffer { bytes: [0; 64] };
    loop {
        let (mut message, got): (libc::msghdr, isize);
        // SAFETY: zero is a valid value; everything that `message` points to lives.
        unsafe {
            message = mem::zeroed();
            (message.msg_iov, message.msg_iovlen) = (&raw mut part, 1);
            message.msg_control = (&raw mut control).cast();
            message.msg_controllen = mem::size_of::<ControlBuffer>() as _;
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
