//! The entries of a directory.

use std::{fs::File, io, sync::Arc};

/// The number of links that Linux follows (`path_resolution(7)`).
pub(super) const MAX_LINKS: usize = 40;

/// A directory entry, itself and not the target of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EntryStatus {
    pub(super) kind: EntryKind,
    /// The mark that distinguishes this file from one that takes its name later.
    pub(super) identity: FileIdentity,
}

/// An entry that stays the same from the check to the writing.
#[derive(Debug, Clone)]
pub(super) struct PinnedEntry {
    pub(super) status: EntryStatus,
    /// The open inode, so that its number is given to no other file. On macOS there is no `O_PATH`, and its file system
    /// APFS gives no number twice. Windows reports no number.
    pub(super) _inode: Option<Arc<File>>,
}

/// The kinds of entries that are written to in different ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EntryKind {
    Regular,
    Directory,
    Link,
    /// A named pipe (fifo(7)): opening it waits for its reader.
    NamedPipe,
    /// A socket, which takes connections and no content (unix(7)).
    #[cfg(unix)]
    Socket,
    /// A character device such as `/dev/null` or a terminal: nothing in it is overwritten.
    CharacterDevice,
    Other,
}

/// Device and inode of a file. Windows knows none by name, and all files are alike there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct FileIdentity {
    pub(super) device: u64,
    pub(super) inode: u64,
}

/// The position of writes to an opened file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WritePosition {
    Start,
    /// Each write goes to the end, wherever that is by then (open(2), `O_APPEND`).
    End,
}

/// The error for a name that was given to another file between two steps.
pub(super) fn name_taken() -> io::Error {
    io::Error::other("another file has this name now")
}
