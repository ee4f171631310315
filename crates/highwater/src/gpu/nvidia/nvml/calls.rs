//! Safe calls of NVML's functions. All `unsafe` calls of a session are here.

use std::{
    ffi::{c_char, c_void},
    ptr,
};

use super::{
    codes::Code,
    library::{DeviceNumber, DeviceText, Handle, Library, SystemText},
    rows::{self, NvmlRow, RowLayout},
};
use crate::Unavailable;

/// The most rows that a list is given room for; no machine has more.
const MAX_ROWS: usize = 1 << 16;

/// A list that grows while it is read is read again up to this many times.
const MAX_LIST_READS: u32 = 8;

/// A list of processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NvmlList {
    Compute,
    Graphics,
    Mps,
}

impl NvmlList {
    pub(crate) const ALL: [Self; 3] = [Self::Compute, Self::Graphics, Self::Mps];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Compute => "compute",
            Self::Graphics => "graphics",
            Self::Mps => "MPS",
        }
    }
}

/// A device's memory as NVML reports it, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Memory {
    pub(crate) total: u64,
    pub(crate) free: u64,
    pub(crate) used: u64,
    /// `None` in version 1, which does not report it.
    pub(crate) reserved: Option<u64>,
}

/// `nvmlMemory_t`.
#[repr(C)]
#[derive(Default)]
struct NvmlMemoryV1 {
    total: u64,
    free: u64,
    used: u64,
}

/// `nvmlMemory_v2_t`.
#[repr(C)]
#[derive(Default)]
struct NvmlMemoryV2 {
    version: u32,
    total: u64,
    reserved: u64,
    free: u64,
    used: u64,
}

/// `nvmlPciInfo_t` (version 3; the older ones are shorter), with room to spare.
#[repr(C)]
struct NvmlPci {
    bus_id_legacy: [u8; 16],
    /// Domain, bus, device, device id, subsystem id.
    numbers: [u32; 5],
    bus_id: [u8; 32],
    spare: [u64; 16],
}

/// `nvmlAccountingStats_t`.
#[repr(C)]
#[derive(Default)]
struct Accounting {
    utilization: [u32; 2],
    max_memory: u64,
    time: u64,
    start: u64,
    is_running: u32,
    reserved: [u32; 5],
}

/// `nvmlDeviceAddressingMode_v1_t`.
#[repr(C)]
struct Addressing {
    version: u32,
    value: u32,
}

/// `NVML_STRUCT_VERSION`: the size, and the version in the highest byte.
#[allow(clippy::cast_possible_truncation)] // The struct has a few bytes.
const fn version_of<T>(version: u32) -> u32 {
    size_of::<T>() as u32 | version << 24
}

/// Calls the versions of a function, newest first, until one returns anything but "no such function or
/// struct". Returns the position of the one that succeeded.
fn newest<F: Copy>(versions: &[Option<F>], mut call: impl FnMut(usize, F) -> u32) -> Result<usize, Code> {
    let mut last = Code::FUNCTION_NOT_FOUND;
    for (place, function) in versions.iter().enumerate() {
        let Some(function) = *function else { continue };
        match Code::check(call(place, function)) {
            Ok(()) => return Ok(place),
            Err(code) if code.is_of_version() => last = code,
            Err(code) => return Err(code),
        }
    }
    Err(last)
}

fn present<F: Copy>(function: Option<F>) -> Result<F, Code> {
    function.ok_or(Code::FUNCTION_NOT_FOUND)
}

/// Returns the text up to the first NUL. Bytes that are no UTF-8 must not get to a terminal.
fn text(bytes: &[u8]) -> Result<String, Code> {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let text = bytes[..end].trim_ascii();
    let is_text = !text.is_empty() && text.iter().all(|byte| (b' '..=b'~').contains(byte));
    if is_text { Ok(String::from_utf8_lossy(text).into_owned()) } else { Err(Code::NO_DATA) }
}

impl Library {
    pub(super) fn init(&self) -> Result<(), Code> {
        // SAFETY: the function takes no arguments.
        newest(&self.functions.init, |_, init| unsafe { init() }).map(drop)
    }

    pub(super) fn shutdown(&self) {
        if let Some(shutdown) = self.functions.shutdown {
            // SAFETY: the function takes no arguments, and matches the `init` of this session: NVML counts
            // them.
            unsafe { shutdown() };
        }
    }

    pub(super) fn driver_version(&self) -> Result<String, Code> {
        system_text(self.functions.driver_version)
    }

    pub(super) fn nvml_version(&self) -> Result<String, Code> {
        system_text(self.functions.nvml_version)
    }

    pub(super) fn count(&self) -> Result<u32, Code> {
        let mut count = 0;
        // SAFETY: `count` is a number to write to.
        newest(&self.functions.count, |_, get| unsafe { get(&raw mut count) })?;
        Ok(count)
    }

    pub(super) fn by_index(&self, index: u32) -> Result<Handle, Code> {
        let mut handle = Handle(ptr::null_mut());
        // SAFETY: `handle` is a handle to write to.
        newest(&self.functions.by_index, |_, get| unsafe { get(index, &raw mut handle) })?;
        Ok(handle)
    }

    pub(super) fn name(&self, device: Handle) -> Result<String, Code> {
        device_text(self.functions.name, device)
    }

    pub(super) fn uuid(&self, device: Handle) -> Result<String, Code> {
        device_text(self.functions.uuid, device)
    }

    pub(super) fn bus_id(&self, device: Handle) -> Result<String, Code> {
        let mut pci = NvmlPci { bus_id_legacy: [0; 16], numbers: [0; 5], bus_id: [0; 32], spare: [0; 16] };
        // SAFETY: all versions of the struct fit into `pci`.
        let place = newest(&self.functions.pci, |_, get| unsafe { get(device, (&raw mut pci).cast()) })?;
        if place == 0 { text(&pci.bus_id) } else { text(&pci.bus_id_legacy) }
    }

    pub(super) fn memory(&self, device: Handle) -> Result<Memory, Code> {
        let [second, first] = self.functions.memory;
        let mut v2 = NvmlMemoryV2 { version: version_of::<NvmlMemoryV2>(2), ..NvmlMemoryV2::default() };
        // SAFETY: `v2` is the struct that this function writes.
        let answer = present(second)
            .and_then(|get| Code::check(unsafe { get(device, (&raw mut v2).cast::<c_void>()) }));
        match answer {
            Ok(()) => {
                let NvmlMemoryV2 { total, reserved, free, used, .. } = v2;
                return Ok(Memory { total, free, used, reserved: Some(reserved) });
            }
            Err(code)
                if code.is_of_version() || matches!(code, Code::NOT_SUPPORTED | Code::INVALID_ARGUMENT) => {}
            Err(code) => return Err(code),
        }
        let mut v1 = NvmlMemoryV1::default();
        // SAFETY: `v1` is the struct that this function writes.
        Code::check(unsafe { present(first)?(device, (&raw mut v1).cast()) })?;
        Ok(Memory { total: v1.total, free: v1.free, used: v1.used, reserved: None })
    }

    /// Reads one list of processes.
    pub(super) fn processes(&self, list: NvmlList, device: Handle) -> Result<Vec<NvmlRow>, Unavailable> {
        let versions = match list {
            NvmlList::Compute => &self.functions.compute,
            NvmlList::Graphics => &self.functions.graphics,
            NvmlList::Mps => &self.functions.mps,
        };
        let mut wanted = 64;
        for _ in 0..MAX_LIST_READS {
            let (mut room, capacity) = rows::room(wanted);
            let mut count = 0;
            let answer = newest(versions, |_, get| {
                room.fill(u64::from_ne_bytes([rows::SENTINEL; 8]));
                count = u32::try_from(capacity).unwrap_or(u32::MAX);
                // SAFETY: there is room for `count` rows of any known size, and more.
                unsafe { get(device, &raw mut count, room.as_mut_ptr().cast()) }
            });
            let count = usize::try_from(count).unwrap_or(usize::MAX);
            match answer {
                Ok(place) => {
                    let layout = if place < 2 { RowLayout::V2 } else { RowLayout::V1 };
                    let bytes: Vec<u8> = room.iter().flat_map(|word| word.to_ne_bytes()).collect();
                    return rows::rows(&bytes, count, capacity, layout);
                }
                // New processes may start before the next call.
                Err(Code::INSUFFICIENT_SIZE) => wanted = count.max(capacity).saturating_mul(5) / 4 + 16,
                Err(code) => return Err(code.into()),
            }
            if wanted > MAX_ROWS {
                return Err(Unavailable::Implausible(format!("a list of {count} processes")));
            }
        }
        Err(Unavailable::Failed(format!(
            "the list of processes grew each of the {MAX_LIST_READS} times that it was read"
        )))
    }

    /// Returns whether the driver keeps the peaks of processes.
    pub(super) fn accounts(&self, device: Handle) -> Result<bool, Code> {
        device_number(self.functions.accounting_mode, device).map(|mode| mode == 1)
    }

    /// Returns the highest memory of a running process in bytes; `Ok(None)` if the driver says that it is not
    /// available.
    pub(super) fn peak(&self, device: Handle, pid: u32) -> Result<Option<u64>, Code> {
        let mut stats = Accounting::default();
        let get = present(self.functions.accounting_stats)?;
        // SAFETY: `stats` is the struct that this function writes.
        match Code::check(unsafe { get(device, pid, (&raw mut stats).cast()) }) {
            // The process is not accounted.
            Err(Code::NOT_FOUND) => return Err(Code::NO_DATA),
            answer => answer?,
        }
        // Statistics of an ended process belong to an earlier process with this pid.
        if stats.is_running == 0 {
            return Err(Code::NO_DATA);
        }
        Ok(Some(stats.max_memory).filter(|bytes| *bytes != u64::MAX))
    }

    /// Returns whether the device uses the processor's page tables (`NVML_DEVICE_ADDRESSING_MODE_ATS`).
    pub(super) fn shares_page_tables(&self, device: Handle) -> Result<bool, Code> {
        let mut mode = Addressing { version: version_of::<Addressing>(1), value: 0 };
        let get = present(self.functions.addressing_mode)?;
        // SAFETY: `mode` is the struct that this function writes.
        Code::check(unsafe { get(device, (&raw mut mode).cast()) })?;
        Ok(mode.value == 2)
    }

    /// Returns whether the GPU is divided (MIG).
    pub(super) fn is_divided(&self, device: Handle) -> Result<bool, Code> {
        let (mut now, mut pending) = (0, 0);
        let get = present(self.functions.mig_mode)?;
        // SAFETY: both are numbers to write to.
        Code::check(unsafe { get(device, &raw mut now, &raw mut pending) })?;
        Ok(now == 1)
    }

    /// Returns the highest possible number of parts.
    pub(super) fn part_count(&self, device: Handle) -> Result<u32, Code> {
        device_number(self.functions.mig_count, device)
    }

    pub(super) fn part(&self, device: Handle, index: u32) -> Result<Handle, Code> {
        let mut part = Handle(ptr::null_mut());
        // SAFETY: `part` is a handle to write to.
        Code::check(unsafe { present(self.functions.mig_device)?(device, index, &raw mut part) })?;
        Ok(part)
    }

    /// Returns the GPU instance and the compute instance of a part.
    pub(super) fn instance(&self, part: Handle) -> Result<(u32, u32), Code> {
        let gpu = device_number(self.functions.gpu_instance, part)?;
        Ok((gpu, device_number(self.functions.compute_instance, part)?))
    }
}

/// Longer than any text of NVML (96).
const TEXT_BYTES: u32 = 128;

fn system_text(get: Option<SystemText>) -> Result<String, Code> {
    let mut bytes = [0_u8; TEXT_BYTES as usize];
    // SAFETY: `bytes` has the length that the function is given.
    Code::check(unsafe { present(get)?(bytes.as_mut_ptr().cast::<c_char>(), TEXT_BYTES) })?;
    text(&bytes)
}

fn device_text(get: Option<DeviceText>, device: Handle) -> Result<String, Code> {
    let mut bytes = [0_u8; TEXT_BYTES as usize];
    // SAFETY: `bytes` has the length that the function is given.
    Code::check(unsafe { present(get)?(device, bytes.as_mut_ptr().cast::<c_char>(), TEXT_BYTES) })?;
    text(&bytes)
}

fn device_number(get: Option<DeviceNumber>, device: Handle) -> Result<u32, Code> {
    let mut number = 0;
    // SAFETY: `number` is a number to write to.
    Code::check(unsafe { present(get)?(device, &raw mut number) })?;
    Ok(number)
}

// The sizes are those of nvml.h.
#[cfg(target_pointer_width = "64")]
const _: () = assert!(
    size_of::<NvmlMemoryV1>() == 24
        && size_of::<NvmlMemoryV2>() == 40
        && size_of::<Accounting>() == 56
        && version_of::<NvmlMemoryV2>(2) == 0x0200_0028
        && version_of::<Addressing>(1) == 0x0100_0008
);
