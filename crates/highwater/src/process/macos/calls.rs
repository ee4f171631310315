//! Calls to the kernel about processes: libproc.h and sysctl(3).

use std::{
    ffi::{OsString, c_int, c_void},
    io, mem,
    os::unix::ffi::OsStringExt,
    ptr,
    time::{Duration, SystemTime},
};

use super::{
    arguments,
    rusage::{Rusage, RusageSpent, TaskFaults},
    timebase::Timebase,
};

/// Numbers that the kernel gives to each process once (`bsd/sys/proc_info_private.h`), unlike pids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UniqueIds {
    pub(crate) own: u64,
    /// The number of the process that forked or spawned it, even after launchd has adopted it
    /// (`p_puniqueid`).
    pub(crate) parent: u64,
}

/// `struct proc_uniqidentifierinfo`, which libc does not have.
#[repr(C)]
struct UniqueIdentifierInfo {
    uuid: [u8; 16],
    unique_id: u64,
    parent_unique_id: u64,
    id_version: i32,
    parent_id_version: i32,
    reserved: [u64; 2],
}

const PROC_PIDUNIQIDENTIFIERINFO: c_int = 17;

/// Reads memory and CPU time; for other users' processes only as root. A zombie still has them.
pub(crate) fn rusage(pid: u32) -> io::Result<Rusage> {
    // SAFETY: an all-zero rusage_info_v4 is a valid value of this plain C struct.
    let mut info: libc::rusage_info_v4 = unsafe { mem::zeroed() };
    // SAFETY: the kernel writes a rusage_info_v4, as this flavor says, to a live one. The parameter's type is
    // a pointer to a pointer, but the address of the struct itself is meant (libproc.h).
    let result = unsafe { libc::proc_pid_rusage(number(pid)?, libc::RUSAGE_INFO_V4, (&raw mut info).cast()) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Rusage {
        resident_bytes: info.ri_resident_size,
        footprint_bytes: info.ri_phys_footprint,
        max_footprint_bytes: info.ri_lifetime_max_phys_footprint,
        own: RusageSpent {
            user_ticks: info.ri_user_time,
            system_ticks: info.ri_system_time,
            pageins: info.ri_pageins,
        },
        waited: RusageSpent {
            user_ticks: info.ri_child_user_time,
            system_ticks: info.ri_child_system_time,
            pageins: info.ri_child_pageins,
        },
        storage_read_bytes: info.ri_diskio_bytesread,
        storage_written_bytes: info.ri_diskio_byteswritten,
        has_ended: info.ri_proc_exit_abstime != 0,
    })
}

/// Reads the unique ids of a process and its parent, for every user's processes and zombies.
pub(crate) fn unique_ids(pid: u32) -> io::Result<UniqueIds> {
    let info: UniqueIdentifierInfo = info(pid, PROC_PIDUNIQIDENTIFIERINFO)?;
    Ok(UniqueIds { own: info.unique_id, parent: info.parent_unique_id })
}

/// Reads parent, state, users and the kernel's name, for every user's processes and zombies.
pub(crate) fn short_info(pid: u32) -> io::Result<libc::proc_bsdshortinfo> {
    info(pid, libc::PROC_PIDT_SHORTBSDINFO)
}

/// Reads page faults of a living process; for other users' processes only as root.
pub(crate) fn task_faults(pid: u32) -> io::Result<TaskFaults> {
    let task: libc::proc_taskinfo = info(pid, libc::PROC_PIDTASKINFO)?;
    Ok(TaskFaults { all: task.pti_faults, pageins: task.pti_pageins })
}

/// Reads the start time by the wall clock; for other users' processes only as root.
pub(crate) fn started(pid: u32) -> Option<SystemTime> {
    let info: libc::proc_bsdinfo = info(pid, libc::PROC_PIDTBSDINFO).ok()?;
    let since = Duration::from_secs(info.pbi_start_tvsec) + Duration::from_micros(info.pbi_start_tvusec);
    SystemTime::UNIX_EPOCH.checked_add(since).filter(|_| info.pbi_start_tvsec > 0)
}

/// # Panics
/// Never: `T` is one of the plain C structs above.
fn info<T>(pid: u32, flavor: c_int) -> io::Result<T> {
    /// The flag that includes zombies.
    const ZOMBIES_TOO: u64 = 1;
    let mut info = mem::MaybeUninit::<T>::zeroed();
    let size = c_int::try_from(size_of::<T>()).map_err(io::Error::other)?;
    // SAFETY: the kernel writes no more than `size` bytes to a live buffer of that size.
    let written =
        unsafe { libc::proc_pidinfo(number(pid)?, flavor, ZOMBIES_TOO, info.as_mut_ptr().cast(), size) };
    if written < size {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the type is a plain C struct of integers, of which every value is valid. All of it was written.
    Ok(unsafe { info.assume_init() })
}

/// Returns the path of its executable, for every user's processes.
pub(crate) fn path(pid: u32) -> Option<OsString> {
    let mut path = vec![0u8; 4 * 1024];
    let size = u32::try_from(path.len()).ok()?;
    // SAFETY: the kernel writes no more than `size` bytes to a live buffer of that size.
    let length = unsafe { libc::proc_pidpath(number(pid).ok()?, path.as_mut_ptr().cast(), size) };
    path.truncate(usize::try_from(length).ok().filter(|&length| length > 0)?);
    Some(OsString::from_vec(path))
}

/// Returns the text of `KERN_PROCARGS2`; for other users' processes only as root.
pub(crate) fn arguments(pid: u32) -> io::Result<Vec<u8>> {
    let mut text = vec![0u8; arguments::ARGUMENTS_ROOM_BYTES];
    let mut size = text.len();
    let mut name = [libc::CTL_KERN, libc::KERN_PROCARGS2, number(pid)?];
    // SAFETY: the name has three numbers and the buffer is live with `size` bytes; nothing is set.
    let result = unsafe {
        libc::sysctl(name.as_mut_ptr(), 3, text.as_mut_ptr().cast(), &raw mut size, ptr::null_mut(), 0)
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    if arguments::is_cut(size) {
        return Err(io::Error::other("arguments and environment exceed what the kernel returns"));
    }
    text.truncate(size);
    Ok(text)
}

/// Lists every process, also zombies.
pub(crate) fn all() -> io::Result<Vec<u32>> {
    // SAFETY: without a buffer the call only returns how many there may be.
    listed(|buffer, size| unsafe { libc::proc_listallpids(buffer, size) })
}

/// Lists the processes whose parent is `pid` now.
pub(crate) fn children(pid: u32) -> io::Result<Vec<u32>> {
    let pid = number(pid)?;
    // SAFETY: as in `all`.
    listed(|buffer, size| unsafe { libc::proc_listchildpids(pid, buffer, size) })
}

/// Collects pids. `list` writes them to a buffer of this many bytes and returns how many. Without a buffer, how many
/// there may be.
fn listed(list: impl Fn(*mut c_void, c_int) -> c_int) -> io::Result<Vec<u32>> {
    let mut room = list(ptr::null_mut(), 0);
    // A full buffer may have cut the list; more processes than this cannot start in between.
    for _ in 0..8 {
        if room <= 0 {
            return Err(io::Error::last_os_error());
        }
        room = room.saturating_mul(2);
        let mut pids = vec![0i32; usize::try_from(room).unwrap_or_default()];
        let size = c_int::try_from(pids.len() * size_of::<i32>()).map_err(io::Error::other)?;
        let count = list(pids.as_mut_ptr().cast(), size);
        if count < 0 {
            return Err(io::Error::last_os_error());
        }
        if count < room {
            pids.truncate(usize::try_from(count).unwrap_or_default());
            return Ok(pids.into_iter().filter_map(|pid| u32::try_from(pid).ok()).collect());
        }
    }
    Err(io::Error::other("the list of processes grows faster than it is read"))
}

/// Returns the unit of CPU time. `sysctl.proc_translated` does not exist on Intel.
pub(crate) fn timebase() -> Option<Timebase> {
    let is_translated = sysctl(c"sysctl.proc_translated") == Some(1);
    Timebase::of(sysctl(c"hw.tbfrequency"), is_translated, timebase_info())
}

/// Returns the nanoseconds of a tick of `mach_absolute_time`, as a fraction. CPU time may have other ticks,
/// see [`Timebase::of`].
fn timebase_info() -> Option<(u32, u32)> {
    #[repr(C)]
    struct MachTimebaseInfo {
        numer: u32,
        denom: u32,
    }
    unsafe extern "C" {
        fn mach_timebase_info(info: *mut MachTimebaseInfo) -> c_int;
    }
    let mut info = MachTimebaseInfo { numer: 0, denom: 0 };
    // SAFETY: the declaration is that of mach/mach_time.h, and the struct is live.
    let result = unsafe { mach_timebase_info(&raw mut info) };
    (result == 0).then_some((info.numer, info.denom))
}

/// Returns a number of the kernel's state by name (sysctl(3)).
pub(crate) fn sysctl(name: &std::ffi::CStr) -> Option<u64> {
    let mut value = [0u8; 8];
    let mut size = value.len();
    // SAFETY: the name is a C string and the buffer is live with `size` bytes; nothing is set.
    let result = unsafe {
        libc::sysctlbyname(name.as_ptr(), value.as_mut_ptr().cast(), &raw mut size, ptr::null_mut(), 0)
    };
    match (result, size) {
        (0, 8) => Some(u64::from_ne_bytes(value)),
        (0, 4) => value.first_chunk().map(|bytes| u64::from(u32::from_ne_bytes(*bytes))),
        _ => None,
    }
}

fn number(pid: u32) -> io::Result<c_int> {
    c_int::try_from(pid).map_err(|_| io::Error::from_raw_os_error(libc::ESRCH))
}
