//! An open process: the handle belongs to that one process, even if its pid is reused later.

use std::{
    ffi::OsString,
    io,
    os::windows::{
        ffi::OsStringExt,
        io::{AsRawHandle, FromRawHandle, OwnedHandle},
    },
    path::PathBuf,
    sync::OnceLock,
    time::Duration,
};

use windows_sys::Win32::{
    Foundation::{FILETIME, HANDLE, WAIT_OBJECT_0},
    System::{
        ProcessStatus::{K32GetProcessMemoryInfo, PROCESS_MEMORY_COUNTERS_EX},
        Threading::{
            GetCurrentProcess, GetProcessTimes, OpenProcess, PROCESS_NAME_WIN32,
            PROCESS_QUERY_LIMITED_INFORMATION, PROCESS_SYNCHRONIZE, QueryFullProcessImageNameW,
            WaitForSingleObject,
        },
        WindowsProgramming::QueryProcessCycleTime,
    },
};

use crate::{
    Error,
    process::{ProcessId, counters::Counters, opening::not_opened},
};

/// The longest path that Windows has (`UNICODE_STRING`).
const MAX_PATH_UNITS: usize = 32_768;

/// The handle, and the pid.
#[derive(Debug)]
pub(crate) struct Opened {
    pid: u32,
    handle: OwnedHandle,
}

/// The start and end of a process, and its CPU time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    /// The start in 100 ns since 1601.
    pub(crate) creation: u64,
    /// `None` while it lives.
    pub(crate) exit: Option<u64>,
    /// In user mode, in 100 ns.
    pub(crate) user: u64,
    /// In the kernel, in 100 ns.
    pub(crate) kernel: u64,
}

impl Times {
    pub(crate) fn cpu(&self) -> Duration {
        Duration::from_nanos(self.user.saturating_add(self.kernel).saturating_mul(100))
    }
}

impl Opened {
    /// # Errors
    /// [`Error::NoSuchProcess`]; [`Error::Process`] if it is protected from this user.
    pub(crate) fn of(pid: u32) -> Result<Self, Error> {
        let access = PROCESS_QUERY_LIMITED_INFORMATION | PROCESS_SYNCHRONIZE;
        // SAFETY: there are no pointers; the returned handle is owned here.
        let handle = unsafe { OpenProcess(access, 0, pid) };
        if handle.is_null() {
            return Err(not_opened(pid, io::Error::last_os_error()));
        }
        // SAFETY: the handle is a process's, and no other code closes it.
        Ok(Self { pid, handle: unsafe { OwnedHandle::from_raw_handle(handle) } })
    }

    pub(crate) fn raw(&self) -> HANDLE {
        self.handle.as_raw_handle()
    }

    pub(crate) fn id(&self) -> Result<ProcessId, Error> {
        Ok(ProcessId { pid: self.pid, start_ticks: self.times()?.creation })
    }

    pub(crate) fn counters(&self) -> Result<Counters, Error> {
        let mut raw = PROCESS_MEMORY_COUNTERS_EX::default();
        let size = u32::try_from(size_of_val(&raw)).unwrap_or(u32::MAX);
        raw.cb = size;
        // SAFETY: `raw` has the size that is given; the longer structure begins as the shorter one
        // (GetProcessMemoryInfo).
        if unsafe { K32GetProcessMemoryInfo(self.raw(), (&raw mut raw).cast(), size) } == 0 {
            return Err(last("reading the memory of a process"));
        }
        Ok(Counters {
            working_set: raw.WorkingSetSize as u64,
            peak_working_set: raw.PeakWorkingSetSize as u64,
            commit: raw.PagefileUsage as u64,
            peak_commit: raw.PeakPagefileUsage as u64,
            private: raw.PrivateUsage as u64,
            faults: raw.PageFaultCount,
        })
    }

    pub(crate) fn times(&self) -> Result<Times, Error> {
        let mut times = [FILETIME::default(); 4];
        let [creation, exit, kernel, user] = &mut times;
        // SAFETY: the pointers are to four live locals.
        if unsafe { GetProcessTimes(self.raw(), creation, exit, kernel, user) } == 0 {
            return Err(last("reading the times of a process"));
        }
        let [creation, exit, kernel, user] = times.map(of_filetime);
        Ok(Times {
            creation,
            // The field is undefined while the process lives (GetProcessTimes).
            exit: self.has_ended().then_some(exit).filter(|&exit| exit >= creation),
            user,
            kernel,
        })
    }

    fn has_ended(&self) -> bool {
        self.ends_within(Duration::ZERO)
    }

    /// Returns whether it has ended, or ends within this time: its exit signals its handle.
    pub(crate) fn ends_within(&self, patience: Duration) -> bool {
        let millis = u32::try_from(patience.as_millis()).unwrap_or(u32::MAX - 1);
        // SAFETY: the handle may be waited for.
        unsafe { WaitForSingleObject(self.raw(), millis) == WAIT_OBJECT_0 }
    }

    /// Returns its exit code; `None` while it lives.
    #[cfg(feature = "job")]
    pub(crate) fn exit_code(&self) -> Option<u32> {
        use windows_sys::Win32::System::Threading::GetExitCodeProcess;

        let mut code = 0;
        // SAFETY: `code` is a local value.
        let succeeded = self.has_ended() && unsafe { GetExitCodeProcess(self.raw(), &raw mut code) } != 0;
        succeeded.then_some(code)
    }

    /// Returns the path of its file, of any length.
    pub(crate) fn image(&self) -> Option<PathBuf> {
        self.image_or_why().ok()
    }

    /// Returns the same, or why it is unknown.
    pub(crate) fn image_or_why(&self) -> Result<PathBuf, Error> {
        self.image_from(260)
    }

    /// Returns the same, with room for this many units at first.
    fn image_from(&self, mut room: usize) -> Result<PathBuf, Error> {
        loop {
            let mut name = vec![0_u16; room];
            let mut length = u32::try_from(room).unwrap_or(u32::MAX);
            // SAFETY: `name` has room for `length` units.
            let succeeded = unsafe {
                QueryFullProcessImageNameW(self.raw(), PROCESS_NAME_WIN32, name.as_mut_ptr(), &raw mut length)
            };
            if succeeded != 0 {
                name.truncate(length as usize);
                return Ok(OsString::from_wide(&name).into());
            }
            // The buffer was too short, or the process is gone.
            if room >= MAX_PATH_UNITS {
                return Err(last("reading the name of a process"));
            }
            room = (room * 4).min(MAX_PATH_UNITS);
        }
    }

    /// Returns the pid of the process that started it; another process may have that pid by now.
    #[cfg(feature = "job")]
    pub(crate) fn parent(&self) -> Option<u32> {
        use windows_sys::{
            Wdk::System::Threading::{NtQueryInformationProcess, ProcessBasicInformation},
            Win32::System::Threading::PROCESS_BASIC_INFORMATION,
        };

        let mut basic = PROCESS_BASIC_INFORMATION::default();
        let size = u32::try_from(size_of_val(&basic)).ok()?;
        // SAFETY: `basic` has the size that is given.
        let status = unsafe {
            NtQueryInformationProcess(
                self.raw(),
                ProcessBasicInformation,
                (&raw mut basic).cast(),
                size,
                std::ptr::null_mut(),
            )
        };
        (status >= 0).then(|| u32::try_from(basic.InheritedFromUniqueProcessId).ok())?
    }
}

/// Returns whether this system counts the cycles that processes run for. A system that does not has no
/// account of CPU time either, whatever `GetProcessTimes` returns: Wine 8.0 returns 10 ms for every process.
pub(crate) fn are_cycles_counted() -> bool {
    static COUNTED: OnceLock<bool> = OnceLock::new();
    *COUNTED.get_or_init(|| {
        let mut cycles = 0;
        // SAFETY: the handle stands for this process, and `cycles` is a local value.
        let succeeded = unsafe { QueryProcessCycleTime(GetCurrentProcess(), &raw mut cycles) } != 0;
        succeeded && cycles > 0
    })
}

/// Returns the error of this thread's last call.
pub(super) fn last(doing: &'static str) -> Error {
    Error::System { doing, source: io::Error::last_os_error() }
}

fn of_filetime(time: FILETIME) -> u64 {
    u64::from(time.dwHighDateTime) << 32 | u64::from(time.dwLowDateTime)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_longer_than_there_is_room_at_first() {
        let own = Opened::of(std::process::id()).unwrap();
        let whole = own.image().unwrap();
        assert_eq!(whole.file_name(), std::env::current_exe().unwrap().file_name());
        assert!(whole.as_os_str().len() > 8);
        assert_eq!(own.image_from(8).unwrap(), whole);
    }
}
