//! Processes whose end is certain: they exit, or SIGKILL waits for them.

use super::{
    descendants::read_stat,
    member::Member,
    proc_dir::{ProcDir, ProcPath},
};
use crate::process::linux::decimal::complete_lines;

/// Bit of SIGKILL in a set of pending signals (`proc_pid_status(5)`).
const SIGKILL_BIT: u64 = 1 << (9 - 1);

/// Returns whether a member that can still be read will be gone in a moment.
pub(super) fn is_dying(proc: &ProcDir, member: &Member, text: &mut Vec<u8>) -> bool {
    let Some(stat) = read_stat(proc, member.pid, text) else { return false };
    if member.is_other_process(stat.start_ticks) {
        return false;
    }
    // A leader that has left by pthread_exit(3) is exiting, and its process is not.
    let is_exiting = stat.is_exiting() && (!stat.is_zombie() || stat.threads <= 1);
    is_exiting || (proc.read_into(ProcPath::of(member.pid, "status"), text) && has_pending_sigkill(text))
}

/// Returns whether the text of `status` shows a SIGKILL that was not delivered yet. The kernel adds one to each thread of a
/// process that it is sent to (`complete_signal`, kernel/signal.c).
fn has_pending_sigkill(text: &[u8]) -> bool {
    complete_lines(text).any(|line| {
        let set = line.strip_prefix(b"SigPnd:\t").or(line.strip_prefix(b"ShdPnd:\t"));
        let set = set.and_then(|set| u64::from_str_radix(std::str::from_utf8(set).ok()?, 16).ok());
        set.is_some_and(|set| set & SIGKILL_BIT != 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pending_sigkill_is_seen() {
        let status = |thread: &str, process: &str| {
            format!("State:\tR (running)\nSigPnd:\t{thread}\nShdPnd:\t{process}\nSigBlk:\t0000000000000100\n")
        };
        let none = "0000000000000000";
        for (thread, process, expected) in [
            (none, none, false),
            ("0000000000000100", none, true),
            (none, "0000000000004100", true),
            ("0000000000004000", "0000000000000080", false),
        ] {
            let text = status(thread, process);
            assert_eq!(has_pending_sigkill(text.as_bytes()), expected, "{text}");
        }
        assert!(!has_pending_sigkill(b"SigPnd:\t0000000000000100"), "a line that was cut");
    }
}
