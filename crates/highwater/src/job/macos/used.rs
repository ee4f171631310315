//! The usage of a process beside memory, from the kernel's answers. Knows no system call.
//!
//! Bytes through read(2) and write(2) are not counted on macOS, so they are unknown.

use crate::{
    job::resource_use::{CpuUse, IoBytes, ResourceUse, UsageWanted},
    process::macos::{
        rusage::{Rusage, RusageSpent, TaskFaults},
        timebase::Timebase,
    },
};

/// Units and wishes for the figures.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    pub(super) wanted: UsageWanted,
    /// Length of a tick; `None`: it is unknown, and so is CPU time.
    pub(super) timebase: Option<Timebase>,
}

/// Returns its own usage. `faults` is `None` for an exited process, which has only page-ins.
pub(super) fn own(usage: &Rusage, faults: Option<TaskFaults>, scale: Scale) -> ResourceUse {
    let cpu =
        cpu(usage.own, scale).map(|cpu| CpuUse { minor_faults: faults.and_then(TaskFaults::minor), ..cpu });
    let io = IoBytes {
        storage_read: Some(usage.storage_read_bytes),
        storage_written: Some(usage.storage_written_bytes),
        ..IoBytes::default()
    };
    ResourceUse { cpu, io: scale.wanted.io.then_some(io) }
}

/// Returns the usage with the children that it has waited for, as far as the kernel adds it up: time and page-ins.
pub(super) fn with_waited(usage: &Rusage, faults: Option<TaskFaults>, scale: Scale) -> ResourceUse {
    let own = own(usage, faults, scale);
    let waited = cpu(usage.waited, scale);
    ResourceUse { cpu: own.cpu.zip(waited).map(|(own, waited)| own + waited), io: own.io }
}

/// Returns CPU time and page-ins. Without a known time there are none, as the time would read as 0.
fn cpu(spent: RusageSpent, scale: Scale) -> Option<CpuUse> {
    let timebase = scale.timebase.filter(|_| scale.wanted.cpu)?;
    Some(CpuUse {
        user: timebase.time(spent.user_ticks),
        system: timebase.time(spent.system_ticks),
        major_faults: Some(spent.pageins),
        ..CpuUse::default()
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn both() -> Scale {
        let timebase = Timebase::of(Some(24_000_000), false, None);
        assert!(timebase.is_some());
        Scale { wanted: UsageWanted { cpu: true, io: true }, timebase }
    }

    const USAGE: Rusage = Rusage {
        resident_bytes: 0,
        footprint_bytes: 1,
        max_footprint_bytes: 1,
        own: RusageSpent { user_ticks: 24_000_000, system_ticks: 12_000_000, pageins: 5 },
        waited: RusageSpent { user_ticks: 48_000_000, system_ticks: 0, pageins: 2 },
        storage_read_bytes: 8192,
        storage_written_bytes: 4096,
        has_ended: false,
    };

    #[test]
    fn time_is_in_ticks_and_bytes_through_calls_are_unknown() {
        let used = own(&USAGE, Some(TaskFaults { all: 105, pageins: 5 }), both());
        let cpu = used.cpu.unwrap();
        assert_eq!((cpu.user, cpu.system), (Duration::from_secs(1), Duration::from_millis(500)));
        assert_eq!((cpu.minor_faults, cpu.major_faults, cpu.faults()), (Some(100), Some(5), Some(105)));
        assert_eq!(used.io.unwrap().amounts(), [None, None, Some(8192), Some(4096)]);
    }

    #[test]
    fn faults_without_io_of_exited_processes_are_unknown() {
        let cpu = own(&Rusage { has_ended: true, ..USAGE }, None, both()).cpu.unwrap();
        assert_eq!((cpu.minor_faults, cpu.major_faults, cpu.faults()), (None, Some(5), None));
    }

    #[test]
    fn parents_inherit_only_time_and_page_ins() {
        let faults = Some(TaskFaults { all: 105, pageins: 5 });
        let used = with_waited(&USAGE, faults, both());
        let cpu = used.cpu.unwrap();
        assert_eq!((cpu.user, cpu.major_faults), (Duration::from_secs(3), Some(7)));
        assert_eq!((cpu.minor_faults, used.io), (Some(100), own(&USAGE, faults, both()).io));
    }

    #[test]
    fn unwanted_amounts_are_not_returned() {
        let none = Scale { wanted: UsageWanted::default(), ..both() };
        assert_eq!(own(&USAGE, None, none), ResourceUse::default());
    }

    #[test]
    fn ticks_of_unknown_length_are_no_time() {
        let faults = Some(TaskFaults { all: 105, pageins: 5 });
        let unknown = Scale { timebase: None, ..both() };
        for used in [own(&USAGE, faults, unknown), with_waited(&USAGE, faults, unknown)] {
            assert_eq!((used.cpu, used.io), (None, own(&USAGE, faults, both()).io));
        }
    }
}
