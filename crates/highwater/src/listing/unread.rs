//! Why nothing could be read of a process: it has ended, or access to it is denied.

use std::io;

use crate::{Error, Unavailable};

/// The reason why nothing is known of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum UnreadProcess {
    /// It has ended, or this procfs hides it (`hidepid`).
    Gone,
    /// The pid is that of a thread; the text says of which process.
    Thread(String),
    /// It runs, and this process may not read it.
    Denied,
    Failed(String),
}

impl UnreadProcess {
    pub(super) fn of(error: &Error) -> Self {
        match error {
            Error::NoSuchProcess { .. } => Self::Gone,
            Error::Thread { .. } => Self::Thread(error.to_string()),
            Error::Process { why: Unavailable::PermissionDenied, .. } => Self::Denied,
            // procfs with `hidepid=1` shows the directory and refuses its files.
            Error::Read { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => Self::Denied,
            // All processes that did not answer have the same reason: one line names them all.
            Error::Read { source, .. } if source.kind() == io::ErrorKind::TimedOut => {
                Self::Failed(source.to_string())
            }
            error => Self::Failed(error.to_string()),
        }
    }

    /// True if no process has the pid.
    pub(super) fn is_gone(&self) -> bool {
        matches!(self, Self::Gone | Self::Thread(_))
    }

    /// The reason why the name is unknown.
    pub(super) fn of_name(&self) -> Unavailable {
        match self {
            Self::Gone => Unavailable::Vanished,
            Self::Thread(text) | Self::Failed(text) => Unavailable::Failed(text.clone()),
            Self::Denied => Unavailable::PermissionDenied,
        }
    }

    /// The reason why the memory is unknown.
    pub(super) fn of_memory(&self) -> Unavailable {
        match self {
            Self::Gone | Self::Thread(_) => Unavailable::Vanished,
            Self::Denied => Unavailable::PermissionDenied,
            Self::Failed(text) => Unavailable::Failed(text.clone()),
        }
    }
}
