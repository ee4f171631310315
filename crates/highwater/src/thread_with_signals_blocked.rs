//! Helper threads of this library beside the program that uses it.

use std::{
    io,
    thread::{Builder, JoinHandle},
};

/// Starts a thread that no signal is delivered to: signals belong to the program that uses this library.
pub(crate) fn start(
    name: &str,
    stack: usize,
    work: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    // SAFETY: sigset_t is plain integers; sigfillset fills it.
    let mut all: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: as above, for the former mask.
    let mut before: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: both sets are locals; the mask is that of this thread, which the new one inherits
    // (pthread_sigmask(3)).
    let error = unsafe {
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before)
    };
    if error != 0 {
        return Err(io::Error::from_raw_os_error(error));
    }
    let started = Builder::new().name(name.to_owned()).stack_size(stack).spawn(work);
    // SAFETY: `before` was filled by the call above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut()) };
    started
}
