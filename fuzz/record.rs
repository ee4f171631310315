//! Reads any bytes as a record, and passes valid ones to every output. The golden records are the seeds.
//!
//! `cargo run --release --bin record -- -max_total_time=60 corpus/record ../crates/highwater/tests/records`
//! (new inputs go into the first directory, which git ignores).

#![no_main]

libfuzzer_sys::fuzz_target!(|text: &[u8]| hwm::fuzz_record(text));
