//! Signals as they are on Linux and macOS: taken over before any thread starts, read one by one.

use std::{
    fs::File,
    io,
    process::{self, Command, ExitStatus},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Instant,
};

use highwater::job::Control;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

#[cfg(target_os = "linux")]
use super::linux as os;
#[cfg(target_os = "macos")]
use super::macos as os;
use super::{
    policy::{Action, Policy},
    received::ReceivedSignal,
};
use crate::exit;

/// Signals that end hwm or ask it to stop, and signals that people send to a job through the program that runs it.
const WATCHED_SIGNALS: [i32; 7] =
    [libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGHUP, libc::SIGUSR1, libc::SIGUSR2, libc::SIGALRM];

/// The watched signals, kept from this process's threads.
#[derive(Debug)]
pub(crate) struct Signals {
    /// The descriptor to read from. `None` if all signals were ignored at the start (as under nohup), and while it is
    /// watched.
    source: Option<File>,
    now: Arc<Mutex<SignalState>>,
}

/// The receiver of the signals, shared by this thread and the one that reads them.
#[derive(Debug, Default)]
struct SignalState {
    to: Option<SignalTarget>,
    leaves: bool,
    policy: Policy,
    /// The time at which the job ended.
    finished: Option<Instant>,
    asked_to_end: bool,
}

#[derive(Debug, Clone)]
enum SignalTarget {
    Job(Control),
    /// A command that is called after the job: a child of this process, not yet waited for.
    Command(Pid),
}

impl SignalTarget {
    fn signal(&self, number: i32) {
        match self {
            Self::Job(control) => control.signal(number),
            Self::Command(pid) => {
                if let Some(signal) = Signal::from_named_raw(number) {
                    // The command may run as another user by now (setuid).
                    let _ = kill_process(*pid, signal);
                }
            }
        }
    }

    fn end(&self) {
        match self {
            Self::Job(control) => control.kill_tree(),
            Self::Command(_) => self.signal(libc::SIGKILL),
        }
    }
}

impl Signals {
    /// Takes over the signals, see [`take_over`].
    pub(crate) fn block() -> io::Result<Self> {
        Ok(Self { source: take_over()?, now: Arc::default() })
    }

    /// Sends signals to this job from now on. With `leaves`, a signal that asks hwm to end makes it leave the job as
    /// it is, and no other signal reaches the job.
    pub(crate) fn forward_to(&mut self, control: Control, leaves: bool) -> io::Result<()> {
        {
            let mut now = lock(&self.now);
            *now = SignalState {
                to: Some(SignalTarget::Job(control)),
                leaves,
                asked_to_end: now.asked_to_end,
                ..SignalState::default()
            };
        }
        let Some(source) = self.source.take() else { return Ok(()) };
        let now = Arc::clone(&self.now);
        thread::Builder::new()
            .name("signals".to_owned())
            .stack_size(256 * 1024)
            .spawn(move || watch(source, &now))?;
        Ok(())
    }

    /// Records that the job has ended. From now on a signal ends this process, but only if its report hangs.
    pub(crate) fn job_ended(&self) {
        lock(&self.now).finished = Some(Instant::now());
    }

    /// Calls a command after the job, and waits for it. Meanwhile it gets the signals that would end it.
    pub(crate) fn call(&self, command: &mut Command) -> io::Result<ExitStatus> {
        let (mut child, pid) = {
            let mut now = lock(&self.now);
            let child = command.spawn()?;
            let pid = Pid::from_child(&child);
            let to = Some(SignalTarget::Command(pid));
            *now = SignalState { to, asked_to_end: now.asked_to_end, ..SignalState::default() };
            (child, pid)
        };
        // The child is not waited for yet, so its pid stays its own while signals are sent there.
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while waitid(WaitId::Pid(pid), options).is_err_and(|errno| errno == rustix::io::Errno::INTR) {}
        self.job_ended();
        lock(&self.now).to = None;
        child.wait()
    }

    /// Returns whether a signal came that ends a program unless it handles it.
    pub(crate) fn asked_to_end(&self) -> bool {
        lock(&self.now).asked_to_end
    }
}

fn lock(now: &Mutex<SignalState>) -> MutexGuard<'_, SignalState> {
    now.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes over the watched signals, to be read from the descriptor instead. It must be called before any thread starts.
/// A signal that was ignored at the start stays ignored, by hwm and by the job. Returns `None` if all were.
pub(crate) fn take_over() -> io::Result<Option<File>> {
    let watched: Vec<i32> = WATCHED_SIGNALS.into_iter().filter(|signal| !is_ignored(*signal)).collect();
    if watched.is_empty() { Ok(None) } else { os::take_over(&watched).map(Some) }
}

/// Makes a file that grows beyond `RLIMIT_FSIZE` an error of that write, and not the end of hwm (setrlimit(2)).
///
/// A handler and not `SIG_IGN`: programs that hwm starts find the signal as it was (execve(2)).
pub(crate) fn outlive_file_size_limit() {
    extern "C" fn do_nothing(_: libc::c_int) {}
    if !is_ignored(libc::SIGXFSZ) {
        let handler = do_nothing as extern "C" fn(libc::c_int);
        // SAFETY: the handler touches nothing, so it may interrupt any code.
        unsafe { libc::signal(libc::SIGXFSZ, handler as libc::sighandler_t) };
    }
}

/// Lets this thread write to the terminal while hwm runs in the background. With `stty tostop` such a write stops the whole
/// process, unless the thread blocks SIGTTOU (termios(3)), and a process that is stopped judges no limits.
pub(crate) fn write_from_background() {
    let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset initialises the set, and the others read it or add a valid signal to it.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGTTOU);
        libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut());
    }
}

fn is_ignored(signal: i32) -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: a null new action only asks; `action` is written when 0 is returned (sigaction(2)).
    unsafe {
        libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) == 0
            && action.assume_init().sa_sigaction == libc::SIG_IGN
    }
}

fn watch(mut source: File, now: &Mutex<SignalState>) {
    while let Some(ReceivedSignal { signal, terminal }) = os::next(&mut source) {
        let is_message = matches!(signal, libc::SIGUSR1 | libc::SIGUSR2 | libc::SIGALRM);
        let mut now = lock(now);
        let to = now.to.clone();
        if let Some(to @ SignalTarget::Job(_)) = &to
            && is_message
            && now.finished.is_none()
            && !now.leaves
        {
            to.signal(signal);
        }
        if is_message {
            continue;
        }
        now.asked_to_end = true;
        if now.leaves && now.finished.is_none() {
            if let Some(SignalTarget::Job(control)) = to {
                control.leave();
            }
            continue;
        }
        let stops = matches!(signal, libc::SIGTERM | libc::SIGHUP);
        let finished = now.finished;
        match (now.policy.decide(Instant::now(), stops, terminal, finished), to) {
            (Action::Forward, Some(to)) => to.signal(signal),
            (Action::KillTree, Some(to)) => to.end(),
            (Action::Nothing | Action::Forward | Action::KillTree, _) => {}
            (Action::Leave, _) => process::exit(exit::of_signal(signal).unwrap_or(exit::NOT_RUN).into()),
        }
    }
}
