//! What a process has used beside memory, made of the kernel's answers. Knows no system call.
//!
//! Bytes that went through read(2) and write(2) are counted nowhere on macOS: they stay unknown.

use crate::{
    job::used::{Cpu, Moved, UsageWanted, Used},
    process::macos::rusage::{Rusage, Spent, TaskFaults, time_of},
};

/// What turns answers into figures.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    pub(super) wanted: UsageWanted,
    /// Nanoseconds of a tick, as a fraction (`mach_timebase_info`).
    pub(super) timebase: (u32, u32),
}

/// By itself. `faults`: `None` of one that has ended, of which only page-ins are kept.
pub(super) fn own(usage: &Rusage, faults: Option<TaskFaults>, scale: Scale) -> Used {
    let cpu = Cpu { minor_faults: faults.and_then(TaskFaults::minor), ..cpu(usage.own, scale) };
    let io = Moved {
        storage_read: Some(usage.storage_read_bytes),
        storage_written: Some(usage.storage_written_bytes),
        ..Moved::default()
    };
    Used { cpu: scale.wanted.cpu.then_some(cpu), io: scale.wanted.io.then_some(io) }
}

/// With the children that it has waited for, as far as the kernel hands on what they used: time and page-ins.
pub(super) fn with_waited(usage: &Rusage, faults: Option<TaskFaults>, scale: Scale) -> Used {
    let own = own(usage, faults, scale);
    Used { cpu: own.cpu.map(|own| own + cpu(usage.waited, scale)), io: own.io }
}

fn cpu(spent: Spent, scale: Scale) -> Cpu {
    let time = |ticks| time_of(ticks, scale.timebase.0, scale.timebase.1);
    Cpu {
        user: time(spent.user_ticks),
        system: time(spent.system_ticks),
        major_faults: Some(spent.pageins),
        ..Cpu::default()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const BOTH: Scale = Scale { wanted: UsageWanted { cpu: true, io: true }, timebase: (125, 3) };
    const USAGE: Rusage = Rusage {
        resident_bytes: 0,
        footprint_bytes: 1,
        max_footprint_bytes: 1,
        own: Spent { user_ticks: 24_000_000, system_ticks: 12_000_000, pageins: 5 },
        waited: Spent { user_ticks: 48_000_000, system_ticks: 0, pageins: 2 },
        storage_read_bytes: 8192,
        storage_written_bytes: 4096,
        has_ended: false,
    };

    #[test]
    fn time_is_in_ticks_and_bytes_through_calls_are_unknown() {
        let used = own(&USAGE, Some(TaskFaults { all: 105, pageins: 5 }), BOTH);
        let cpu = used.cpu.unwrap();
        assert_eq!((cpu.user, cpu.system), (Duration::from_secs(1), Duration::from_millis(500)));
        assert_eq!((cpu.minor_faults, cpu.major_faults, cpu.faults()), (Some(100), Some(5), Some(105)));
        assert_eq!(used.io.unwrap().amounts(), [None, None, Some(8192), Some(4096)]);
    }

    #[test]
    fn of_the_ended_faults_without_io_are_unknown() {
        let cpu = own(&Rusage { has_ended: true, ..USAGE }, None, BOTH).cpu.unwrap();
        assert_eq!((cpu.minor_faults, cpu.major_faults, cpu.faults()), (None, Some(5), None));
    }

    #[test]
    fn children_hand_on_time_and_page_ins_alone() {
        let faults = Some(TaskFaults { all: 105, pageins: 5 });
        let used = with_waited(&USAGE, faults, BOTH);
        let cpu = used.cpu.unwrap();
        assert_eq!((cpu.user, cpu.major_faults), (Duration::from_secs(3), Some(7)));
        assert_eq!((cpu.minor_faults, used.io), (Some(100), own(&USAGE, faults, BOTH).io));
    }

    #[test]
    fn what_was_not_asked_for_is_not_told() {
        let none = Scale { wanted: UsageWanted::default(), ..BOTH };
        assert_eq!(own(&USAGE, None, none), Used::default());
    }
}
