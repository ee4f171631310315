//! What it takes to look into others' processes, in the words of the system.

use super::terminal;

/// Whether we have it, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Privilege {
    pub(super) is_held: bool,
    pub(super) is_windows: bool,
}

impl Privilege {
    pub(crate) fn ours() -> Self {
        Self { is_held: terminal::is_root(), is_windows: cfg!(windows) }
    }

    /// What would help to look into `them`.
    pub(super) fn to_look_into(self, them: &str) -> String {
        if self.is_held {
            format!("even {} may not look into {them} here", self.holder())
        } else {
            format!("run {} to look into {them}", self.way())
        }
    }

    /// That the names of so many may not be read, and what would help.
    pub(super) fn for_names(self, count: usize) -> String {
        if self.is_held {
            let names = if count == 1 { "its name" } else { "their names" };
            format!("{count} protected: even {} may not read {names}", self.holder())
        } else {
            format!("{count} protected: run {} for names", self.way())
        }
    }

    fn way(self) -> &'static str {
        if self.is_windows { "elevated" } else { "as root" }
    }

    fn holder(self) -> &'static str {
        if self.is_windows { "an elevated user" } else { "root" }
    }
}
