//! From fork to exec: the child waits until its watchers are in place, and reports if it cannot exec.

use std::{
    io::{self, Read},
    os::fd::{AsRawFd, OwnedFd},
    ptr,
};

use rustix::io::Errno;

use super::errno;
use crate::Error;

/// A pipe at which the child waits.
#[derive(Debug)]
pub(crate) struct Gate {
    gate: OwnedFd,
    release: OwnedFd,
}

/// A pipe for the child's error number; it closes at the exec.
#[derive(Debug)]
pub(crate) struct ExecReport {
    reads: OwnedFd,
    writes: OwnedFd,
}

impl Gate {
    /// # Errors
    /// [`Error::System`].
    pub(crate) fn new() -> Result<Self, Error> {
        let (gate, release) = pipe()?;
        Ok(Self { gate, release })
    }

    /// Lets the child go on.
    pub(crate) fn open(self) {
        // Cannot fail: the reading end is open here, too.
        let _ = rustix::io::write(&self.release, &[1]);
    }

    /// Lets the child exit instead of starting the command.
    #[cfg(target_os = "linux")]
    pub(crate) fn shut(self) {
        drop(self);
    }

    /// Waits until the gate opens. If it never opens, because the parent has died, the command is not started.
    ///
    /// # Safety
    /// Only in a child right after fork.
    pub(crate) unsafe fn wait(&self) {
        let mut byte = 0u8;
        // SAFETY: async-signal-safe system calls (signal-safety(7)); `byte` is live and one byte long.
        unsafe {
            libc::close(self.release.as_raw_fd());
            loop {
                match libc::read(self.gate.as_raw_fd(), (&raw mut byte).cast(), 1) {
                    1 => return,
                    -1 if errno() == libc::EINTR => {}
                    _ => libc::_exit(127),
                }
            }
        }
    }
}

impl ExecReport {
    /// # Errors
    /// [`Error::System`].
    pub(crate) fn new() -> Result<Self, Error> {
        let (reads, writes) = pipe()?;
        Ok(Self { reads, writes })
    }

    /// Reports the reason why the child could not exec, and ends the child.
    ///
    /// # Safety
    /// Only in a child right after fork.
    pub(crate) unsafe fn fail(&self, errno: i32) -> ! {
        let bytes = errno.to_ne_bytes();
        // SAFETY: async-signal-safe system calls on a live local.
        unsafe {
            libc::write(self.writes.as_raw_fd(), bytes.as_ptr().cast(), bytes.len());
            libc::_exit(127)
        }
    }

    /// Waits until the program runs. If it could not be run, the child `pid` is waited for, too.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::NotExecutable`].
    pub(crate) fn until_exec(self, pid: i32, command: String) -> Result<(), Error> {
        drop(self.writes);
        // The write end closes at exec; before that, an error number comes through.
        let mut errno = Vec::new();
        let _ = std::fs::File::from(self.reads).read_to_end(&mut errno);
        let Ok(bytes) = <[u8; 4]>::try_from(errno.as_slice()) else { return Ok(()) };
        wait_for(pid);
        let source = io::Error::from_raw_os_error(i32::from_ne_bytes(bytes));
        Err(match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Error::NotFound { command, source },
            _ => Error::NotExecutable { command, source },
        })
    }
}

fn pipe() -> Result<(OwnedFd, OwnedFd), Error> {
    pipe_closed_at_exec().map_err(|errno| Error::System { doing: "creating a pipe", source: errno.into() })
}

#[cfg(target_os = "linux")]
fn pipe_closed_at_exec() -> Result<(OwnedFd, OwnedFd), Errno> {
    rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
}

/// Sets the flags in a second step, as macOS has no pipe2: another thread's fork between the two would inherit the
/// pipe.
#[cfg(not(target_os = "linux"))]
fn pipe_closed_at_exec() -> Result<(OwnedFd, OwnedFd), Errno> {
    use rustix::io::{FdFlags, fcntl_setfd};
    let ends = rustix::pipe::pipe()?;
    fcntl_setfd(&ends.0, FdFlags::CLOEXEC)?;
    fcntl_setfd(&ends.1, FdFlags::CLOEXEC)?;
    Ok(ends)
}

/// Waits for a child that could not exec.
pub(crate) fn wait_for(pid: i32) {
    // SAFETY: no status is asked for.
    while unsafe { libc::waitpid(pid, ptr::null_mut(), 0) } < 0
        && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
    {}
}

/// Returns the limit of open files with the soft limit `soft`.
pub(crate) fn open_files_limit(soft: u64) -> Option<libc::rlimit> {
    // SAFETY: a zeroed rlimit is valid, and the pointer is to a live local.
    unsafe {
        let mut limit: libc::rlimit = std::mem::zeroed();
        (libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0)
            .then_some(libc::rlimit { rlim_cur: soft, rlim_max: limit.rlim_max })
    }
}
