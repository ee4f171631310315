//! The proc connector: the kernel's own stream of fork, exec and exit (`linux/cn_proc.h`).

use std::{io, time::Duration};

use crate::{Roots, doctor::State};

use super::netlink::Socket;

const NETLINK_CONNECTOR: libc::c_int = 11;
const CN_IDX_PROC: u32 = 1;
const CN_VAL_PROC: u32 = 1;
const PROC_CN_MCAST_LISTEN: u32 = 1;
const PROC_CN_MCAST_IGNORE: u32 = 2;
const NLMSG_DONE: u16 = 3;
/// Bytes of `struct cn_msg` before its data.
const CN_MSG: usize = 20;
/// `proc_event.what` of an acknowledgement, whose first field after 16 bytes of header is an errno.
const PROC_EVENT_NONE: u32 = 0;
const EVENT_HEADER: usize = 16;

pub(super) fn examine(_: &Roots) -> State {
    let socket = match Socket::bound(NETLINK_CONNECTOR, CN_IDX_PROC) {
        Ok(socket) => socket,
        Err(error) => return missing(&format!("bind: {error}")),
    };
    if let Err(error) = socket.send(NLMSG_DONE, 0, &operation(PROC_CN_MCAST_LISTEN)) {
        return missing(&format!("PROC_CN_MCAST_LISTEN: {error}"));
    }
    // Outside the initial namespaces the kernel says nothing at all: then time runs out.
    let answer = socket.receive_until(Duration::from_millis(50), |message| outcome(&message.body));
    // The kernel counts listeners: tell it that this one is gone, whatever came.
    let _ = socket.send(NLMSG_DONE, 0, &operation(PROC_CN_MCAST_IGNORE));
    match answer {
        Ok(0) => State::works(),
        Ok(errno) => missing(&format!("PROC_CN_MCAST_LISTEN: {}", io::Error::from_raw_os_error(errno))),
        Err(error) if error.kind() == io::ErrorKind::TimedOut => missing("the kernel sends no events here"),
        Err(error) => missing(&error.to_string()),
    }
}

fn missing(why: &str) -> State {
    State::missing(why)
        .or("needs CONFIG_PROC_EVENTS, the initial namespaces (no container), and Linux 6.6 or root")
}

fn operation(what: u32) -> Vec<u8> {
    let words = [CN_IDX_PROC, CN_VAL_PROC, 0, 0];
    let mut body: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    body.extend(4_u16.to_ne_bytes()); // length of the data
    body.extend(0_u16.to_ne_bytes()); // flags
    body.extend(what.to_ne_bytes());
    body
}

/// The errno of an acknowledgement; any other event says 0, for it shows that events come.
fn outcome(body: &[u8]) -> Option<i32> {
    let event = body.get(CN_MSG..)?;
    let what = u32::from_ne_bytes(*event.first_chunk()?);
    if what != PROC_EVENT_NONE {
        return Some(0);
    }
    Some(i32::from_ne_bytes(*event.get(EVENT_HEADER..)?.first_chunk()?))
}
