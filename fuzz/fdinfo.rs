//! Any bytes as `/proc/PID/fdinfo/FD` of a DRM client. What it begins with: the samples of the parser's own tests.
//!
//! `cargo run --release --bin fdinfo -- -max_total_time=60 corpus/fdinfo ../crates/highwater/src/gpu/drm/samples`
//! (made inputs go into the first directory, which git leaves alone).

#![no_main]

libfuzzer_sys::fuzz_target!(|text: &[u8]| highwater::fuzz_fdinfo(text));
