//! The scope-holder: a process that keeps a scope from ending while hwm reads it. The service manager removes a scope with
//! its last process, and the kernel then no longer reads the files of its groups.

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd, RawFd},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    pipe::{PipeFlags, pipe_with},
    process::{Pid, PidfdFlags, pidfd_open},
};

use super::super::helper_process;

/// Name that ps shows. `pkill hwm` does not match it.
const HOLDER_NAME: &std::ffi::CStr = c"scope-holder";
/// Longest wait for its exit, which follows at once unless it was stopped.
const HOLDER_TIMEOUT: Duration = Duration::from_secs(1);

/// A process that waits until this value is dropped, or until this process has exited.
#[derive(Debug)]
pub(super) struct ScopeHolder {
    pid: libc::pid_t,
    release: Option<OwnedFd>,
}

impl ScopeHolder {
    pub(super) fn start() -> io::Result<Self> {
        helper_process::reap_left();
        let (wait, release) = pipe_with(PipeFlags::CLOEXEC)?;
        // SAFETY: `hold` does only what is allowed there; the descriptor is open.
        let pid = unsafe { helper_process::fork(|| hold(wait.as_raw_fd())) }?;
        Ok(Self { pid, release: Some(release) })
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid.unsigned_abs()
    }
}

impl Drop for ScopeHolder {
    fn drop(&mut self) {
        self.release = None;
        if let Some(pidfd) = Pid::from_raw(self.pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok())
        {
            let timeout = Timespec::try_from(HOLDER_TIMEOUT).ok();
            let _ = poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], timeout.as_ref());
        }
        if helper_process::reap(self.pid, libc::WNOHANG) == 0 {
            helper_process::leave(self.pid);
        }
    }
}

/// Leaves session, terminal, directory and descriptors of the main process behind, and waits until the other end of the
/// pipe is closed.
///
/// # Safety
/// Only in a child right after fork. `pipe` is open.
unsafe fn hold(pipe: RawFd) -> ! {
    // SAFETY: async-signal-safe system calls on own descriptors and a live local.
    unsafe {
        libc::setsid();
        libc::prctl(libc::PR_SET_NAME, HOLDER_NAME.as_ptr(), 0, 0, 0);
        libc::chdir(c"/".as_ptr());
        if libc::dup2(pipe, 0) == 0 {
            // Its own copy of the other end is among them, so without this it would wait for ever.
            if libc::syscall(libc::SYS_close_range, 1, libc::c_int::MAX, 0) < 0 {
                // Before Linux 5.9, and in containers that refuse the call.
                for descriptor in 1..65_536 {
                    libc::close(descriptor);
                }
            }
            let mut byte = 0u8;
            // All signals are blocked, so that nothing interrupts it.
            libc::read(0, (&raw mut byte).cast(), 1);
        }
        libc::_exit(0)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn it_lives_until_it_is_released() {
        let holder = ScopeHolder::start().unwrap();
        let proc = PathBuf::from(format!("/proc/{}", holder.pid()));
        assert!(proc.exists());
        // It is renamed right before it closes all descriptors.
        drop(holder);
        assert!(!proc.exists(), "it was reaped");
    }
}
