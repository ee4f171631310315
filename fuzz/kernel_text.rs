//! Parses any bytes as any file of `/proc/PID`.

#![no_main]

libfuzzer_sys::fuzz_target!(|text: &[u8]| highwater::fuzz_kernel_text(text));
