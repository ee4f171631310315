//! The command line: what clap parses, what the man pages and completions are made from.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

mod output_mode;
mod report;

pub(crate) use self::output_mode::OutputModeArgs;
pub(crate) use self::report::{AlsoArgs, LivePace, PaceArgs, ReportArgs, parse_pattern};

use crate::{
    exit,
    fits::FitsArgs,
    leaks::LeakArgs,
    place::{NoPlace, Place},
    ps::PsArgs,
    run::{HookArgs, RepeatArgs},
    units,
    watch::WatchArgs,
};

/// How much memory does this job use, how high did it rise, and who holds what on the GPU?
///
/// `hwm run` runs a command, follows all its descendants, and says how much memory they used together. Without a
/// command: the memory of each GPU, and the machine's RAM. Every figure says what it counts and how sure it is.
#[derive(Debug, Parser)]
#[command(name = "hwm", version = env!("HWM_VERSION"), after_help = EXAMPLES)]
pub(crate) struct Cli {
    /// Without a command: print JSON.
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) place: Place,

    #[command(subcommand)]
    pub(crate) verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Run(RunArgs),
    Attach(crate::attach::AttachArgs),
    Ps(PsArgs),
    Watch(WatchArgs),
    Fits(FitsArgs),
    View(crate::view::ViewArgs),
    Export(crate::export::ExportArgs),
    Compare(crate::compare::CompareArgs),
    CiCheck(crate::ci_check::CiCheckArgs),
    Leaks(crate::leaks::LeaksArgs),
    List(crate::list::ListArgs),
    /// Say what can be measured on this machine, and what would make the rest possible.
    Doctor(crate::doctor::DoctorArgs),
    Man(ManArgs),
    Completions(CompletionsArgs),
}

/// Run a command and measure it with all its descendants.
///
/// The summary goes to standard error when the job ends; the job's exit code is passed through.
#[derive(Debug, Clone, Args)]
#[command(override_usage = "hwm run [OPTIONS] [--] CMD [ARGS...]", after_help = RUN_EXAMPLES)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) pace: PaceArgs,

    #[command(flatten)]
    pub(crate) report: ReportArgs,

    /// Wait also for descendants that outlive the command; without it they are left alone and named as
    /// still running.
    #[arg(long)]
    pub(crate) wait: bool,

    /// Hold each process for some microseconds at its exec and exit to read its peak: exact peaks without
    /// privilege, also in containers. Setuid programs in the job (sudo, ping) do not gain their privileges then.
    #[arg(long)]
    pub(crate) exact: bool,

    /// Give the job a cgroup of its own and report the kernel's peak of it; without this option it gets one where
    /// that costs little (cgroup v2, or as root).
    #[arg(long)]
    pub(crate) cgroup: bool,

    /// Give the job no cgroup of its own.
    #[arg(long, conflicts_with = "cgroup")]
    pub(crate) no_cgroup: bool,

    #[command(flatten)]
    pub(crate) also: AlsoArgs,

    /// End the job when the sum of its processes' RSS exceeds SIZE (8G, 512M: 1024-based; 8GB: 1000-based).
    #[arg(long, value_name = "SIZE", value_parser = parse_limit, help_heading = "Limits")]
    pub(crate) max_total_rss: Option<u64>,

    /// End the job when the RSS of one of its processes exceeds SIZE.
    #[arg(long, value_name = "SIZE", value_parser = parse_limit, help_heading = "Limits")]
    pub(crate) max_per_proc_rss: Option<u64>,

    /// End the job when the sum of its PSS exceeds SIZE: shared pages count once. PSS is read once the RSS sum is over
    /// SIZE, and at moments when no process comes or goes.
    #[arg(long, value_name = "SIZE", value_parser = parse_limit, help_heading = "Limits")]
    pub(crate) max_total_pss: Option<u64>,

    /// Let the kernel keep the job's cgroup below SIZE (page cache and kernel memory count, too): it reclaims what it
    /// can, then kills. Refused where no cgroup can be made.
    #[arg(long, value_name = "SIZE", value_parser = parse_limit, conflicts_with = "no_cgroup", help_heading = "Limits")]
    pub(crate) max_cgroup: Option<u64>,

    /// What to do when a limit is exceeded.
    #[arg(long, value_name = "ACTION", value_enum, default_value_t = OnLimit::Kill, help_heading = "Limits")]
    pub(crate) on_limit: OnLimit,

    /// Time between TERM and KILL for a job that is over a limit; one that grows past 1.2 times the limit meanwhile is
    /// killed at once.
    #[arg(long, value_name = "TIME", value_parser = units::parse_time, default_value = "5s", help_heading = "Limits")]
    pub(crate) grace: Duration,

    /// Exit code when a limit on the total ended the job, in place of 10.
    #[arg(long, value_name = "CODE", default_value_t = exit::TOTAL_LIMIT, hide_default_value = true, help_heading = "Limits")]
    pub(crate) total_limit_code: u8,

    /// Exit code when the limit on single processes ended the job, in place of 11.
    #[arg(long, value_name = "CODE", default_value_t = exit::PROCESS_LIMIT, hide_default_value = true, help_heading = "Limits")]
    pub(crate) per_proc_limit_code: u8,

    #[command(flatten)]
    pub(crate) leaks: LeakArgs,

    #[command(flatten)]
    pub(crate) repeat: RepeatArgs,

    #[command(flatten)]
    pub(crate) hook: HookArgs,

    /// Where births and ends of processes are learned from [default: the best that works here].
    #[arg(long, value_name = "SOURCE", value_enum, default_value_t = Lineage::Auto, hide_default_value = true)]
    pub(crate) lineage: Lineage,

    #[command(flatten)]
    pub(crate) no_place: NoPlace,

    /// The command and its arguments; options after CMD belong to CMD.
    #[arg(required = true, trailing_var_arg = true, value_names = ["CMD", "ARGS"])]
    pub(crate) command: Vec<OsString>,
}

/// What to do when a limit is exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnLimit {
    /// End the whole job: TERM, then KILL.
    Kill,
    /// Say so on standard error.
    Warn,
}

/// Where births, execs and ends of processes are learned from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Lineage {
    /// The best that works here: perf, else the proc connector, else sampling.
    Auto,
    /// The kernel's perf events.
    Perf,
    /// The kernel's proc connector.
    ProcConnector,
    /// Looking at intervals alone.
    Sampling,
}

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

const EXAMPLES: &str = "\
Examples:
  hwm run -- cargo build --release        how much memory does this build need?
  hwm run --json=mem.json -- make -j8     keep the record for scripts
  hwm run --json -- cargo test > mem.json
  hwm view mem.json                       look at it in the terminal; --open: charts in the browser
  hwm compare base.json mem.json          what grew since then?
  hwm export mem.json --format csv        for other tools: traces, CSV, Parquet
  hwm attach 4321                         follow a process that runs already
  hwm run --help                          all options of the main verb
  hwm                                     how full are the GPUs and the RAM?
  hwm ps                                  who holds GPU memory?
  hwm ps --all --min 1G                   who holds 1 GiB or more, of RAM or on a GPU?
  hwm watch --interval 1s > gpu.jsonl     the same over time
  hwm fits 8G && ./train.py               only if 8 GiB are free on a GPU
  hwm completions bash                    completions for the shell
";

/// clap breaks the line at `{n}`; a style that changes nothing keeps the braces apart, and is taken out where it is not shown.
const RUN_EXAMPLES: &str = "\
Examples:
  hwm run -- cargo build --release          a summary on standard error when the build ends
  hwm run -i 200 -- ./program --arg foo     sample every 200 ms
  hwm run --json -- cargo test > mem.json   the record on stdout, the tests' output on stderr
  hwm run -q --json=mem.json -- make -j8    the record in a file, no summary
  hwm run --csv procs.csv --timeline time.csv -- ./train.py
  hwm run --save=before -- make -j8         keep the record: hwm compare before @last
  hwm run --html report.html -- make -j8    a page of charts
  hwm run --include '^rustc$' -- cargo build
  hwm run --exact -- make -j8               the exact peak of every process, however short
  hwm run --gpu -- python train.py          GPU memory beside RAM
  hwm run --tree -- make -j8                which branch of the build needs the memory?
  hwm run --live -- ./train.py              how it stands, while it runs
  hwm run --with-cpu --with-io -- make -j8  CPU time and I/O beside memory
  hwm run --max-total-rss 8G -- make -j8    end the job if it needs more
  hwm run --detect-leaks -- ./server        does its memory go on growing?
  hwm run --repeat 5 --json='mem-{\x1b[0mn}.json' -- ./bench    median and spread of five runs
  hwm run --post-run-cmd './upload.sh \"$HWM_RECORD\"' -- make test
  srun -n 16 hwm run --json='mem-{host}-{rank}.json' -- ./solve

Output files: {pid} (of hwm), {host}, {rank} (Slurm, OpenMPI, PMI, torchrun) and {\x1b[0mn} (number of the run) in their \
names are filled in. \
They are checked before the job starts; later trouble with them costs a warning, never the job's exit code.

--post-run-cmd is told (what is not known is not set): HWM_RECORD, HWM_EXIT_CODE, HWM_EXIT_SIGNAL, HWM_RUN, HWM_RUNS, \
HWM_DURATION_SECONDS, HWM_PROCESSES, HWM_METRIC, HWM_PEAK_BYTES, HWM_PEAK_LOWER_BYTES, HWM_PEAK_UPPER_BYTES, \
HWM_PEAK_RSS_BYTES, HWM_PEAK_PSS_BYTES, HWM_PEAK_CGROUP_BYTES, HWM_PEAK_GPU_0_BYTES and so on, HWM_LEAKS, \
HWM_LIMIT_EXCEEDED. HWM_RECORD is the file of --json or --save; without them a temporary one. The measurement is over \
then: the memory of CMD is not the job's.

--exact runs the job under a seccomp filter that asks a small process, the memory-keeper, at each \
exec and exit. It stays until the job is over, even if hwm is killed. Never kill it: programs of the job would then \
fail to start others, and to exit properly. Unless hwm runs as root the job is also under no_new_privs: sudo and other \
setuid programs run without their privileges. \
A program that wants a seccomp listener of its own (a container runtime, another hwm run --exact) is refused one \
with EBUSY. A signal that comes right at an exec may make it fail with EINTR, which execve(2) never does otherwise.

Exit codes: the job's own (with --repeat of the first run that failed), or 128+n when signal n ended it; 10 and 11 when a limit on the total, or on a process, \
ended it; 127 command not found; 126 command cannot be \
executed; 125 bad usage or a failure of hwm itself before the job started.

Ctrl-C reaches the job as usual and the summary is printed. TERM, HUP, USR1, USR2 and ALRM sent to hwm are passed on \
to the job; a second TERM or HUP, half a second later or more, kills all of it.
";

/// A limit of 0 would end every job.
pub(crate) fn parse_limit(text: &str) -> Result<u64, String> {
    match units::parse_size(text)? {
        0 => Err("a limit of 0 ends every job; give a size such as 8G".to_owned()),
        bytes => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn definitions_are_consistent() {
        Cli::command().debug_assert();
    }

    fn run_args(args: &[&str]) -> RunArgs {
        let line = ["hwm", "run"].iter().chain(args);
        match Cli::try_parse_from(line).expect("parses").verb {
            Some(Verb::Run(args)) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn options_after_the_command_belong_to_it() {
        let args = run_args(&["-i", "200", "ls", "-l", "--json", "--", "x"]);
        assert_eq!(args.command, ["ls", "-l", "--json", "--", "x"]);
        assert_eq!(args.report.json, None);
        assert_eq!(args.pace.interval, Some(Duration::from_millis(200)));
    }

    #[test]
    fn json_takes_a_file_only_with_an_equals_sign() {
        let args = run_args(&["--json", "cargo", "test"]);
        assert_eq!((args.report.json, args.command.len()), (Some(PathBuf::from("-")), 2));
        let args = run_args(&["--json=a.json", "--", "cargo"]);
        assert_eq!(args.report.json, Some(PathBuf::from("a.json")));
    }

    #[test]
    fn unknown_options_are_not_taken_for_the_command() {
        assert!(Cli::try_parse_from(["hwm", "run", "--bogus", "ls"]).is_err());
    }
}
