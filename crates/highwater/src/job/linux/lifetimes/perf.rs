//! Starts, execs and exits by perf side-band events: one buffer per processor, inherited by all processes that the job
//! forks.
//!
//! The kernel writes a fork when the child is complete (`perf_event_fork` in `copy_process`, kernel/fork.c). It writes
//! an exec once the new memory map is in place (`begin_new_exec`, fs/exec.c). It writes an exit when the task ends
//! (`do_exit`, kernel/exit.c): after its map is released, and since Linux 6.18 before that.

mod record;
mod ring;

use std::{io, os::fd::OwnedFd};

use self::{record::PerfRecord, ring::Ring};
use crate::job::linux::kernel_event::TimedKernelEvent;
use crate::{
    Roots,
    bounded::{self, MAX_VALUE_BYTES},
    perf_event,
};

/// Pages of one buffer, as many as `perf_event_mlock_kb` gives each user by default: enough for 2,800 processes.
const BUFFER_PAGES: usize = 128;
const MIN_BUFFER_PAGES: usize = 4;
/// Most pages of all buffers together, on machines of many processors.
const MAX_TOTAL_PAGES: usize = 2048;
/// Bound of the numbers of processors, twice as many as Linux can have.
const MAX_CPU_NUMBER: i32 = 1 << 14;

/// The buffers of one job.
#[derive(Debug)]
pub(crate) struct Perf {
    /// Never polled: each exit of a process wakes the poller (`perf_event_exit_event`, kernel/events/core.c).
    buffers: Vec<(OwnedFd, Ring)>,
    lost: u64,
    record: Vec<u8>,
}

impl Perf {
    /// Watches `root` and all processes that it will fork. It must wait before its exec and not have forked yet.
    ///
    /// # Errors
    /// Users may not watch (`perf_event_paranoid` above 2, or a container's seccomp profile), or no memory can be
    /// locked for the buffers (`perf_event_mlock_kb`).
    pub(crate) fn attach(root: u32, roots: &Roots) -> io::Result<Self> {
        let root = i32::try_from(root).map_err(io::Error::other)?;
        let cpus = online_cpus(roots).or_else(|error| match error.kind() {
            // A container may have no sysfs, as bwrap(1) makes it.
            io::ErrorKind::NotFound => processors_with_events(|cpu| perf_event::open(root, cpu).map(drop)),
            _ => Err(error),
        })?;
        let share = (MAX_TOTAL_PAGES / cpus.len().max(1)).max(MIN_BUFFER_PAGES);
        let mut pages = BUFFER_PAGES.min(1 << share.ilog2());
        loop {
            match Self::with_pages(root, &cpus, pages) {
                // Too much for perf_event_mlock_kb, or for the machine.
                Err(error)
                    if matches!(error.raw_os_error(), Some(libc::EPERM | libc::ENOMEM))
                        && pages > MIN_BUFFER_PAGES =>
                {
                    pages /= 2;
                }
                other => return other,
            }
        }
    }

    fn with_pages(root: i32, cpus: &[i32], pages: usize) -> io::Result<Self> {
        let page_size = rustix::param::page_size();
        let mut buffers = Vec::new();
        for &cpu in cpus {
            match perf_event::open(root, cpu) {
                Ok(event) => {
                    let ring = Ring::map(&event, pages * page_size, page_size)?;
                    buffers.push((event, ring));
                }
                // The processor went offline just now.
                Err(error) if error.raw_os_error() == Some(libc::ENODEV) => {}
                Err(error) => return Err(error),
            }
        }
        if buffers.is_empty() {
            return Err(io::Error::other("no processor to watch"));
        }
        Ok(Self { buffers, lost: 0, record: Vec::new() })
    }

    /// Appends the events recorded up to now, one processor after the other.
    pub(crate) fn drain(&mut self, into: &mut Vec<TimedKernelEvent>) {
        for (_, ring) in &mut self.buffers {
            let whole = ring.drain(&mut self.record, |record| match PerfRecord::parse(record) {
                Some(PerfRecord::Event(event)) => into.push(event),
                Some(PerfRecord::Lost(count)) => self.lost += count,
                Some(PerfRecord::Other) => {}
                None => self.lost += 1,
            });
            self.lost += u64::from(!whole);
        }
    }

    /// Returns the number of records that the kernel reported as dropped. It reports them in the buffer, with the next
    /// record that fits.
    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }

    /// Returns the number of dropped records, including those after which no record came, if the kernel counts them
    /// (Linux 6.0).
    pub(crate) fn lost_with_unreported(&self) -> u64 {
        let counted = self.buffers.iter().filter_map(|(event, _)| perf_event::lost(event)).sum();
        self.lost.max(counted)
    }
}

/// Returns the online processors. One that comes online while the job runs is not watched.
fn online_cpus(roots: &Roots) -> io::Result<Vec<i32>> {
    let list = bounded::read_to_string(&roots.sys.join("devices/system/cpu/online"), MAX_VALUE_BYTES)?;
    cpu_list(list.trim()).ok_or_else(|| io::Error::other(format!("no list of processors: {list:?}")))
}

/// Returns the processors on which `open` opens an event. The kernel refuses a number beyond those that this machine can
/// have with `EINVAL`, and one that is offline with `ENODEV` (`perf_event_alloc`, `find_get_context`, kernel/events/core.c).
fn processors_with_events(open: impl Fn(i32) -> io::Result<()>) -> io::Result<Vec<i32>> {
    let mut cpus = Vec::new();
    for cpu in 0..MAX_CPU_NUMBER {
        match open(cpu) {
            Ok(()) => cpus.push(cpu),
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => {}
            // The first processor may be offline, but its number is valid.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) && cpu > 0 => break,
            Err(error) => return Err(error),
        }
    }
    Ok(cpus)
}

/// Parses a list such as `0-3,6`.
fn cpu_list(list: &str) -> Option<Vec<i32>> {
    let mut cpus = Vec::new();
    for range in list.split(',') {
        let (from, to) = range.split_once('-').unwrap_or((range, range));
        let (from, to): (i32, i32) = (from.parse().ok()?, to.parse().ok()?);
        if !(0..=to).contains(&from) || to > MAX_CPU_NUMBER {
            return None;
        }
        cpus.extend(from..=to);
    }
    Some(cpus)
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write as _,
        process::{Command, Stdio},
    };

    use super::*;

    #[test]
    fn losses_are_counted_though_no_record_follows() {
        const FORKS: usize = 1_000;
        let script = format!("read go; i=0; while [ $i -lt {FORKS} ]; do /bin/true; i=$((i+1)); done");
        let mut shell = Command::new("/bin/sh").args(["-c", &script]).stdin(Stdio::piped()).spawn().unwrap();
        let root = i32::try_from(shell.id()).unwrap();
        let cpus = online_cpus(&Roots::default()).unwrap();
        let watched = Perf::with_pages(root, &cpus, MIN_BUFFER_PAGES);
        shell.stdin.take().unwrap().write_all(b"go\n").unwrap();
        shell.wait().unwrap();
        let mut perf = match watched {
            Ok(perf) => perf,
            Err(error) => return eprintln!("skipped: {error}"),
        };
        let mut events = Vec::new();
        perf.drain(&mut events);
        if perf_event::lost(&perf.buffers[0].0).is_none() {
            return eprintln!("skipped: this kernel does not count its losses");
        }
        // A fork, an exec and an exit each; the shell's own exit, too.
        let happened = 3 * FORKS + 1;
        assert!(events.len() < happened, "the buffers were too large for this test");
        assert!(events.len() + usize::try_from(perf.lost_with_unreported()).unwrap() >= happened);
    }

    #[test]
    fn processors_are_found_without_sysfs() {
        let of_this_machine = online_cpus(&Roots::default()).unwrap();
        match processors_with_events(|cpu| perf_event::open(0, cpu).map(drop)) {
            Ok(found) => assert_eq!(found, of_this_machine),
            Err(error) => eprintln!("skipped: {error}"),
        }
        let errno = |number| Err(io::Error::from_raw_os_error(number));
        let offline_first_and_third = |cpu| match cpu {
            0 | 2 => errno(libc::ENODEV),
            1 | 3 => Ok(()),
            _ => errno(libc::EINVAL),
        };
        assert_eq!(processors_with_events(offline_first_and_third).unwrap(), [1, 3]);
        let refusal = processors_with_events(|_| errno(libc::EACCES)).unwrap_err();
        assert_eq!(refusal.raw_os_error(), Some(libc::EACCES), "the reason is kept");
        let refusal = processors_with_events(|_| errno(libc::EINVAL)).unwrap_err();
        assert_eq!(refusal.raw_os_error(), Some(libc::EINVAL), "the kernel does not know these events");
    }

    #[test]
    fn lists_of_processors() {
        assert_eq!(cpu_list("0-3,6"), Some(vec![0, 1, 2, 3, 6]));
        assert_eq!(cpu_list("0"), Some(vec![0]));
        for wrong in ["", "x", "3-1", "0-99999999", "-1"] {
            assert_eq!(cpu_list(wrong), None, "{wrong}");
        }
    }
}
