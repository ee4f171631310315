//! Tries seccomp user notification: a child installs a filter that allows everything.

use crate::{Roots, doctor::MechanismState};

use super::child;

pub(super) fn examine(_: &Roots) -> MechanismState {
    match child::errno_of(install) {
        Ok(()) => MechanismState::works(),
        Err(error) => {
            let remedy = match error.raw_os_error() {
                Some(libc::EBUSY) => {
                    "another program already listens to this process's system calls; only one can"
                }
                Some(libc::EINVAL | libc::ENOSYS) => "needs Linux 5.0 with CONFIG_SECCOMP_FILTER",
                _ => "the container's seccomp profile refuses it: allow seccomp there",
            };
            MechanismState::missing(format!("seccomp(SECCOMP_FILTER_FLAG_NEW_LISTENER): {error}")).or(remedy)
        }
    }
}

/// Installs the filter in the child: seccomp(2), system calls only. The listener closes when the child exits.
fn install() -> libc::c_long {
    let mut allow = libc::sock_filter { code: BPF_RET | BPF_K, jt: 0, jf: 0, k: libc::SECCOMP_RET_ALLOW };
    let program = libc::sock_fprog { len: 1, filter: &raw mut allow };
    // SAFETY: prctl takes integers only; `program` and its one instruction live until the call is over. Both
    // change the child alone.
    unsafe {
        if libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 {
            return -1;
        }
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_NEW_LISTENER,
            &raw const program,
        )
    }
}

// linux/bpf_common.h
const BPF_RET: u16 = 0x06;
const BPF_K: u16 = 0x00;
