//! `hwm fits`.

use clap::Args;

use super::roots_args::RootsArgs;
use crate::units;

/// Check whether SIZE is free on a GPU now.
///
/// Without --device: on any single one. What a program needs beside its data is not counted: a CUDA context takes some
/// hundred MiB, and free memory may lie in pieces.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct FitsArgs {
    /// How much: 8G, 500M, 2GiB (1024-based), 8GB (1000-based).
    #[arg(value_name = "SIZE", value_parser = units::parse_memory)]
    pub(crate) size: u64,

    /// Only on the device with this index (`hwm` lists them).
    #[arg(long, value_name = "N", value_parser = units::parse_number)]
    pub(crate) device: Option<u32>,

    #[command(flatten)]
    pub(crate) roots: RootsArgs,
}

const EXAMPLES: &str = "\
Examples:
  hwm fits 8G                         on any GPU; the line names it
  hwm fits 12GiB --device 1
  hwm fits 8G && ./train.py           only if it fits
  until hwm fits 8G; do sleep 60; done

Exit codes: 0 yes; 1 no; 2 unknown (a driver does not report its free memory), or bad usage.
";
