//! Receives many messages at once from a netlink socket, and counts those that did not fit.

use std::{
    cell::Cell,
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    ptr,
};

use super::{Backlog, KERNEL_PORT, NetlinkMessage, Socket, messages};

/// Datagrams of one system call (recvmmsg(2)).
const DATAGRAMS_PER_CALL: usize = 16;
/// System calls of one drain, which ends even if messages come faster than they are read.
const MAX_CALLS_PER_DRAIN: usize = 16_384;

/// A reader of the messages that the kernel has queued.
#[derive(Debug)]
pub(crate) struct Inbox {
    socket: Socket,
    /// `DATAGRAMS_PER_CALL` slots of equal size.
    buffer: Vec<u8>,
    /// Counts `ENOBUFS`: at least one message was lost each time.
    overruns: u64,
    /// Datagrams larger than their slot.
    cut: u64,
    /// The socket's own count of drops, which wraps, as last read.
    dropped: Cell<(u32, u64)>,
}

impl Inbox {
    /// Makes a reader. `largest` is the size of the largest expected message.
    pub(crate) fn new(socket: Socket, largest: usize) -> Self {
        let buffer = vec![0; largest * DATAGRAMS_PER_CALL];
        // Losses before this reader do not count.
        let start = socket.backlog().map_or(0, |backlog| backlog.dropped);
        Self { socket, buffer, overruns: 0, cut: 0, dropped: Cell::new((start, 0)) }
    }

    pub(crate) fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Returns the fill level of the socket's buffer.
    pub(crate) fn backlog(&self) -> Option<Backlog> {
        self.socket.backlog()
    }

    /// Passes every waiting message to `each`. Never blocks.
    pub(crate) fn drain(&mut self, mut each: impl FnMut(NetlinkMessage<'_>)) {
        for _ in 0..MAX_CALLS_PER_DRAIN {
            match self.receive(&mut each) {
                Ok(DATAGRAMS_PER_CALL) => {}
                // netlink(7): messages were lost; those that follow are good.
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => self.overruns += 1,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => return,
            }
        }
    }

    /// Receives one batch; returns how many datagrams it had.
    fn receive(&mut self, each: &mut impl FnMut(NetlinkMessage<'_>)) -> io::Result<usize> {
        let slot = self.buffer.len() / DATAGRAMS_PER_CALL;
        // SAFETY: the type is plain integers and pointers, for which zero is a valid value.
        let mut senders: [libc::sockaddr_nl; DATAGRAMS_PER_CALL] = unsafe { std::mem::zeroed() };
        let mut places = [libc::iovec { iov_base: ptr::null_mut(), iov_len: slot }; DATAGRAMS_PER_CALL];
        // SAFETY: as above.
        let mut headers: [libc::mmsghdr; DATAGRAMS_PER_CALL] = unsafe { std::mem::zeroed() };
        let slots = self.buffer.chunks_exact_mut(slot);
        for (((header, place), sender), bytes) in
            headers.iter_mut().zip(&mut places).zip(&mut senders).zip(slots)
        {
            place.iov_base = bytes.as_mut_ptr().cast();
            header.msg_hdr.msg_iov = place;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_name = ptr::from_mut(sender).cast();
            header.msg_hdr.msg_namelen =
                libc::socklen_t::try_from(size_of_val(sender)).map_err(io::Error::other)?;
        }
        let count = libc::c_uint::try_from(DATAGRAMS_PER_CALL).map_err(io::Error::other)?;
        // SAFETY: `headers` are `count` headers. Each points at one iovec and one address, which live until
        // the end of this function, and each iovec at its own slot in `self.buffer`.
        let got = unsafe {
            libc::recvmmsg(
                self.socket.0.as_raw_fd(),
                headers.as_mut_ptr(),
                count,
                0, // the socket itself does not block
                ptr::null_mut(),
            )
        };
        let got = usize::try_from(got).map_err(|_| io::Error::last_os_error())?;
        for ((header, sender), bytes) in
            headers.iter().zip(&senders).zip(self.buffer.chunks_exact(slot)).take(got)
        {
            if header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0 {
                self.cut += 1;
                continue;
            }
            let length = usize::try_from(header.msg_len).map_err(io::Error::other)?;
            if sender.nl_pid == KERNEL_PORT {
                messages(bytes.get(..length).unwrap_or(&[])).for_each(&mut *each);
            }
        }
        Ok(got)
    }

    /// Returns how many messages were lost so far: the socket's count, or at least one for each overrun.
    pub(crate) fn lost(&self) -> u64 {
        let (seen, mut dropped) = self.dropped.get();
        if let Some(backlog) = self.socket.backlog() {
            dropped += u64::from(backlog.dropped.wrapping_sub(seen));
            self.dropped.set((backlog.dropped, dropped));
        }
        dropped.max(self.overruns) + self.cut
    }
}

impl AsFd for Inbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
