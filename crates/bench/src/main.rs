//! Measures the cost of `hwm` on this machine: `cargo run --release -p bench`. See `docs/benchmarks.md`.

mod stats;
#[cfg(target_os = "linux")]
mod suite;
mod table;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    suite::main()
}

#[cfg(not(target_os = "linux"))]
fn main() -> std::process::ExitCode {
    eprintln!("bench: these benchmarks run on Linux only");
    std::process::ExitCode::from(2)
}
