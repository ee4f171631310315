//! `hwm watch`.

use std::time::Duration;

use clap::Args;

use super::{ps::SelectArgs, roots_args::RootsArgs};
use crate::units;

/// Follow what processes hold on GPUs over time, as JSON lines.
///
/// A `start`, a `sample` every so often, and at the end, or at Ctrl-C or TERM, a `summary` with the highest values
/// that were seen. With --pid it ends when those processes have ended.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct WatchArgs {
    /// Time between samples: 500ms, 5s, 1m.
    #[arg(short, long, value_name = "TIME", value_parser = units::parse_interval, default_value = "5s")]
    pub(crate) interval: Duration,

    /// End after this time: 30s, 10m, 2h [default: go on until Ctrl-C].
    #[arg(long, value_name = "TIME", value_parser = units::parse_time)]
    pub(crate) duration: Option<Duration>,

    #[command(flatten)]
    pub(crate) select: SelectArgs,

    #[command(flatten)]
    pub(crate) roots: RootsArgs,
}

const EXAMPLES: &str = "\
Examples:
  hwm watch > gpu.jsonl                           every 5 s until Ctrl-C
  hwm watch --interval 500ms --pid 4711           until process 4711 ends
  hwm watch --duration 10m | jq -c 'select(.event == \"summary\")'
  hwm watch --device 0 --min 1G | jq -c '[.time, (.processes[]? | [.pid, .vram_bytes])]'

The highest values are those seen in samples: between them memory may have been higher. The peak of a job that you \
start yourself: hwm run.

Exit codes: as hwm ps, over all samples: 0 complete; 1 nothing was ever found; 2 some may be missing, or bad usage.
";
