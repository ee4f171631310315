//! The identity of a process: the number of a member, and the name of the program that it runs.

use std::sync::Arc;

use crate::bounded::{self, MAX_NAME_BYTES, MAX_PATH_BYTES};

/// Number of a member of the job: one process, from the moment it was first seen. Numbers grow in that order and are
/// never used twice, so two processes with the same pid are two members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct MemberId(pub(crate) u32);

/// Name of a program image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProgramName {
    /// Base name of `argv[0]` where it could be read, else `comm`.
    pub(crate) command: String,
    /// The kernel's name for it.
    pub(crate) comm: String,
    /// Path of the executable, where it could be read.
    pub(crate) exe: Option<String>,
    /// Its arguments with a space between them, where they were asked for and could be read.
    pub(crate) line: Option<String>,
    /// Its display name, where the arguments say more than `command`. It is short by itself.
    pub(crate) display: Option<String>,
}

impl ProgramName {
    /// Returns a name whose texts, which the process chose, are cut at their bounds.
    pub(crate) fn new(command: String, comm: String, exe: Option<String>, line: Option<String>) -> Arc<Self> {
        Self { command, comm, exe, line, display: None }.bounded()
    }

    /// Returns the same name with each text cut at its bound.
    pub(crate) fn bounded(self) -> Arc<Self> {
        Arc::new(Self {
            command: bounded::cut(self.command, MAX_NAME_BYTES),
            comm: bounded::cut(self.comm, MAX_NAME_BYTES),
            exe: self.exe.map(|exe| bounded::cut(exe, MAX_PATH_BYTES)),
            line: self.line,
            display: self.display,
        })
    }

    /// Returns the name of a program that ended before it could be read, if the kernel reports none.
    pub(crate) fn unknown() -> Arc<Self> {
        Self::new("?".to_owned(), "?".to_owned(), None, None)
    }
}
