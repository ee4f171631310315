//! Waking the job's thread from other threads: a pipe.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::{FdFlags, fcntl_setfd, ioctl_fionbio};

/// The wake-up. `None` if no pipe could be made: orders then wait for the next sample.
#[derive(Debug)]
pub(crate) struct Wake(Option<Pipe>);

#[derive(Debug)]
struct Pipe {
    heard: OwnedFd,
    bell: OwnedFd,
}

impl Pipe {
    fn new() -> rustix::io::Result<Self> {
        let (heard, bell) = rustix::pipe::pipe()?;
        for end in [&heard, &bell] {
            fcntl_setfd(end, FdFlags::CLOEXEC)?;
            ioctl_fionbio(end, true)?;
        }
        Ok(Self { heard, bell })
    }
}

impl Wake {
    pub(crate) fn new() -> Self {
        Self(Pipe::new().ok())
    }

    /// Ends the current wait, or the next one.
    pub(crate) fn ring(&self) {
        if let Some(pipe) = &self.0 {
            // It fails only when it is full, and then the thread is awake anyway.
            let _ = rustix::io::write(&pipe.bell, &[1]);
        }
    }

    /// Takes the wake-up.
    pub(crate) fn silence(&self) {
        if let Some(pipe) = &self.0 {
            let mut rings = [0; 64];
            while rustix::io::read(&pipe.heard, &mut rings).is_ok_and(|count| count == rings.len()) {}
        }
    }

    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.0.as_ref().map(|pipe| pipe.heard.as_fd())
    }
}
