//! taskstats: the kernel's record of each task that exits (`linux/taskstats.h`, over generic netlink).

use std::io;

use crate::{Roots, doctor::MechanismState, job::Taskstats};

pub(super) fn examine(roots: &Roots) -> MechanismState {
    match Taskstats::listen(roots) {
        Ok(_) => MechanismState::works(),
        Err(error) => {
            MechanismState::missing(format!("taskstats: {error}")).or(match (error.kind(), error.raw_os_error()) {
                (_, Some(libc::EPERM)) => "run as root in the initial namespaces; docs/platforms.md says what setcap cap_net_admin gives away",
                (_, Some(libc::ENOENT)) => "needs a kernel with CONFIG_TASKSTATS",
                (io::ErrorKind::Unsupported, _) => "needs Linux 5.19",
                (io::ErrorKind::NotFound, None) => "mount sysfs at /sys",
                _ => "needs the initial namespaces (no container)",
            })
        }
    }
}
