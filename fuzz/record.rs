//! Any bytes as a record, and what is one through every output. What it begins with: the golden records.
//!
//! `cargo run --release --bin record -- -max_total_time=60 corpus/record ../crates/highwater/tests/records`
//! (made inputs go into the first directory, which git leaves alone).

#![no_main]

libfuzzer_sys::fuzz_target!(|text: &[u8]| hwm::fuzz_record(text));
