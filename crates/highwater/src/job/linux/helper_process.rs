//! Processes that hwm forks off itself without an exec. They are hidden from the host program: it sees no SIGCHLD, and
//! its own `wait(-1)` does not return them.

use std::{convert::Infallible, io, mem, ptr, sync::Mutex};

/// Forks a process without an exit signal, with all signals blocked: clone(2) with all arguments 0. Only `__WALL` finds it.
/// No handler of the host program may run in it, nor may a Ctrl-C end it. Returns its pid.
///
/// # Safety
/// `become_helper` runs on a copy of this process's memory, in which other threads may have held locks. It may neither
/// allocate nor lock nor panic (signal-safety(7)).
pub(super) unsafe fn fork(become_helper: impl FnOnce() -> Infallible) -> io::Result<libc::pid_t> {
    with_signals_blocked(|| {
        // SAFETY: null pointers and no flags; the child continues on a copy of this stack.
        let pid = unsafe { libc::syscall(libc::SYS_clone, 0, 0, 0, 0, 0) };
        if pid == 0 {
            match become_helper() {}
        }
        if pid < 0 {
            Err(io::Error::last_os_error())
        } else {
            libc::pid_t::try_from(pid).map_err(io::Error::other)
        }
    })
}

/// Helpers that lived on after the measurement.
static LEFT_HELPERS: Mutex<Vec<libc::pid_t>> = Mutex::new(Vec::new());

/// Keeps helper `pid` for [`reap_left`].
pub(super) fn leave(pid: libc::pid_t) {
    if let Ok(mut left) = LEFT_HELPERS.lock() {
        left.push(pid);
    }
}

/// Reaps left helpers that have exited. Only this code can, as no other waits for a process without an exit signal.
pub(super) fn reap_left() {
    if let Ok(mut left) = LEFT_HELPERS.lock() {
        left.retain(|&pid| reap(pid, libc::WNOHANG) == 0);
    }
}

/// Reaps helper `pid`; returns the result of waitpid(2), 0 while it lives (with `WNOHANG`).
pub(super) fn reap(pid: libc::pid_t, options: libc::c_int) -> libc::pid_t {
    loop {
        // SAFETY: no status is asked for.
        let reaped = unsafe { libc::waitpid(pid, ptr::null_mut(), libc::__WALL | options) };
        if reaped >= 0 || io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            return reaped;
        }
    }
}

fn with_signals_blocked<T>(call: impl FnOnce() -> T) -> T {
    // SAFETY: zero is a valid set, and all pointers are to live sets.
    unsafe {
        let (mut all, mut before): (libc::sigset_t, libc::sigset_t) = (mem::zeroed(), mem::zeroed());
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
        let result = call();
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, ptr::null_mut());
        result
    }
}
