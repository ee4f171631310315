//! Starting the command so that it finds everything as if it had been started directly.
//!
//! `std::process::Command` cannot do this. It leaves signals 32 and 33 ignored when it uses `posix_spawn`, and resets
//! an inherited ignored SIGPIPE. It also offers no moment between fork and exec for the mechanisms that need one.

use std::{
    ffi::{OsStr, OsString},
    io,
    os::fd::{AsRawFd, OwnedFd},
    path::PathBuf,
    ptr,
    rc::Rc,
};

use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::{
    cgroup::{CgroupEntry, JobGroup, clone_into, enter},
    exec_hold::HandOver,
};
use crate::{
    Error,
    job::{
        InheritedState,
        unix::{Arrays, ExecReport, Gate, PreparedProgram, errno, open_files_limit, wait_for},
    },
};

/// The command to start.
pub(crate) struct Command<'a> {
    pub(crate) program: &'a OsStr,
    pub(crate) args: &'a [OsString],
    pub(crate) env: &'a [(OsString, Option<OsString>)],
    pub(crate) current_dir: Option<&'a PathBuf>,
    pub(crate) stdout: Option<OwnedFd>,
    pub(crate) inherited_state: &'a InheritedState,
    /// The way to hand over the child's seccomp listener, if its tasks are to be held at their exec and exit.
    pub(crate) hand_over: Option<Rc<HandOver>>,
    /// The cgroup in which it starts.
    pub(crate) group: Option<Rc<JobGroup>>,
}

/// The running command.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) pid: u32,
    pub(crate) pidfd: OwnedFd,
}

/// Everything that the child needs after fork, made before it: no memory may be allocated there.
struct LaunchPlan {
    program: PreparedProgram,
    stdout: Option<OwnedFd>,
    mask: u64,
    ignored_signals: u64,
    closed_stdio: [bool; 3],
    open_files: Option<libc::rlimit>,
    hand_over: Option<Rc<HandOver>>,
    group: Option<Rc<JobGroup>>,
}

/// Forks and execs `command`, and returns once the new program runs. The child waits right after its fork while `watch`
/// is called with its pid. If that fails, the command is not started.
pub(crate) fn launch<T>(
    command: Command<'_>,
    watch: impl FnOnce(u32) -> Result<T, Error>,
) -> Result<(Child, T), Error> {
    let name = command.program.to_string_lossy().into_owned();
    let plan = LaunchPlan::new(command)?;
    let mut arrays = plan.program.arrays();
    let (report, gate) = (ExecReport::new()?, Gate::new()?);

    // No handler of this program may run in the child; all signals are unblocked again right before its exec.
    let blocked = BlockedSignals::all();
    // SAFETY: the child calls only async-signal-safe functions (fork(2), signal-safety(7)) on memory prepared above.
    let pid = unsafe { plan.fork() };
    if pid == 0 {
        // SAFETY: this is the child of fork, single-threaded; the arrays are those of the program.
        unsafe {
            gate.wait();
            plan.become_command(&mut arrays, &report)
        }
    }
    let forked = if pid < 0 { Err(io::Error::last_os_error()) } else { Ok(pid) };
    drop(blocked);
    let pid = forked.map_err(|source| Error::System { doing: "starting a process (fork)", source })?;
    // While the child waits: nothing that fails later may leave a command behind that is not followed.
    let watched = open_pidfd(pid).and_then(|pidfd| Ok((pidfd, watch(pid.unsigned_abs())?)));
    let (pidfd, watched) = match watched {
        Ok(watched) => watched,
        Err(error) => {
            gate.shut();
            wait_for(pid);
            return Err(error);
        }
    };
    gate.open();
    report.until_exec(pid, name)?;
    Ok((Child { pid: pid.unsigned_abs(), pidfd }, watched))
}

fn open_pidfd(pid: libc::pid_t) -> Result<OwnedFd, Error> {
    let error = |source| Error::System { doing: "opening a pidfd", source };
    let pid = Pid::from_raw(pid).ok_or_else(|| error(io::Error::other("fork returned no pid")))?;
    pidfd_open(pid, PidfdFlags::empty()).map_err(|errno| error(errno.into()))
}

impl LaunchPlan {
    fn new(command: Command<'_>) -> Result<Self, Error> {
        let program = PreparedProgram::new(command.program, command.args, command.env, command.current_dir)?;
        let inherited_state = command.inherited_state;
        Ok(Self {
            program,
            stdout: command.stdout,
            mask: inherited_state.signal_mask.unwrap_or_else(|| set_signal_mask(None)),
            ignored_signals: inherited_state.ignored_signals,
            closed_stdio: inherited_state.closed_stdio,
            open_files: inherited_state.open_files_soft_limit.and_then(open_files_limit),
            hand_over: command.hand_over,
            group: command.group,
        })
    }

    /// Forks, directly into the group if that is possible.
    ///
    /// # Safety
    /// The child may call only async-signal-safe functions.
    unsafe fn fork(&self) -> libc::pid_t {
        if let Some(CgroupEntry::Clone(group)) = self.group.as_ref().map(|group| group.entry()) {
            // SAFETY: that of this function.
            if let Ok(pid) = unsafe { clone_into(group) } {
                return pid;
            }
            // A sandbox refused it; the charge at the end shows whether the command entered.
        }
        // SAFETY: that of this function.
        unsafe { libc::fork() }
    }

    /// Turns the forked child into the command. Never returns.
    ///
    /// # Safety
    /// Only in a child right after fork. `arrays` are those of the program.
    unsafe fn become_command(&self, arrays: &mut Arrays, report: &ExecReport) -> ! {
        // SAFETY: all calls are async-signal-safe system calls on memory that lives until exec or _exit.
        unsafe {
            if let Some(CgroupEntry::Write(tasks)) = self.group.as_ref().map(|group| group.entry()) {
                // If it fails, nothing is charged, which is reported at the end.
                let _ = enter(tasks);
            }
            let errno = match self.prepare() {
                Ok(()) => {
                    if let Some(hand_over) = &self.hand_over {
                        hand_over.perform();
                    }
                    self.program.exec(arrays)
                }
                Err(errno) => errno,
            };
            report.fail(errno)
        }
    }

    /// # Safety
    /// As `become_command`.
    unsafe fn prepare(&self) -> Result<(), i32> {
        // Handlers of this program would run between unblocking and exec. Ignored signals stay ignored except SIGPIPE,
        // which Rust's runtime ignores, and SIGXFSZ, which a caller may ignore for its own files.
        for signal in 1..=64 {
            if self.ignored_signals >> (signal - 1) & 1 == 1 {
                set_signal_action(signal, libc::SIG_IGN);
            } else if matches!(signal, libc::SIGPIPE | libc::SIGXFSZ)
                || signal_action(signal) != libc::SIG_IGN
            {
                set_signal_action(signal, libc::SIG_DFL);
            }
        }
        // SAFETY: system calls on live memory, see `become_command`.
        unsafe {
            if let Some(stdout) = &self.stdout
                && libc::dup2(stdout.as_raw_fd(), libc::STDOUT_FILENO) < 0
            {
                return Err(errno());
            }
            for (fd, closed) in (0..).zip(self.closed_stdio) {
                if closed && !(fd == libc::STDOUT_FILENO && self.stdout.is_some()) {
                    libc::close(fd);
                }
            }
            if let Some(limit) = &self.open_files {
                libc::setrlimit(libc::RLIMIT_NOFILE, limit);
            }
            self.program.enter_directory()?;
        }
        set_signal_mask(Some(self.mask));
        Ok(())
    }
}

/// Sets this thread's signal mask (bit n-1 = signal n) and returns the previous one. It uses the raw system call
/// (`rt_sigprocmask(2)`), as the C library's functions leave signals 32 and 33 out.
fn set_signal_mask(mask: Option<u64>) -> u64 {
    let new = mask.as_ref().map_or(ptr::null(), ptr::from_ref);
    let mut before = 0u64;
    // SAFETY: both pointers are null or to live u64s, and 8 is the size of the kernel's set.
    unsafe {
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, new, &raw mut before, 8);
    }
    before
}

/// The kernel's `struct sigaction`, of which only the handler, its first field, is used. It is larger than any
/// kernel's.
type SignalAction = [usize; 8];

/// Returns the handler of `signal` by the raw system call (`rt_sigaction(2)`), as the C library hides signals 32 and
/// 33.
fn signal_action(signal: i32) -> libc::sighandler_t {
    let mut action: SignalAction = [0; 8];
    // SAFETY: a null new action only asks; the kernel writes its struct, which is smaller, to a live local.
    unsafe {
        libc::syscall(libc::SYS_rt_sigaction, signal, ptr::null::<SignalAction>(), &raw mut action, 8);
    }
    action[0]
}

/// Sets `signal` to be ignored or to its default.
fn set_signal_action(signal: i32, handler: libc::sighandler_t) {
    let action: SignalAction = [handler, 0, 0, 0, 0, 0, 0, 0];
    // SAFETY: the kernel reads its struct, which is smaller, from a live local. Neither handler is code of this
    // program. SIGKILL and SIGSTOP are refused, which is right.
    unsafe {
        libc::syscall(libc::SYS_rt_sigaction, signal, &raw const action, ptr::null_mut::<SignalAction>(), 8);
    }
}

/// A guard: all signals of this thread are blocked until it is dropped.
struct BlockedSignals(u64);

impl BlockedSignals {
    fn all() -> Self {
        Self(set_signal_mask(Some(u64::MAX)))
    }
}

impl Drop for BlockedSignals {
    fn drop(&mut self) {
        set_signal_mask(Some(self.0));
    }
}
