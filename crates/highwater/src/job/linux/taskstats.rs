//! taskstats: the kernel's record of each task that exits, with the peak of its last memory map (`linux/taskstats.h`,
//! over generic netlink). It needs `CAP_NET_ADMIN` in the initial namespaces.
//!
//! A record is queued before the task frees its map, and so before perf or the proc connector reports its exit
//! (`do_exit` in kernel/exit.c). Killed processes have one, too.

use std::{io, time::Duration};

use rustix::thread::CapabilitySet;

use crate::{
    Roots,
    bounded::{self, MAX_VALUE_BYTES},
    capability::Raised,
    netlink::{Inbox, Socket, attribute, find_attribute},
};

mod task_end;

pub(crate) use task_end::{TaskEnd, TasksUsed};

const NETLINK_GENERIC: libc::c_int = 16;
/// linux/genetlink.h
const GENL_ID_CTRL: u16 = 16;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
/// linux/taskstats.h
const TASKSTATS_CMD_GET: u8 = 1;
const ATTR_PID: u16 = 1;
const REGISTER_CPUMASK: u16 = 3;
const DEREGISTER_CPUMASK: u16 = 4;
/// Bytes of `struct genlmsghdr`.
const GENL_HEADER: usize = 4;
const NLM_F_ACK: u16 = 4;
/// Longest wait for an answer: the kernel sends it before send(2) returns.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(50);
/// Bytes of the largest message: the last task of a process with threads sends two structs of some 550 bytes.
const MAX_MESSAGE_BYTES: usize = 4096;
/// Bytes of the socket's buffer. A record takes about 2 KiB, and a listener has the privilege for this size
/// (`SO_RCVBUFFORCE`).
const SOCKET_BUFFER_BYTES: libc::c_int = 16 << 20;

/// A listener for every task that exits, on the whole machine.
#[derive(Debug)]
pub(crate) struct Taskstats {
    inbox: Inbox,
    family: u16,
    /// All processors that may ever exist, in the kernel's form: `0-7`.
    processors: Vec<u8>,
    /// Number of records that could not be read.
    unreadable: u64,
}

impl Taskstats {
    /// Registers for all processors. The error is `Unsupported` if the kernel's records do not name the process of a
    /// task.
    pub(crate) fn listen(roots: &Roots) -> io::Result<Self> {
        // The opener of the socket and the sender need it (`netlink_capable`, net/netlink/af_netlink.c).
        let _raised = Raised::new(CapabilitySet::NET_ADMIN);
        let socket = Socket::bound(NETLINK_GENERIC, 0)?;
        socket.enlarge(SOCKET_BUFFER_BYTES);
        let family = family(&socket)?;
        understood(&socket, family)?;
        let list = roots.sys.join("devices/system/cpu/possible");
        let processors = bounded::read(&list, MAX_VALUE_BYTES)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", list.display())))?;
        let mut processors = processors.trim_ascii().to_vec();
        processors.push(0);
        ask(&socket, family, REGISTER_CPUMASK, &processors)?;
        Ok(Self { inbox: Inbox::new(socket, MAX_MESSAGE_BYTES), family, processors, unreadable: 0 })
    }

    /// Hands over the records of all tasks that have exited. Never blocks.
    pub(crate) fn drain(&mut self, mut each: impl FnMut(TaskEnd)) {
        let Self { inbox, unreadable, .. } = self;
        inbox.drain(|message| match message.body.get(GENL_HEADER..).and_then(TaskEnd::parse) {
            Some(end) => each(end),
            None => *unreadable += 1,
        });
    }

    /// Returns the number of records lost so far.
    pub(crate) fn lost(&self) -> u64 {
        self.inbox.lost() + self.unreadable
    }
}

impl Drop for Taskstats {
    fn drop(&mut self) {
        // Closing the socket also ends it, but only when a processor has its next record for it. The answer would come
        // after the waiting records, and is not needed.
        let _raised = Raised::new(CapabilitySet::NET_ADMIN);
        let mut body = genl(TASKSTATS_CMD_GET);
        body.extend(attribute(DEREGISTER_CPUMASK, &self.processors));
        let _ = self.inbox.socket().send(self.family, 0, &body);
    }
}

fn family(socket: &Socket) -> io::Result<u16> {
    let mut body = genl(CTRL_CMD_GETFAMILY);
    body.extend(attribute(CTRL_ATTR_FAMILY_NAME, b"TASKSTATS\0"));
    socket.send(GENL_ID_CTRL, 0, &body)?;
    answer(socket, |body| {
        Some(u16::from_ne_bytes(*find_attribute(body, CTRL_ATTR_FAMILY_ID)?.first_chunk()?))
    })
}

/// Checks that the kernel's record of this process can be read.
fn understood(socket: &Socket, family: u16) -> io::Result<()> {
    let own = std::process::id();
    let mut body = genl(TASKSTATS_CMD_GET);
    body.extend(attribute(ATTR_PID, &own.to_ne_bytes()));
    socket.send(family, 0, &body)?;
    let (version, end) = answer(socket, |body| Some((task_end::version(body)?, TaskEnd::parse(body))))?;
    if end.is_some_and(|end| end.pid == own) {
        return Ok(());
    }
    let why = format!("version {version} of struct taskstats is not understood");
    Err(io::Error::new(io::ErrorKind::Unsupported, why))
}

/// Returns the result of `pick` for the first answer, or the error that came instead.
fn answer<T>(socket: &Socket, mut pick: impl FnMut(&[u8]) -> Option<T>) -> io::Result<T> {
    socket.receive_until(ANSWER_TIMEOUT, |message| match message.errno() {
        Some(errno) => Some(Err(io::Error::from_raw_os_error(errno))),
        None => pick(message.body.get(GENL_HEADER..)?).map(Ok),
    })?
}

fn ask(socket: &Socket, family: u16, what: u16, processors: &[u8]) -> io::Result<()> {
    let mut body = genl(TASKSTATS_CMD_GET);
    body.extend(attribute(what, processors));
    socket.send(family, NLM_F_ACK, &body)?;
    match socket.receive_until(ANSWER_TIMEOUT, |message| message.errno().map(io::Error::from_raw_os_error))? {
        error if error.raw_os_error() == Some(0) => Ok(()),
        error => Err(error),
    }
}

fn genl(command: u8) -> Vec<u8> {
    vec![command, 1, 0, 0] // command, version, reserved
}

#[cfg(test)]
mod tests;
