//! Programs of known memory use, one subcommand a situation, to test highwater against.
//!
//! On Linux memory is mapped anonymous, kept off huge pages and touched page by page, so each size is exact.
//! With `WORKLOAD_TRUTH=FILE` in the environment a run writes one JSON line there: the peak it made (see
//! `situations/meter.rs`). Other systems have fewer situations, made without fork.

#[cfg(target_os = "linux")]
mod situations;
#[cfg(not(target_os = "linux"))]
mod spawned;

fn main() {
    #[cfg(target_os = "linux")]
    situations::main();
    #[cfg(not(target_os = "linux"))]
    spawned::main();
}
