//! A directory that is opened once and used by its descriptor from then on.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(crate) use unix::Directory;
#[cfg(unix)]
pub(super) use unix::{is_writable, set_mode, status_of, wait_when_full};
#[cfg(windows)]
pub(crate) use windows::Directory;
#[cfg(windows)]
pub(super) use windows::{is_writable, set_mode, status_of, wait_when_full};
