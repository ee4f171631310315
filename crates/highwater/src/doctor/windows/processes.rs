//! Figures of single processes: of this one, and of others.

use windows_sys::Win32::System::Console::GetConsoleCP;

use crate::{
    Error, ProcessMemory, Roots, Unavailable,
    doctor::MechanismState,
    job::windows_probe::{own_is_listed, own_use},
    process::{all_processes, windows::Opened},
};

const NOT_WINDOWS: &str = "Windows reports it; Wine does not";
/// The process whose threads are the kernel's own. No process can open it, and nothing is missing for that.
const SYSTEM_PID: u32 = 4;

fn own(figure: fn(ProcessMemory) -> Result<u64, Unavailable>) -> MechanismState {
    match ProcessMemory::of_self().map(figure) {
        Ok(Ok(_)) => MechanismState::works(),
        Ok(Err(why)) => MechanismState::missing(format!("of this process: {why}")).or(NOT_WINDOWS),
        Err(error) => MechanismState::missing(error.to_string()),
    }
}

pub(super) fn working_set(_: &Roots) -> MechanismState {
    own(|memory| memory.working_set_bytes)
}

pub(super) fn mark(_: &Roots) -> MechanismState {
    own(|memory| memory.peak_working_set_bytes)
}

pub(super) fn private(_: &Roots) -> MechanismState {
    own(|memory| memory.private_bytes)
}

pub(super) fn commit(_: &Roots) -> MechanismState {
    own(|memory| memory.commit_bytes.and(memory.peak_commit_bytes))
}

/// Opens each process once.
pub(super) fn others(roots: &Roots) -> MechanismState {
    let pids = match all_processes(roots) {
        Ok(pids) => pids,
        Err(error) => return MechanismState::missing(error.to_string()),
    };
    let (mut opened, mut refused) = (0, 0);
    for pid in pids.into_iter().filter(|&pid| pid != SYSTEM_PID) {
        match Opened::of(pid) {
            Ok(_) => opened += 1,
            Err(Error::Process { .. }) => refused += 1,
            // It has ended since.
            Err(_) => {}
        }
    }
    of_others(opened, refused)
}

/// Judges the counts. Some system processes cannot be opened; if it is more than a tenth, this user lacks the
/// right.
fn of_others(opened: u32, refused: u32) -> MechanismState {
    let all = opened + refused;
    if refused == 0 {
        return MechanismState::works_with(format!("all of {all}"));
    }
    if refused <= all / 10 {
        return MechanismState::works_with(format!("{opened} of {all} could be opened"));
    }
    MechanismState::missing(format!("{refused} of {all} processes cannot be opened"))
        .or("run it in an elevated console (as administrator). A few system processes stay closed to every user; your own need nothing")
}

/// Tries `CreateToolhelp32Snapshot`.
pub(super) fn list(_: &Roots) -> MechanismState {
    match own_is_listed() {
        Ok(true) => MechanismState::works(),
        Ok(false) => MechanismState::missing("the list lacks this process"),
        Err(error) => MechanismState::missing(format!("listing the processes: {error}")),
    }
}

/// Tries `GetProcessTimes`, which is trusted if cycles are counted.
pub(super) fn cpu(_: &Roots) -> MechanismState {
    match own_use().and_then(|used| used.cpu) {
        Some(_) => MechanismState::works(),
        None => MechanismState::missing("no cycles are counted, so reported CPU times are not real")
            .or(NOT_WINDOWS),
    }
}

/// Tries `GetProcessIoCounters`.
pub(super) fn moved(_: &Roots) -> MechanismState {
    match own_use().and_then(|used| used.io) {
        Some(_) => MechanismState::works_with("through calls; Windows does not report storage I/O"),
        None => MechanismState::missing("no call of this process was counted").or(NOT_WINDOWS),
    }
}

pub(super) fn console(_: &Roots) -> MechanismState {
    // SAFETY: the call takes no arguments and returns 0 if there is no console.
    if unsafe { GetConsoleCP() } != 0 {
        return MechanismState::works();
    }
    MechanismState::missing("this process has no console, so Ctrl-C cannot be pressed here")
        .or("nothing is lost in scripts and services; limits and --live work all the same")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_unreadable_processes_are_no_fault() {
        assert_eq!(of_others(200, 0), MechanismState::works_with("all of 200"));
        assert_eq!(of_others(196, 4), MechanismState::works_with("196 of 200 could be opened"));
        assert!(
            matches!(of_others(120, 80), MechanismState::Missing { remedy: Some(_), .. }),
            "as of an ordinary console"
        );
    }
}
