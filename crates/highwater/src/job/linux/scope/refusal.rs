//! The reason why there is no scope.

use std::{fmt, io};

/// Longest part of a foreign text that is repeated.
const MAX_REPEATED_CHARS: usize = 200;

/// The reason why a request to the service manager failed.
#[derive(Debug)]
pub(crate) enum ScopeRefusal {
    /// There is no bus at its usual path, or it is none of this user's.
    NoBus(String),
    /// The bus cannot be reached, or has closed the connection.
    Unreachable(io::Error),
    /// The bus has not authenticated this user.
    NotAuthenticated,
    /// The time for all requests is over.
    TimeOver,
    /// A message does not follow the specification.
    Garbled,
    /// A message exceeds [`MAX_MESSAGE_BYTES`](super::wire::MAX_MESSAGE_BYTES).
    TooLong,
    /// The reply is an error.
    Error { name: String, text: String },
    /// A step of this process failed.
    Own { doing: &'static str, error: io::Error },
}

impl fmt::Display for ScopeRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoBus(why) => f.write_str(why),
            Self::Unreachable(error) => write!(f, "its bus: {error}"),
            Self::NotAuthenticated => f.write_str("its bus did not authenticate this user"),
            Self::TimeOver => f.write_str("it did not do so in time"),
            Self::Garbled => f.write_str("its bus sent a message that cannot be read"),
            Self::TooLong => f.write_str("its bus sent a message that is too long"),
            Self::Error { name, text } => write!(f, "{name}: {text}"),
            Self::Own { doing, error } => write!(f, "{doing}: {error}"),
        }
    }
}

impl From<io::Error> for ScopeRefusal {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::TimedOut => Self::TimeOver,
            _ => Self::Unreachable(error),
        }
    }
}

/// Returns the begin of a foreign text on one line, without control characters.
pub(super) fn printable(text: &str) -> String {
    text.chars().take(MAX_REPEATED_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect()
}
