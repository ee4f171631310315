//! CPU time, page faults and bytes of a process or a Job Object as Windows counts them, and which counts are credible.
//! Knows no system call.
//!
//! Wine 8.0 keeps no such accounts: its CPU time is 10 ms for every process, and every other count is 0. So each count
//! is accepted only with another one that is never 0 for a real process.

use std::time::Duration;

use crate::job::resource_use::{CpuUse, IoBytes, ResourceUse};

/// CPU time and page faults of a process, or of a whole job.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SpentCounts {
    /// In 100 ns.
    pub(crate) user: u64,
    /// In 100 ns.
    pub(crate) kernel: u64,
    /// Page faults of every kind. The counter has 32 bits and wraps after some 4 thousand million.
    pub(crate) faults: u32,
}

impl SpentCounts {
    /// Returns the figures of one process. `are_charged`: this system counts the cycles of a process
    /// (`QueryProcessCycleTime`), so it charges CPU time, too.
    pub(crate) fn of_process(self, are_charged: bool) -> Option<CpuUse> {
        are_charged.then(|| self.cpu())
    }

    /// Returns the figures of a Job Object. No process runs without a page fault, so an object that counted none counts
    /// nothing.
    pub(crate) fn of_job(self) -> Option<CpuUse> {
        (self.faults > 0).then(|| self.cpu())
    }

    fn cpu(self) -> CpuUse {
        let time = |hundreds: u64| Duration::from_nanos(hundreds.saturating_mul(100));
        CpuUse {
            user: time(self.user),
            system: time(self.kernel),
            mixed_faults: Some(self.faults.into()).filter(|&faults| faults > 0),
            ..CpuUse::default()
        }
    }
}

/// `IO_COUNTERS`: read, write, and other calls, on files, pipes, sockets and devices.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Transfers {
    pub(crate) operations: [u64; 3],
    pub(crate) bytes: [u64; 3],
}

impl Transfers {
    /// Returns the bytes read and written. Every process opens its own program ("other" calls), so all zeros mean that
    /// nothing is counted. Windows does not report how much of it was storage.
    pub(crate) fn moved(self) -> Option<IoBytes> {
        let is_counted = self.operations.iter().chain(&self.bytes).any(|&count| count > 0);
        let [read, written, _] = self.bytes;
        is_counted.then(|| IoBytes { read: Some(read), written: Some(written), ..IoBytes::default() })
    }
}

/// Returns the totals of a Job Object over all of its processes, exited ones included.
pub(crate) fn of_job(spent: SpentCounts, transfers: Transfers) -> ResourceUse {
    ResourceUse { cpu: spent.of_job(), io: transfers.moved() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    /// A short program on Windows 11: 31.25 ms are two ticks of its clock.
    const REAL: SpentCounts = SpentCounts { user: 312_500, kernel: 156_250, faults: 2310 };

    #[test]
    fn of_windows() {
        let cpu = REAL.of_process(true).unwrap();
        assert_eq!((cpu.user, cpu.system), (Duration::from_micros(31_250), Duration::from_micros(15_625)));
        assert_eq!(cpu.faults(), Some(2310));
        assert_eq!((cpu.minor_faults, cpu.major_faults), (None, None), "they are counted together");
        // Less than a tick is 0 there, and is a valid figure.
        let short = SpentCounts { faults: 900, ..SpentCounts::default() };
        assert_eq!(short.of_process(true).map(CpuUse::time), Some(Duration::ZERO));
        assert_eq!(short.of_job().map(CpuUse::time), Some(Duration::ZERO));
        let wrote = Transfers { operations: [3, 30, 210], bytes: [4096, 30 * MIB, 9000] };
        assert_eq!(wrote.moved().unwrap().amounts(), [Some(4096), Some(30 * MIB), None, None]);
        let neither = Transfers { operations: [0, 0, 57], bytes: [0, 0, 1200] };
        assert_eq!(neither.moved().unwrap().amounts(), [Some(0), Some(0), None, None]);
    }

    #[test]
    fn of_wine_8() {
        // GetProcessTimes of a process that had been busy for 600 ms, and of one that had not run yet.
        let wine = SpentCounts { user: 0, kernel: 100_000, faults: 0 };
        assert_eq!(wine.of_process(false), None);
        assert_eq!(of_job(SpentCounts::default(), Transfers::default()), ResourceUse::default());
    }

    #[test]
    fn faults_that_are_not_counted_are_unknown() {
        assert_eq!(SpentCounts { faults: 0, ..REAL }.of_process(true).and_then(CpuUse::faults), None);
        assert_eq!(SpentCounts { faults: 0, ..REAL }.of_job(), None);
    }
}
