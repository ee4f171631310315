//! Texts of the driver, of devices, of codes.

use std::ffi::{CStr, c_char};

use crate::{Handle, code, device, put, put_text};

#[unsafe(no_mangle)]
extern "C" fn nvmlSystemGetDriverVersion(at: *mut c_char, room: u32) -> u32 {
    device::in_session(|_| put_text("570.133.20", at, room))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlSystemGetNVMLVersion(at: *mut c_char, room: u32) -> u32 {
    device::in_session(|_| put_text("12.570.133.20", at, room))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlSystemGetCudaDriverVersion(at: *mut i32) -> u32 {
    device::in_session(|_| put(at, 12_080))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetName(device: Handle, at: *mut c_char, room: u32) -> u32 {
    device::of(device, |place| put_text(place.model(), at, room))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetUUID(device: Handle, at: *mut c_char, room: u32) -> u32 {
    device::of(device, |place| put_text(place.uuid(), at, room))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlErrorString(returned: u32) -> *const c_char {
    let text: &CStr = match returned {
        code::SUCCESS => c"Success",
        code::UNINITIALIZED => c"Uninitialized",
        code::INVALID_ARGUMENT => c"Invalid Argument",
        code::NOT_SUPPORTED => c"Not Supported",
        code::NO_PERMISSION => c"Insufficient Permissions",
        code::NOT_FOUND => c"Not Found",
        code::INSUFFICIENT_SIZE => c"Insufficient Size",
        code::DRIVER_NOT_LOADED => c"Driver Not Loaded",
        code::FUNCTION_NOT_FOUND => c"Function Not Found",
        code::GPU_IS_LOST => c"GPU is lost",
        code::LIB_RM_VERSION_MISMATCH => c"Driver/library version mismatch",
        _ => c"Unknown Error",
    };
    text.as_ptr()
}
