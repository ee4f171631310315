//! A netlink socket (netlink(7)) and its messages as bytes.

use std::{
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Bytes of `struct nlmsghdr`.
const HEADER: usize = 16;
/// `NLMSG_ERROR`: an acknowledgement, or an error.
const NLMSG_ERROR: u16 = 2;

/// An open netlink socket.
pub(super) struct Socket(OwnedFd);

/// One message that was received.
pub(super) struct Message {
    kind: u16,
    pub(super) body: Vec<u8>,
}

impl Message {
    /// The error that an `NLMSG_ERROR` carries; 0 acknowledges.
    pub(super) fn errno(&self) -> Option<i32> {
        (self.kind == NLMSG_ERROR).then(|| self.body.first_chunk().map(|b| -i32::from_ne_bytes(*b)))?
    }
}

impl Socket {
    /// A socket of `protocol`, bound to the multicast `groups`.
    pub(super) fn bound(protocol: libc::c_int, groups: u32) -> io::Result<Self> {
        let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: integers only.
        let fd = unsafe { libc::socket(libc::AF_NETLINK, kind, protocol) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
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

    /// Sends one message to the kernel.
    pub(super) fn send(&self, kind: u16, flags: u16, body: &[u8]) -> io::Result<()> {
        let message = message(kind, flags, body)?;
        // SAFETY: the pointer and length are those of `message`.
        let sent = unsafe {
            libc::send(self.0.as_raw_fd(), message.as_ptr().cast(), message.len(), libc::MSG_NOSIGNAL)
        };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Receives until `pick` takes a message, no longer than `patience`.
    pub(super) fn receive_until<T>(
        &self,
        patience: Duration,
        mut pick: impl FnMut(&Message) -> Option<T>,
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
            // SAFETY: the pointer and length are those of `buffer`.
            let got = unsafe { libc::recv(self.0.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) };
            let Ok(got) = usize::try_from(got) else {
                let error = io::Error::last_os_error();
                match error.raw_os_error() {
                    // Events of others may overflow our buffer; the answer may still come.
                    Some(libc::EINTR | libc::EAGAIN | libc::ENOBUFS) => continue,
                    _ => return Err(error),
                }
            };
            if let Some(found) = parse(buffer.get(..got).unwrap_or(&[])).iter().find_map(&mut pick) {
                return Ok(found);
            }
        }
    }
}

fn message(kind: u16, flags: u16, body: &[u8]) -> io::Result<Vec<u8>> {
    const NLM_F_REQUEST: u16 = 1;
    let length = u32::try_from(HEADER + body.len()).map_err(io::Error::other)?;
    let mut message = Vec::with_capacity(HEADER + body.len());
    message.extend(length.to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend((flags | NLM_F_REQUEST).to_ne_bytes());
    message.extend([0; 8]); // sequence number and our port: each socket here has one question at a time
    message.extend(body);
    Ok(message)
}

fn parse(mut bytes: &[u8]) -> Vec<Message> {
    let mut messages = Vec::new();
    while let Some((length, kind)) = header(bytes) {
        let Some(body) = bytes.get(HEADER..length) else { break };
        messages.push(Message { kind, body: body.to_vec() });
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or(&[]);
    }
    messages
}

fn header(bytes: &[u8]) -> Option<(usize, u16)> {
    let length = u32::from_ne_bytes(*bytes.first_chunk()?);
    let kind = u16::from_ne_bytes(*bytes.get(4..)?.first_chunk()?);
    Some((usize::try_from(length).ok()?, kind))
}

/// One attribute (`struct nlattr`), padded.
pub(super) fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    let mut bytes = Vec::new();
    bytes.extend(length.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// The value of the first attribute of `kind`.
pub(super) fn find_attribute(mut bytes: &[u8], kind: u16) -> Option<&[u8]> {
    loop {
        let length = usize::from(u16::from_ne_bytes(*bytes.first_chunk()?));
        let found = u16::from_ne_bytes(*bytes.get(2..)?.first_chunk()?);
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
        let messages = parse(&bytes);
        assert_eq!(messages.len(), 2);
        assert_eq!(find_attribute(&messages[0].body, 2), Some(&b"abcde"[..]));
        assert_eq!(find_attribute(&messages[0].body, 3), None);
        assert_eq!(messages[1].errno(), Some(13));
    }

    #[test]
    fn foreign_bytes_are_no_messages() {
        for bytes in [&[0_u8; 15][..], &[0; 64], &[255; 64], &[]] {
            assert!(parse(bytes).iter().all(|message| message.body.is_empty()));
            assert_eq!(find_attribute(bytes, 1), None);
        }
    }
}
