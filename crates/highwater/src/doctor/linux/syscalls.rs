//! System calls that following a job needs.

use std::io;

use crate::{Roots, doctor::MechanismState};

use super::child;

const SECCOMP: &str = "the container's seccomp profile refuses it: allow it there";

/// Tries prctl(2) `PR_SET_CHILD_SUBREAPER` in a child, so that this process keeps its own setting.
pub(super) fn subreaper(_: &Roots) -> MechanismState {
    let outcome = child::errno_of(|| {
        // SAFETY: prctl takes integers only; it changes the child alone.
        unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }.into()
    });
    match outcome {
        Ok(()) => MechanismState::works(),
        Err(error) => MechanismState::missing(format!("prctl(PR_SET_CHILD_SUBREAPER): {error}")).or(SECCOMP),
    }
}

/// Tries `pidfd_open(2)`, since Linux 5.3.
pub(super) fn pidfd(_: &Roots) -> MechanismState {
    match rustix::process::pidfd_open(rustix::process::getpid(), rustix::process::PidfdFlags::empty()) {
        Ok(_) => MechanismState::works(),
        Err(error) => refused("pidfd_open", &error.into(), "needs Linux 5.3"),
    }
}

/// Tries kcmp(2) with `KCMP_VM`, on this process and itself.
pub(super) fn kcmp(_: &Roots) -> MechanismState {
    const KCMP_VM: libc::c_long = 1; // linux/kcmp.h
    let pid = rustix::process::getpid().as_raw_nonzero().get();
    // SAFETY: kcmp takes integers only and changes nothing.
    match unsafe { libc::syscall(libc::SYS_kcmp, pid, pid, KCMP_VM, 0, 0) } {
        0 => MechanismState::works(),
        _ => refused("kcmp", &io::Error::last_os_error(), "needs a kernel with CONFIG_KCMP"),
    }
}

fn refused(call: &str, error: &io::Error, needs: &str) -> MechanismState {
    let remedy = if error.raw_os_error() == Some(libc::EPERM) { SECCOMP } else { needs };
    MechanismState::missing(format!("{call}: {error}")).or(remedy)
}
