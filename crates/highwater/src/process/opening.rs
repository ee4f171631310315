//! Interprets Windows' error codes for a process that could not be opened or read (Microsoft, System Error
//! Codes).

use std::io;

use crate::{Error, Unavailable};

const ERROR_ACCESS_DENIED: i32 = 5;
const ERROR_INVALID_PARAMETER: i32 = 87;
const ERROR_PRIVILEGE_NOT_HELD: i32 = 1314;

/// Returns why `OpenProcess` gave no handle.
pub(crate) fn not_opened(pid: u32, source: io::Error) -> Error {
    match source.raw_os_error() {
        // This is its code for a pid that no process has.
        Some(ERROR_INVALID_PARAMETER) => Error::NoSuchProcess { pid },
        code if is_protected(code) => Error::Process { pid, why: Unavailable::PermissionDenied },
        _ => Error::System { doing: "opening a process", source },
    }
}

/// Returns why a figure of an open process could not be read: a call may be refused although opening was not.
pub(crate) fn not_read(error: &Error) -> Unavailable {
    match error {
        Error::System { source, .. } if is_protected(source.raw_os_error()) => Unavailable::PermissionDenied,
        _ => Unavailable::Failed(error.to_string()),
    }
}

/// Returns why a process has no name. An exiting process loses its image before it ends.
pub(crate) fn nameless(error: &Error, has_ended: bool) -> Unavailable {
    if has_ended { Unavailable::Vanished } else { not_read(error) }
}

/// Returns whether the process exists but is another user's, or one of the system's that no user may open
/// (pid 4, csrss.exe).
fn is_protected(code: Option<i32>) -> bool {
    matches!(code, Some(ERROR_ACCESS_DENIED | ERROR_PRIVILEGE_NOT_HELD))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(code: i32) -> Error {
        not_opened(88, io::Error::from_raw_os_error(code))
    }

    #[test]
    fn who_is_protected_has_not_vanished() {
        for code in [5, 1314] {
            let why = opened(code);
            let is_protected = matches!(why, Error::Process { pid: 88, why: Unavailable::PermissionDenied });
            assert!(is_protected, "{code}: {why:?}");
        }
        assert!(matches!(opened(87), Error::NoSuchProcess { pid: 88 }));
    }

    #[test]
    fn other_failures_are_neither() {
        // The codes mean invalid handle, no memory, a device that does not work, no resources.
        for code in [6, 8, 31, 1450] {
            let why = opened(code);
            let said = matches!(&why, Error::System { source, .. } if source.raw_os_error() == Some(code));
            assert!(said, "{code}: {why:?}");
        }
        assert!(matches!(not_opened(88, io::Error::other("no code")), Error::System { .. }));
    }

    #[test]
    fn figures_of_an_open_process() {
        let read =
            |code| not_read(&Error::System { doing: "reading", source: io::Error::from_raw_os_error(code) });
        assert_eq!(read(5), Unavailable::PermissionDenied);
        // For an open process this is no sign that it has ended.
        assert!(matches!(read(87), Unavailable::Failed(_)));
        assert!(matches!(read(299), Unavailable::Failed(_)), "ERROR_PARTIAL_COPY");
        let name = |has_ended| {
            let source = io::Error::from_raw_os_error(31);
            nameless(&Error::System { doing: "reading the name of a process", source }, has_ended)
        };
        assert_eq!(name(true), Unavailable::Vanished);
        assert!(matches!(name(false), Unavailable::Failed(why) if why.contains("the name of a process")));
    }
}
