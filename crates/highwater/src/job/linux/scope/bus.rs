//! The connection to the message bus of the service manager. All that comes from it is foreign: each wait ends at the
//! deadline, and each length has a bound.

use std::{
    fs, io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::{
            ffi::OsStrExt,
            fs::{FileTypeExt, MetadataExt},
        },
    },
    path::{Path, PathBuf},
    time::Instant,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    net::{
        AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, recv, send,
        socket_with,
    },
};

use super::{
    refusal::ScopeRefusal,
    wire::{BusMethod, CallArguments, FIXED_HEADER_BYTES, call, message_length, reply_to},
};

/// Longest line of the handshake. Lines of the specification's examples have 60 bytes.
const MAX_LINE_BYTES: usize = 1 << 10;
/// Most bytes that are received at once.
const MAX_RECEIVED_BYTES: usize = 4 << 10;
/// Most messages before the reply to a call: signals to this connection.
const MAX_OTHER_MESSAGES: usize = 64;

/// The bus itself, which gives each connection a name.
const HELLO: BusMethod = BusMethod {
    destination: "org.freedesktop.DBus",
    path: "/org/freedesktop/DBus",
    interface: "org.freedesktop.DBus",
    member: "Hello",
};

/// A connection to the bus.
#[derive(Debug)]
pub(super) struct ServiceBus {
    socket: OwnedFd,
    last_serial: u32,
    greeting: Greeting,
    /// Bytes that were received, of which the first [`taken`](Self::taken) were used.
    received: Vec<u8>,
    taken: usize,
}

/// The beginning of a conversation.
#[derive(Debug, Clone, Copy)]
enum Greeting {
    /// The handshake and the call of `Hello` with this number were sent, and no answer was read.
    Sent(u32),
    /// The bus has authenticated this user and given the connection a name.
    Answered,
}

/// Returns the path of the bus: that of the system for root, otherwise that of the user. It belongs to that user.
pub(super) fn path_of_bus(uid: u32, runtime_directory: Option<PathBuf>) -> Result<PathBuf, ScopeRefusal> {
    if uid == 0 {
        return judge_socket(PathBuf::from("/run/dbus/system_bus_socket"), uid);
    }
    let usual = judge_socket(PathBuf::from(format!("/run/user/{uid}/bus")), uid);
    match runtime_directory.filter(|path| path.is_absolute()) {
        // After `su` it may be another user's.
        Some(directory) => judge_socket(directory.join("bus"), uid).or_else(|why| usual.map_err(|_| why)),
        None => usual,
    }
}

fn judge_socket(path: PathBuf, uid: u32) -> Result<PathBuf, ScopeRefusal> {
    let metadata =
        fs::metadata(&path).map_err(|error| ScopeRefusal::NoBus(format!("{}: {error}", path.display())))?;
    if !metadata.file_type().is_socket() {
        return Err(ScopeRefusal::NoBus(format!("{}: this is not a socket", path.display())));
    }
    if metadata.uid() != uid {
        return Err(ScopeRefusal::NoBus(format!("{}: it belongs to another user", path.display())));
    }
    Ok(path)
}

impl ServiceBus {
    /// Connects to the bus at `path`, and asks for a name there. The answers are read with the first reply: a wait for each
    /// would delay the command.
    pub(super) fn connect(path: &Path, uid: u32, deadline: Instant) -> Result<Self, ScopeRefusal> {
        let socket = open(path)?;
        judge_peer(&socket, uid)?;
        let greeting = Greeting::Answered;
        let mut bus = Self { socket, last_serial: 0, greeting, received: Vec::new(), taken: 0 };
        // By the credentials of the socket: the specification, "Authentication Protocol". Digits of a number in hexadecimal
        // digits: 3 before each.
        let hex: String = uid.to_string().chars().flat_map(|digit| ['3', digit]).collect();
        bus.write(format!("\0AUTH EXTERNAL {hex}\r\nBEGIN\r\n").as_bytes(), deadline)?;
        bus.greeting = Greeting::Sent(bus.send(HELLO, &CallArguments::default(), deadline)?);
        Ok(bus)
    }

    /// Calls a method and waits for its reply.
    pub(super) fn call(
        &mut self,
        method: BusMethod,
        arguments: &CallArguments,
        deadline: Instant,
    ) -> Result<(), ScopeRefusal> {
        let serial = self.send(method, arguments, deadline)?;
        if let Greeting::Sent(hello) = self.greeting {
            self.read_authentication(deadline)?;
            self.reply(hello, deadline)?;
            self.greeting = Greeting::Answered;
        }
        self.reply(serial, deadline)
    }

    /// Sends a call, and returns its number.
    fn send(
        &mut self,
        method: BusMethod,
        arguments: &CallArguments,
        deadline: Instant,
    ) -> Result<u32, ScopeRefusal> {
        self.last_serial += 1;
        self.write(&call(method, self.last_serial, arguments), deadline)?;
        Ok(self.last_serial)
    }

    /// Waits for the reply to a call.
    fn reply(&mut self, serial: u32, deadline: Instant) -> Result<(), ScopeRefusal> {
        for _ in 0..=MAX_OTHER_MESSAGES {
            let message = self.message(deadline)?;
            if let Some(outcome) = reply_to(serial, &message)? {
                return outcome;
            }
        }
        Err(ScopeRefusal::Garbled)
    }

    /// Reads the answer to the handshake.
    fn read_authentication(&mut self, deadline: Instant) -> Result<(), ScopeRefusal> {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            if line.len() == MAX_LINE_BYTES {
                return Err(ScopeRefusal::TooLong);
            }
            let mut byte = [0];
            self.read(&mut byte, deadline)?;
            line.extend(byte);
        }
        if line.starts_with(b"OK ") { Ok(()) } else { Err(ScopeRefusal::NotAuthenticated) }
    }

    fn message(&mut self, deadline: Instant) -> Result<Vec<u8>, ScopeRefusal> {
        let mut fixed = [0; FIXED_HEADER_BYTES];
        self.read(&mut fixed, deadline)?;
        let mut message = fixed.to_vec();
        message.resize(message_length(&fixed)?, 0);
        if let Some(rest) = message.get_mut(FIXED_HEADER_BYTES..) {
            self.read(rest, deadline)?;
        }
        Ok(message)
    }

    fn read(&mut self, mut into: &mut [u8], deadline: Instant) -> Result<(), ScopeRefusal> {
        while !into.is_empty() {
            let unread = self.received.get(self.taken..).unwrap_or_default();
            if unread.is_empty() {
                self.receive(deadline)?;
                continue;
            }
            let length = unread.len().min(into.len());
            into[..length].copy_from_slice(&unread[..length]);
            into = into.get_mut(length..).unwrap_or_default();
            self.taken += length;
        }
        Ok(())
    }

    /// Waits for more bytes, in place of those that were used.
    fn receive(&mut self, deadline: Instant) -> Result<(), ScopeRefusal> {
        self.received.resize(MAX_RECEIVED_BYTES, 0);
        self.taken = MAX_RECEIVED_BYTES;
        loop {
            match recv(&self.socket, &mut *self.received, RecvFlags::empty()) {
                Ok((0, _)) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                Ok((length, _)) => {
                    self.received.truncate(length);
                    self.taken = 0;
                    return Ok(());
                }
                Err(error) => self.wait_after(error, PollFlags::IN, deadline)?,
            }
        }
    }

    fn write(&self, mut bytes: &[u8], deadline: Instant) -> Result<(), ScopeRefusal> {
        while !bytes.is_empty() {
            // The host program may not ignore SIGPIPE.
            match send(&self.socket, bytes, SendFlags::NOSIGNAL) {
                Ok(length) => bytes = bytes.get(length..).unwrap_or_default(),
                Err(error) => self.wait_after(error, PollFlags::OUT, deadline)?,
            }
        }
        Ok(())
    }

    /// Waits until the bus can be read or written, if that is why a system call failed.
    fn wait_after(&self, error: Errno, what: PollFlags, deadline: Instant) -> Result<(), ScopeRefusal> {
        match error {
            Errno::INTR => return Ok(()),
            Errno::AGAIN => {}
            error => return Err(io::Error::from(error).into()),
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ScopeRefusal::TimeOver);
        }
        // If it is interrupted, the caller tries again.
        let _ = poll(&mut [PollFd::new(&self.socket, what)], Timespec::try_from(left).ok().as_ref());
        Ok(())
    }
}

/// Opens a connection that never blocks. `UnixStream::connect` would wait for a bus that accepts no connections.
fn open(path: &Path) -> Result<OwnedFd, ScopeRefusal> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket =
        socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).map_err(io::Error::from)?;
    let address = SocketAddrUnix::new(path.as_os_str().as_bytes()).map_err(io::Error::from)?;
    connect(&socket, &address).map_err(io::Error::from)?;
    Ok(socket)
}

/// Checks that the process that listens is of this user or of root, and of this pid namespace: otherwise the pids that it
/// gets would be those of other processes. The kernel reports pid 0 for one of a namespace around (unix(7)).
fn judge_peer(socket: &OwnedFd, uid: u32) -> Result<(), ScopeRefusal> {
    let mut peer = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut length = libc::socklen_t::try_from(size_of_val(&peer)).unwrap_or_default();
    // `rustix` has a type for it that cannot be 0.
    // SAFETY: the kernel writes a struct of that length to a live local.
    let answer = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut peer).cast(),
            &raw mut length,
        )
    };
    if answer != 0 {
        return Err(io::Error::last_os_error().into());
    }
    if peer.pid == 0 {
        return Err(ScopeRefusal::NoBus("its bus is outside the pid namespace of this process".to_owned()));
    }
    if peer.uid != uid && peer.uid != 0 {
        return Err(ScopeRefusal::NoBus("its bus belongs to another user".to_owned()));
    }
    Ok(())
}
