//! `hwm compare` and `hwm ci-check`, end to end: made-up records, what users get wrong, and real runs.
#![allow(clippy::needless_raw_string_hashes)] // snapbox writes its snapshots with them

mod ci;
mod compare;
mod leaks;
mod made;
#[path = "../programs/mod.rs"]
#[allow(dead_code)]
mod programs;
#[cfg(target_os = "linux")]
mod real;
#[cfg(target_os = "linux")]
mod real_leaks;
