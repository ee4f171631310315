//! The interpretation of an attempt's answers.

use crate::{
    Unavailable,
    doctor::MechanismState,
    process::macos::rusage::{Rusage, TaskFaults},
    record::ProcessExit,
};

/// The child's exit code.
pub(super) const CHILD_EXIT_CODE: i32 = 7;

const SANDBOX: &str = "a sandbox may forbid it: run hwm from a terminal";

/// Judges a figure that is never 0 for a living process.
pub(super) fn positive(name: &str, answer: Result<u64, Unavailable>) -> MechanismState {
    match answer {
        Ok(0) => MechanismState::missing(format!("{name} reads 0, which no process has")),
        Ok(bytes) => MechanismState::works_with(format!("hwm uses {bytes} bytes")),
        Err(why) => MechanismState::missing(format!("proc_pid_rusage: {why}")).or(SANDBOX),
    }
}

pub(super) fn mark(answer: &Result<Rusage, Unavailable>) -> MechanismState {
    match answer {
        Ok(usage) => match usage.max_footprint() {
            Ok(bytes) => MechanismState::works_with(format!("hwm reached {bytes} bytes")),
            Err(_) => {
                MechanismState::missing("ri_lifetime_max_phys_footprint reads 0: this kernel keeps no peak")
            }
        },
        Err(why) => MechanismState::missing(format!("proc_pid_rusage: {why}")).or(SANDBOX),
    }
}

pub(super) fn faults(answer: Result<TaskFaults, Unavailable>) -> MechanismState {
    match answer.map(TaskFaults::minor) {
        Ok(Some(1..)) => MechanismState::works(),
        Ok(_) => {
            MechanismState::missing("PROC_PIDTASKINFO reports no page faults, but every program has some")
        }
        Err(why) => MechanismState::missing(format!("PROC_PIDTASKINFO: {why}")).or(SANDBOX),
    }
}

/// Judges the answer about `launchd`, which is root's.
pub(super) fn others(launchd: &Result<Rusage, Unavailable>) -> MechanismState {
    match launchd {
        Ok(_) => MechanismState::works(),
        Err(Unavailable::PermissionDenied) => {
            MechanismState::missing("macOS reports the memory of other users' processes only to root")
                .or("run with sudo")
        }
        Err(why) => MechanismState::missing(format!("proc_pid_rusage of pid 1: {why}")),
    }
}

/// Judges the parents' ids. `own` is this process's id; `made_by` is the parent's id that its child reports.
pub(super) fn parents(own: Result<u64, Unavailable>, made_by: Result<u64, Unavailable>) -> MechanismState {
    match (own, made_by) {
        (Ok(own), Ok(made_by)) if own == made_by && own != 0 => MechanismState::works(),
        (Ok(own), Ok(made_by)) => MechanismState::missing(format!(
            "a child of process number {own} reports {made_by} as its parent"
        ))
        .or("please open an issue: this macOS is not known"),
        (Err(why), _) | (_, Err(why)) => {
            MechanismState::missing(format!("PROC_PIDUNIQIDENTIFIERINFO: {why}")).or(SANDBOX)
        }
    }
}

/// Judges whether a child's fork and exit were reported.
pub(super) fn fork_and_exit(forked: bool, ended: bool) -> MechanismState {
    match (forked, ended) {
        (true, true) => MechanismState::works(),
        (false, true) => MechanismState::missing("no NOTE_FORK event came for a child that forked"),
        (true, false) => MechanismState::missing("no NOTE_EXIT event came for a child that exited"),
        (false, false) => MechanismState::missing("EVFILT_PROC reported neither a fork nor an exit"),
    }
}

pub(super) fn exit(reported: Option<ProcessExit>) -> MechanismState {
    match reported {
        Some(ProcessExit { code: Some(CHILD_EXIT_CODE), .. }) => MechanismState::works(),
        Some(ProcessExit { code, signal }) => MechanismState::missing(format!(
            "NOTE_EXITSTATUS of a child that ended with {CHILD_EXIT_CODE} says code {code:?}, signal {signal:?}"
        )),
        None => MechanismState::missing("no NOTE_EXITSTATUS came for a child that exited"),
    }
}

/// Judges the usage of a child that had exited and was not reaped yet.
pub(super) fn remains(answer: &Result<Rusage, Unavailable>) -> MechanismState {
    match answer {
        Ok(usage) if !usage.has_ended => {
            MechanismState::missing("a child that has exited is not reported as exited")
        }
        Ok(usage) => match usage.max_footprint() {
            Ok(bytes) => MechanismState::works_with(format!("a shell reached {bytes} bytes")),
            Err(_) => MechanismState::missing("no peak is left of a child that has exited"),
        },
        Err(Unavailable::Vanished) => MechanismState::missing("nothing is left of a child that has exited")
            .or("start hwm where SIGCHLD is not ignored"),
        Err(why) => MechanismState::missing(format!("proc_pid_rusage of a child that has ended: {why}")),
    }
}

/// Judges the devices' statistics: `devices` is their number, `known` the number whose use is known.
pub(super) fn statistics(devices: usize, known: usize) -> MechanismState {
    match (devices, known) {
        (0, _) => MechanismState::missing("Metal lists no device with readable statistics"),
        (_, 0) => MechanismState::missing("PerformanceStatistics has none of the known keys")
            .or("please open an issue with what `ioreg -r -c IOAccelerator` prints"),
        (devices, known) if known < devices => {
            MechanismState::works_with(format!("of {known} of {devices} devices"))
        }
        _ => MechanismState::works(),
    }
}

#[cfg(any(test, feature = "metal"))]
pub(super) fn ledger(balance: Result<i64, Unavailable>) -> MechanismState {
    match balance {
        Ok(0..) => MechanismState::works(),
        Ok(balance) => MechanismState::missing(format!("hwm's own reads {balance} bytes")),
        Err(Unavailable::NotProvided) => {
            MechanismState::missing("this macOS has no ledger call, or no entry graphics_footprint in it")
        }
        Err(why) => MechanismState::missing(format!("ledger: {why}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::macos::rusage::RusageSpent;

    const USAGE: Rusage = Rusage {
        resident_bytes: 3 << 20,
        footprint_bytes: 2 << 20,
        max_footprint_bytes: 5 << 20,
        own: RusageSpent { user_ticks: 1, system_ticks: 1, pageins: 0 },
        waited: RusageSpent { user_ticks: 0, system_ticks: 0, pageins: 0 },
        storage_read_bytes: 0,
        storage_written_bytes: 0,
        has_ended: false,
    };

    fn works(state: &MechanismState) -> bool {
        matches!(state, MechanismState::Works { .. })
    }

    fn missing(state: MechanismState) -> (String, Option<String>) {
        match state {
            MechanismState::Missing { why, remedy } => (why, remedy),
            MechanismState::Works { .. } => panic!("{state:?}"),
        }
    }

    #[test]
    fn a_zero_is_no_figure() {
        assert!(works(&positive("ri_resident_size", Ok(4096))));
        assert!(missing(positive("ri_resident_size", Ok(0))).0.contains("reads 0"));
        assert!(works(&mark(&Ok(USAGE))));
        assert!(missing(mark(&Ok(Rusage { max_footprint_bytes: 0, ..USAGE }))).0.contains("no peak"));
        assert!(works(&faults(Ok(TaskFaults { all: 900, pageins: 3 }))));
        missing(faults(Ok(TaskFaults { all: 0, pageins: 0 })));
    }

    #[test]
    fn others_need_root_and_that_is_said() {
        assert!(works(&others(&Ok(USAGE))));
        let (_, remedy) = missing(others(&Err(Unavailable::PermissionDenied)));
        assert_eq!(remedy.as_deref(), Some("run with sudo"));
        assert_eq!(missing(others(&Err(Unavailable::Vanished))).1, None);
    }

    #[test]
    fn a_child_reports_its_parent() {
        assert!(works(&parents(Ok(41), Ok(41))));
        assert!(missing(parents(Ok(41), Ok(1))).0.contains("reports 1 as its parent"));
        missing(parents(Ok(0), Ok(0)));
        assert!(missing(parents(Ok(41), Err(Unavailable::PermissionDenied))).1.is_some());
    }

    #[test]
    fn each_event_counts_by_itself() {
        assert!(works(&fork_and_exit(true, true)));
        for (forked, ended, why) in [(false, true, "NOTE_FORK"), (true, false, "NOTE_EXIT")] {
            assert!(missing(fork_and_exit(forked, ended)).0.contains(why));
        }
        missing(fork_and_exit(false, false));
        let ended = |code, signal| Some(ProcessExit { code, signal });
        assert!(works(&exit(ended(Some(CHILD_EXIT_CODE), None))));
        assert!(missing(exit(ended(Some(0), None))).0.contains("Some(0)"), "a shifted status");
        missing(exit(ended(None, Some(7))));
        missing(exit(None));
    }

    #[test]
    fn remains_hold_a_mark() {
        assert!(works(&remains(&Ok(Rusage { has_ended: true, footprint_bytes: 0, ..USAGE }))));
        missing(remains(&Ok(USAGE)));
        missing(remains(&Ok(Rusage { has_ended: true, max_footprint_bytes: 0, ..USAGE })));
        assert!(missing(remains(&Err(Unavailable::Vanished))).1.unwrap().contains("SIGCHLD"));
    }

    #[test]
    fn gpu_figures() {
        assert!(works(&statistics(1, 1)) && works(&statistics(2, 1)));
        missing(statistics(0, 0));
        assert!(missing(statistics(1, 0)).1.unwrap().contains("ioreg"));
        assert!(works(&ledger(Ok(0))), "hwm holds nothing there");
        missing(ledger(Ok(-1)));
        missing(ledger(Err(Unavailable::NotProvided)));
    }
}
