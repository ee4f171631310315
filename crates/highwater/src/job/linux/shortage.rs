//! Memory shortage: the time that tasks waited for memory (PSI, Linux 4.20), and the processes that the kernel killed
//! for it.

use std::{
    fs,
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    cgroup::JobGroup,
    clock::monotonic,
    proc_dir::{ProcDir, ProcPath},
};
use crate::{
    Roots,
    bounded::{self, Extent, MAX_VALUE_BYTES},
    cgroup::{OwnGroup, oom_kills_in},
    job::ledger::OomSeen,
    process::INITIAL_PID_NAMESPACE,
    record::{Pressure, PressureOf},
};

/// The counters at the start of the job.
#[derive(Debug)]
pub(super) struct Shortage {
    pressure: Option<(CounterFile, PressureOf, Stalled)>,
    /// Kills in the cgroup around this process, or on the machine.
    around: Option<(CounterFile, PressureOf, u64)>,
    /// `CLOCK_MONOTONIC`, which the kernel's log uses, too.
    began: Duration,
    proc: ProcDir,
}

/// A file that is read at the start of the job and at its end.
#[derive(Debug)]
enum CounterFile {
    /// File of a cgroup.
    Group(PathBuf),
    /// File of the machine, below procfs.
    Machine(ProcDir, ProcPath),
}

impl CounterFile {
    fn read(&self) -> Option<String> {
        let mut text = Vec::new();
        let extent = match self {
            Self::Group(path) => bounded::read_start(path, MAX_VALUE_BYTES, &mut text),
            Self::Machine(proc, path) => proc.read_start(*path, MAX_VALUE_BYTES, &mut text),
        };
        extent.ok().filter(|extent| *extent == Extent::Whole)?;
        String::from_utf8(text).ok()
    }
}

/// Time in which tasks waited for memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stalled {
    some: Duration,
    full: Option<Duration>,
}

impl Shortage {
    pub(super) fn watch(roots: &Roots, proc: &ProcDir, group: Option<&JobGroup>) -> Self {
        // The topmost group is the machine, which has its own files.
        let own = OwnGroup::with_memory(roots)
            .map(|(own, _)| own)
            .filter(|own| own.with_parents().nth(1).is_some());
        let own = own.map(|own| own.group().to_owned());
        let of_group = |group: &Path, name: &str| CounterFile::Group(group.join(name));
        let of_machine = |name: &str| CounterFile::Machine(proc.clone(), ProcPath::named(name));
        let pressure_of_job = group.map(|group| (of_group(group.path(), "memory.pressure"), PressureOf::Job));
        let around = own.as_ref().map(|own| (of_group(own, "memory.pressure"), PressureOf::Cgroup));
        let pressure_of_machine = Some((of_machine("pressure/memory"), PressureOf::Machine));
        let pressure =
            [pressure_of_job, around, pressure_of_machine].into_iter().flatten().find_map(|(file, of)| {
                let stalled = stalled(&file.read()?)?;
                Some((file, of, stalled))
            });
        let in_group =
            own.iter().flat_map(|own| [of_group(own, "memory.events"), of_group(own, "memory.oom_control")]);
        let around = in_group
            .map(|file| (file, PressureOf::Cgroup))
            .chain([(of_machine("vmstat"), PressureOf::Machine)])
            .find_map(|(file, of)| {
                let kills = oom_kills_in(&file.read()?)?;
                Some((file, of, kills))
            });
        Self { pressure, around, began: monotonic(), proc: proc.clone() }
    }

    /// Returns the time that tasks have waited since the start.
    pub(super) fn pressure(&self) -> Option<Pressure> {
        let (file, of, before) = self.pressure.as_ref()?;
        let now = stalled(&file.read()?)?;
        let since = |now: Duration, before: Duration| now.saturating_sub(before).as_secs_f64();
        Some(Pressure {
            of: *of,
            some_seconds: since(now.some, before.some),
            full_seconds: now.full.zip(before.full).map(|(now, before)| since(now, before)),
        })
    }

    /// Returns the kills since the start; `None` if there was none, or none is reported.
    pub(super) fn kills(&self, group: Option<&JobGroup>) -> Option<OomSeen> {
        let in_job = group.and_then(JobGroup::oom_kills);
        let around = self
            .around
            .as_ref()
            .and_then(|(file, _, before)| oom_kills_in(&file.read()?)?.checked_sub(*before));
        let around_is = self.around.as_ref().map_or(PressureOf::Machine, |(_, of, _)| *of);
        if in_job.unwrap_or(0) == 0 && around.unwrap_or(0) == 0 {
            return None;
        }
        Some(OomSeen {
            in_job,
            around,
            around_is,
            logged: logged(self.began, &self.proc).unwrap_or_default(),
        })
    }
}

/// Parses `some avg10=0.00 avg60=0.00 avg300=0.00 total=3709`, in microseconds (Documentation/accounting/psi.rst).
fn stalled(text: &str) -> Option<Stalled> {
    let total = |word: &str| {
        let line = text.lines().find(|line| line.split(' ').next() == Some(word))?;
        line.rsplit_once("total=")?.1.trim().parse().ok().map(Duration::from_micros)
    };
    Some(Stalled { some: total("some")?, full: total("full") })
}

/// Returns the pids that the kernel's log names as killed since `began`. It is read only if its pids are those of this
/// namespace, and not every user may read it (`dmesg_restrict`).
fn logged(began: Duration, proc: &ProcDir) -> io::Result<Vec<u32>> {
    /// More records than a log holds.
    const MAX_LOG_RECORDS: usize = 200_000;
    if proc.read_link(ProcPath::named("self/ns/pid"))?.as_os_str() != INITIAL_PID_NAMESPACE {
        return Ok(Vec::new());
    }
    let mut log = fs::File::options().read(true).custom_flags(libc::O_NONBLOCK).open("/dev/kmsg")?;
    let (mut pids, mut record) = (Vec::new(), [0; 8192]);
    for _ in 0..MAX_LOG_RECORDS {
        match log.read(&mut record) {
            Ok(0) => break,
            Ok(length) => pids.extend(killed(&record[..length], began)),
            // It was overwritten meanwhile; the next read continues with the next record
            // (Documentation/ABI/testing/dev-kmsg).
            Err(error) if error.raw_os_error() == Some(libc::EPIPE) => {}
            Err(_) => break,
        }
    }
    Ok(pids)
}

/// Returns the pid in a record such as `3,1234,5678901,-;Memory cgroup out of memory: Killed process 42 (cc1)
/// total-vm:...` (`__oom_kill_process`, `mm/oom_kill.c`); the third field is microseconds since boot.
fn killed(record: &[u8], since: Duration) -> Option<u32> {
    let record = String::from_utf8_lossy(record);
    let (head, message) = record.split_once(';')?;
    let at = Duration::from_micros(head.split(',').nth(2)?.parse().ok()?);
    // The log uses another clock, which is nearly the same.
    if at + Duration::from_secs(1) < since || !message.contains("ut of memory") {
        return None;
    }
    let (_, rest) = message.split_once("Killed process ")?;
    rest.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pressure_files() {
        let text = "some avg10=0.00 avg60=0.00 avg300=0.00 total=3709\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=1702\n";
        let (some, full) = (Duration::from_micros(3709), Duration::from_micros(1702));
        assert_eq!(stalled(text), Some(Stalled { some, full: Some(full) }));
        assert_eq!(stalled("some avg10=0.00 total=7\n").unwrap().full, None);
        assert_eq!(stalled("some avg10=0.00 total="), None);
        assert_eq!(stalled(""), None);
    }

    #[test]
    fn records_of_the_kernels_log() {
        let text = b"3,1234,5678901,-;Memory cgroup out of memory: Killed process 42 (cc1) total-vm:9kB, anon-rss:8kB\n";
        assert_eq!(killed(text, Duration::from_secs(5)), Some(42));
        assert_eq!(killed(text, Duration::from_secs(60)), None, "long before");
        let other = b"6,1235,5678902,-;a program says: Killed process 43 (x)\n";
        assert_eq!(killed(other, Duration::ZERO), None);
        assert_eq!(killed(b"6,1235", Duration::ZERO), None);
    }

    #[test]
    fn a_machine_without_such_files_has_no_pressure() {
        let empty = tempfile::tempdir().unwrap();
        let roots = Roots { proc: empty.path().into(), cgroup: empty.path().into(), ..Roots::default() };
        let shortage = Shortage::watch(&roots, &ProcDir::absent(), None);
        assert!(shortage.pressure().is_none() && shortage.kills(None).is_none());
    }
}
