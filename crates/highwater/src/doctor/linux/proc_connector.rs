//! The proc connector: the kernel's own stream of fork, exec and exit (`linux/cn_proc.h`).

use std::io;

use crate::{Roots, doctor::MechanismState, job::Connector};

pub(super) fn examine(_: &Roots) -> MechanismState {
    let why = match Connector::probe() {
        Ok(()) => return MechanismState::works(),
        Err(error) if error.kind() == io::ErrorKind::TimedOut => "the kernel sends no events here".to_owned(),
        Err(error) => format!("PROC_CN_MCAST_LISTEN: {error}"),
    };
    MechanismState::missing(why)
        .or("needs CONFIG_PROC_EVENTS, the initial namespaces (no container), and Linux 6.6 or root")
}
