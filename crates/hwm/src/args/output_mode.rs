//! `--output-mode`, an option of all verbs that write files.

use crate::files::{NewFileMode, parse_mode};

/// Permission bits of output files.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct OutputModeArgs {
    /// Give output files these permission bits, an octal number such as 644. Without it only you can read a new file
    /// (600), since command lines may hold passwords. A file of yours that is replaced keeps its bits if no other user
    /// may write to its directory. No effect on Windows.
    #[arg(long, value_name = "MODE", value_parser = parse_mode)]
    output_mode: Option<NewFileMode>,
}

impl OutputModeArgs {
    /// Returns the mode of files that hold a record or a part of one.
    pub(crate) fn mode(self) -> NewFileMode {
        self.output_mode.unwrap_or(NewFileMode::Private)
    }
}
