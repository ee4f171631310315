//! The lists of processes in their three versions, and the driver's accounting.

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use crate::{
    Handle, code, device, put,
    scenario::{self, Row, RowList},
};

/// The version of the function that was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ListVersion {
    V1,
    V2,
    V3,
}

/// `nvmlAccountingStats_t`.
#[repr(C)]
struct Stats {
    utilization: [u32; 2],
    max_memory: u64,
    time: u64,
    start: u64,
    is_running: u32,
    reserved: [u32; 5],
}

/// The number of calls with room for a list, for lists that grow.
static ASKED: AtomicU32 = AtomicU32::new(0);

fn list(list: RowList, version: ListVersion, device: Handle, count: *mut u32, at: *mut u8) -> u32 {
    if scenario::is("function_not_found") && version != ListVersion::V1 {
        return code::FUNCTION_NOT_FOUND;
    }
    device::of(device, |place| {
        if count.is_null() {
            return code::INVALID_ARGUMENT;
        }
        // SAFETY: the caller passes the number of rows that it has room for.
        let capacity = unsafe { count.read_unaligned() };
        let room = if at.is_null() { 0 } else { capacity };
        let own = std::process::id();
        let rows = match scenario::rows(list, place, own) {
            Ok(rows) => rows,
            Err(code) => return code,
        };
        let mut needed = u32::try_from(rows.len()).unwrap_or(u32::MAX);
        let asked = if room > 0 { ASKED.fetch_add(1, SeqCst) } else { 0 };
        match scenario::name() {
            // Three times one more process has started since.
            "growing" if asked < 3 && needed > 0 => needed = room + 1,
            "growing_forever" if needed > 0 => needed = room + 1,
            "garbage" if room > 0 => return garbage(room, at),
            "garbage_count" if room > 0 => return put(count, u32::MAX),
            _ => {}
        }
        if needed > room {
            put(count, needed);
            return code::INSUFFICIENT_SIZE;
        }
        rows.iter().zip(0..).for_each(|(row, place)| write(row, version, at, place));
        put(count, needed)
    })
}

/// Writes a row. As drivers 535.43 to 535.86 did, version 3 writes 32 bytes in `stride32`.
fn write(row: &Row, version: ListVersion, at: *mut u8, place: usize) {
    let (pid, used, gpu, compute) = *row;
    let stride = match version {
        ListVersion::V1 => 16,
        ListVersion::V3 if scenario::is("stride32") => 32,
        ListVersion::V2 | ListVersion::V3 => 24,
    };
    let at = at.wrapping_add(place * stride);
    // The four bytes after the pid are padding, and stay as they are.
    put(at.cast(), pid);
    put(at.wrapping_add(8).cast(), used);
    if stride >= 24 {
        put(at.wrapping_add(16).cast(), gpu);
        put(at.wrapping_add(20).cast(), compute);
    }
    if stride == 32 {
        put(at.wrapping_add(24).cast(), 0_u64);
    }
}

/// Fills the room with bytes that are no rows, up to the length of rows of 24 bytes.
fn garbage(room: u32, at: *mut u8) -> u32 {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for place in 0..room as usize * 24 {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        put(at.wrapping_add(place), state.to_le_bytes()[0] | 1);
    }
    code::SUCCESS
}

macro_rules! exported {
    ($($name:ident $list:ident $version:ident;)*) => {$(
        #[unsafe(no_mangle)]
        extern "C" fn $name(device: Handle, count: *mut u32, at: *mut u8) -> u32 {
            list(RowList::$list, ListVersion::$version, device, count, at)
        }
    )*};
}

exported! {
    nvmlDeviceGetComputeRunningProcesses_v3 Compute V3;
    nvmlDeviceGetComputeRunningProcesses_v2 Compute V2;
    nvmlDeviceGetComputeRunningProcesses Compute V1;
    nvmlDeviceGetGraphicsRunningProcesses_v3 Graphics V3;
    nvmlDeviceGetGraphicsRunningProcesses_v2 Graphics V2;
    nvmlDeviceGetGraphicsRunningProcesses Graphics V1;
    nvmlDeviceGetMPSComputeRunningProcesses_v3 Mps V3;
    nvmlDeviceGetMPSComputeRunningProcesses_v2 Mps V2;
    nvmlDeviceGetMPSComputeRunningProcesses Mps V1;
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetAccountingMode(device: Handle, at: *mut u32) -> u32 {
    device::of(device, |_| put(at, u32::from(scenario::is("accounting"))))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetAccountingStats(device: Handle, pid: u32, at: *mut Stats) -> u32 {
    device::of(device, |_| match scenario::peak(pid, std::process::id()) {
        Some((max_memory, is_running)) => put(
            at,
            Stats {
                utilization: [0; 2],
                max_memory,
                time: 0,
                start: 0,
                is_running: is_running.into(),
                reserved: [0; 5],
            },
        ),
        None => code::NOT_FOUND,
    })
}
