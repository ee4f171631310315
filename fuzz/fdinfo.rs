//! Parses any bytes as `/proc/PID/fdinfo/FD` of a DRM client. The samples of the parser's own tests are the
//! seeds.
//!
//! `cargo run --release --bin fdinfo -- -max_total_time=60 corpus/fdinfo ../crates/highwater/src/gpu/drm/samples`
//! (new inputs go into the first directory, which git ignores).

#![no_main]

libfuzzer_sys::fuzz_target!(|text: &[u8]| highwater::fuzz_fdinfo(text));
