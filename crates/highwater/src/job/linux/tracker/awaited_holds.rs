//! Processes that `/proc` showed before their hold was reported. Used where holds are the only events.

use std::collections::HashMap;

/// Unknown processes whose hold at an exec or exit has been written, and comes with the next round of events.
#[derive(Debug, Default)]
pub(super) struct AwaitedHolds {
    round: u64,
    /// Processes that were found dead: pid and start time.
    exited: HashMap<u32, u64>,
    /// Processes that had exec'ed when they were found: pid and the round in which they were.
    executed: HashMap<u32, u64>,
}

impl AwaitedHolds {
    /// Starts a round of events.
    pub(super) fn begin_round(&mut self) {
        self.round += 1;
        let round = self.round;
        self.executed.retain(|_, found| *found + 1 >= round);
    }

    /// Remembers a process that was found dead.
    pub(super) fn await_exited(&mut self, pid: u32, start_ticks: u64) {
        self.exited.insert(pid, start_ticks);
    }

    /// Remembers a process that had exec'ed when it was found. Returns whether its hold may be outstanding: it is not
    /// any more in the round after.
    pub(super) fn await_executed(&mut self, pid: u32) -> bool {
        *self.executed.entry(pid).or_insert(self.round) == self.round
    }

    /// Forgets a process whose hold was reported.
    pub(super) fn reported(&mut self, pid: u32, start_ticks: u64) {
        self.exited.retain(|&other, &mut ticks| (other, ticks) != (pid, start_ticks));
        self.executed.remove(&pid);
    }

    /// Takes the number of processes that were found dead and not reported.
    pub(super) fn take_exited(&mut self) -> usize {
        self.exited.drain().count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_found_process_awaits_its_exec_hold() {
        let mut holds = AwaitedHolds::default();
        holds.begin_round();
        assert!(holds.await_executed(7));
        assert!(holds.await_executed(7), "it is asked for twice in one round");
        holds.begin_round();
        assert!(!holds.await_executed(7), "its hold did not come");
        holds.begin_round();
        assert!(holds.executed.is_empty());
    }

    #[test]
    fn a_hold_that_was_reported_is_not_outstanding() {
        let mut holds = AwaitedHolds::default();
        holds.await_exited(7, 100);
        holds.await_exited(8, 100);
        holds.reported(7, 100);
        // Another process had this pid.
        holds.reported(8, 101);
        assert_eq!((holds.take_exited(), holds.take_exited()), (1, 0));
    }
}
