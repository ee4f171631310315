//! Devices: their number, addresses, memory and parts.

use std::ffi::{CStr, c_char};

use crate::{
    Handle, code, put, put_text,
    scenario::{self, PlayedDevice},
    session,
};

/// `nvmlMemory_t`.
#[repr(C)]
struct MemoryV1 {
    total: u64,
    free: u64,
    used: u64,
}

/// `nvmlMemory_v2_t`.
#[repr(C)]
struct MemoryV2 {
    version: u32,
    total: u64,
    reserved: u64,
    free: u64,
    used: u64,
}

/// `nvmlPciInfo_t` of version 3.
#[repr(C)]
struct Pci {
    bus_id_legacy: [c_char; 16],
    numbers: [u32; 5],
    bus_id: [c_char; 32],
}

/// Answers in a session of the calling process.
pub(crate) fn in_session(answer: impl FnOnce(u32) -> u32) -> u32 {
    session::owner().map_or(code::UNINITIALIZED, answer)
}

/// Answers for a device.
pub(crate) fn of(device: Handle, answer: impl FnOnce(PlayedDevice) -> u32) -> u32 {
    in_session(|_| match PlayedDevice::of(device) {
        None => code::INVALID_ARGUMENT,
        Some(place) if place.refusal() != code::SUCCESS => place.refusal(),
        Some(place) => answer(place),
    })
}

// No exported function calls another: if a test hides one of them, the others must still work.

fn count(at: *mut u32) -> u32 {
    in_session(|_| put(at, scenario::gpus()))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetCount_v2(at: *mut u32) -> u32 {
    count(at)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetCount(at: *mut u32) -> u32 {
    count(at)
}

fn by_index(index: u32, at: *mut Handle) -> u32 {
    in_session(|_| match index {
        1 if scenario::is("gpu_lost") => code::GPU_IS_LOST,
        _ if index < scenario::gpus() => put(at, PlayedDevice::Gpu(index).handle()),
        _ => code::INVALID_ARGUMENT,
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetHandleByIndex_v2(index: u32, at: *mut Handle) -> u32 {
    by_index(index, at)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetHandleByIndex(index: u32, at: *mut Handle) -> u32 {
    by_index(index, at)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetHandleByUUID(uuid: *const c_char, at: *mut Handle) -> u32 {
    if uuid.is_null() {
        return code::INVALID_ARGUMENT;
    }
    // SAFETY: the caller passes a text that ends with NUL.
    let uuid = unsafe { CStr::from_ptr(uuid) }.to_bytes();
    let gpus = (0..scenario::gpus()).map(PlayedDevice::Gpu);
    let found = gpus
        .chain([PlayedDevice::Part(0), PlayedDevice::Part(2)])
        .find(|place| place.uuid().as_bytes() == uuid);
    in_session(|_| found.map_or(code::NOT_FOUND, |place| put(at, place.handle())))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetIndex(device: Handle, at: *mut u32) -> u32 {
    of(device, |place| match place {
        PlayedDevice::Gpu(index) => put(at, index),
        PlayedDevice::Part(_) => code::NOT_SUPPORTED,
    })
}

fn pci(device: Handle, at: *mut Pci, is_third: bool) -> u32 {
    of(device, |place| {
        let Some(bus_id) = place.bus_id() else { return code::NOT_SUPPORTED };
        // The old field has 16 bytes, and a domain of four digits.
        let status = put_text(&bus_id[4..], at.cast(), 16);
        let offset = std::mem::offset_of!(Pci, bus_id);
        if status != code::SUCCESS || !is_third {
            return status;
        }
        put_text(bus_id, at.cast::<c_char>().wrapping_add(offset), 32)
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetPciInfo_v3(device: Handle, at: *mut Pci) -> u32 {
    pci(device, at, true)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetPciInfo_v2(device: Handle, at: *mut Pci) -> u32 {
    pci(device, at, false)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetPciInfo(device: Handle, at: *mut Pci) -> u32 {
    pci(device, at, false)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetMemoryInfo_v2(device: Handle, at: *mut MemoryV2) -> u32 {
    if scenario::is("function_not_found") {
        return code::FUNCTION_NOT_FOUND;
    }
    of(device, |place| match scenario::memory(place) {
        Ok([total, reserved, free, used]) => {
            put(at, MemoryV2 { version: 0x0200_0028, total, reserved, free, used })
        }
        Err(code) => code,
    })
}

/// Version 1 counts what is reserved as used.
#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetMemoryInfo(device: Handle, at: *mut MemoryV1) -> u32 {
    of(device, |place| match scenario::memory(place) {
        Ok([total, _, free, _]) => put(at, MemoryV1 { total, free, used: total.wrapping_sub(free) }),
        Err(code) => code,
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetAddressingMode(device: Handle, at: *mut [u32; 2]) -> u32 {
    let mode = if scenario::is("gb10") || scenario::is("grace") { 2 } else { 1 };
    of(device, |_| put(at, [0x0100_0008, mode]))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetMigMode(device: Handle, now: *mut u32, pending: *mut u32) -> u32 {
    let mode = u32::from(scenario::is_divided());
    of(device, |place| match place {
        PlayedDevice::Gpu(_) => put(now, mode).max(put(pending, mode)),
        PlayedDevice::Part(_) => code::INVALID_ARGUMENT,
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetMaxMigDeviceCount(device: Handle, at: *mut u32) -> u32 {
    of(device, |_| put(at, if scenario::is_divided() { 7 } else { 0 }))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetMigDeviceHandleByIndex(device: Handle, place: u32, at: *mut Handle) -> u32 {
    of(device, |_| match scenario::instance(place) {
        Some(_) if scenario::is_divided() => put(at, PlayedDevice::Part(place).handle()),
        _ => code::NOT_FOUND,
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceIsMigDeviceHandle(device: Handle, at: *mut u32) -> u32 {
    of(device, |place| put(at, u32::from(matches!(place, PlayedDevice::Part(_)))))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetDeviceHandleFromMigDeviceHandle(part: Handle, at: *mut Handle) -> u32 {
    of(part, |_| put(at, PlayedDevice::Gpu(0).handle()))
}

fn instance(device: Handle, at: *mut u32, which: impl FnOnce((u32, u32)) -> u32) -> u32 {
    of(device, |place| match place {
        PlayedDevice::Part(place) => {
            scenario::instance(place).map_or(code::NOT_FOUND, |both| put(at, which(both)))
        }
        PlayedDevice::Gpu(_) => code::INVALID_ARGUMENT,
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetGpuInstanceId(device: Handle, at: *mut u32) -> u32 {
    instance(device, at, |(gpu, _)| gpu)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetComputeInstanceId(device: Handle, at: *mut u32) -> u32 {
    instance(device, at, |(_, compute)| compute)
}
