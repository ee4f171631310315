//! Loads between two lists: how busy a process kept processors and engines.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use crate::{
    gpu::{DeviceId, Engine, GpuUsage},
    process::{ProcessFacts, ProcessId, cpu_step},
};

/// The use of processors by a process.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CpuLoad {
    /// 100 is one processor all the time.
    pub percent: f64,
    /// The resolution of that figure: the kernel counts in ticks.
    pub step_percent: f64,
}

/// The use of a GPU engine by a process.
#[derive(Debug, Clone, PartialEq)]
pub struct EngineLoad {
    /// The driver's name for the engine.
    pub name: String,
    /// 100 is all engines of this name all the time. `None` if one of the two lists lacks the counter, or the counter
    /// went back because a client was closed.
    pub percent: Option<f64>,
    /// Number of engines of this name.
    pub capacity: u32,
}

/// The counters of one list.
#[derive(Debug)]
pub(super) struct ReadCounters {
    at: Instant,
    cpu: HashMap<u32, (ProcessId, Instant, Duration)>,
    /// By process and device.
    engines: HashMap<(u32, DeviceId), Vec<Engine>>,
}

impl ReadCounters {
    pub(super) fn at(at: Instant) -> Self {
        Self { at, cpu: HashMap::new(), engines: HashMap::new() }
    }

    /// `at`: when it was read.
    pub(super) fn note_cpu(&mut self, facts: &ProcessFacts, at: Instant) {
        if let Some(time) = facts.cpu_time {
            self.cpu.insert(facts.id.pid, (facts.id, at, time));
        }
    }

    pub(super) fn note_engines(&mut self, usage: &GpuUsage) {
        if !usage.engines.is_empty() {
            self.engines.insert((usage.pid, usage.device.clone()), usage.engines.clone());
        }
    }

    pub(super) fn cpu_since(&self, before: &Self, pid: u32) -> Option<CpuLoad> {
        let (id, at, time) = self.cpu.get(&pid)?;
        let (id_before, at_before, time_before) = before.cpu.get(&pid)?;
        let passed = at.checked_duration_since(*at_before).filter(|passed| !passed.is_zero())?;
        let used = time.checked_sub(*time_before)?;
        // A pid may have been given to another process.
        (id == id_before).then(|| CpuLoad {
            percent: used.as_secs_f64() / passed.as_secs_f64() * 100.0,
            step_percent: cpu_step().as_secs_f64() / passed.as_secs_f64() * 100.0,
        })
    }

    pub(super) fn loads_since(&self, before: &Self, usage: &GpuUsage) -> Vec<EngineLoad> {
        let passed = self.at.duration_since(before.at);
        let earlier = before.engines.get(&(usage.pid, usage.device.clone()));
        let load = |engine: &Engine| {
            let of_then = earlier.and_then(|engines| engines.iter().find(|then| then.name == engine.name));
            EngineLoad {
                name: engine.name.clone(),
                percent: of_then.and_then(|then| {
                    percent((then.busy, then.of), (engine.busy, engine.of), engine.capacity, passed)
                }),
                capacity: engine.capacity,
            }
        };
        usage.engines.iter().map(load).collect()
    }
}

/// Returns the work done between two readings in percent of the possible work, if that is counted too
/// (cycles). Else the work is in nanoseconds, and the time that passed is the whole. The clocks are not read
/// at quite the same moment, so the result is cut at 100.
fn percent(
    then: (u64, Option<u64>),
    now: (u64, Option<u64>),
    capacity: u32,
    passed: Duration,
) -> Option<f64> {
    let busy = now.0.checked_sub(then.0)?;
    let whole = match (now.1, then.1) {
        (Some(now), Some(then)) => u128::from(now.checked_sub(then)?),
        (None, None) => passed.as_nanos(),
        _ => return None,
    } * u128::from(capacity.max(1));
    match (busy, whole) {
        // The engine's clock stood still.
        (0, 0) => Some(0.0),
        (_, 0) => None,
        _ => Some((busy as f64 / whole as f64 * 100.0).min(100.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSED: Duration = Duration::from_millis(200);

    #[test]
    fn nanoseconds_and_cycles() {
        assert_eq!(percent((0, None), (50_000_000, None), 1, PASSED), Some(25.0));
        assert_eq!(percent((0, None), (50_000_000, None), 2, PASSED), Some(12.5));
        assert_eq!(percent((100, Some(1000)), (150, Some(1100)), 1, PASSED), Some(50.0));
        assert_eq!(percent((7, Some(9)), (7, Some(9)), 1, PASSED), Some(0.0));
        assert_eq!(percent((0, None), (u64::MAX, None), 1, PASSED), Some(100.0));
    }

    #[test]
    fn what_cannot_be_is_unknown() {
        assert_eq!(percent((9, None), (5, None), 1, PASSED), None, "a client was closed");
        assert_eq!(percent((1, Some(9)), (2, Some(5)), 1, PASSED), None);
        assert_eq!(percent((1, Some(9)), (2, Some(9)), 1, PASSED), None);
        assert_eq!(percent((1, None), (2, Some(9)), 1, PASSED), None);
        assert_eq!(percent((0, None), (5, None), 0, Duration::ZERO), None);
    }

    #[test]
    fn a_pid_given_to_another_process_has_no_rate() {
        let mut own = ProcessFacts::read(&crate::Roots::default(), std::process::id()).unwrap();
        // Not every system reports it.
        own.cpu_time = Some(Duration::from_millis(70));
        let (mut before, mut after) = (ReadCounters::at(Instant::now()), ReadCounters::at(Instant::now()));
        before.note_cpu(&own, before.at);
        let mut other = own.clone();
        other.id.start_ticks += 1;
        let later = before.at + Duration::from_millis(1);
        after.note_cpu(&other, later);
        assert_eq!(after.cpu_since(&before, own.id.pid), None);
        after.note_cpu(&own, later);
        assert!(after.cpu_since(&before, own.id.pid).is_some_and(|cpu| cpu.percent == 0.0));
    }
}
