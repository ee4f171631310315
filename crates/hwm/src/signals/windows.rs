//! What the console says while a job runs (`SetConsoleCtrlHandler`).

use std::{
    io,
    process::{Command, ExitStatus},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use highwater::job::Control;
use windows_sys::{
    Win32::System::Console::{CTRL_BREAK_EVENT, CTRL_C_EVENT, SetConsoleCtrlHandler},
    core::BOOL,
};

/// The system ends us so long after it has said that the window closes, or less (5 s).
const TO_REPORT: Duration = Duration::from_secs(4);

/// What the handler, which runs in a thread of the system's, and the program know of each other.
#[derive(Debug)]
struct State {
    /// How often we were asked to end.
    asked: u32,
    /// When the job ended: what is asked later is asked of us.
    finished: Option<Instant>,
}

static STATE: Mutex<State> = Mutex::new(State { asked: 0, finished: None });
static CHANGED: Condvar = Condvar::new();

/// Outlives Ctrl-C and Ctrl-Break while a job runs.
#[derive(Debug)]
pub(crate) struct Signals;

impl Signals {
    pub(crate) fn block() -> io::Result<Self> {
        handle()?;
        Ok(Self)
    }

    /// The console tells the job itself: only that there is one again.
    #[allow(clippy::unused_self, clippy::needless_pass_by_value, clippy::unnecessary_wraps)] // They are passed on elsewhere.
    pub(crate) fn forward_to(&mut self, _: Control, _leaves: bool) -> io::Result<()> {
        state().finished = None;
        Ok(())
    }

    /// The job has ended. From now on only a report that hangs keeps us here, and Ctrl-C ends that.
    #[allow(clippy::unused_self)] // The handler belongs to the process.
    pub(crate) fn job_ended(&self) {
        state().finished = Some(Instant::now());
    }

    /// Calls a command after the job, and waits for it: the console tells it itself.
    #[allow(clippy::unused_self)] // As above.
    pub(crate) fn call(&self, command: &mut Command) -> io::Result<ExitStatus> {
        command.status()
    }

    /// Whether an end was asked for.
    #[allow(clippy::unused_self)] // As above.
    pub(crate) fn asked_to_end(&self) -> bool {
        state().asked > 0
    }
}

/// Waits until somebody asks for the end.
#[derive(Debug)]
pub(crate) struct Asked;

impl Asked {
    pub(crate) fn new() -> io::Result<Self> {
        handle()?;
        Ok(Self)
    }

    /// Whether somebody has, or does so in this time.
    #[allow(clippy::unused_self)] // The handler belongs to the process.
    pub(crate) fn within(&self, time: Duration) -> bool {
        let waited = CHANGED.wait_timeout_while(state(), time, |state| state.asked == 0);
        waited.unwrap_or_else(PoisonError::into_inner).0.asked > 0
    }
}

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn handle() -> io::Result<()> {
    // SAFETY: a function that may be called at any time, in any thread.
    if unsafe { SetConsoleCtrlHandler(Some(on_event), 1) } == 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// 1: it is done with. 0: let the system do what it does to a program that does not care.
unsafe extern "system" fn on_event(event: u32) -> BOOL {
    let mut state = state();
    state.asked += 1;
    CHANGED.notify_all();
    if matches!(event, CTRL_C_EVENT | CTRL_BREAK_EVENT) {
        return BOOL::from(state.finished.is_none_or(|finished| finished.elapsed() < super::SAME));
    }
    // The window closes, or the session: once this function returns we are ended.
    drop(state);
    std::thread::sleep(TO_REPORT);
    0
}
