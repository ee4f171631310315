//! `hwm run`.

use std::ffi::OsString;

use clap::{Args, FromArgMatches as _};
use highwater::job::CgroupUse;

use super::{
    leaks::LeakArgs,
    measure::{AlsoArgs, LimitArgs, LineageSource, OverLimitArgs, PaceArgs, parse_limit_size},
    report::ReportArgs,
    roots_args::UnusedRootsArgs,
};
use crate::exit;

/// Run a command and measure it with all its descendants.
///
/// The summary goes to standard error when the job ends; the job's exit code is passed through.
#[derive(Debug, Clone, Args)]
#[command(override_usage = "hwm run [OPTIONS] [--] CMD [ARGS...]", after_help = EXAMPLES)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) pace: PaceArgs,

    #[command(flatten)]
    pub(crate) report: ReportArgs,

    /// Wait also for descendants that outlive the command. Without it they are left alone and named as still running.
    #[arg(long)]
    pub(crate) wait: bool,

    /// Hold each process for some microseconds at its exec and exit to read its peak: exact peaks without
    /// privilege, also in containers. Setuid programs in the job (sudo, ping) do not gain their privileges then.
    #[arg(long)]
    pub(crate) exact: bool,

    /// Give the job a cgroup of its own and report the kernel's peak of it. Without this option it gets one if that
    /// costs little (cgroup v2, or as root). If hwm can make none, it asks systemd for a scope: what the job leaves
    /// running there ends with the user's last session, unless the user lingers (loginctl enable-linger).
    #[arg(long)]
    pub(crate) cgroup: bool,

    /// Give the job no cgroup of its own.
    #[arg(long, conflicts_with = "cgroup")]
    pub(crate) no_cgroup: bool,

    #[command(flatten)]
    pub(crate) also: AlsoArgs,

    #[command(flatten)]
    pub(crate) limits: LimitArgs,

    /// Let the kernel keep the job's cgroup below SIZE (page cache and kernel memory count, too): it reclaims what it
    /// can, then kills. Refused where no cgroup can be made.
    #[arg(long, value_name = "SIZE", value_parser = parse_limit_size, conflicts_with = "no_cgroup", help_heading = "Limits")]
    pub(crate) max_cgroup: Option<u64>,

    #[command(flatten)]
    pub(crate) over_limit: OverLimitArgs,

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
    #[arg(long, value_name = "SOURCE", value_enum, default_value_t = LineageSource::Auto, hide_default_value = true)]
    pub(crate) lineage: LineageSource,

    #[command(flatten)]
    pub(crate) unused_roots: UnusedRootsArgs,

    /// The command and its arguments; options after CMD belong to CMD.
    #[arg(required = true, trailing_var_arg = true, value_names = ["CMD", "ARGS"])]
    pub(crate) command: Vec<OsString>,
}

impl RunArgs {
    /// Parses options of `hwm run` that another verb was given for its `command`.
    pub(crate) fn parse_options(options: Vec<OsString>, command: &[OsString]) -> Result<Self, clap::Error> {
        let words = options.into_iter().chain(["--".into()]).chain(command.iter().cloned());
        let parser = Self::augment_args(clap::Command::new("run")).no_binary_name(true);
        Self::from_arg_matches(&parser.try_get_matches_from(words)?)
    }

    /// Returns the use of a cgroup that the options ask for.
    pub(crate) fn cgroup_use(&self) -> CgroupUse {
        match (self.cgroup, self.no_cgroup) {
            (true, _) => CgroupUse::Always,
            (false, true) => CgroupUse::Never,
            (false, false) => CgroupUse::Auto,
        }
    }
}

/// clap breaks the line at `{n}`. A style that changes nothing keeps the braces apart, and is taken out where it is not
/// shown.
const EXAMPLES: &str = "\
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

--post-run-cmd gets these variables (an unknown one is not set): HWM_RECORD, HWM_EXIT_CODE, HWM_EXIT_SIGNAL, HWM_RUN, HWM_RUNS, \
HWM_DURATION_SECONDS, HWM_PROCESSES, HWM_METRIC, HWM_PEAK_MEMORY_BYTES, HWM_PEAK_MEMORY_LOWER_BYTES, \
HWM_PEAK_MEMORY_UPPER_BYTES, HWM_PEAK_BYTES, HWM_PEAK_LOWER_BYTES, HWM_PEAK_UPPER_BYTES, \
HWM_PEAK_RSS_BYTES, HWM_PEAK_PSS_BYTES, HWM_PEAK_CGROUP_BYTES, HWM_PEAK_GPU_0_BYTES and so on, HWM_LEAKS, \
HWM_LIMIT_EXCEEDED. HWM_RECORD is the file of --json or --save; without them a temporary one. The measurement is over \
then: the memory of CMD is not the job's.

--exact runs the job under a seccomp filter that asks a small process, the memory-keeper, at each \
exec and exit. It stays until the job is over, even if hwm is killed. Never kill it: programs of the job would then \
fail to start others, and to exit properly. Unless hwm runs as root the job is also under no_new_privs: sudo and other \
setuid programs run without their privileges. \
A program that wants a seccomp listener of its own (a container runtime, another hwm run --exact) is refused one \
with EBUSY. A tracer in the job that goes by seccomp filters (strace --seccomp-bpf, rr, proot) may not see its execs and \
exits: hwm warns of it, and such a job is to be run without --exact. A signal that comes right at an exec may make \
it fail with EINTR, which execve(2) never does otherwise.

Exit codes: the job's own (with --repeat of the first run that failed), or 128+n when signal n ended it; 10 and 11 when a limit on the total, or on a process, \
ended it; 127 command not found; 126 command cannot be \
executed; 125 bad usage or a failure of hwm itself before the job started.

Ctrl-C reaches the job as usual and the summary is printed. TERM, HUP, USR1, USR2 and ALRM sent to hwm are passed on \
to the job; a second TERM or HUP, half a second later or more, kills all of it.
";

/// A command that is called after a run.
#[derive(Debug, Clone, Args)]
pub(crate) struct HookArgs {
    /// Call CMD (a line for sh; on Windows for cmd) after each run, with the record's path in `HWM_RECORD`. Further
    /// variables have the exit code, peaks and others (see below). If it fails, hwm prints a warning and changes
    /// nothing.
    #[arg(long, value_name = "CMD", value_parser = parse_command, help_heading = "Afterwards")]
    pub(crate) post_run_cmd: Option<OsString>,

    /// If CMD fails and the job did not, exit with the code of CMD.
    #[arg(long, requires = "post_run_cmd", help_heading = "Afterwards")]
    pub(crate) post_run_fail: bool,
}

fn parse_command(text: &str) -> Result<OsString, String> {
    if text.trim().is_empty() {
        return Err("give a command line, as in --post-run-cmd './upload.sh \"$HWM_RECORD\"'".to_owned());
    }
    Ok(text.into())
}

/// The largest value of `--repeat`: the outputs of all runs are checked before the first one starts.
const MAX_RUNS: u32 = 1000;

/// The number of runs.
#[derive(Debug, Clone, Args)]
pub(crate) struct RepeatArgs {
    // clap breaks the line at the name of the placeholder.
    #[arg(
        help = "Run the command N times, one after the other, and report the median and the spread. Each run has a record of \
                  its own: {\x1b[0mn} in the names of output files is its number. It stops at a run that fails"
    )]
    #[arg(long, value_name = "N", value_parser = parse_repeat, default_value = "1", hide_default_value = true, help_heading = "Repeating")]
    pub(crate) repeat: u32,

    /// With --repeat: go on after a run that failed. The exit code is that of the first that did, and the median counts
    /// those that did not.
    #[arg(long, requires = "repeat", help_heading = "Repeating")]
    pub(crate) keep_going: bool,
}

fn parse_repeat(text: &str) -> Result<u32, String> {
    text.trim()
        .parse()
        .ok()
        .filter(|runs| (1..=MAX_RUNS).contains(runs))
        .ok_or_else(|| format!("give a whole number from 1 to {MAX_RUNS}"))
}

impl RepeatArgs {
    pub(crate) fn is_given(&self) -> bool {
        self.repeat > 1
    }
}
