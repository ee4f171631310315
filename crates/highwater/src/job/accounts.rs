//! What Windows says of the CPU time, page faults and bytes of a process or a Job Object, and what may be believed of it.
//! Knows no system call.
//!
//! Wine 8.0 keeps no such accounts: CPU time is 10 ms for whoever is asked, all else is 0. So each figure has a witness
//! that no real process is without.

use std::time::Duration;

use crate::job::used::{Cpu, Moved, Used};

/// What a process, or all of a job, has used of processors.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Spent {
    /// In 100 ns.
    pub(crate) user: u64,
    /// In 100 ns.
    pub(crate) kernel: u64,
    /// Page faults of every kind; the count is one of 32 bits, and begins anew after some 4 thousand million.
    pub(crate) faults: u32,
}

impl Spent {
    /// Of one process. `are_charged`: this system counts the cycles that a process runs for (`QueryProcessCycleTime`), so it
    /// is one that charges CPU time, too.
    pub(crate) fn of_process(self, are_charged: bool) -> Option<Cpu> {
        are_charged.then(|| self.cpu())
    }

    /// Of a Job Object: no process runs without a page fault, so one that has counted none counts nothing.
    pub(crate) fn of_job(self) -> Option<Cpu> {
        (self.faults > 0).then(|| self.cpu())
    }

    fn cpu(self) -> Cpu {
        let time = |hundreds: u64| Duration::from_nanos(hundreds.saturating_mul(100));
        Cpu {
            user: time(self.user),
            system: time(self.kernel),
            mixed_faults: Some(self.faults.into()).filter(|&faults| faults > 0),
            ..Cpu::default()
        }
    }
}

/// `IO_COUNTERS`: read, write, and other calls, from and to files, pipes, sockets and devices.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Transfers {
    pub(crate) operations: [u64; 3],
    pub(crate) bytes: [u64; 3],
}

impl Transfers {
    /// Whoever runs has opened a file, its own program at least ("other" calls): without any nobody has counted. What went
    /// from and to storage is not told.
    pub(crate) fn moved(self) -> Option<Moved> {
        let is_counted = self.operations.iter().chain(&self.bytes).any(|&count| count > 0);
        let [read, written, _] = self.bytes;
        is_counted.then(|| Moved { read: Some(read), written: Some(written), ..Moved::default() })
    }
}

/// The totals of a Job Object, over all of its processes, those that have ended too.
pub(crate) fn of_job(spent: Spent, transfers: Transfers) -> Used {
    Used { cpu: spent.of_job(), io: transfers.moved() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    /// A short program of Windows 11: 31.25 ms are two ticks of its clock.
    const REAL: Spent = Spent { user: 312_500, kernel: 156_250, faults: 2310 };

    #[test]
    fn of_windows() {
        let cpu = REAL.of_process(true).unwrap();
        assert_eq!((cpu.user, cpu.system), (Duration::from_micros(31_250), Duration::from_micros(15_625)));
        assert_eq!(cpu.faults(), Some(2310));
        assert_eq!((cpu.minor_faults, cpu.major_faults), (None, None), "they are not told apart");
        // Less than a tick is 0 there, and is a figure.
        let short = Spent { faults: 900, ..Spent::default() };
        assert_eq!(short.of_process(true).map(Cpu::time), Some(Duration::ZERO));
        assert_eq!(short.of_job().map(Cpu::time), Some(Duration::ZERO));
        let wrote = Transfers { operations: [3, 30, 210], bytes: [4096, 30 * MIB, 9000] };
        assert_eq!(wrote.moved().unwrap().amounts(), [Some(4096), Some(30 * MIB), None, None]);
        let neither = Transfers { operations: [0, 0, 57], bytes: [0, 0, 1200] };
        assert_eq!(neither.moved().unwrap().amounts(), [Some(0), Some(0), None, None]);
    }

    #[test]
    fn of_wine_8() {
        // GetProcessTimes of a process that had been busy for 600 ms, and of one that had not run yet.
        let wine = Spent { user: 0, kernel: 100_000, faults: 0 };
        assert_eq!(wine.of_process(false), None);
        assert_eq!(of_job(Spent::default(), Transfers::default()), Used::default());
    }

    #[test]
    fn faults_that_are_not_counted_are_unknown() {
        assert_eq!(Spent { faults: 0, ..REAL }.of_process(true).and_then(Cpu::faults), None);
        assert_eq!(Spent { faults: 0, ..REAL }.of_job(), None);
    }
}
