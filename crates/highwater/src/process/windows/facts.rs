//! The identity of a process, and the list of all.

use windows_sys::Win32::System::ProcessStatus::K32EnumProcesses;

use super::{Opened, account, are_cycles_counted, file_name, open::last};
use crate::{
    Error, Roots,
    process::{
        ProcessFacts,
        opening::{nameless, not_read},
    },
};

/// The process whose threads are the kernel's own.
pub(super) const SYSTEM_PID: u32 = 4;
/// The name of that process.
pub(super) const KERNEL_NAME: &str = "kernel";

pub(crate) fn of(_: &Roots, pid: u32) -> Result<ProcessFacts, Error> {
    let process = Opened::of(pid)?;
    let times = process.times()?;
    let is_kernel_thread = pid == SYSTEM_PID;
    let name = if is_kernel_thread {
        Ok(KERNEL_NAME.to_owned())
    } else {
        process
            .image_or_why()
            .as_deref()
            .map(file_name)
            .map_err(|error| nameless(error, times.exit.is_some()))
    };
    Ok(ProcessFacts {
        id: process.id()?,
        name,
        is_kernel_thread,
        state: if times.exit.is_some() { 'Z' } else { '?' },
        uid: None,
        account: account::of(&process),
        rss_bytes: match process.counters() {
            Ok(counters) => counters.figures(process.id()?).working_set_bytes,
            Err(error) => Err(not_read(&error)),
        },
        cpu_time: are_cycles_counted().then(|| times.cpu()),
    })
}

/// Lists all pids but that of the idle process, which is none.
pub(crate) fn all(_: &Roots) -> Result<Vec<u32>, Error> {
    let mut pids = vec![0_u32; 1024];
    loop {
        let room = u32::try_from(size_of_val(pids.as_slice())).unwrap_or(u32::MAX);
        let mut filled = 0;
        // SAFETY: `pids` has `room` bytes, and `filled` is a local value.
        if unsafe { K32EnumProcesses(pids.as_mut_ptr(), room, &raw mut filled) } == 0 {
            return Err(last("listing the processes"));
        }
        // A full buffer may have been too small.
        if filled < room {
            pids.truncate(filled as usize / size_of::<u32>());
            pids.retain(|&pid| pid != 0);
            pids.sort_unstable();
            return Ok(pids);
        }
        pids.resize(pids.len() * 2, 0);
    }
}

/// Returns 64: the clock by which CPU time is charged ticks 64 times a second.
pub(crate) fn ticks_per_second() -> u64 {
    64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own() {
        let own = of(&Roots::default(), std::process::id()).unwrap();
        assert!(own.rss_bytes.is_ok_and(|bytes| bytes > 1 << 20));
        let exe = std::env::current_exe().unwrap();
        assert_eq!((own.name.as_deref().ok().map(AsRef::as_ref), own.uid), (exe.file_name(), None));
        assert!(all(&Roots::default()).unwrap().contains(&own.id.pid));
    }

    #[test]
    fn a_pid_without_a_process_is_an_error() {
        // Pids are multiples of 4.
        assert!(matches!(of(&Roots::default(), 0x7fff_fff1), Err(Error::NoSuchProcess { .. })));
    }
}
