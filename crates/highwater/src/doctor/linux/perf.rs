//! perf side-band events: a dummy software counter that reports fork, exec and exit.

use std::{
    fs, io,
    os::fd::{FromRawFd, OwnedFd},
};

use crate::{Roots, doctor::State};

/// The first published `struct perf_event_attr` (`PERF_ATTR_SIZE_VER0`, `linux/perf_event.h`) in eight words.
const ATTR_WORDS: usize = 8;
const PERF_TYPE_SOFTWARE: u32 = 1;
const PERF_COUNT_SW_DUMMY: u64 = 9;
/// Bits of the word of flags: disabled, inherit, `exclude_kernel`, `exclude_hv`, mmap is not set, comm, task.
const FLAGS: [u32; 6] = [0, 1, 5, 6, 9, 13];
const PERF_FLAG_FD_CLOEXEC: libc::c_ulong = 8;

pub(super) fn examine(roots: &Roots) -> State {
    match open() {
        Ok(_) => State::works(),
        Err(error) => {
            let paranoid = fs::read_to_string(roots.proc.join("sys/kernel/perf_event_paranoid")).ok();
            explain(&error, paranoid.as_deref().map(str::trim))
        }
    }
}

fn open() -> io::Result<OwnedFd> {
    let mut attr = [0_u64; ATTR_WORDS];
    // Two u32 fields share the first word: type, then size.
    let size = u32::try_from(size_of_val(&attr)).unwrap_or(0);
    attr[0] = if cfg!(target_endian = "little") {
        u64::from(size) << 32 | u64::from(PERF_TYPE_SOFTWARE)
    } else {
        u64::from(PERF_TYPE_SOFTWARE) << 32 | u64::from(size)
    };
    attr[1] = PERF_COUNT_SW_DUMMY;
    // The flags are a bit field, which big-endian machines fill from the other end.
    attr[5] = FLAGS
        .iter()
        .map(|bit| if cfg!(target_endian = "little") { 1_u64 << bit } else { 1 << (63 - bit) })
        .sum();
    // SAFETY: `attr` is a whole `perf_event_attr` of the size that it names; the rest are integers.
    let fd =
        unsafe { libc::syscall(libc::SYS_perf_event_open, attr.as_ptr(), 0, -1, -1, PERF_FLAG_FD_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    let fd = i32::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// `paranoid`: what `/proc/sys/kernel/perf_event_paranoid` holds; up to 2 lets every user watch own processes.
fn explain(error: &io::Error, paranoid: Option<&str>) -> State {
    let value = paranoid.unwrap_or("unknown");
    let strict = paranoid.and_then(|value| value.parse::<i32>().ok()).is_some_and(|value| value > 2);
    let state = State::missing(format!("perf_event_open: {error} (perf_event_paranoid is {value})"));
    match error.raw_os_error() {
        Some(libc::EACCES | libc::EPERM) if strict => {
            state.or("sysctl kernel.perf_event_paranoid=2, as root")
        }
        Some(libc::EACCES | libc::EPERM) => {
            state.or("the container's seccomp profile refuses it: allow perf_event_open there")
        }
        Some(libc::ENOSYS) => state.or("needs a kernel with CONFIG_PERF_EVENTS"),
        _ => state,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remedy(errno: i32, paranoid: Option<&str>) -> Option<String> {
        match explain(&io::Error::from_raw_os_error(errno), paranoid) {
            State::Missing { remedy, .. } => remedy,
            State::Works { .. } => None,
        }
    }

    #[test]
    fn tells_a_strict_kernel_from_a_strict_container() {
        assert!(remedy(libc::EACCES, Some("4")).unwrap().contains("sysctl"));
        assert!(remedy(libc::EPERM, Some("2")).unwrap().contains("seccomp"));
        assert!(remedy(libc::EPERM, None).unwrap().contains("seccomp"));
        assert_eq!(remedy(libc::EMFILE, Some("2")), None);
    }
}
