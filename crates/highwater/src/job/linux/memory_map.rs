//! Comparing the memory maps of two processes.

/// Returns whether two processes share one memory map (kcmp(2) with `KCMP_VM`); `None` if that is not known.
pub(super) fn same_memory_map(a: u32, b: u32) -> Option<bool> {
    const KCMP_VM: libc::c_int = 1;
    let a = i32::try_from(a).ok()?;
    let b = i32::try_from(b).ok()?;
    // SAFETY: kcmp takes integers only and changes nothing.
    let order = unsafe { libc::syscall(libc::SYS_kcmp, a, b, KCMP_VM, 0, 0) };
    (order >= 0).then_some(order == 0)
}
