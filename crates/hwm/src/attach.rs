//! `hwm attach`: follow a process that runs already.

use std::{process::ExitCode, time::Duration};

use clap::{Args, Parser};

use crate::{
    args::{AlsoArgs, Cli, Lineage, OnLimit, PaceArgs, ReportArgs, RunArgs, Verb, parse_limit},
    leaks::LeakArgs,
    run, units,
};

/// Follow a process that runs already, with all its descendants, until it ends or Ctrl-C comes.
///
/// It is only looked at: Ctrl-C and a kill of hwm leave it running. The report is the same as that of hwm run, about
/// the time from the moment it was attached to: what happened before is not known.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct AttachArgs {
    /// The process: its pid, as pgrep or ps show it.
    #[arg(value_name = "PID", value_parser = parse_pid)]
    pid: u32,

    #[command(flatten)]
    pace: PaceArgs,

    #[command(flatten)]
    report: ReportArgs,

    #[command(flatten)]
    also: AlsoArgs,

    /// Go on, once it has ended, until all its descendants have ended, too.
    #[arg(long)]
    wait: bool,

    /// Where births and ends of processes are learned from: proc-connector or sampling [default: the best that works here].
    #[arg(long, value_name = "SOURCE", value_enum, default_value_t = Lineage::Auto, hide_default_value = true, hide_possible_values = true)]
    lineage: Lineage,

    /// Say it when the sum of the processes' RSS exceeds SIZE (8G, 512M: 1024-based; 8GB: 1000-based).
    #[arg(long, value_name = "SIZE", value_parser = parse_limit, help_heading = "Limits")]
    max_total_rss: Option<u64>,

    /// Say it when the RSS of one of the processes exceeds SIZE.
    #[arg(long, value_name = "SIZE", value_parser = parse_limit, help_heading = "Limits")]
    max_per_proc_rss: Option<u64>,

    /// Say it when the sum of the PSS exceeds SIZE: shared pages count once.
    #[arg(long, value_name = "SIZE", value_parser = parse_limit, help_heading = "Limits")]
    max_total_pss: Option<u64>,

    /// What to do when a limit is exceeded. Only kill ends processes.
    #[arg(long, value_name = "ACTION", value_enum, default_value_t = OnLimit::Warn, help_heading = "Limits")]
    on_limit: OnLimit,

    /// With --on-limit kill: time between TERM and KILL.
    #[arg(long, value_name = "TIME", value_parser = units::parse_time, default_value = "5s", help_heading = "Limits")]
    grace: Duration,

    #[command(flatten)]
    leaks: LeakArgs,
}

const EXAMPLES: &str = "\
Examples:
  hwm attach 4321                             how it goes on, until it ends or Ctrl-C
  hwm attach --live $(pgrep -o postgres)      a line that says how it stands
  hwm attach 4321 --timeline time.csv --json=mem.json --with-cpu
  hwm attach 4321 --max-total-rss 8G          a warning when it needs more
  timeout 60 hwm attach 4321                  one minute of it

Peaks are those of the time from the attaching on. The kernel keeps the highest RSS of each process since its last exec: \
where it rises meanwhile, that is a peak of this time; what it was before is said apart.

Memory of other users' processes can be read; PSS, I/O and --group-by exe need root or the same user, and are unknown \
without. How the process ended is known only where the kernel tells of it (as root, or with the proc connector).

On macOS other users' processes need root altogether; how your own ended is known.

On Windows other users' processes need an elevated console; how the process ended is known. Descendants are found by looking. \
Ctrl-C goes to all programs of a console: a process in the same one as hwm gets it, too.

Exit codes: 0 it was measured; 10 and 11 it exceeded a limit and was ended for it; 1 it cannot be attached to; 2 bad usage.
";

fn parse_pid(text: &str) -> Result<u32, String> {
    text.trim()
        .parse()
        .ok()
        .filter(|&pid| pid > 0)
        .ok_or_else(|| "give a process id, as pgrep NAME prints it".to_owned())
}

/// Follows it and reports.
pub(crate) fn run(args: AttachArgs) -> ExitCode {
    let pid = args.pid;
    run::attach(&run_args(args), pid)
}

/// The same as options of `hwm run`.
fn run_args(args: AttachArgs) -> RunArgs {
    let Ok(Cli { verb: Some(Verb::Run(mut run)), .. }) = Cli::try_parse_from(["hwm", "run", "attached"])
    else {
        unreachable!("a command alone is all that hwm run needs")
    };
    (run.pace, run.report, run.also, run.leaks) = (args.pace, args.report, args.also, args.leaks);
    (run.wait, run.lineage) = (args.wait, args.lineage);
    run.max_total_rss = args.max_total_rss;
    run.max_per_proc_rss = args.max_per_proc_rss;
    run.max_total_pss = args.max_total_pss;
    (run.on_limit, run.grace) = (args.on_limit, args.grace);
    run
}
