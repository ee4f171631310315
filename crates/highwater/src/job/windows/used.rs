//! Reading the usage of a process beside memory; its handle gives it after its exit, too.

use windows_sys::Win32::System::Threading::{GetProcessIoCounters, IO_COUNTERS};

use crate::{
    job::{
        accounts::{SpentCounts, Transfers},
        resource_use::{ResourceUse, UsageWanted},
    },
    process::windows::{Opened, are_cycles_counted},
};

/// Returns its own usage since its start.
pub(super) fn of(process: &Opened, wanted: UsageWanted) -> ResourceUse {
    ResourceUse {
        cpu: spent(process).filter(|_| wanted.cpu).and_then(|spent| spent.of_process(are_cycles_counted())),
        io: transfers(process).filter(|_| wanted.io).and_then(Transfers::moved),
    }
}

fn spent(process: &Opened) -> Option<SpentCounts> {
    let times = process.times().ok()?;
    // 0 is not a valid count of faults, so it may stand for one that could not be read.
    let faults = process.counters().map_or(0, |counters| counters.faults);
    Some(SpentCounts { user: times.user, kernel: times.kernel, faults })
}

fn transfers(process: &Opened) -> Option<Transfers> {
    let mut counters = IO_COUNTERS::default();
    // SAFETY: a live handle that may be queried, and a live local.
    let succeeded = unsafe { GetProcessIoCounters(process.raw(), &raw mut counters) } != 0;
    succeeded.then(|| transfers_of(&counters))
}

pub(super) fn transfers_of(counters: &IO_COUNTERS) -> Transfers {
    Transfers {
        operations: [counters.ReadOperationCount, counters.WriteOperationCount, counters.OtherOperationCount],
        bytes: [counters.ReadTransferCount, counters.WriteTransferCount, counters.OtherTransferCount],
    }
}
