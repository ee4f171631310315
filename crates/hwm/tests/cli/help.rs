//! The help of the main verbs.

use snapbox::{assert_data_eq, str};

use crate::stdout;

#[test]
fn help() {
    assert_data_eq!(
        stdout(&["--help"]),
        str![[r#"
How much memory does this job use, how high did it rise, and which processes hold GPU memory?

`hwm run` runs a command, follows all its descendants, and reports how much memory they used
together. Without a command: the memory of each GPU, and the machine's RAM. Every figure says what
it counts and how certain it is.

Usage: hwm [OPTIONS] [COMMAND]

Commands:
  run          Run a command and measure it with all its descendants
  attach       Follow a process that runs already, with all its descendants, until it ends or Ctrl-C
               comes
  ps           List the processes that hold GPU memory, on every vendor's devices
  watch        Follow what processes hold on GPUs over time, as JSON lines
  fits         Check whether SIZE is free on a GPU now
  view         Look at a record: in the terminal, or as a page of charts for the browser
  explain      Explain the peak memory of a record: how it was measured, how sure it is, and what
               would make it surer
  export       Write a record in a format that another tool reads
  compare      Show what grew from one record to another: the job's total, and group by group
  ci-check     Run a command, or take a record, compare it with a baseline, and report the result to
               the CI
  leaks        Look for memory that went on growing while a job ran
  list         List the records that hwm run --save has kept, or remove some
  doctor       Report what can be measured on this machine, and what would make the rest possible
  man          Print the man page, or write all of them into a directory
  completions  Print the completions for a shell, or write those of all shells into a directory
  help         Print this message or the help of the given subcommand(s)

Options:
      --json
          Without a command: print JSON

      --procfs <DIR>
          Read procfs at DIR instead of /proc (in a container: the host's, mounted there)

      --sysfs <DIR>
          Read sysfs at DIR instead of /sys

  -h, --help
          Print help (see a summary with '-h')

  -V, --version
          Print version

Examples:
  hwm run -- cargo build --release        how much memory does this build need?
  hwm run --json=mem.json -- make -j8     keep the record for scripts
  hwm run --json -- cargo test > mem.json
  hwm view mem.json                       look at it in the terminal; --open: charts in the browser
  hwm explain mem.json                    how sure is its peak memory?
  hwm compare base.json mem.json          what grew since then?
  hwm export mem.json --format csv        for other tools: traces, CSV, Parquet
  hwm attach 4321                         follow a process that runs already
  hwm run --help                          all options of the main verb
  hwm                                     how full are the GPUs and the RAM?
  hwm ps                                  which processes hold GPU memory?
  hwm ps --all --min 1G                   which hold 1 GiB or more, of RAM or on a GPU?
  hwm watch --interval 1s > gpu.jsonl     the same over time
  hwm fits 8G && ./train.py               only if 8 GiB are free on a GPU
  hwm completions bash                    completions for the shell

"#]]
    );
}

#[test]
#[allow(clippy::too_many_lines)] // The text is as long as it is.
fn help_of_run() {
    assert_data_eq!(
        stdout(&["run", "--help"]),
        str![[r#"
Run a command and measure it with all its descendants.

The summary goes to standard error when the job ends; the job's exit code is passed through.

Usage: hwm run [OPTIONS] [--] CMD [ARGS...]

Arguments:
  <CMD> [ARGS]...
          The command and its arguments; options after CMD belong to CMD

Options:
  -i, --interval <MS>
          Sample every MS milliseconds [default: adaptive, quick while things change, slow when
          still]

      --burst
          With --interval: sample quickly during the first quarter of a second all the same

      --json[=<FILE>]
          Write the record as JSON to FILE. Without FILE it goes to standard output, and the job's
          own standard output then goes to standard error

      --csv <FILE>
          Write one row a process as CSV

      --group-csv <FILE>
          Write one row for each group as CSV: by command, and by the key of --group-by

      --timeline <FILE>
          Write one row a sample as CSV while the job runs

      --csv-escape-formulas
          In CSV, put an apostrophe before texts that a spreadsheet would take for a formula: those
          that begin with =, +, -, @, a tab or a line break

      --html <FILE>
          Write a page of charts to FILE, for any browser and without network (see hwm view --help)

      --output-mode <MODE>
          Give output files these permission bits, an octal number such as 644. Without it only you
          can read a new file (600), since command lines may hold passwords. A file of yours that is
          replaced keeps its bits if no other user may write to its directory. No effect on Windows

      --save[=<NAME>]
          Keep the record, under NAME if one is given: hwm list shows what is kept, and other verbs
          take its name or @last

  -q, --quiet
          Print no summary

  -v, --verbose
          Print all figures with their evidence: RSS, PSS, the peaks of processes and groups, and
          how they were measured

      --live[=<TIME>]
          Show the job's present memory on standard error while it runs. On a terminal it is one
          line, redrawn; elsewhere a line every 30 seconds. TIME sets another pace. It stands below
          what the job writes to the same terminal

      --top <N>
          List at most N processes and N groups in the summary
          
          [default: 10]

      --include <REGEX>
          List only processes and groups whose command matches (in summary and CSV; the JSON stays
          complete, and totals always count all). May be given several times

      --exclude <REGEX>
          Leave out of the lists what matches, as with --include

      --group-by <KEY>
          Group processes also by KEY: command, name (such as `rustc serde`), exe, ppid, tree (a
          process with all its descendants), or cmdline-regex=REGEX. The last takes what REGEX finds
          in the command line: its first group in parentheses, if it has one. May be given several
          times. The summary shows these groups; CSV and JSON have those by command, too

      --no-args
          Leave arguments out of all that is written, for they may hold secrets. The record has the
          program of the command alone. A process has the kernel's name (Linux: at most 15 bytes) in
          place of its first argument. The names of programs and the paths of their files stay, and
          so does what a program calls itself

      --tree
          Show the job as a tree of processes, each with the peak of all that descends from it (as
          --group-by tree)

      --wait
          Wait also for descendants that outlive the command. Without it they are left alone and
          named as still running

      --exact
          Hold each process for some microseconds at its exec and exit to read its peak: exact peaks
          without privilege, also in containers. Setuid programs in the job (sudo, ping) do not gain
          their privileges then

      --cgroup
          Give the job a cgroup of its own and report the kernel's peak of it. Without this option
          it gets one if that costs little (cgroup v2, or as root). If hwm can make none, it asks
          systemd for a scope: what the job leaves running there ends with the user's last session,
          unless the user lingers (loginctl enable-linger)

      --no-cgroup
          Give the job no cgroup of its own

      --gpu
          Also measure GPU memory: what the job's processes hold on each device, over time and at
          the peak. The drivers are opened before the job starts
          
          [alias: --with-gpu]

      --with-cpu
          Also measure CPU time and page faults, process by process and over time

      --with-io
          Also measure what is read and written, process by process and over time

      --lineage <SOURCE>
          Where births and ends of processes are learned from [default: the best that works here]

          Possible values:
          - auto:           The best that works here: perf, else the proc connector, else sampling
          - perf:           The kernel's perf events
          - proc-connector: The kernel's proc connector
          - sampling:       Looking at intervals alone

  -h, --help
          Print help (see a summary with '-h')

Limits:
      --max-memory <SIZE>
          End the job when its memory exceeds SIZE (8G, 512M: 1024-based; 8GB: 1000-based), each
          page counted once, however many of its processes share it. 50% is half of the RAM, or of
          the container's limit. Linux only

      --max-total-rss <SIZE>
          End the job when the sum of its processes' RSS exceeds SIZE: a page counts in each process
          that maps it

      --max-per-proc-rss <SIZE>
          End the job when the RSS of one of its processes exceeds SIZE

      --max-total-pss <SIZE>
          End the job when the sum of its PSS exceeds SIZE: shared pages count once. PSS is read
          once the RSS sum is over SIZE. A process whose PSS is refused (not dumpable, or a program
          that you may not read) is held to SIZE by its anonymous memory, each process by itself;
          --max-total-rss has no such gap

      --max-cgroup <SIZE>
          Let the kernel keep the job's cgroup below SIZE (page cache and kernel memory count, too):
          it reclaims what it can, then kills. Refused where no cgroup can be made

      --on-limit <ACTION>
          Action when a limit is exceeded

          Possible values:
          - kill: End the whole job: TERM, then KILL
          - warn: Print a warning on standard error
          
          [default: kill]

      --grace <TIME>
          Time between TERM and KILL for a job that is over a limit. If it grows past 1.2 times the
          limit in that time, it is killed at once
          
          [default: 5s]

      --total-limit-code <CODE>
          Exit code when a limit on the total ended the job, in place of 10

      --per-proc-limit-code <CODE>
          Exit code when the limit on single processes ended the job, in place of 11

Leaks:
      --detect-leaks
          Look for memory that went on growing, in the job's total, in each process and on each
          device

      --leak-min-growth <PERCENT>
          A leak's floor grew by this much after warm-up
          
          [default: 50%]

      --leak-min-duration <TIME>
          For at least this long
          
          [default: 60s]

Repeating:
      --repeat <N>
          Run the command N times, one after the other, and report the median and the spread. Each
          run has a record of its own: {n} in the names of output files is its number. It stops at a
          run that fails

      --keep-going
          With --repeat: go on after a run that failed. The exit code is that of the first that did,
          and the median counts those that did not

Afterwards:
      --post-run-cmd <CMD>
          Call CMD (a line for sh; on Windows for cmd) after each run, with the record's path in
          `HWM_RECORD`. Further variables have the exit code, peaks and others (see below). If it
          fails, hwm prints a warning and changes nothing

      --post-run-fail
          If CMD fails and the job did not, exit with the code of CMD

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
  hwm run --repeat 5 --json='mem-{n}.json' -- ./bench    median and spread of five runs
  hwm run --post-run-cmd './upload.sh "$HWM_RECORD"' -- make test
  srun -n 16 hwm run --json='mem-{host}-{rank}.json' -- ./solve

Output files: {pid} (of hwm), {host}, {rank} (Slurm, OpenMPI, PMI, torchrun) and {n} (number of the
run) in their names are filled in. They are checked before the job starts; later trouble with them
costs a warning, never the job's exit code.

--post-run-cmd gets these variables (an unknown one is not set): HWM_RECORD, HWM_EXIT_CODE,
HWM_EXIT_SIGNAL, HWM_RUN, HWM_RUNS, HWM_DURATION_SECONDS, HWM_PROCESSES, HWM_METRIC,
HWM_PEAK_MEMORY_BYTES, HWM_PEAK_MEMORY_LOWER_BYTES, HWM_PEAK_MEMORY_UPPER_BYTES, HWM_PEAK_BYTES,
HWM_PEAK_LOWER_BYTES, HWM_PEAK_UPPER_BYTES, HWM_PEAK_RSS_BYTES, HWM_PEAK_PSS_BYTES,
HWM_PEAK_CGROUP_BYTES, HWM_PEAK_GPU_0_BYTES and so on, HWM_LEAKS, HWM_LIMIT_EXCEEDED. HWM_RECORD is
the file of --json or --save; without them a temporary one. The measurement is over then: the memory
of CMD is not the job's.

--exact runs the job under a seccomp filter that asks a small process, the memory-keeper, at each
exec and exit. It stays until the job is over, even if hwm is killed. Never kill it: programs of the
job would then fail to start others, and to exit properly. Unless hwm runs as root the job is also
under no_new_privs: sudo and other setuid programs run without their privileges. A program that
wants a seccomp listener of its own (a container runtime, another hwm run --exact) is refused one
with EBUSY. A tracer in the job that goes by seccomp filters (strace --seccomp-bpf, rr, proot) may
not see its execs and exits: hwm warns of it, and such a job is to be run without --exact. A signal
that comes right at an exec may make it fail with EINTR, which execve(2) never does otherwise.

Exit codes: the job's own (with --repeat of the first run that failed), or 128+n when signal n ended
it; 10 and 11 when a limit on the total, or on a process, ended it; 127 command not found; 126
command cannot be executed; 125 bad usage or a failure of hwm itself before the job started.

Ctrl-C reaches the job as usual and the summary is printed. TERM, HUP, USR1, USR2 and ALRM sent to
hwm are passed on to the job; a second TERM or HUP, half a second later or more, kills all of it.

"#]]
    );
}
