//! `hwm man` and `hwm completions`.

use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

/// Print the man page, or write all of them into a directory.
#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Write hwm.1, hwm-run.1 and so on into DIR, which must exist.
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}

/// Print the completions for a shell, or write those of all shells into a directory.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell.
    #[arg(required_unless_present = "dir", conflicts_with = "dir")]
    pub(crate) shell: Option<Shell>,

    /// Write the files for all shells into DIR, which must exist.
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}
