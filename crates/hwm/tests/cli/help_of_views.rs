//! The help of the verbs that only show figures.

use snapbox::{assert_data_eq, str};

use crate::stdout;

#[test]
fn help_of_ps() {
    assert_data_eq!(
        stdout(&["ps", "--help"]),
        str![[r#"
List the processes that hold GPU memory, on every vendor's devices.

One row for each process and device: memory on the card (VRAM), system RAM mapped for the GPU (GTT),
user and name. Part of the mapped RAM may be in RSS too, so never add them. An unknown value is
shown as ? and explained on standard error. One line there always gives the number of processes and
whether the list is complete.

Usage: hwm ps [OPTIONS]

Options:
      --pid <N>
          Only this process. May be given several times

      --device <N>
          Only on the device with this index (`hwm` lists them)

      --min <SIZE>
          Only what holds SIZE or more, or may: 500M, 2GiB (1024-based), 2GB (1000-based)

      --filter <REGEX>
          Only processes whose name matches

      --all
          Also the processes that hold no GPU memory, with their RAM

      --sort <COLUMN>
          Sort by this; amounts from the highest down

          Possible values:
          - vram: Memory on the card
          - gtt:  System RAM mapped for the GPU
          - rss:  Resident set
          - cpu:  Use of the processors
          - pid:  Process id
          - name: Name
          
          [default: vram]

      --no-wait
          Look once, at once: no CPU % and no use of engines, which need two looks 200 ms apart

      --json
          Print JSON, with bounds, sources and reasons

      --procfs <DIR>
          Read procfs at DIR instead of /proc (in a container: the host's, mounted there)

      --sysfs <DIR>
          Read sysfs at DIR instead of /sys

  -h, --help
          Print help (see a summary with '-h')

Examples:
  hwm ps                          which processes hold GPU memory
  hwm ps --min 1G --sort rss      the large ones, by their RAM
  hwm ps --device 0 --filter python
  hwm ps --all --min 500M         every process that holds 500 MiB somewhere, RAM included
  hwm ps --pid 4711 --json        one process, for scripts
  hwm ps | awk 'NR>1 {print $1}'  the pids
  hwm ps --json | jq '.processes[] | [.pid, .vram_bytes]'
  hwm ps --procfs /host/proc      in a container with the host's /proc mounted there

In a container NVIDIA's driver names processes by the host's pids: run it with --pid=host, or as
above.

Marks: ? unknown; - none; ≥ at least; ≤ at most; ~ below this, bounds in --json; CPU% <5: less than
the kernel counts in 200 ms.

Exit codes: 0 all were found; 1 there are none; 2 some may be missing (a driver fails, or processes
are protected: run as root, on Windows elevated), or bad usage.

"#]]
    );
}

#[test]
fn help_of_watch() {
    assert_data_eq!(
        stdout(&["watch", "--help"]),
        str![[r#"
Follow what processes hold on GPUs over time, as JSON lines.

A `start`, a `sample` every so often, and at the end, or at Ctrl-C or TERM, a `summary` with the
highest values that were seen. With --pid it ends when those processes have ended.

Usage: hwm watch [OPTIONS]

Options:
  -i, --interval <TIME>
          Time between samples: 500ms, 5s, 1m
          
          [default: 5s]

      --duration <TIME>
          End after this time: 30s, 10m, 2h [default: go on until Ctrl-C]

      --pid <N>
          Only this process. May be given several times

      --device <N>
          Only on the device with this index (`hwm` lists them)

      --min <SIZE>
          Only what holds SIZE or more, or may: 500M, 2GiB (1024-based), 2GB (1000-based)

      --filter <REGEX>
          Only processes whose name matches

      --all
          Also the processes that hold no GPU memory, with their RAM

      --procfs <DIR>
          Read procfs at DIR instead of /proc (in a container: the host's, mounted there)

      --sysfs <DIR>
          Read sysfs at DIR instead of /sys

  -h, --help
          Print help (see a summary with '-h')

Examples:
  hwm watch > gpu.jsonl                           every 5 s until Ctrl-C
  hwm watch --interval 500ms --pid 4711           until process 4711 ends
  hwm watch --duration 10m | jq -c 'select(.event == "summary")'
  hwm watch --device 0 --min 1G | jq -c '[.time, (.processes[]? | [.pid, .vram_bytes])]'

The highest values are those seen in samples: between them memory may have been higher. The peak of
a job that you start yourself: hwm run.

Exit codes: as hwm ps, over all samples: 0 complete; 1 nothing was ever found; 2 some may be
missing, or bad usage.

"#]]
    );
}

#[test]
fn help_of_fits() {
    assert_data_eq!(
        stdout(&["fits", "--help"]),
        str![[r#"
Check whether SIZE is free on a GPU now.

Without --device: on any single one. What a program needs beside its data is not counted: a CUDA
context takes some hundred MiB, and free memory may lie in pieces.

Usage: hwm fits [OPTIONS] <SIZE>

Arguments:
  <SIZE>
          How much: 8G, 500M, 2GiB (1024-based), 8GB (1000-based)

Options:
      --device <N>
          Only on the device with this index (`hwm` lists them)

      --procfs <DIR>
          Read procfs at DIR instead of /proc (in a container: the host's, mounted there)

      --sysfs <DIR>
          Read sysfs at DIR instead of /sys

  -h, --help
          Print help (see a summary with '-h')

Examples:
  hwm fits 8G                         on any GPU; the line names it
  hwm fits 12GiB --device 1
  hwm fits 8G && ./train.py           only if it fits
  until hwm fits 8G; do sleep 60; done

Exit codes: 0 yes; 1 no; 2 unknown (a driver does not report its free memory), or bad usage.

"#]]
    );
}

#[test]
fn help_of_view() {
    assert_data_eq!(
        stdout(&["view", "--help"]),
        str![[r#"
Look at a record: in the terminal, or as a page of charts for the browser.

The terminal shows the summary, and draws the memory over time: the total, the largest processes,
and the groups. The page is one file that needs no network. It has memory over time by process or
group, a lane for each process, and a table of the chosen moment or range.

Usage: hwm view [OPTIONS] <RECORD> [OTHER]

Arguments:
  <RECORD>
          The record, as hwm run --json=FILE wrote it; - reads standard input

  [OTHER]
          A second record: the page shows both runs in one picture, the terminal one after the other

Options:
      --html <FILE>
          Write the page to FILE

      --output-mode <MODE>
          Give output files these permission bits, an octal number such as 644. Without it only you
          can read a new file (600), since command lines may hold passwords. A file of yours that is
          replaced keeps its bits if no other user may write to its directory. No effect on Windows

      --open
          Show the page in the browser; without --html it is a temporary file

      --top <N>
          In the terminal: list at most N processes and N groups
          
          [default: 10]

  -h, --help
          Print help (see a summary with '-h')

Examples:
  hwm view mem.json                            in the terminal
  hwm run -q --json -- make | hwm view -       the same of a run
  hwm view mem.json --html mem.html            one file, to keep or to send
  hwm view mem.json --open                     look at it now
  hwm view before.json after.json --open       what changed between two runs?
  hwm run --html mem.html -- cargo build       run and write the page in one go

In the terminal the width is that of the terminal (or COLUMNS), NO_COLOR turns colour off, and where
the locale is not UTF-8 all is plain ASCII.

Exit codes: 0 done; 1 a record cannot be read, or the page cannot be written or shown; 2 bad usage.

"#]]
    );
}
