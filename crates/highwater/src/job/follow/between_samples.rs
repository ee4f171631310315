//! The time between two samples. A sample reads each member; the group of the job tells the memory of all at once, so it is
//! read more often where samples are rare for their cost.

use std::time::Duration;

use super::{Following, pace_tolerance_bytes};
use crate::job::{Job, Observer, Pace, backend::JobBackend as _, os::thread_cpu, pace::SamplingPace};

/// The sample before the wait.
#[derive(Debug, Clone, Copy)]
pub(super) struct SampleBefore {
    pub(super) at: Duration,
    /// Time from it to the next one.
    pub(super) pause: Duration,
    /// True if members came or went, or the total moved.
    pub(super) is_changing: bool,
}

impl Following {
    /// Returns whether the group is read in the next `pause` between samples. Limits are judged by samples, and a fixed interval
    /// is kept.
    pub(super) fn reads_group_in(&self, pause: Duration, job: &Job) -> bool {
        SamplingPace::leaves_time_for_group_readings(pause)
            && matches!(job.pace, Pace::Adaptive)
            && self.killing_since.is_none()
            && !self.limits.watches_any()
            // Usage is read in samples alone.
            && !job.usage.any()
            && self.os_job.root_lives()
            && self.os_job.can_read_group()
    }

    /// Waits for the next sample and reads the group meanwhile. Returns whether the wait was ended by an exit or an order.
    pub(super) fn wait_and_read_group(
        &mut self,
        before: SampleBefore,
        job: &Job,
        observer: &mut dyn Observer,
    ) -> bool {
        let SampleBefore { at, pause, is_changing } = before;
        let soonest = at + self.sampling_pace.soonest();
        let until_marks = self.marks_pace.time_left(at);
        let longest =
            if is_changing { pause } else { self.sampling_pace.longest_beside_group(pause, until_marks) };
        let mut until = at + longest;
        let mut group_pause = self.sampling_pace.until_group_reading();
        let memory_before = self.ledger.last_memory();
        loop {
            let left = until.saturating_sub(self.clock.elapsed());
            if group_pause >= left {
                return self.os_job.wait(left, job.control.wake());
            }
            if self.os_job.wait(group_pause, job.control.wake()) {
                return true;
            }
            let cpu_before = thread_cpu();
            self.read_group(observer);
            let has_moved = has_moved(memory_before, self.ledger.last_memory());
            if !self.os_job.root_lives() || !self.os_job.can_read_group() {
                return false;
            }
            if has_moved {
                until = until.min(soonest);
            } else if self.os_job.has_changed() {
                // New members are read as soon as they are without these readings.
                until = until.min(at + pause);
            }
            let cost = thread_cpu().saturating_sub(cpu_before);
            group_pause = self.sampling_pace.after_group_reading(has_moved, cost);
        }
    }

    /// Reads the group, and records the result in the ledger.
    fn read_group(&mut self, observer: &mut dyn Observer) {
        self.read_gpu();
        let at = self.clock.elapsed();
        if let Some(reading) = self.os_job.read_group() {
            self.ledger.group_between_samples(at, reading);
            observer.memory_read(&self.progress(at));
        }
    }
}

/// Returns whether memory has moved since a sample, so that the members should be read.
fn has_moved(before: Option<u64>, now: Option<u64>) -> bool {
    match (before, now) {
        (Some(before), Some(now)) => now.abs_diff(before) > pace_tolerance_bytes(before),
        _ => true,
    }
}
