//! Starting the command so that it finds everything as if it had been started directly.

use std::{io, mem, os::fd::AsRawFd, ptr};

use crate::{
    Error,
    job::{
        Job,
        unix::{Arrays, ExecReport, Gate, PreparedProgram, errno, open_files_limit},
    },
};

/// Highest signal number, signal(3): 1 to 31.
const MAX_SIGNAL: i32 = 31;

/// Forks and execs the job's command, and returns its pid once the new program runs. The child waits right after its
/// fork while `watch` is called with its pid.
pub(super) fn launch(job: &Job, watch: impl FnOnce(u32)) -> Result<u32, Error> {
    let program = PreparedProgram::new(&job.program, &job.args, &job.env, job.current_dir.as_ref())?;
    let mut arrays = program.arrays();
    let open_files = job.inherited_state.open_files_soft_limit.and_then(open_files_limit);
    let (report, gate) = (ExecReport::new()?, Gate::new()?);
    // No handler of this program may run in the child; all signals are unblocked again right before its exec.
    let before = set_signal_mask(&all_signals());
    let mask = job.inherited_state.signal_mask.map_or(before, signals_of);
    // SAFETY: the child calls only async-signal-safe functions (sigaction(2)) on memory prepared above.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        // SAFETY: this is the child of fork, single-threaded; the arrays are those of the program.
        unsafe {
            gate.wait();
            let errno = match prepare(job, &program, open_files.as_ref(), &mask) {
                Ok(()) => exec(&program, &mut arrays),
                Err(errno) => errno,
            };
            report.fail(errno)
        }
    }
    let forked = if pid < 0 { Err(io::Error::last_os_error()) } else { Ok(pid) };
    set_signal_mask(&before);
    let pid = forked.map_err(|source| Error::System { doing: "starting a process (fork)", source })?;
    watch(pid.unsigned_abs());
    gate.open();
    report.until_exec(pid, job.program.to_string_lossy().into_owned())?;
    Ok(pid.unsigned_abs())
}

/// # Safety
/// As [`PreparedProgram::exec`].
unsafe fn exec(program: &PreparedProgram, arrays: &mut Arrays) -> i32 {
    // SAFETY: that of this function.
    unsafe { program.exec(arrays) }
}

/// # Safety
/// Only in a child right after fork.
unsafe fn prepare(
    job: &Job,
    program: &PreparedProgram,
    open_files: Option<&libc::rlimit>,
    mask: &libc::sigset_t,
) -> Result<(), i32> {
    let inherited_state = &job.inherited_state;
    // SAFETY: async-signal-safe system calls on live memory.
    unsafe {
        // Handlers of this program would run between unblocking and exec. Ignored signals stay ignored except SIGPIPE,
        // which Rust's runtime ignores, and SIGXFSZ, which a caller may ignore for its own files.
        for signal in 1..=MAX_SIGNAL {
            if inherited_state.ignored_signals >> (signal - 1) & 1 == 1 {
                libc::signal(signal, libc::SIG_IGN);
            } else if matches!(signal, libc::SIGPIPE | libc::SIGXFSZ) || action(signal) != libc::SIG_IGN {
                libc::signal(signal, libc::SIG_DFL);
            }
        }
        if let Some(stdout) = &job.stdout
            && libc::dup2(stdout.as_raw_fd(), libc::STDOUT_FILENO) < 0
        {
            return Err(errno());
        }
        for (fd, closed) in (0..).zip(inherited_state.closed_stdio) {
            if closed && !(fd == libc::STDOUT_FILENO && job.stdout.is_some()) {
                libc::close(fd);
            }
        }
        if let Some(limit) = open_files {
            libc::setrlimit(libc::RLIMIT_NOFILE, limit);
        }
        program.enter_directory()?;
        libc::sigprocmask(libc::SIG_SETMASK, mask, ptr::null_mut());
    }
    Ok(())
}

/// Returns the handler of `signal`.
fn action(signal: i32) -> libc::sighandler_t {
    // SAFETY: an all-zero sigaction is a valid value of this plain C struct; a null new action only asks.
    unsafe {
        let mut action: libc::sigaction = mem::zeroed();
        libc::sigaction(signal, ptr::null(), &raw mut action);
        action.sa_sigaction
    }
}

fn all_signals() -> libc::sigset_t {
    signals_of(u64::MAX)
}

/// Returns a set of signals: bit n-1 is signal n, as in `InheritedState`.
fn signals_of(bits: u64) -> libc::sigset_t {
    // SAFETY: sigset_t is a plain number, which sigemptyset sets; the others add existing signals.
    unsafe {
        let mut set: libc::sigset_t = mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in (1..=MAX_SIGNAL).filter(|signal| bits >> (signal - 1) & 1 == 1) {
            libc::sigaddset(&raw mut set, signal);
        }
        set
    }
}

/// Sets this thread's signal mask and returns the previous one.
fn set_signal_mask(mask: &libc::sigset_t) -> libc::sigset_t {
    // SAFETY: both sets are live; the previous mask is written.
    unsafe {
        let mut before: libc::sigset_t = mem::zeroed();
        libc::pthread_sigmask(libc::SIG_SETMASK, mask, &raw mut before);
        before
    }
}
