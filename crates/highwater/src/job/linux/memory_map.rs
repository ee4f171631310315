//! Comparing the memory maps of two processes.

use std::io;

/// Returns whether two processes share one memory map; `None` if that is not known.
pub(super) fn same_memory_map(a: u32, b: u32) -> Option<bool> {
    compare_memory_maps(a, b).ok()
}

/// Asks whether two processes share one memory map (kcmp(2) with `KCMP_VM`).
pub(super) fn compare_memory_maps(a: u32, b: u32) -> io::Result<bool> {
    const KCMP_VM: libc::c_int = 1;
    let a = i32::try_from(a).map_err(io::Error::other)?;
    let b = i32::try_from(b).map_err(io::Error::other)?;
    // SAFETY: kcmp takes integers only and changes nothing.
    let order = unsafe { libc::syscall(libc::SYS_kcmp, a, b, KCMP_VM, 0, 0) };
    if order < 0 { Err(io::Error::last_os_error()) } else { Ok(order == 0) }
}
