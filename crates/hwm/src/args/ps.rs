//! `hwm ps`, and the choice of processes that it shares with `hwm watch`.

use clap::Args;
use regex_lite::Regex;

use super::roots_args::RootsArgs;
use crate::{process_selection::RowOrder, units};

/// List the processes that hold GPU memory, on every vendor's devices.
///
/// One row for each process and device: memory on the card (VRAM), system RAM mapped for the GPU (GTT), user and name.
/// Part of the mapped RAM may be in RSS too, so never add them. An unknown value is shown as ? and explained on
/// standard error. One line there always gives the number of processes and whether the list is complete.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct PsArgs {
    #[command(flatten)]
    pub(crate) select: SelectArgs,

    /// Sort by this; amounts from the highest down.
    #[arg(long, value_name = "COLUMN", value_enum, default_value_t = RowOrder::Vram)]
    pub(crate) sort: RowOrder,

    /// Look once, at once: no CPU % and no use of engines, which need two looks 200 ms apart.
    #[arg(long)]
    pub(crate) no_wait: bool,

    /// Print JSON, with bounds, sources and reasons.
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) roots: RootsArgs,
}

/// The processes that are listed.
#[derive(Debug, Args)]
pub(crate) struct SelectArgs {
    /// Only this process. May be given several times.
    #[arg(long, value_name = "N", value_parser = units::parse_number)]
    pub(crate) pid: Vec<u32>,

    /// Only on the device with this index (`hwm` lists them).
    #[arg(long, value_name = "N", value_parser = units::parse_number)]
    pub(crate) device: Option<u32>,

    /// Only what holds SIZE or more, or may: 500M, 2GiB (1024-based), 2GB (1000-based).
    #[arg(long, value_name = "SIZE", value_parser = units::parse_memory)]
    pub(crate) min: Option<u64>,

    /// Only processes whose name matches.
    #[arg(long, value_name = "REGEX", value_parser = units::parse_pattern)]
    pub(crate) filter: Option<Regex>,

    /// Also the processes that hold no GPU memory, with their RAM.
    #[arg(long)]
    pub(crate) all: bool,
}

const EXAMPLES: &str = "\
Examples:
  hwm ps                          which processes hold GPU memory
  hwm ps --min 1G --sort rss      the large ones, by their RAM
  hwm ps --device 0 --filter python
  hwm ps --all --min 500M         every process that holds 500 MiB somewhere, RAM included
  hwm ps --pid 4711 --json        one process, for scripts
  hwm ps | awk 'NR>1 {print $1}'  the pids
  hwm ps --json | jq '.processes[] | [.pid, .vram_bytes]'
  hwm ps --procfs /host/proc      in a container with the host's /proc mounted there

In a container NVIDIA's driver names processes by the host's pids: run it with --pid=host, or as above.

Marks: ? unknown; - none; \u{2265} at least; \u{2264} at most; ~ below this, bounds in --json; CPU% <5: less than the kernel counts \
in 200 ms.

Exit codes: 0 all were found; 1 there are none; 2 some may be missing (a driver fails, or processes are protected: \
run as root, on Windows elevated), or bad usage.
";
