//! `hwm export`, end to end: made-up records and a real run, each format read back as its readers do.
#![allow(clippy::needless_raw_string_hashes)] // snapbox writes its snapshots with them

mod chrome_trace;
mod firefox_profiler;
mod made;
mod mistakes;
#[cfg(target_os = "linux")]
mod real;
mod samples;
#[cfg(feature = "parquet")]
mod tables;
