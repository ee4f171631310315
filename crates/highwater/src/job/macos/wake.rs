//! Waking the job's thread from other threads: a pipe.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::{FdFlags, fcntl_setfd, ioctl_fionbio};

/// The wake-up. `None` if no pipe could be made: orders then wait for the next sample.
#[derive(Debug)]
pub(crate) struct Wake(Option<WakePipe>);

#[derive(Debug)]
struct WakePipe {
    reader: OwnedFd,
    writer: OwnedFd,
}

impl WakePipe {
    fn new() -> rustix::io::Result<Self> {
        let (reader, writer) = rustix::pipe::pipe()?;
        for end in [&reader, &writer] {
            fcntl_setfd(end, FdFlags::CLOEXEC)?;
            ioctl_fionbio(end, true)?;
        }
        Ok(Self { reader, writer })
    }
}

impl Wake {
    pub(crate) fn new() -> Self {
        Self(WakePipe::new().ok())
    }

    /// Ends the current wait, or the next one.
    pub(crate) fn wake_up(&self) {
        if let Some(pipe) = &self.0 {
            // It fails only when it is full, and then the thread is awake anyway.
            let _ = rustix::io::write(&pipe.writer, &[1]);
        }
    }

    /// Takes the wake-up.
    pub(crate) fn clear(&self) {
        if let Some(pipe) = &self.0 {
            let mut bytes = [0; 64];
            while rustix::io::read(&pipe.reader, &mut bytes).is_ok_and(|count| count == bytes.len()) {}
        }
    }

    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.0.as_ref().map(|pipe| pipe.reader.as_fd())
    }
}
