//! An NVML without a driver: it plays the situation that `FAKE_NVML` names (see `scenario.rs`).
//!
//! A program loads it like the real one: by `dlopen("libnvidia-ml.so.1")`, from a directory in
//! `LD_LIBRARY_PATH` that contains a copy under that name. If `FAKE_NVML_LOG` names a file, each `init` and
//! `shutdown` is written there with the process's id.
//!
//! Signatures and layouts are those of `nvml.h`.

use std::ffi::c_char;

mod device;
mod lists;
mod scenario;
mod session;
mod text;

/// `nvmlReturn_t`.
pub(crate) mod code {
    pub(crate) const SUCCESS: u32 = 0;
    pub(crate) const UNINITIALIZED: u32 = 1;
    pub(crate) const INVALID_ARGUMENT: u32 = 2;
    pub(crate) const NOT_SUPPORTED: u32 = 3;
    pub(crate) const NO_PERMISSION: u32 = 4;
    pub(crate) const NOT_FOUND: u32 = 6;
    pub(crate) const INSUFFICIENT_SIZE: u32 = 7;
    pub(crate) const DRIVER_NOT_LOADED: u32 = 9;
    pub(crate) const FUNCTION_NOT_FOUND: u32 = 13;
    pub(crate) const GPU_IS_LOST: u32 = 15;
    pub(crate) const LIB_RM_VERSION_MISMATCH: u32 = 18;
}

/// `nvmlDevice_t`: a number of this library, see [`scenario::PlayedDevice`].
pub(crate) type Handle = usize;

/// Writes an answer.
pub(crate) fn put<T>(at: *mut T, value: T) -> u32 {
    if at.is_null() {
        return code::INVALID_ARGUMENT;
    }
    // SAFETY: the caller of an NVML function passes room for its answer; perhaps not aligned, as ctypes may.
    unsafe { at.write_unaligned(value) };
    code::SUCCESS
}

/// Writes a text into the caller's buffer; in the scenario `garbage`, bytes that are no text and have no end.
pub(crate) fn put_text(text: &str, at: *mut c_char, room: u32) -> u32 {
    let is_garbage = scenario::is("garbage");
    let room = room as usize;
    if text.len() + 1 > room {
        return code::INSUFFICIENT_SIZE;
    }
    let bytes = text.bytes().chain([0]);
    let bytes: Vec<u8> = if is_garbage { vec![0xfe; room] } else { bytes.collect() };
    for (place, byte) in bytes.into_iter().enumerate() {
        let written = put(at.wrapping_add(place).cast(), byte);
        if written != code::SUCCESS {
            return written;
        }
    }
    code::SUCCESS
}
