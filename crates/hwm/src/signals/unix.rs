//! Signals as they are on Linux and macOS: taken over before any thread starts, read one by one.

use std::{
    fs::File,
    io, process,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Instant,
};

use highwater::job::Control;

use super::{
    os,
    policy::{Action, Policy},
};
use crate::exit;

/// Those that end hwm or ask it to stop, and those that people send to a job through whoever runs it.
const WATCHED: [i32; 7] =
    [libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGHUP, libc::SIGUSR1, libc::SIGUSR2, libc::SIGALRM];

/// One that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Came {
    pub(super) signal: i32,
    /// From the terminal, so to the whole process group.
    pub(super) terminal: bool,
}

/// The watched signals, kept from this process's threads.
#[derive(Debug)]
pub(crate) struct Signals {
    /// `None` when nothing is left to watch (all were ignored when we started, as under nohup), and once it is
    /// watched.
    source: Option<File>,
    now: Arc<Mutex<Now>>,
}

/// Who gets the signals, between this thread and the one that reads them.
#[derive(Debug, Default)]
struct Now {
    job: Option<Control>,
    leaves: bool,
    policy: Policy,
    /// When the job ended.
    finished: Option<Instant>,
    asked_to_end: bool,
}

impl Signals {
    /// As [`take_over`].
    pub(crate) fn block() -> io::Result<Self> {
        ignore_file_size_limit();
        Ok(Self { source: take_over()?, now: Arc::default() })
    }

    /// From now on signals go to this job; with `leaves`, those that ask us to end make us leave it as it is, and no other
    /// reaches it.
    pub(crate) fn forward_to(&mut self, control: Control, leaves: bool) -> io::Result<()> {
        {
            let mut now = lock(&self.now);
            *now = Now { job: Some(control), leaves, asked_to_end: now.asked_to_end, ..Now::default() };
        }
        let Some(source) = self.source.take() else { return Ok(()) };
        let now = Arc::clone(&self.now);
        thread::Builder::new()
            .name("signals".to_owned())
            .stack_size(256 * 1024)
            .spawn(move || watch(source, &now))?;
        Ok(())
    }

    /// The job has ended. From now on only a report that hangs keeps us here, and a signal ends that.
    pub(crate) fn job_ended(&self) {
        lock(&self.now).finished = Some(Instant::now());
    }

    /// Whether a signal came that ends a program unless it handles it.
    pub(crate) fn asked_to_end(&self) -> bool {
        lock(&self.now).asked_to_end
    }
}

fn lock(now: &Mutex<Now>) -> MutexGuard<'_, Now> {
    now.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes over the watched signals, to be read from the descriptor instead. To be called before any thread starts. A signal
/// that was ignored when we started stays ignored, by us and by the job; `None` where all were.
pub(crate) fn take_over() -> io::Result<Option<File>> {
    let watched: Vec<i32> = WATCHED.into_iter().filter(|signal| !is_ignored(*signal)).collect();
    if watched.is_empty() { Ok(None) } else { os::take_over(&watched).map(Some) }
}

/// A file of ours that grows beyond `RLIMIT_FSIZE` is an error of that write, and not our end (setrlimit(2)). The job
/// finds the signal as it was.
fn ignore_file_size_limit() {
    // SAFETY: ignoring a signal runs no code of ours.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

fn is_ignored(signal: i32) -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: a null new action only asks; `action` is written when 0 is returned (sigaction(2)).
    unsafe {
        libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) == 0
            && action.assume_init().sa_sigaction == libc::SIG_IGN
    }
}

fn watch(mut source: File, now: &Mutex<Now>) {
    while let Some(Came { signal, terminal }) = os::next(&mut source) {
        let is_message = matches!(signal, libc::SIGUSR1 | libc::SIGUSR2 | libc::SIGALRM);
        let mut now = lock(now);
        let Some(control) = now.job.clone() else { continue };
        if is_message && now.finished.is_none() && !now.leaves {
            control.signal(signal);
        }
        if is_message {
            continue;
        }
        now.asked_to_end = true;
        if now.leaves && now.finished.is_none() {
            control.leave();
            continue;
        }
        let stops = matches!(signal, libc::SIGTERM | libc::SIGHUP);
        let finished = now.finished;
        match now.policy.decide(Instant::now(), stops, terminal, finished) {
            Action::Nothing => {}
            Action::Forward => control.signal(signal),
            Action::KillTree => control.kill_tree(),
            Action::Leave => process::exit(exit::of_signal(signal).unwrap_or(exit::NOT_RUN).into()),
        }
    }
}
