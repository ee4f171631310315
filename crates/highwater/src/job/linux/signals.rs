//! Signals to the members of a job.

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::{proc_view::ProcView, roster::Roster};

/// Sends `signal` to every member but the command, each identified by its start time, or by its parent.
pub(super) fn signal_descendants(roster: &Roster, proc: &mut impl ProcView, signal: Signal) {
    let own_pid = roster.own_children().own_pid;
    for member in roster.iter().filter(|member| member.pid != roster.root()) {
        let Some(pid) = i32::try_from(member.pid).ok().and_then(Pid::from_raw) else { continue };
        let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else { continue };
        // The descriptor refers to the process that has the pid now. Its start time shows whether that is the member.
        let Some(stat) = proc.stat(member.pid) else { continue };
        let is_member = match member.start_ticks {
            Some(ticks) => stat.start_ticks == ticks,
            // It was reported and not read yet.
            None => stat.ppid == own_pid || roster.contains(stat.ppid),
        };
        if is_member {
            // It may have exited, or run as another user (setuid): nothing more can be done.
            let _ = pidfd_send_signal(&pidfd, signal);
        }
    }
}
