//! The state that the process inherited, read before Rust's runtime changes it.
//!
//! Before `main`, std ignores SIGPIPE and opens `/dev/null` on descriptors 0 to 2 that are closed
//! (`library/std/src/sys/pal/unix/mod.rs`, `init`). A job must find both as they were, so a function in
//! `.init_array`, which the C runtime calls earlier, notes them down.

use highwater::job::InheritedState;

/// The largest soft limit of open files that hwm sets for itself.
#[cfg(unix)]
const MAX_OPEN_FILES: u64 = 1 << 20;

/// Returns the state that the job must find unchanged. Raises this process's own limit of open files, as each process
/// that is followed takes a few descriptors.
pub(crate) fn inherited_state() -> InheritedState {
    #[allow(unused_mut)]
    let mut state = InheritedState::default();
    #[cfg(target_os = "linux")]
    {
        linux::fill(&mut state);
        linux::keep_children();
    }
    #[cfg(unix)]
    {
        state.open_files_soft_limit = raise_open_files();
    }
    state
}

/// Returns whether standard output was closed when this process started.
pub(crate) fn inherited_closed_stdout() -> bool {
    #[cfg(target_os = "linux")]
    {
        let mut state = InheritedState::default();
        linux::fill(&mut state);
        state.closed_stdio[1]
    }
    #[cfg(not(target_os = "linux"))]
    false
}

/// Raises the soft limit to the hard one; the former soft limit, if it was changed.
#[cfg(unix)]
fn raise_open_files() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let before = limit.current?;
    let wanted = limit.maximum.map_or(MAX_OPEN_FILES, |hard| hard.min(MAX_OPEN_FILES));
    let raised = Rlimit { current: Some(wanted), maximum: limit.maximum };
    (before < wanted && setrlimit(Resource::Nofile, raised).is_ok()).then_some(before)
}

#[cfg(target_os = "linux")]
mod linux {
    use std::{
        ptr,
        sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    };

    use highwater::job::InheritedState;

    static CAPTURED: AtomicBool = AtomicBool::new(false);
    static IGNORED: AtomicU64 = AtomicU64::new(0);
    static CLOSED: [AtomicBool; 3] = [const { AtomicBool::new(false) }; 3];
    static MASK: AtomicU64 = AtomicU64::new(0);

    // SAFETY: `.init_array` holds pointers to functions of this signature. The C runtime calls each once before `main`
    // (ELF gABI, "Initialization and Termination Functions"). The C ABI ignores extra arguments.
    #[used]
    #[unsafe(link_section = ".init_array")]
    static CAPTURE: extern "C" fn() = capture;

    /// Runs before Rust's runtime: system calls and atomics only, nothing that allocates or panics.
    extern "C" fn capture() {
        let ignored = (1..=64).filter(|&signal| is_ignored(signal)).map(|signal| 1 << (signal - 1));
        IGNORED.store(ignored.sum(), Relaxed);
        for (fd, closed) in (0..).zip(&CLOSED) {
            // SAFETY: F_GETFD takes any number and changes nothing; it fails only with EBADF (fcntl(2)).
            closed.store(unsafe { libc::fcntl(fd, libc::F_GETFD) } == -1, Relaxed);
        }
        let mut mask = 0_u64;
        // SAFETY: a null set only asks. The kernel writes the 8 bytes that are passed as the size (rt_sigprocmask(2)).
        // The raw call is used because C libraries hide their internal signals 32 and 33.
        let status = unsafe {
            libc::syscall(
                libc::SYS_rt_sigprocmask,
                libc::SIG_BLOCK,
                ptr::null::<u64>(),
                &raw mut mask,
                size_of::<u64>(),
            )
        };
        MASK.store(mask, Relaxed);
        CAPTURED.store(status == 0, Relaxed);
    }

    /// Returns whether the signal is ignored. The raw system call is used, as C libraries hide their internal signals
    /// 32 and 33.
    fn is_ignored(signal: i32) -> bool {
        // The kernel's struct sigaction begins with the handler and is smaller than this on every architecture.
        let mut action = [0_usize; 8];
        // SAFETY: a null new action only asks; the kernel writes to a live local (rt_sigaction(2)).
        let status = unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                ptr::null::<usize>(),
                &raw mut action,
                size_of::<u64>(),
            )
        };
        status == 0 && action[0] == libc::SIG_IGN
    }

    /// Sets SIGCHLD to its default. With SIGCHLD ignored the kernel reaps children itself and their exit status is
    /// lost (wait(2), NOTES).
    pub(super) fn keep_children() {
        if IGNORED.load(Relaxed) >> (libc::SIGCHLD - 1) & 1 == 1 {
            // SAFETY: the default action runs no code of this program.
            unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
        }
    }

    pub(super) fn fill(state: &mut InheritedState) {
        if !CAPTURED.load(Relaxed) {
            return;
        }
        state.ignored_signals = IGNORED.load(Relaxed);
        state.signal_mask = Some(MASK.load(Relaxed));
        state.closed_stdio = CLOSED.each_ref().map(|closed| closed.load(Relaxed));
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn is_captured_before_main() {
        let mut state = InheritedState::default();
        linux::fill(&mut state);
        assert!(state.signal_mask.is_some(), "the function in .init_array did not run");
    }
}
