//! Noticing calls that the filter may hide from a tracer in the job.
//!
//! A tracer may ask for stops by a filter of its own, which returns `SECCOMP_RET_TRACE` (ptrace(2),
//! `PTRACE_O_TRACESECCOMP`): `strace --seccomp-bpf`, `rr` and `proot` do. The kernel takes the strongest answer of all
//! filters, and `SECCOMP_RET_USER_NOTIF` is stronger (seccomp(2)). So the tracer gets no stop for an exec or exit that
//! is held here. It cannot be avoided, so it is reported. Filters that do not ask for stops look the same.

use crate::process::linux::status::Status;

/// The filters of the job.
#[derive(Debug, Default)]
pub(super) struct TracerWatch {
    /// Filters on the job's first process at its exec: one is that of the hold, others lie around hwm.
    first_filters: Option<u64>,
}

impl TracerWatch {
    /// Records the filters on a held task, if it is the first one. The command itself execs before all else.
    pub(super) fn learn(&mut self, status: &Status) {
        self.first_filters = self.first_filters.or(status.seccomp_filters);
    }

    /// Returns whether a call of this task may be hidden from its tracer: it has one, and filters of its own.
    pub(super) fn may_hide(&self, status: &Status) -> bool {
        let is_traced = status.tracer.is_some_and(|tracer| tracer != 0);
        let has_own_filters = self.first_filters.is_some_and(|first| status.seccomp_filters > Some(first));
        is_traced && has_own_filters
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(tracer: u32, filters: u64) -> Status {
        Status { tracer: Some(tracer), seccomp_filters: Some(filters), ..Status::default() }
    }

    #[test]
    fn only_a_traced_task_with_filters_of_its_own_may_miss_a_stop() {
        let mut watch = TracerWatch::default();
        assert!(!watch.may_hide(&status(7, 9)), "nothing is known of the job");
        // One filter of a container, and one of the hold.
        for filters in [2, 3] {
            watch.learn(&status(0, filters));
        }
        let judged = [(0, 2), (0, 3), (7, 2), (7, 3)]
            .map(|(tracer, filters)| watch.may_hide(&status(tracer, filters)));
        assert_eq!(judged, [false, false, false, true]);
        assert!(!watch.may_hide(&Status { tracer: Some(7), ..Status::default() }), "an unknown number");
    }
}
