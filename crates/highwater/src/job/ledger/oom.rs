//! Evidence of the members that were killed for want of memory.

use crate::record::{OomEvidence, OomKills, OomVictim, PressureOf};

/// Most killed members that are remembered by name.
const MAX_NAMED_KILLS: usize = 64;

/// Kernel's counts of kills while the job ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OomSeen {
    pub(crate) in_job: Option<u64>,
    pub(crate) around: Option<u64>,
    pub(crate) around_is: PressureOf,
    /// Pids named in its log.
    pub(crate) logged: Vec<u32>,
}

/// Members that ended by SIGKILL.
#[derive(Debug, Default)]
pub(super) struct Killed {
    list: Vec<(u32, String)>,
    count: u64,
}

impl Killed {
    pub(super) fn add(&mut self, pid: u32, command: &str) {
        self.count += 1;
        if self.list.len() < MAX_NAMED_KILLS {
            self.list.push((pid, command.to_owned()));
        }
    }

    /// Compares the members with the kernel's counts. `sent_sigkill`: this process sent SIGKILL, too. `unknown_ends`:
    /// members whose exit status is not known.
    pub(super) fn judge(&self, seen: &OomSeen, sent_sigkill: bool, unknown_ends: u64) -> OomKills {
        let all_accounted = !sent_sigkill && unknown_ends == 0 && seen.in_job == Some(self.count);
        let victims = self.list.iter().filter_map(|(pid, command)| {
            let evidence = if seen.logged.contains(pid) {
                OomEvidence::KernelLog
            } else if all_accounted {
                OomEvidence::Counted
            } else if sent_sigkill {
                return None;
            } else {
                OomEvidence::Possible
            };
            Some(OomVictim { pid: *pid, command: command.clone(), evidence })
        });
        let OomSeen { in_job, around, around_is, .. } = *seen;
        OomKills { in_job, around, around_is, victims: victims.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_claimed_without_evidence() {
        let mut killed = Killed::default();
        killed.add(7, "cc1");
        let seen =
            |in_job, around, logged| OomSeen { in_job, around, around_is: PressureOf::Machine, logged };
        let evidence = |seen: &OomSeen, sent_sigkill, unknown| {
            killed.judge(seen, sent_sigkill, unknown).victims.first().map(|victim| victim.evidence)
        };
        assert_eq!(evidence(&seen(None, Some(1), vec![7]), true, 3), Some(OomEvidence::KernelLog));
        assert_eq!(evidence(&seen(Some(1), None, vec![]), false, 0), Some(OomEvidence::Counted));
        assert_eq!(evidence(&seen(Some(1), None, vec![]), false, 1), Some(OomEvidence::Possible));
        assert_eq!(evidence(&seen(Some(2), None, vec![]), false, 0), Some(OomEvidence::Possible));
        assert_eq!(evidence(&seen(None, Some(1), vec![]), false, 0), Some(OomEvidence::Possible));
        assert_eq!(evidence(&seen(Some(1), None, vec![]), true, 0), None, "this process may have killed it");
    }
}
