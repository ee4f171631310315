//! Signals to hwm while a job runs.
//!
//! INT, QUIT, TERM, HUP, USR1, USR2 and ALRM are blocked before any other thread starts and read from a signalfd(2) by a thread
//! of their own, so hwm outlives them and reports. Those that came from the terminal (`SI_KERNEL`) reached the
//! job already, as it is in the same process group; those sent by a process are passed on.

use std::time::{Duration, Instant};

#[cfg(not(target_os = "linux"))]
pub(crate) use elsewhere::Signals;
#[cfg(target_os = "linux")]
pub(crate) use linux::{Signals, take_over};

/// A second TERM or HUP within this time is the same one: `timeout` sends TERM to its child and at once to the
/// whole group.
const SAME: Duration = Duration::from_millis(500);

/// What to do about a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    /// The job has it already, or it is the same one again.
    Nothing,
    /// Pass it on.
    Forward,
    /// It is the second request to stop.
    KillTree,
    /// The job is over and writing the report hangs: let the signal end us.
    Leave,
}

/// Decides about signals; knows no system.
#[derive(Debug, Default)]
struct Policy {
    /// When the first TERM or HUP was passed on.
    asked_to_stop: Option<Instant>,
}

impl Policy {
    /// `stops`: the signal is TERM or HUP. `terminal`: it came from the terminal. `finished`: when the job ended.
    fn decide(&mut self, now: Instant, stops: bool, terminal: bool, finished: Option<Instant>) -> Action {
        if let Some(finished) = finished {
            return if now.duration_since(finished) > SAME { Action::Leave } else { Action::Nothing };
        }
        match self.asked_to_stop {
            Some(first) if now.duration_since(first) > SAME => Action::KillTree,
            _ if terminal => Action::Nothing,
            Some(_) if stops => Action::Nothing,
            _ => {
                if stops {
                    self.asked_to_stop = Some(now);
                }
                Action::Forward
            }
        }
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::{
        fs::File,
        io::{self, Read},
        mem::MaybeUninit,
        os::fd::{FromRawFd, OwnedFd},
        process, ptr,
        sync::{Arc, Mutex, MutexGuard, PoisonError},
        thread,
        time::Instant,
    };

    use highwater::job::Control;

    use super::{Action, Policy};
    use crate::exit;

    /// Those that end hwm or ask it to stop, and those that people send to a job through whoever runs it.
    const WATCHED: [i32; 7] = [
        libc::SIGINT,
        libc::SIGQUIT,
        libc::SIGTERM,
        libc::SIGHUP,
        libc::SIGUSR1,
        libc::SIGUSR2,
        libc::SIGALRM,
    ];

    /// The watched signals, blocked in this thread and in those it starts.
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

        /// From now on signals go to this job.
        pub(crate) fn forward_to(&mut self, control: Control) -> io::Result<()> {
            {
                let mut now = lock(&self.now);
                *now = Now { job: Some(control), asked_to_end: now.asked_to_end, ..Now::default() };
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

    /// Blocks the watched signals, to be read from the descriptor instead. To be called before any thread starts. A
    /// signal that was ignored when we started stays ignored, by us and by the job; `None` where all were.
    pub(crate) fn take_over() -> io::Result<Option<File>> {
        let watched: Vec<i32> = WATCHED.into_iter().filter(|signal| !is_ignored(*signal)).collect();
        if watched.is_empty() {
            return Ok(None);
        }
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: sigemptyset initialises the set; the others read it or add valid signal numbers to it.
        // signalfd returns a new descriptor that nobody else owns, or -1 (signalfd(2)).
        let source = unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            for signal in watched {
                libc::sigaddset(set.as_mut_ptr(), signal);
            }
            let error = libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), ptr::null_mut());
            if error != 0 {
                return Err(io::Error::from_raw_os_error(error));
            }
            let fd = libc::signalfd(-1, set.as_ptr(), libc::SFD_CLOEXEC);
            if fd == -1 {
                return Err(io::Error::last_os_error());
            }
            OwnedFd::from_raw_fd(fd)
        };
        Ok(Some(source.into()))
    }

    /// A file of ours that grows beyond `RLIMIT_FSIZE` is an error of that write, and not our end (setrlimit(2)). The
    /// job finds the signal as it was.
    fn ignore_file_size_limit() {
        // SAFETY: ignoring a signal runs no code of ours.
        unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    }

    fn is_ignored(signal: i32) -> bool {
        let mut action = MaybeUninit::<libc::sigaction>::uninit();
        // SAFETY: a null new action only asks; `action` is written when 0 is returned (sigaction(2)).
        unsafe {
            libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) == 0
                && action.assume_init().sa_sigaction == libc::SIG_IGN
        }
    }

    fn watch(mut source: File, now: &Mutex<Now>) {
        // One read gives one or more whole structs signalfd_siginfo of 128 bytes (signalfd(2)).
        let mut info = [0_u8; size_of::<libc::signalfd_siginfo>()];
        while source.read_exact(&mut info).is_ok() {
            // Its first fields: u32 ssi_signo, i32 ssi_errno, i32 ssi_code.
            let signal = i32::from_ne_bytes([info[0], info[1], info[2], info[3]]);
            let code = i32::from_ne_bytes([info[8], info[9], info[10], info[11]]);
            let is_message = matches!(signal, libc::SIGUSR1 | libc::SIGUSR2 | libc::SIGALRM);
            let mut now = lock(now);
            let Some(control) = now.job.clone() else { continue };
            if is_message && now.finished.is_none() {
                control.signal(signal);
            }
            if is_message {
                continue;
            }
            now.asked_to_end = true;
            let stops = matches!(signal, libc::SIGTERM | libc::SIGHUP);
            let terminal = code == libc::SI_KERNEL;
            let finished = now.finished;
            match now.policy.decide(Instant::now(), stops, terminal, finished) {
                Action::Nothing => {}
                Action::Forward => control.signal(signal),
                Action::KillTree => control.kill_tree(),
                Action::Leave => process::exit(exit::of_signal(signal).unwrap_or(exit::NOT_RUN).into()),
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod elsewhere {
    use std::io;

    use highwater::job::Control;

    /// Signals are left to the system here.
    #[derive(Debug)]
    pub(crate) struct Signals;

    impl Signals {
        pub(crate) fn block() -> io::Result<Self> {
            Ok(Self)
        }

        pub(crate) fn forward_to(&mut self, _control: Control) -> io::Result<()> {
            Ok(())
        }

        pub(crate) fn job_ended(&self) {}

        pub(crate) fn asked_to_end(&self) -> bool {
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATER: Duration = Duration::from_secs(2);

    #[test]
    fn terminal_signals_are_not_passed_on() {
        let mut policy = Policy::default();
        assert_eq!(policy.decide(Instant::now(), false, true, None), Action::Nothing);
        assert_eq!(policy.decide(Instant::now(), true, true, None), Action::Nothing);
    }

    #[test]
    fn second_request_to_stop_kills_unless_it_comes_at_once() {
        let start = Instant::now();
        let mut policy = Policy::default();
        assert_eq!(policy.decide(start, true, false, None), Action::Forward);
        assert_eq!(policy.decide(start + SAME / 2, true, false, None), Action::Nothing);
        assert_eq!(policy.decide(start + SAME / 2, false, false, None), Action::Forward);
        assert_eq!(policy.decide(start + LATER, true, false, None), Action::KillTree);
    }

    #[test]
    fn interrupts_from_a_process_are_passed_on_each_time() {
        let start = Instant::now();
        let mut policy = Policy::default();
        assert_eq!(policy.decide(start, false, false, None), Action::Forward);
        assert_eq!(policy.decide(start + LATER, false, false, None), Action::Forward);
    }

    #[test]
    fn after_the_job_only_a_late_signal_ends_us() {
        let ended = Instant::now();
        let mut policy = Policy::default();
        assert_eq!(policy.decide(ended + SAME / 2, false, true, Some(ended)), Action::Nothing);
        assert_eq!(policy.decide(ended + LATER, false, true, Some(ended)), Action::Leave);
    }
}
