//! The response to a signal, independent of the system.

use std::time::Instant;

use super::debounce::SAME_REQUEST_WITHIN;

/// The response to a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// The job has it already, or it is the same one again.
    Nothing,
    /// Pass it on.
    Forward,
    /// The signal is the second request to stop.
    KillTree,
    /// The job is over and writing the report hangs: the signal ends this process.
    Leave,
}

/// Decides about signals; knows no system.
#[derive(Debug, Default)]
pub(super) struct Policy {
    /// The time at which the first TERM or HUP was passed on.
    asked_to_stop: Option<Instant>,
}

impl Policy {
    /// Decides what to do. `stops`: the signal is TERM or HUP. `terminal`: it came from the terminal. `finished`: when
    /// the job ended.
    pub(super) fn decide(
        &mut self,
        now: Instant,
        stops: bool,
        terminal: bool,
        finished: Option<Instant>,
    ) -> Action {
        if let Some(finished) = finished {
            return if now.duration_since(finished) > SAME_REQUEST_WITHIN {
                Action::Leave
            } else {
                Action::Nothing
            };
        }
        match self.asked_to_stop {
            Some(first) if now.duration_since(first) > SAME_REQUEST_WITHIN => Action::KillTree,
            _ if terminal => Action::Nothing,
            Some(_) if stops => Action::Nothing,
            _ => {
                if stops {
                    self.asked_to_stop = Some(now);
                }
                Action::Forward
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const PAST_DEBOUNCE: Duration = Duration::from_secs(2);

    #[test]
    fn terminal_signals_are_not_passed_on() {
        let mut policy = Policy::default();
        assert_eq!(policy.decide(Instant::now(), false, true, None), Action::Nothing);
        assert_eq!(policy.decide(Instant::now(), true, true, None), Action::Nothing);
    }

    #[test]
    fn second_request_to_stop_kills_unless_it_comes_at_once() {
        let start = Instant::now();
        let mut policy = Policy::default();
        assert_eq!(policy.decide(start, true, false, None), Action::Forward);
        assert_eq!(policy.decide(start + SAME_REQUEST_WITHIN / 2, true, false, None), Action::Nothing);
        assert_eq!(policy.decide(start + SAME_REQUEST_WITHIN / 2, false, false, None), Action::Forward);
        assert_eq!(policy.decide(start + PAST_DEBOUNCE, true, false, None), Action::KillTree);
    }

    #[test]
    fn interrupts_from_a_process_are_passed_on_each_time() {
        let start = Instant::now();
        let mut policy = Policy::default();
        assert_eq!(policy.decide(start, false, false, None), Action::Forward);
        assert_eq!(policy.decide(start + PAST_DEBOUNCE, false, false, None), Action::Forward);
    }

    #[test]
    fn after_the_job_only_a_late_signal_ends_hwm() {
        let ended = Instant::now();
        let mut policy = Policy::default();
        assert_eq!(policy.decide(ended + SAME_REQUEST_WITHIN / 2, false, true, Some(ended)), Action::Nothing);
        assert_eq!(policy.decide(ended + PAST_DEBOUNCE, false, true, Some(ended)), Action::Leave);
    }
}
