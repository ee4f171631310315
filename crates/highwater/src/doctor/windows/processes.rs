//! What is known of single processes: of this one, and of others.

use windows_sys::Win32::System::Console::GetConsoleCP;

use crate::{
    Error, ProcessMemory, Roots, Unavailable,
    doctor::State,
    job::windows_probe::{own_is_listed, own_use},
    process::{all_processes, windows::Opened},
};

const NOT_WINDOWS: &str = "Windows tells it; Wine does not";
/// The process whose threads are the kernel's own: nobody opens it, and nothing is missing for that.
const SYSTEM: u32 = 4;

fn own(figure: fn(ProcessMemory) -> Result<u64, Unavailable>) -> State {
    match ProcessMemory::of_self().map(figure) {
        Ok(Ok(_)) => State::works(),
        Ok(Err(why)) => State::missing(format!("of this process: {why}")).or(NOT_WINDOWS),
        Err(error) => State::missing(error.to_string()),
    }
}

pub(super) fn working_set(_: &Roots) -> State {
    own(|memory| memory.working_set_bytes)
}

pub(super) fn mark(_: &Roots) -> State {
    own(|memory| memory.peak_working_set_bytes)
}

pub(super) fn private(_: &Roots) -> State {
    own(|memory| memory.private_bytes)
}

pub(super) fn commit(_: &Roots) -> State {
    own(|memory| memory.commit_bytes.and(memory.peak_commit_bytes))
}

/// Each process is opened once.
pub(super) fn others(roots: &Roots) -> State {
    let pids = match all_processes(roots) {
        Ok(pids) => pids,
        Err(error) => return State::missing(error.to_string()),
    };
    let (mut opened, mut refused) = (0, 0);
    for pid in pids.into_iter().filter(|&pid| pid != SYSTEM) {
        match Opened::of(pid) {
            Ok(_) => opened += 1,
            Err(Error::Process { .. }) => refused += 1,
            // It has ended meanwhile.
            Err(_) => {}
        }
    }
    of_others(opened, refused)
}

/// Some of the system's nobody may open; where it is more than a tenth we lack the right to.
fn of_others(opened: u32, refused: u32) -> State {
    let all = opened + refused;
    if refused == 0 {
        return State::works_with(format!("all of {all}"));
    }
    if refused <= all / 10 {
        return State::works_with(format!("{opened} of {all} could be opened"));
    }
    State::missing(format!("{refused} of {all} processes may not be opened"))
        .or("run it in an elevated console (as administrator); a few of the system's nobody may open. Your own need nothing")
}

/// `CreateToolhelp32Snapshot`.
pub(super) fn list(_: &Roots) -> State {
    match own_is_listed() {
        Ok(true) => State::works(),
        Ok(false) => State::missing("it lacks this very process"),
        Err(error) => State::missing(format!("listing the processes: {error}")),
    }
}

/// `GetProcessTimes`, believed where cycles are counted.
pub(super) fn cpu(_: &Roots) -> State {
    match own_use().and_then(|used| used.cpu) {
        Some(_) => State::works(),
        None => {
            State::missing("no cycles are counted, so what is said of CPU time is invented").or(NOT_WINDOWS)
        }
    }
}

/// `GetProcessIoCounters`.
pub(super) fn moved(_: &Roots) -> State {
    match own_use().and_then(|used| used.io) {
        Some(_) => State::works_with("through calls; what went from and to storage Windows does not tell"),
        None => State::missing("no call of this process was counted").or(NOT_WINDOWS),
    }
}

pub(super) fn console(_: &Roots) -> State {
    // SAFETY: it takes nothing; 0 where there is no console.
    if unsafe { GetConsoleCP() } != 0 {
        return State::works();
    }
    State::missing("this process has no console, so nobody can press Ctrl-C here")
        .or("nothing is lost in scripts and services; limits and --live work all the same")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_that_nobody_may_open_are_no_fault() {
        assert_eq!(of_others(200, 0), State::works_with("all of 200"));
        assert_eq!(of_others(196, 4), State::works_with("196 of 200 could be opened"));
        assert!(
            matches!(of_others(120, 80), State::Missing { remedy: Some(_), .. }),
            "as of an ordinary console"
        );
    }
}
