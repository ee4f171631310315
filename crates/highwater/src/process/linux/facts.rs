//! Facts about a process from `stat`, `status` and `cmdline`.

use std::{fs, time::Duration};

use super::{ProcDirectory, Stat, no_thread, of_arguments, parsed, status};
use crate::{
    Error, Roots, Unavailable,
    process::{ProcessFacts, ProcessId},
};

pub(crate) fn of(roots: &Roots, pid: u32) -> Result<ProcessFacts, Error> {
    let (process, mut facts) = without_arguments(roots, pid)?;
    if !facts.is_kernel_thread
        && let Some(name) = of_arguments(&process)
    {
        facts.name = Ok(name);
    }
    Ok(facts)
}

/// Reads `stat` and `status`; the name is the kernel's. `stat` waits for a process in an `execve(2)` that holds
/// `exec_update_lock`, for any time (seen on Linux 6.18). `status` does not.
pub(super) fn without_arguments(roots: &Roots, pid: u32) -> Result<(ProcDirectory, ProcessFacts), Error> {
    let process = ProcDirectory::open(roots, Some(pid))?;
    let stat = parsed(&process, "stat", Stat::parse)?;
    let status = status(&process);
    let id = ProcessId { pid: stat.pid, start_ticks: stat.start_ticks };
    if let Ok(status) = &status {
        no_thread(id, status)?;
    }
    let facts = ProcessFacts {
        id,
        is_kernel_thread: stat.is_kernel_thread(),
        state: char::from(stat.state),
        account: Err(Unavailable::NotProvided),
        uid: status.as_ref().ok().and_then(|status| status.uid),
        rss_bytes: match &status {
            Ok(status) => status.vm_rss_bytes.ok_or(Unavailable::NoMemoryMap),
            Err(Error::NoSuchProcess { .. }) => Err(Unavailable::Vanished),
            Err(error) => Err(Unavailable::Failed(error.to_string())),
        },
        cpu_time: Some(cpu_time(stat.cpu_ticks())),
        name: Ok(stat.comm),
    };
    Ok((process, facts))
}

pub(crate) fn all(roots: &Roots) -> Result<Vec<u32>, Error> {
    let entries =
        fs::read_dir(&roots.proc).map_err(|source| Error::Read { path: roots.proc.clone(), source })?;
    let mut pids: Vec<u32> =
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    Ok(pids)
}

/// Returns `_SC_CLK_TCK`, in which `/proc/PID/stat` counts.
pub(crate) fn ticks_per_second() -> u64 {
    rustix::param::clock_ticks_per_second()
}

pub(crate) fn cpu_time(ticks: u64) -> Duration {
    let per_second = ticks_per_second().max(1);
    let nanos = (ticks % per_second) * 1_000_000_000 / per_second;
    Duration::from_secs(ticks / per_second) + Duration::from_nanos(nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own() {
        let own = of(&Roots::default(), std::process::id()).unwrap();
        assert!(own.rss_bytes.is_ok_and(|bytes| bytes > 0));
        assert!(own.uid.is_some() && !own.is_kernel_thread && own.name.is_ok_and(|name| !name.is_empty()));
        assert!(all(&Roots::default()).unwrap().contains(&own.id.pid));
    }

    #[test]
    fn of_a_recorded_tree() {
        let tree = tempfile::tempdir().unwrap();
        let roots = Roots { proc: tree.path().to_owned(), ..Roots::default() };
        assert!(matches!(of(&roots, 7), Err(Error::Read { .. })), "nothing is no procfs");
        let process = tree.path().join("7");
        fs::create_dir(&process).unwrap();
        let stat = "7 (train) R 1 7 7 0 -1 4194304 1 0 0 0 250 50 0 0 20 0 4 0 900 1 1 0\n";
        fs::write(process.join("stat"), stat).unwrap();
        let facts = of(&roots, 7).unwrap();
        assert_eq!((facts.name.as_deref(), facts.state, facts.uid), (Ok("train"), 'R', None));
        assert!(facts.rss_bytes.is_err());
        fs::write(process.join("cmdline"), "/usr/bin/trainer\0--fast\0").unwrap();
        fs::write(
            process.join("status"),
            "State:\tR (running)\nUid:\t1000\t1000\t0\t0\nVmRSS:\t 8 kB\nThreads:\t4\n",
        )
        .unwrap();
        let facts = of(&roots, 7).unwrap();
        assert_eq!(
            (facts.name.as_deref(), facts.uid, facts.rss_bytes),
            (Ok("trainer"), Some(1000), Ok(8192))
        );
        assert_eq!(
            facts.cpu_time,
            Some(Duration::from_secs(300) / u32::try_from(ticks_per_second()).unwrap())
        );
        assert!(matches!(of(&roots, 8), Err(Error::NoSuchProcess { pid: 8 })), "no `self`, yet a procfs");
    }

    #[test]
    fn every_process_of_this_machine() {
        for pid in all(&Roots::default()).unwrap() {
            match of(&Roots::default(), pid) {
                Ok(facts) => assert!(facts.id.pid == pid && facts.state.is_ascii_alphabetic(), "{facts:?}"),
                Err(Error::NoSuchProcess { .. } | Error::Read { .. }) => {}
                Err(error) => panic!("{pid}: {error}"),
            }
        }
    }
}
