//! Signals to hwm while a job runs.
//!
//! INT, QUIT, TERM, HUP, USR1, USR2 and ALRM are taken over before any other thread starts. A thread of its own reads
//! them, so hwm outlives them and reports. A signal from the terminal reached the job already, as it is in the same
//! process group. A signal that a process sent is passed on. A command that is called after the job stands in its
//! place.
//!
//! On Windows the console reports Ctrl-C and Ctrl-Break to every attached process, the job too. Nothing is passed on,
//! and hwm outlives them.

mod debounce;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "macos")]
mod macos;
#[cfg(any(unix, test))]
mod policy;
#[cfg(unix)]
mod received;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(crate) use unix::{Signals, outlive_file_size_limit, take_over, write_from_background};
#[cfg(windows)]
pub(crate) use windows::{Signals, StopRequests};
