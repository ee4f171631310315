//! Prints the memory before and after 50 MiB more: `cargo run --features report --example print_demo`.

use highwater::{MemoryReport, Snapshot};

fn main() {
    let before = Snapshot::now(0).expect("RAM can be read");
    // Zeros would have no pages before they are written to.
    let buffer = vec![1_u8; 50 << 20];
    let after = Snapshot::now(0).expect("RAM can be read");
    let report = MemoryReport::new(before, after);

    report.print_delta("50 MiB more");
    report.print_before_after("50 MiB more");
    // This is the same as text, for a log.
    print!("{}", report.format_delta("50 MiB more"));
    print!("{}", report.format_before_after("50 MiB more"));
    drop(buffer);
}
