//! Opens perf side-band events: a dummy software counter counts nothing, but lets the kernel report forks,
//! execs and exits (`perf_event_open(2)`, `include/uapi/linux/perf_event.h`).

use std::{
    io,
    os::fd::{AsFd, FromRawFd, OwnedFd},
};

use rustix::thread::CapabilitySet;

use crate::capability::Raised;

/// `PERF_ATTR_SIZE_VER5` of `struct perf_event_attr`, in words of eight bytes.
const ATTR_WORDS: usize = 14;
const PERF_TYPE_SOFTWARE: u32 = 1;
const PERF_COUNT_SW_DUMMY: u64 = 9;
/// `PERF_SAMPLE_TID` and `PERF_SAMPLE_TIME`, which end each record.
const SAMPLE_TYPE: u64 = 1 << 1 | 1 << 2;
/// `PERF_FORMAT_LOST` (Linux 6.0).
const FORMAT_LOST: u64 = 1 << 4;
/// Bits of the word of flags: inherit, `exclude_kernel`, `exclude_hv`, comm, task, `sample_id_all`,
/// `comm_exec`, `use_clockid`.
const FLAGS: [u32; 8] = [1, 5, 6, 9, 13, 18, 24, 25];
const PERF_FLAG_FD_CLOEXEC: libc::c_ulong = 8;

/// Opens the events of `pid` (0: of this thread) and of all that it will fork, as far as they happen on `cpu`
/// (-1: any).
///
/// The tracepoint of new tasks, which would report shared memory maps, is not opened. Only root may open it,
/// and closing it takes 35 ms (`tracepoint_synchronize_unregister`).
///
/// # Errors
/// EACCES or EPERM if this user may not (`perf_event_paranoid` above 2, a container's seccomp profile);
/// ENODEV if the processor is offline.
pub(crate) fn open(pid: i32, cpu: i32) -> io::Result<OwnedFd> {
    match open_with(pid, cpu, FORMAT_LOST) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => open_with(pid, cpu, 0),
        opened => opened,
    }
}

fn open_with(pid: i32, cpu: i32, read_format: u64) -> io::Result<OwnedFd> {
    let mut attr = [0_u64; ATTR_WORDS];
    let size = u32::try_from(size_of_val(&attr)).unwrap_or(0);
    (attr[0], attr[1], attr[3]) = (two(PERF_TYPE_SOFTWARE, size), PERF_COUNT_SW_DUMMY, SAMPLE_TYPE);
    attr[4] = read_format;
    // The flags are a bit field, which big-endian machines fill from the other end.
    attr[5] = FLAGS
        .iter()
        .map(|bit| if cfg!(target_endian = "little") { 1_u64 << bit } else { 1 << (63 - bit) })
        .sum();
    attr[11] = two(0, libc::CLOCK_MONOTONIC.unsigned_abs());
    // It is needed if `perf_event_paranoid` is above 2, and for processes that are not dumpable
    // (perf_event_open(2)).
    let _raised = Raised::new(CapabilitySet::PERFMON);
    // SAFETY: `attr` is a whole `perf_event_attr` of the size that it names; the rest are integers.
    let fd = unsafe {
        libc::syscall(libc::SYS_perf_event_open, attr.as_ptr(), pid, cpu, -1, PERF_FLAG_FD_CLOEXEC)
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    let fd = i32::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: the kernel has just returned this descriptor; no other code owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Returns how many records of these events the kernel dropped, if it counts them.
pub(crate) fn lost(event: impl AsFd) -> Option<u64> {
    // The count of the event comes first, then that of the losses.
    let mut values = [0; 16];
    match rustix::io::read(event, &mut values) {
        Ok(16) => Some(u64::from_ne_bytes(values[8..].try_into().ok()?)),
        _ => None,
    }
}

/// Packs two fields of four bytes into one word.
fn two(first: u32, second: u32) -> u64 {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&first.to_ne_bytes());
    bytes[4..].copy_from_slice(&second.to_ne_bytes());
    u64::from_ne_bytes(bytes)
}
