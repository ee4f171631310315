//! Events of the console while a job runs (`SetConsoleCtrlHandler`).

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

use super::debounce::SAME_REQUEST_WITHIN;

/// The time to write a report. The system ends this process 5 s after it has reported that the window closes.
const TIME_TO_REPORT: Duration = Duration::from_secs(4);

/// The state that the program shares with the handler, which runs in a thread of the system's.
#[derive(Debug)]
struct ConsoleState {
    /// The number of requests to end.
    asked: u32,
    /// The time when the job ended. A later request is meant for hwm.
    finished: Option<Instant>,
    /// An attached job; hwm leaves it as it is when it is asked to end.
    left: Option<Control>,
}

impl ConsoleState {
    const fn new() -> Self {
        Self { asked: 0, finished: None, left: None }
    }

    /// Follows a job. With `leaves`, a request to end, even an earlier one, makes hwm leave this job as it is.
    fn follow(&mut self, job: Control, leaves: bool) {
        if leaves && self.asked > 0 {
            job.leave();
        }
        (self.finished, self.left) = (None, leaves.then_some(job));
    }

    fn job_ended(&mut self) {
        (self.finished, self.left) = (Some(Instant::now()), None);
    }

    fn ask(&mut self) {
        self.asked += 1;
        if let Some(job) = &self.left {
            job.leave();
        }
    }
}

static STATE: Mutex<ConsoleState> = Mutex::new(ConsoleState::new());
static CHANGED: Condvar = Condvar::new();

/// Outlives Ctrl-C and Ctrl-Break while a job runs.
#[derive(Debug)]
pub(crate) struct Signals;

impl Signals {
    pub(crate) fn block() -> io::Result<Self> {
        handle()?;
        Ok(Self)
    }

    /// Follows a job. The console reports to the job itself, so nothing is passed on. With `leaves`, a request to end
    /// makes hwm leave the job as it is.
    #[allow(clippy::unused_self, clippy::unnecessary_wraps)] // As elsewhere.
    pub(crate) fn forward_to(&mut self, control: Control, leaves: bool) -> io::Result<()> {
        state().follow(control, leaves);
        Ok(())
    }

    /// Records that the job has ended. From now on Ctrl-C ends this process, but only if its report hangs.
    #[allow(clippy::unused_self)] // The handler belongs to the process.
    pub(crate) fn job_ended(&self) {
        state().job_ended();
    }

    /// Calls a command after the job, and waits for it. The console reports to the command itself.
    #[allow(clippy::unused_self)] // As above.
    pub(crate) fn call(&self, command: &mut Command) -> io::Result<ExitStatus> {
        command.status()
    }

    /// Returns whether an end was asked for.
    #[allow(clippy::unused_self)] // As above.
    pub(crate) fn asked_to_end(&self) -> bool {
        state().asked > 0
    }
}

/// A wait for a request to end.
#[derive(Debug)]
pub(crate) struct StopRequests;

impl StopRequests {
    pub(crate) fn new() -> io::Result<Self> {
        handle()?;
        Ok(Self)
    }

    /// Returns whether a request has come, or comes within this time.
    #[allow(clippy::unused_self)] // The handler belongs to the process.
    pub(crate) fn within(&self, time: Duration) -> bool {
        let waited = CHANGED.wait_timeout_while(state(), time, |state| state.asked == 0);
        waited.unwrap_or_else(PoisonError::into_inner).0.asked > 0
    }
}

fn state() -> MutexGuard<'static, ConsoleState> {
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
    state.ask();
    CHANGED.notify_all();
    if matches!(event, CTRL_C_EVENT | CTRL_BREAK_EVENT) {
        return BOOL::from(state.finished.is_none_or(|finished| finished.elapsed() < SAME_REQUEST_WITHIN));
    }
    // The window or the session closes: the system ends this process once this function returns.
    drop(state);
    std::thread::sleep(TIME_TO_REPORT);
    0
}

#[cfg(test)]
mod tests {
    use std::{process::Stdio, sync::mpsc, thread};

    use highwater::{job::Job, record::Record};

    use super::*;

    /// Attaches to a process, applies `events`, and returns the record; `None` if the job goes on.
    fn attached(to: u32, events: impl FnOnce(&mut ConsoleState, Control)) -> Option<Record> {
        let job = Job::attach(to);
        events(&mut ConsoleState::new(), job.control());
        let (send, record) = mpsc::channel();
        thread::spawn(move || drop(send.send(job.run())));
        record.recv_timeout(Duration::from_secs(60)).ok().map(|record| record.expect("it is followed"))
    }

    #[test]
    fn what_is_attached_to_is_left_as_it_is() {
        let mut other = Command::new("cmd");
        other.args(["/c", "pause"]).stdin(Stdio::piped()).stdout(Stdio::null());
        let mut other = other.spawn().expect("it starts");
        let asked_later = attached(other.id(), |state, control| {
            state.follow(control, true);
            state.ask();
        });
        let asked_before = attached(other.id(), |state, control| {
            state.ask();
            state.follow(control, true);
        });
        let goes_on = other.try_wait().expect("asked").is_none();
        other.kill().expect("it lives");
        other.wait().expect("it ends");
        for record in [asked_later, asked_before] {
            let record = record.expect("the measurement ends");
            assert!(record.exit.is_none() && record.processes[0].still_running, "{record:?}");
        }
        assert!(goes_on);
    }

    #[test]
    fn only_what_is_attached_to_is_left() {
        let mut state = ConsoleState::new();
        let control = Job::new("cmd").control();
        state.follow(control.clone(), false);
        assert!(state.left.is_none(), "the console reports to the job itself");
        state.follow(control, true);
        state.job_ended();
        assert!(state.left.is_none() && state.finished.is_some());
        state.ask();
        assert_eq!(state.asked, 1);
    }
}
