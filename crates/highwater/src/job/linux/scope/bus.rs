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
/// Most messages before the reply to a call: signals to this connection.
const MAX_OTHER_MESSAGES: usize = 64;

/// The bus itself, which gives each connection a name.
const HELLO: BusMethod = BusMethod {
    destination: "org.freedesktop.DBus",
    path: "/org/freedesktop/DBus",
    interface: "org.freedesktop.DBus",
    member: "Hello",
};

/// A connection that has a name on the bus.
#[derive(Debug)]
pub(super) struct ServiceBus {
    socket: OwnedFd,
    last_serial: u32,
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
    /// Connects to the bus at `path`, and gets a name there.
    pub(super) fn connect(path: &Path, uid: u32, deadline: Instant) -> Result<Self, ScopeRefusal> {
        let socket = open(path)?;
        judge_peer(&socket, uid)?;
        let mut bus = Self { socket, last_serial: 0 };
        bus.authenticate(uid, deadline)?;
        bus.call(HELLO, &CallArguments::default(), deadline)?;
        Ok(bus)
    }

    /// Calls a method and waits for its reply.
    pub(super) fn call(
        &mut self,
        method: BusMethod,
        arguments: &CallArguments,
        deadline: Instant,
    ) -> Result<(), ScopeRefusal> {
        self.last_serial += 1;
        self.write(&call(method, self.last_serial, arguments), deadline)?;
        for _ in 0..=MAX_OTHER_MESSAGES {
            let message = self.message(deadline)?;
            if let Some(outcome) = reply_to(self.last_serial, &message)? {
                return outcome;
            }
        }
        Err(ScopeRefusal::Garbled)
    }

    /// Authenticates this user by the credentials of the socket: the specification, "Authentication Protocol".
    fn authenticate(&self, uid: u32, deadline: Instant) -> Result<(), ScopeRefusal> {
        // Digits of a number in hexadecimal digits: 3 before each.
        let hex: String = uid.to_string().chars().flat_map(|digit| ['3', digit]).collect();
        self.write(format!("\0AUTH EXTERNAL {hex}\r\n").as_bytes(), deadline)?;
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            if line.len() == MAX_LINE_BYTES {
                return Err(ScopeRefusal::TooLong);
            }
            let mut byte = [0];
            self.read(&mut byte, deadline)?;
            line.extend(byte);
        }
        if !line.starts_with(b"OK ") {
            return Err(ScopeRefusal::NotAuthenticated);
        }
        self.write(b"BEGIN\r\n", deadline)
    }

    fn message(&self, deadline: Instant) -> Result<Vec<u8>, ScopeRefusal> {
        let mut fixed = [0; FIXED_HEADER_BYTES];
        self.read(&mut fixed, deadline)?;
        let mut message = fixed.to_vec();
        message.resize(message_length(&fixed)?, 0);
        if let Some(rest) = message.get_mut(FIXED_HEADER_BYTES..) {
            self.read(rest, deadline)?;
        }
        Ok(message)
    }

    fn read(&self, mut into: &mut [u8], deadline: Instant) -> Result<(), ScopeRefusal> {
        while !into.is_empty() {
            match recv(&self.socket, &mut *into, RecvFlags::empty()) {
                Ok((0, _)) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                Ok((length, _)) => into = into.get_mut(length..).unwrap_or_default(),
                Err(error) => self.wait_after(error, PollFlags::IN, deadline)?,
            }
        }
        Ok(())
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
