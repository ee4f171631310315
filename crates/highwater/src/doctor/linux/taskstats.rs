//! taskstats: the kernel's record of each task that ends (`linux/taskstats.h`, over generic netlink).

use std::{io, time::Duration};

use crate::{Roots, doctor::State};

use super::netlink::{Message, Socket, attribute, find_attribute};

const NETLINK_GENERIC: libc::c_int = 16;
/// linux/genetlink.h
const GENL_ID_CTRL: u16 = 16;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
/// linux/taskstats.h
const TASKSTATS_CMD_GET: u8 = 1;
const REGISTER_CPUMASK: u16 = 3;
const DEREGISTER_CPUMASK: u16 = 4;
/// Bytes of `struct genlmsghdr`.
const GENL_HEADER: usize = 4;
const NLM_F_ACK: u16 = 4;
const PATIENCE: Duration = Duration::from_millis(50);

pub(super) fn examine(_: &Roots) -> State {
    match listen_once() {
        Ok(()) => State::works(),
        Err(error) => State::missing(format!("taskstats: {error}")).or(match error.raw_os_error() {
            Some(libc::EPERM) => "run as root, or with CAP_NET_ADMIN in the initial namespaces",
            Some(libc::ENOENT) => "needs a kernel with CONFIG_TASKSTATS",
            _ => "needs the initial namespaces (no container)",
        }),
    }
}

/// Asks for the records of processor 0, and takes it back.
fn listen_once() -> io::Result<()> {
    let socket = Socket::bound(NETLINK_GENERIC, 0)?;
    let family = family(&socket)?;
    let answer = ask(&socket, family, REGISTER_CPUMASK);
    if answer.is_ok() {
        // Closing the socket also ends it, but only when the kernel next has a record for us.
        ask(&socket, family, DEREGISTER_CPUMASK)?;
    }
    answer
}

fn family(socket: &Socket) -> io::Result<u16> {
    let mut body = genl(CTRL_CMD_GETFAMILY);
    body.extend(attribute(CTRL_ATTR_FAMILY_NAME, b"TASKSTATS\0"));
    socket.send(GENL_ID_CTRL, 0, &body)?;
    socket.receive_until(PATIENCE, |message| {
        if let Some(errno) = message.errno() {
            return Some(Err(io::Error::from_raw_os_error(errno)));
        }
        let id = find_attribute(message.body.get(GENL_HEADER..)?, CTRL_ATTR_FAMILY_ID)?;
        Some(Ok(u16::from_ne_bytes(*id.first_chunk()?)))
    })?
}

fn ask(socket: &Socket, family: u16, what: u16) -> io::Result<()> {
    let mut body = genl(TASKSTATS_CMD_GET);
    body.extend(attribute(what, b"0\0"));
    socket.send(family, NLM_F_ACK, &body)?;
    let errno = socket.receive_until(PATIENCE, Message::errno)?;
    if errno == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(errno)) }
}

fn genl(command: u8) -> Vec<u8> {
    vec![command, 1, 0, 0] // command, version, reserved
}
