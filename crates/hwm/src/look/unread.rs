//! Why nothing could be read of a process: whether it has gone, or is there and protected from us.

use std::io;

use highwater::{Error, Unavailable};

/// Why nothing is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unread {
    pub(super) kind: Kind,
    pub(super) text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Gone,
    Protected,
    Failed,
}

impl Unread {
    pub(super) fn of(error: &Error) -> Self {
        let (kind, text) = match error {
            Error::NoSuchProcess { .. } => {
                (Kind::Gone, "no such process here; it has ended, or is hidden from us".to_owned())
            }
            // No process has that pid.
            Error::Thread { .. } => (Kind::Gone, error.to_string()),
            Error::Process { why: Unavailable::PermissionDenied, .. } => (Kind::Protected, denied()),
            // procfs with `hidepid=1` shows the directory and refuses its files.
            Error::Read { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                (Kind::Protected, denied())
            }
            error => (Kind::Failed, error.to_string()),
        };
        Self { kind, text }
    }
}

/// Without the pid, so that one line may speak of many.
fn denied() -> String {
    Unavailable::PermissionDenied.to_string()
}

#[cfg(test)]
mod tests {
    use highwater::{Roots, process::ProcessFacts};

    use super::*;
    use crate::{look::Row, users::Users};

    fn protected() -> Unread {
        Unread::of(&Error::Process { pid: 88, why: Unavailable::PermissionDenied })
    }

    #[test]
    fn who_is_protected_has_not_gone() {
        assert_eq!(protected().kind, Kind::Protected);
        let read = |kind: io::ErrorKind| {
            Unread::of(&Error::Read { path: "/proc/88/stat".into(), source: kind.into() }).kind
        };
        assert_eq!(read(io::ErrorKind::PermissionDenied), Kind::Protected);
        assert_eq!(read(io::ErrorKind::OutOfMemory), Kind::Failed);
        assert_eq!(Unread::of(&Error::NoSuchProcess { pid: 88 }).kind, Kind::Gone);
        assert_eq!(Unread::of(&Error::Thread { tid: 88, pid: 80 }).kind, Kind::Gone);
    }

    #[test]
    fn a_name_that_is_not_known_says_why() {
        let roots = Roots::default();
        let mut facts = ProcessFacts::read(&roots, std::process::id()).unwrap();
        facts.name = Err(Unavailable::PermissionDenied);
        let mut row = Row::without_usage(facts.id.pid, false);
        row.fill(&facts, &mut Users::of(&roots));
        assert_eq!(row.name, Err("permission denied".to_owned()));
        assert!(row.rss.is_ok());
    }

    #[test]
    fn a_row_says_why() {
        let row = |pid, why: &Unread, is_windows| {
            let mut row = Row::without_usage(pid, false);
            row.leave_unread(why, is_windows);
            (row.name, row.rss)
        };
        let denied = || Err(Unavailable::PermissionDenied);
        assert_eq!(row(88, &protected(), true), (Err("permission denied".to_owned()), denied()));
        assert_eq!(row(4, &protected(), true), (Ok("[kernel]".to_owned()), denied()));
        assert_eq!(row(4, &protected(), false).0, Err("permission denied".to_owned()));
        let gone = Unread::of(&Error::NoSuchProcess { pid: 88 });
        assert_eq!(row(88, &gone, true).1, Err(Unavailable::Vanished));
    }
}
