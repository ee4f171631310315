//! Signals caught by a handler that writes them to a pipe. macOS has no signalfd, and kqueue(2) does not report the
//! sender.

use std::{
    fs::File,
    io::{self, Read},
    mem, ptr,
    sync::atomic::{AtomicI32, Ordering::Relaxed},
};

use rustix::io::{FdFlags, fcntl_setfd, ioctl_fionbio};

use super::received::ReceivedSignal;

/// The pipe that the handler writes to. It is never closed.
static PIPE: AtomicI32 = AtomicI32::new(-1);

/// The size of a message in the pipe: the signal, and the pid of its sender.
const MESSAGE_BYTES: usize = 2 * size_of::<i32>();

pub(super) fn take_over(watched: &[i32]) -> io::Result<File> {
    use std::os::fd::IntoRawFd;
    let (read, write) = rustix::pipe::pipe()?;
    fcntl_setfd(&read, FdFlags::CLOEXEC)?;
    fcntl_setfd(&write, FdFlags::CLOEXEC)?;
    // A handler must not wait.
    ioctl_fionbio(&write, true)?;
    PIPE.store(write.into_raw_fd(), Relaxed);
    for &signal in watched {
        // SAFETY: an all-zero sigaction is a valid value. The handler calls what signal-safety(7) allows. System calls
        // that it interrupts are started again.
        let result = unsafe {
            let mut action: libc::sigaction = mem::zeroed();
            action.sa_sigaction = note as *const () as libc::sighandler_t;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
            libc::sigaction(signal, &raw const action, ptr::null_mut())
        };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(read.into())
}

/// Runs in the middle of anything: one write, and the error number as it was.
extern "C" fn note(signal: i32, info: *const libc::siginfo_t, _: *const ()) {
    // SAFETY: with SA_SIGINFO the kernel hands over a filled siginfo_t (sigaction(2)).
    let sender = unsafe { info.as_ref() }.map_or(0, |info| info.si_pid);
    let mut message = [0; MESSAGE_BYTES];
    message[..4].copy_from_slice(&signal.to_ne_bytes());
    message[4..].copy_from_slice(&sender.to_ne_bytes());
    // SAFETY: errno is this thread's own; write is async-signal-safe and reads a live local. A full pipe loses it.
    unsafe {
        let errno = *libc::__error();
        libc::write(PIPE.load(Relaxed), message.as_ptr().cast(), message.len());
        *libc::__error() = errno;
    }
}

/// Waits for the next one.
pub(super) fn next(source: &mut File) -> Option<ReceivedSignal> {
    let mut message = [0; MESSAGE_BYTES];
    source.read_exact(&mut message).ok()?;
    let [signal, sender] = [&message[..4], &message[4..]].map(|part| part.try_into().map(i32::from_ne_bytes));
    let (signal, sender) = (signal.ok()?, sender.ok()?);
    Some(ReceivedSignal { signal, terminal: is_of_the_terminal(signal, sender) })
}

/// Returns whether the signal came from the terminal. The kernel does not report it: a key's signal bears the pid of
/// the terminal's program, or none. Ctrl-C and Ctrl-\\ reach the foreground only. The terminal's program is no member
/// of this session, while shells and scripts are.
fn is_of_the_terminal(signal: i32, sender: i32) -> bool {
    // SAFETY: numbers in, numbers out; a terminal that is none is an error and no more.
    let (in_foreground, in_own_session) = unsafe {
        let foreground = (0..3)
            .map(|fd| libc::tcgetpgrp(fd))
            .find(|&group| group > 0)
            .is_some_and(|group| group == libc::getpgrp());
        (foreground, sender > 0 && libc::getsid(sender) == libc::getsid(0))
    };
    matches!(signal, libc::SIGINT | libc::SIGQUIT) && in_foreground && !in_own_session
}
