//! Signals blocked and read from a signalfd(2).

use std::{
    fs::File,
    io::{self, Read},
    mem::MaybeUninit,
    os::fd::{FromRawFd, OwnedFd},
    ptr,
};

use super::received::ReceivedSignal;

pub(super) fn take_over(watched: &[i32]) -> io::Result<File> {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `sigemptyset` initialises the set; the others read it or add valid signal numbers to it. `signalfd`
    // returns a new descriptor that nothing else owns, or -1 (signalfd(2)).
    let source = unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for &signal in watched {
            libc::sigaddset(set.as_mut_ptr(), signal);
        }
        let error = libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), ptr::null_mut());
        if error != 0 {
            return Err(io::Error::from_raw_os_error(error));
        }
        let fd = libc::signalfd(-1, set.as_ptr(), libc::SFD_CLOEXEC);
        if fd == -1 {
            return Err(io::Error::last_os_error());
        }
        OwnedFd::from_raw_fd(fd)
    };
    Ok(source.into())
}

/// Waits for the next one.
pub(super) fn next(source: &mut File) -> Option<ReceivedSignal> {
    // One read gives one or more whole structs signalfd_siginfo of 128 bytes (signalfd(2)).
    let mut info = [0_u8; size_of::<libc::signalfd_siginfo>()];
    source.read_exact(&mut info).ok()?;
    // Its first fields: u32 ssi_signo, i32 ssi_errno, i32 ssi_code.
    let signal = i32::from_ne_bytes([info[0], info[1], info[2], info[3]]);
    let code = i32::from_ne_bytes([info[8], info[9], info[10], info[11]]);
    Some(ReceivedSignal { signal, terminal: code == libc::SI_KERNEL })
}
