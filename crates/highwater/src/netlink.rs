//! A netlink socket (netlink(7)) and its messages as bytes.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

mod inbox;

pub(crate) use inbox::Inbox;

/// Bytes of `struct nlmsghdr`.
const HEADER_BYTES: usize = 16;
/// `NLMSG_ERROR`: an acknowledgement, or an error.
const NLMSG_ERROR: u16 = 2;
/// `NLA_TYPE_MASK`: without the flags that an attribute's type may carry.
const TYPE_MASK: u16 = 0x3fff;

/// An open netlink socket; its calls never block.
#[derive(Debug)]
pub(crate) struct Socket(OwnedFd);

/// One message that was received.
#[derive(Debug)]
pub(crate) struct NetlinkMessage<'a> {
    kind: u16,
    pub(crate) body: &'a [u8],
}

/// The fill level of a socket's receive buffer, from `struct sk_meminfo` of `sock_diag(7)`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Backlog {
    /// Bytes that wait, with the kernel's own overhead.
    pub(crate) queued: u32,
    pub(crate) capacity: u32,
    /// Messages that did not fit, since the socket was opened; wraps.
    pub(crate) dropped: u32,
}

impl NetlinkMessage<'_> {
    /// Returns the error that an `NLMSG_ERROR` carries; 0 acknowledges.
    pub(crate) fn errno(&self) -> Option<i32> {
        let code = i32::from_ne_bytes(*self.body.first_chunk()?);
        if self.kind == NLMSG_ERROR { code.checked_neg() } else { None }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Socket {
    /// Opens a socket of `protocol`, bound to the multicast `groups`.
    pub(crate) fn bound(protocol: libc::c_int, groups: u32) -> io::Result<Self> {
        let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: the arguments are integers.
        let fd = unsafe { libc::socket(libc::AF_NETLINK, kind, protocol) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just returned this descriptor; no other code owns it.
        let socket = Self(unsafe { OwnedFd::from_raw_fd(fd) });
        // SAFETY: sockaddr_nl is plain integers, for which zero is a valid value.
        let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
        address.nl_family = libc::sa_family_t::try_from(libc::AF_NETLINK).map_err(io::Error::other)?;
        address.nl_groups = groups;
        let length = libc::socklen_t::try_from(size_of_val(&address)).map_err(io::Error::other)?;
        // SAFETY: `address` is a whole sockaddr_nl and `length` is its size.
        match unsafe { libc::bind(fd, (&raw const address).cast(), length) } {
            0 => Ok(socket),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Asks for a receive buffer of `bytes`: beyond `net.core.rmem_max` with `CAP_NET_ADMIN`, else up to that
    /// (socket(7)). [`Socket::backlog`] reports the resulting size and the losses.
    pub(crate) fn enlarge(&self, bytes: libc::c_int) {
        for option in [libc::SO_RCVBUFFORCE, libc::SO_RCVBUF] {
            // SAFETY: `bytes` is the int that both options take, given with its size.
            let set = unsafe {
                libc::setsockopt(
                    self.0.as_raw_fd(),
                    libc::SOL_SOCKET,
                    option,
                    (&raw const bytes).cast(),
                    INT_SIZE,
                )
            };
            if set == 0 {
                return;
            }
        }
    }

    /// Returns the state of the receive buffer, which Linux reports since 4.12.
    pub(crate) fn backlog(&self) -> Option<Backlog> {
        let mut words = [0_u32; 9];
        let mut length = INT_SIZE * 9;
        // SAFETY: `words` has room for `length` bytes, and the kernel writes no more.
        let got = unsafe {
            libc::getsockopt(
                self.0.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_MEMINFO,
                words.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        // SK_MEMINFO_RMEM_ALLOC, SK_MEMINFO_RCVBUF, ..., SK_MEMINFO_DROPS
        let [queued, capacity, .., dropped] = words;
        (got == 0 && length == INT_SIZE * 9).then_some(Backlog { queued, capacity, dropped })
    }

    /// Sends one message to the kernel.
    pub(crate) fn send(&self, kind: u16, flags: u16, body: &[u8]) -> io::Result<()> {
        let message = message(kind, flags, body)?;
        // SAFETY: the pointer and length are those of `message`.
        let sent = unsafe {
            libc::send(self.0.as_raw_fd(), message.as_ptr().cast(), message.len(), libc::MSG_NOSIGNAL)
        };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Receives until `pick` takes a message, for at most `patience`.
    pub(crate) fn receive_until<T>(
        &self,
        patience: Duration,
        mut pick: impl FnMut(&NetlinkMessage<'_>) -> Option<T>,
    ) -> io::Result<T> {
        let deadline = Instant::now() + patience;
        let mut buffer = [0_u8; 8192];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
            match poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&timeout)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => continue,
                Ok(_) => {}
                Err(error) => return Err(error.into()),
            }
            let (got, sender) = match self.receive(&mut buffer) {
                Ok(received) => received,
                // Events of other processes may overflow the buffer; the answer may still come.
                Err(error)
                    if matches!(error.raw_os_error(), Some(libc::EINTR | libc::EAGAIN | libc::ENOBUFS)) =>
                {
                    continue;
                }
                Err(error) => return Err(error),
            };
            if sender != KERNEL_PORT {
                continue;
            }
            if let Some(found) = messages(buffer.get(..got).unwrap_or(&[])).find_map(|message| pick(&message))
            {
                return Ok(found);
            }
        }
    }

    /// Receives one datagram; returns its length and the port of its sender.
    fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, u32)> {
        // SAFETY: sockaddr_nl is plain integers, for which zero is a valid value.
        let mut sender: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
        let mut length = libc::socklen_t::try_from(size_of_val(&sender)).map_err(io::Error::other)?;
        // SAFETY: both pointers are to live memory of the lengths given.
        let got = unsafe {
            libc::recvfrom(
                self.0.as_raw_fd(),
                buffer.as_mut_ptr().cast(),
                buffer.len(),
                0,
                (&raw mut sender).cast(),
                &raw mut length,
            )
        };
        match usize::try_from(got) {
            Ok(got) => Ok((got, sender.nl_pid)),
            Err(_) => Err(io::Error::last_os_error()),
        }
    }
}

/// The port from which the kernel sends; every other belongs to a process (netlink(7)).
const KERNEL_PORT: u32 = 0;

/// Bytes of the integers that socket options are made of.
const INT_SIZE: libc::socklen_t = 4;

fn message(kind: u16, flags: u16, body: &[u8]) -> io::Result<Vec<u8>> {
    const NLM_F_REQUEST: u16 = 1;
    let length = u32::try_from(HEADER_BYTES + body.len()).map_err(io::Error::other)?;
    let mut message = Vec::with_capacity(HEADER_BYTES + body.len());
    message.extend(length.to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend((flags | NLM_F_REQUEST).to_ne_bytes());
    message.extend([0; 8]); // sequence number and port: each socket here has one query at a time
    message.extend(body);
    Ok(message)
}

/// Splits the result of one receive into messages.
fn messages(mut bytes: &[u8]) -> impl Iterator<Item = NetlinkMessage<'_>> {
    std::iter::from_fn(move || {
        let (length, kind) = header(bytes)?;
        let body = bytes.get(HEADER_BYTES..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some(NetlinkMessage { kind, body })
    })
}

fn header(bytes: &[u8]) -> Option<(usize, u16)> {
    let length = u32::from_ne_bytes(*bytes.first_chunk()?);
    let kind = u16::from_ne_bytes(*bytes.get(4..)?.first_chunk()?);
    Some((usize::try_from(length).ok()?, kind))
}

/// Builds one attribute (`struct nlattr`), padded.
pub(crate) fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    let mut bytes = Vec::new();
    bytes.extend(length.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// Returns the value of the first attribute of `kind`.
pub(crate) fn find_attribute(mut bytes: &[u8], kind: u16) -> Option<&[u8]> {
    loop {
        let length = usize::from(u16::from_ne_bytes(*bytes.first_chunk()?));
        let found = u16::from_ne_bytes(*bytes.get(2..)?.first_chunk()?) & TYPE_MASK;
        let value = bytes.get(4..length)?;
        if found == kind {
            return Some(value);
        }
        bytes = bytes.get(length.next_multiple_of(4)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_what_it_writes() {
        let mut bytes = message(7, 0, &attribute(2, b"abcde")).unwrap();
        bytes.extend(message(NLMSG_ERROR, 0, &(-13_i32).to_ne_bytes()).unwrap());
        let messages: Vec<_> = messages(&bytes).collect();
        assert_eq!(messages.len(), 2);
        assert_eq!(find_attribute(messages[0].body, 2), Some(&b"abcde"[..]));
        assert_eq!(find_attribute(messages[0].body, 3), None);
        assert_eq!(messages[0].errno(), None);
        assert_eq!(messages[1].errno(), Some(13));
    }

    #[test]
    fn a_nested_flag_is_no_part_of_a_type() {
        assert_eq!(find_attribute(&attribute(0x8004, b"x"), 4), Some(&b"x"[..]));
    }

    #[test]
    fn foreign_bytes_are_no_messages() {
        for bytes in [&[0_u8; 15][..], &[0; 64], &[255; 64], &[]] {
            assert!(messages(bytes).all(|message| message.body.is_empty()));
            assert_eq!(find_attribute(bytes, 1), None);
        }
        let least = message(NLMSG_ERROR, 0, &i32::MIN.to_ne_bytes()).unwrap();
        assert_eq!(messages(&least).next().and_then(|message| message.errno()), None);
    }

    /// The second of two sockets of one process gets another port; `NETLINK_USERSOCK` carries messages.
    #[test]
    fn only_the_kernel_is_believed() {
        let open = || Socket::bound(libc::NETLINK_USERSOCK, 0).unwrap();
        let (listening, other) = (open(), open());
        let forged = message(NLMSG_ERROR, 0, &0_i32.to_ne_bytes()).unwrap();
        // SAFETY: sockaddr_nl is plain integers, for which zero is a valid value.
        let mut to: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
        let mut length = libc::socklen_t::try_from(size_of_val(&to)).unwrap();
        // SAFETY: the pointers are to live locals of the lengths given.
        let sent = unsafe {
            libc::getsockname(listening.0.as_raw_fd(), (&raw mut to).cast(), &raw mut length);
            let data = forged.as_ptr().cast();
            libc::sendto(other.0.as_raw_fd(), data, forged.len(), 0, (&raw const to).cast(), length)
        };
        assert_eq!(usize::try_from(sent), Ok(forged.len()));
        assert_eq!(poll(&mut [PollFd::new(&listening, PollFlags::IN)], None), Ok(1), "it has arrived");
        let taken = listening.receive_until(Duration::from_millis(20), |message| message.errno().map(drop));
        assert_eq!(taken.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn a_socket_reports_its_fill() {
        let socket = Socket::bound(libc::NETLINK_ROUTE, 0).unwrap();
        let Some(before) = socket.backlog() else { return println!("skipped: no SO_MEMINFO here") };
        socket.enlarge(4096);
        let after = socket.backlog().unwrap();
        assert_eq!((after.queued, after.dropped), (0, 0));
        assert_eq!(after.capacity, 8192, "the kernel doubles what is asked for (socket(7)); was {before:?}");
    }
}
