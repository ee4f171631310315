//! `hwm doctor`.

/// Report what can be measured on this machine, mechanism by mechanism, and what would make the rest possible.
///
/// Each mechanism is tried, never guessed; nothing is left behind.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DoctorArgs {
    /// Print JSON, one object a mechanism.
    #[arg(long)]
    pub(crate) json: bool,

    /// Print what the GPU sources saw, raw, a line each; to look for the reason of a figure.
    #[arg(long, conflicts_with = "json")]
    pub(crate) raw: bool,
}

const EXAMPLES: &str = "\
Examples:
  hwm doctor               what works here, what does not, why, and what would help
  hwm doctor --json | jq '.[] | select(.state == \"missing\")'
  hwm doctor --raw         the GPU drivers' answers as they are, for a report about a wrong figure
";
