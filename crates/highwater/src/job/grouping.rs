//! Keys by which a job's processes are grouped, beside their command.

use std::{fmt, sync::Arc};

use crate::record::GroupKey;

/// A key by which processes are grouped.
///
/// ```no_run
/// use highwater::{Job, job::{CommandLineKey, GroupBy}};
///
/// let test_name = CommandLineKey::new(|line| Some(line.split(" --test ").nth(1)?.to_owned()));
/// let record = Job::new("make").group_by(GroupBy::Tree).group_by(GroupBy::CommandLine(test_name)).run()?;
/// for group in &record.groups {
///     println!("{}: {:?} bytes", group.key, group.peak_bytes);
/// }
/// # Ok::<(), highwater::Error>(())
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum GroupBy {
    /// The base name of `argv[0]`. These groups are always in the record.
    Command,
    /// The display name ([`Process::display_name`](crate::record::Process::display_name)): `rustc serde` and
    /// `rustc syn` are two groups. Children that have not exec'ed have the name of their parent, and a process too short to
    /// be read is grouped by its command.
    Name,
    /// The executable's path. A process too short to be read is grouped by its command.
    Exe,
    /// The parent's pid when the process was first seen.
    Ppid,
    /// A text that a function finds in the command line. For a process too short to be read it searches the command.
    CommandLine(CommandLineKey),
    /// A process with all its descendants, even if they get another parent later.
    Tree,
}

/// A function that finds a group's name in a command line (arguments with a space between them). `None` puts the
/// process into the group of those in which nothing was found.
#[derive(Clone)]
pub struct CommandLineKey(Arc<Find>);

type Find = dyn Fn(&str) -> Option<String> + Send + Sync;

impl CommandLineKey {
    /// Makes a key from a function.
    pub fn new(find: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(find))
    }

    pub(super) fn find(&self, line: &str) -> Option<String> {
        (self.0)(line)
    }
}

impl fmt::Debug for CommandLineKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CommandLineKey(..)")
    }
}

impl GroupBy {
    /// Returns the key's word in the record.
    pub fn key(&self) -> GroupKey {
        match self {
            Self::Command => GroupKey::Command,
            Self::Name => GroupKey::Name,
            Self::Exe => GroupKey::Exe,
            Self::Ppid => GroupKey::Ppid,
            Self::CommandLine(_) => GroupKey::CommandLine,
            Self::Tree => GroupKey::Tree,
        }
    }
}
