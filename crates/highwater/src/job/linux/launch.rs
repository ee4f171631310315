//! Starting the command so that it finds everything as if it had been started without us.
//!
//! `std::process::Command` is no help here: it leaves signals 32 and 33 ignored when it uses `posix_spawn`, resets
//! an inherited ignored SIGPIPE, and offers no moment between fork and exec for the mechanisms that need one.

use std::{
    ffi::{CString, OsStr, OsString},
    io::{self, Read},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::ffi::{OsStrExt, OsStringExt},
    },
    path::PathBuf,
    ptr,
    rc::Rc,
};

use rustix::{
    pipe::{PipeFlags, pipe_with},
    process::{Pid, PidfdFlags, pidfd_open},
};

use super::{
    cgroup::{Entry, JobGroup, clone_into, enter},
    keeper::HandOver,
};
use crate::{Error, job::Inherited};

/// What to start.
pub(crate) struct Command<'a> {
    pub(crate) program: &'a OsStr,
    pub(crate) args: &'a [OsString],
    pub(crate) env: &'a [(OsString, Option<OsString>)],
    pub(crate) current_dir: Option<&'a PathBuf>,
    pub(crate) stdout: Option<OwnedFd>,
    pub(crate) inherited: &'a Inherited,
    /// Where the child hands over its seccomp listener, if its tasks are to be held at their exec and exit.
    pub(crate) hand_over: Option<Rc<HandOver>>,
    /// The cgroup in which it starts.
    pub(crate) group: Option<Rc<JobGroup>>,
}

/// The command, running.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) pid: u32,
    pub(crate) pidfd: OwnedFd,
}

/// Everything that the child needs after fork, made before it: no memory may be allocated there.
struct Plan {
    candidates: Vec<CString>,
    argv: Vec<CString>,
    envp: Vec<CString>,
    dir: Option<CString>,
    stdout: Option<OwnedFd>,
    mask: u64,
    ignored_signals: u64,
    closed_stdio: [bool; 3],
    open_files: Option<libc::rlimit>,
    hand_over: Option<Rc<HandOver>>,
    group: Option<Rc<JobGroup>>,
}

/// Forks and execs `command`; returns once the new program is in place. The child is held between its fork and all
/// else that it does while `watch` is called with its pid.
pub(crate) fn launch(command: Command<'_>, watch: impl FnOnce(u32)) -> Result<Child, Error> {
    let name = command.program.to_string_lossy().into_owned();
    let plan = Plan::new(command)?;
    let argv = pointers(&plan.argv);
    // What a shell does with a file the kernel cannot execute: run it as a script, execvp(3).
    let mut script: Vec<*const libc::c_char> = vec![c"/bin/sh".as_ptr(), ptr::null()];
    script.extend(&argv[1..]);
    let envp = pointers(&plan.envp);
    let (report, failure) = pipe_with(PipeFlags::CLOEXEC).map_err(system("creating a pipe"))?;
    let (gate, release) = pipe_with(PipeFlags::CLOEXEC).map_err(system("creating a pipe"))?;

    // No handler of ours may run in the child; all is unblocked again right before its exec.
    let blocked = BlockedSignals::all();
    // SAFETY: the child calls only async-signal-safe functions (fork(2), signal-safety(7)) on memory prepared above.
    let pid = unsafe { plan.fork() };
    if pid == 0 {
        // SAFETY: we are the child of fork, single-threaded; the arrays end with a null pointer.
        unsafe {
            wait_at(gate.as_raw_fd(), release.as_raw_fd());
            plan.become_command(&argv, &mut script, &envp, failure.as_raw_fd())
        }
    }
    let forked = if pid < 0 { Err(io::Error::last_os_error()) } else { Ok(pid) };
    drop(blocked);
    drop(failure);
    let pid = forked.map_err(|source| Error::System { doing: "starting a process (fork)", source })?;
    watch(pid.unsigned_abs());
    // Cannot fail: the reading end is open here, too.
    let _ = rustix::io::write(&release, &[1]);
    drop((gate, release));

    // The write end closes at exec; before that, an error number comes through.
    let mut errno = Vec::new();
    let told = std::fs::File::from(report).read_to_end(&mut errno);
    if let Ok(bytes) = <[u8; 4]>::try_from(errno.as_slice()) {
        let _ = told;
        wait_for(pid);
        let source = io::Error::from_raw_os_error(i32::from_ne_bytes(bytes));
        return Err(match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                Error::NotFound { command: name, source }
            }
            _ => Error::NotExecutable { command: name, source },
        });
    }
    let pid = Pid::from_raw(pid).ok_or_else(|| Error::System {
        doing: "starting a process (fork)",
        source: io::Error::other("fork returned no pid"),
    })?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).map_err(system("opening a pidfd"))?;
    Ok(Child { pid: pid.as_raw_nonzero().get().unsigned_abs(), pidfd })
}

fn system(doing: &'static str) -> impl Fn(rustix::io::Errno) -> Error {
    move |errno| Error::System { doing, source: errno.into() }
}

/// Waits until the gate opens. Where it never will, because our parent has died, the command is not started.
///
/// # Safety
/// Only in a child right after fork; both are its own descriptors of the gate's pipe.
unsafe fn wait_at(gate: i32, release: i32) {
    let mut byte = 0u8;
    // SAFETY: async-signal-safe system calls (signal-safety(7)); `byte` is live and one byte long.
    unsafe {
        libc::close(release);
        loop {
            match libc::read(gate, (&raw mut byte).cast(), 1) {
                1 => return,
                -1 if errno() == libc::EINTR => {}
                _ => libc::_exit(127),
            }
        }
    }
}

/// Waits for a child that could not exec.
fn wait_for(pid: i32) {
    // SAFETY: no status is asked for.
    while unsafe { libc::waitpid(pid, ptr::null_mut(), 0) } < 0
        && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
    {}
}

fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect()
}

fn c_string(bytes: &OsStr, what: &str) -> Result<CString, Error> {
    CString::new(bytes.as_bytes()).map_err(|_| Error::NulByte { what: what.to_owned() })
}

impl Plan {
    fn new(command: Command<'_>) -> Result<Self, Error> {
        if command.program.is_empty() {
            return Err(Error::EmptyCommand);
        }
        let mut argv = vec![c_string(command.program, "the command")?];
        for arg in command.args {
            argv.push(c_string(arg, "an argument")?);
        }
        let env = environment(command.env);
        let path = env.iter().find(|(name, _)| name == "PATH").map(|(_, value)| value.as_os_str());
        let candidates = candidates(command.program, path)?;
        let envp = env
            .iter()
            .map(|(name, value)| {
                let mut entry = name.clone();
                entry.push("=");
                entry.push(value);
                c_string(&entry, "an environment variable")
            })
            .collect::<Result<_, _>>()?;
        let dir = command.current_dir.map(|dir| c_string(dir.as_os_str(), "the directory")).transpose()?;
        let inherited = command.inherited;
        Ok(Self {
            candidates,
            argv,
            envp,
            dir,
            stdout: command.stdout,
            mask: inherited.signal_mask.unwrap_or_else(|| set_signal_mask(None)),
            ignored_signals: inherited.ignored_signals,
            closed_stdio: inherited.closed_stdio,
            open_files: inherited.open_files_soft_limit.and_then(open_files_limit),
            hand_over: command.hand_over,
            group: command.group,
        })
    }

    /// fork(2), into the group where that can be done at once.
    ///
    /// # Safety
    /// The child may call only async-signal-safe functions.
    unsafe fn fork(&self) -> libc::pid_t {
        if let Some(Entry::Clone(group)) = self.group.as_ref().map(|group| group.entry()) {
            // SAFETY: as this function's.
            if let Ok(pid) = unsafe { clone_into(group) } {
                return pid;
            }
            // Refused by a sandbox: whether anything came to be charged tells at the end.
        }
        // SAFETY: as this function's.
        unsafe { libc::fork() }
    }

    /// Turns the forked child into the command. Never returns.
    ///
    /// # Safety
    /// Only in a child right after fork. `argv`, `script` and `envp` end with a null pointer; the second entry of
    /// `script` is free for the script's path.
    unsafe fn become_command(
        &self,
        argv: &[*const libc::c_char],
        script: &mut [*const libc::c_char],
        envp: &[*const libc::c_char],
        failure: i32,
    ) -> ! {
        // SAFETY: all calls are async-signal-safe system calls on memory that lives until exec or _exit.
        unsafe {
            if let Some(Entry::Write(tasks)) = self.group.as_ref().map(|group| group.entry()) {
                // If it fails, nothing comes to be charged, which is said at the end.
                let _ = enter(tasks);
            }
            let errno = match self.prepare() {
                Ok(()) => {
                    if let Some(hand_over) = &self.hand_over {
                        hand_over.perform();
                    }
                    self.exec(argv, script, envp)
                }
                Err(errno) => errno,
            };
            let bytes = errno.to_ne_bytes();
            libc::write(failure, bytes.as_ptr().cast(), bytes.len());
            libc::_exit(127)
        }
    }

    /// # Safety
    /// As `become_command`.
    unsafe fn prepare(&self) -> Result<(), i32> {
        // Handlers of ours would run between unblocking and exec; what is ignored stays ignored, but for SIGPIPE,
        // which Rust's runtime ignores on its own, and SIGXFSZ, which hwm does.
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
            if let Some(dir) = &self.dir
                && libc::chdir(dir.as_ptr()) < 0
            {
                return Err(errno());
            }
        }
        set_signal_mask(Some(self.mask));
        Ok(())
    }

    /// Tries the candidates as execvp(3) does; returns the error number to report.
    ///
    /// # Safety
    /// As `become_command`.
    unsafe fn exec(
        &self,
        argv: &[*const libc::c_char],
        script: &mut [*const libc::c_char],
        envp: &[*const libc::c_char],
    ) -> i32 {
        let mut result = libc::ENOENT;
        for candidate in &self.candidates {
            // SAFETY: null-terminated arrays of C strings, see `become_command`.
            let error = unsafe {
                libc::execve(candidate.as_ptr(), argv.as_ptr(), envp.as_ptr());
                if errno() == libc::ENOEXEC {
                    script[1] = candidate.as_ptr();
                    libc::execve(c"/bin/sh".as_ptr(), script.as_ptr(), envp.as_ptr());
                }
                errno()
            };
            match error {
                // Go on looking, and remember that a file was there but not for us.
                libc::EACCES => result = error,
                libc::ENOENT | libc::ENOTDIR => {}
                _ => return error,
            }
        }
        result
    }
}

fn errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(libc::EINVAL)
}

/// Our environment with the job's changes.
fn environment(changes: &[(OsString, Option<OsString>)]) -> Vec<(OsString, OsString)> {
    let mut env: Vec<(OsString, OsString)> = std::env::vars_os().collect();
    for (name, value) in changes {
        env.retain(|(known, _)| known != name);
        if let Some(value) = value {
            env.push((name.clone(), value.clone()));
        }
    }
    env
}

/// Where the program may lie: itself if it holds a slash, else in each directory of `PATH`.
fn candidates(program: &OsStr, path: Option<&OsStr>) -> Result<Vec<CString>, Error> {
    if program.as_bytes().contains(&b'/') {
        return Ok(vec![c_string(program, "the command")?]);
    }
    // confstr(_CS_PATH), as execvp(3) takes it when PATH is not set.
    let path = path.unwrap_or(OsStr::new("/bin:/usr/bin"));
    path.as_bytes()
        .split(|&byte| byte == b':')
        .map(|dir| {
            let mut candidate = if dir.is_empty() { Vec::new() } else { [dir, b"/"].concat() };
            candidate.extend_from_slice(program.as_bytes());
            c_string(&OsString::from_vec(candidate), "the command")
        })
        .collect()
}

fn open_files_limit(soft: u64) -> Option<libc::rlimit> {
    // SAFETY: a zeroed rlimit is valid, and the pointer is to a live local.
    unsafe {
        let mut limit: libc::rlimit = std::mem::zeroed();
        (libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0)
            .then_some(libc::rlimit { rlim_cur: soft, rlim_max: limit.rlim_max })
    }
}

/// Sets this thread's signal mask (bit n-1 = signal n) and returns the one before. By the raw system call
/// (`rt_sigprocmask(2)`): the C library's functions leave signals 32 and 33 out.
fn set_signal_mask(mask: Option<u64>) -> u64 {
    let new = mask.as_ref().map_or(ptr::null(), ptr::from_ref);
    let mut before = 0u64;
    // SAFETY: both pointers are null or to live u64s, and 8 is the size of the kernel's set.
    unsafe {
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, new, &raw mut before, 8);
    }
    before
}

/// The kernel's `struct sigaction`, of which only the handler, its first field, matters here; larger than any.
type SignalAction = [usize; 8];

/// What happens on `signal`, by the raw system call (`rt_sigaction(2)`): the C library's hides signals 32 and 33.
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
    // SAFETY: the kernel reads its struct, which is smaller, from a live local; neither handler is code of ours.
    // SIGKILL and SIGSTOP are refused, which is right.
    unsafe {
        libc::syscall(libc::SYS_rt_sigaction, signal, &raw const action, ptr::null_mut::<SignalAction>(), 8);
    }
}

/// Blocks all signals of this thread until dropped.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn names(program: &str, path: Option<&str>) -> Vec<String> {
        let found = candidates(OsStr::new(program), path.map(OsStr::new)).unwrap();
        found.into_iter().map(|name| name.into_string().unwrap()).collect()
    }

    #[test]
    fn looks_in_path_as_execvp_does() {
        assert_eq!(names("cargo", Some("/a:/b/")), ["/a/cargo", "/b//cargo"]);
        assert_eq!(names("./x", Some("/a")), ["./x"]);
        assert_eq!(names("x", Some(":/a")), ["x", "/a/x"]);
        assert_eq!(names("x", None), ["/bin/x", "/usr/bin/x"]);
    }

    #[test]
    fn a_nul_byte_is_an_error_before_anything_starts() {
        assert!(matches!(candidates(OsStr::new("a\0b"), None), Err(Error::NulByte { .. })));
    }
}
