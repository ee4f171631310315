//! `hwm attach`.

use clap::{Arg, Args};

use super::{
    leaks::LeakArgs,
    measure::{AlsoArgs, LimitArgs, LineageSource, OverLimitArgs, PaceArgs},
    report::ReportArgs,
};

/// Follow a process that runs already, with all its descendants, until it ends or Ctrl-C comes.
///
/// It is only looked at: Ctrl-C and a kill of hwm leave it running. The report is the same as that of hwm run, about
/// the time since it was attached to. What happened before is not known.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
#[command(mut_args(for_attach))]
pub(crate) struct AttachArgs {
    /// The process: its pid, as pgrep or ps show it.
    #[arg(value_name = "PID", value_parser = parse_pid)]
    pub(crate) pid: u32,

    #[command(flatten)]
    pub(crate) pace: PaceArgs,

    #[command(flatten)]
    pub(crate) report: ReportArgs,

    #[command(flatten)]
    pub(crate) also: AlsoArgs,

    /// Go on, once it has ended, until all its descendants have ended, too.
    #[arg(long)]
    pub(crate) wait: bool,

    /// Where births and ends of processes are learned from: proc-connector or sampling [default: the best that works here].
    #[arg(long, value_name = "SOURCE", value_enum, default_value_t = LineageSource::Auto, hide_default_value = true, hide_possible_values = true)]
    pub(crate) lineage: LineageSource,

    #[command(flatten)]
    pub(crate) limits: LimitArgs,

    #[command(flatten)]
    pub(crate) over_limit: OverLimitArgs,

    #[command(flatten)]
    pub(crate) leaks: LeakArgs,
}

const EXAMPLES: &str = "\
Examples:
  hwm attach 4321                             how it goes on, until it ends or Ctrl-C
  hwm attach --live $(pgrep -o postgres)      one line with its present memory
  hwm attach 4321 --timeline time.csv --json=mem.json --with-cpu
  hwm attach 4321 --max-total-rss 8G          a warning when it needs more
  timeout 60 hwm attach 4321                  one minute of it

Peaks are those of the time from the attaching on. The kernel keeps the highest RSS of each process since its last exec: \
if it rises while hwm watches, that is a peak of this time; the earlier one is reported apart.

Memory of other users' processes can be read; PSS, I/O and --group-by exe need root or the same user, and are unknown \
without. How the process ended is known only if the kernel reports it (as root, or with the proc connector).

On macOS other users' processes need root altogether; how your own ended is known.

On Windows other users' processes need an elevated console; how the process ended is known. Descendants are found by looking. \
Ctrl-C goes to all programs of a console: a process in the same one as hwm gets it, too.

Exit codes: 0 it was measured; 10 and 11 it exceeded a limit and was ended for it; 1 it cannot be attached to; 2 bad usage.
";

/// Words the options about limits for a process that hwm did not start: it is not ended unless that is asked for.
fn for_attach(arg: Arg) -> Arg {
    match arg.get_id().as_str() {
        "max_memory" => arg.help(
            "Warn when their memory exceeds SIZE (8G, 512M: 1024-based; 8GB: 1000-based; 50%: of the RAM), each page \
             counted once",
        ),
        "max_total_rss" => arg.help("Warn when the sum of the processes' RSS exceeds SIZE"),
        "max_per_proc_rss" => arg.help("Warn when the RSS of one of the processes exceeds SIZE"),
        "max_total_pss" => arg.help("Warn when the sum of the PSS exceeds SIZE: shared pages count once"),
        "on_limit" => {
            arg.help("What to do when a limit is exceeded. Only kill ends processes").default_value("warn")
        }
        "grace" => arg.help("With --on-limit kill: time between TERM and KILL"),
        _ => arg,
    }
}

fn parse_pid(text: &str) -> Result<u32, String> {
    text.trim()
        .parse()
        .ok()
        .filter(|&pid| pid > 0)
        .ok_or_else(|| "give a process id, as pgrep NAME prints it".to_owned())
}
