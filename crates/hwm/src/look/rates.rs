//! What two looks make: how busy a process kept processors and engines between them.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use highwater::{
    gpu::{Engine, Usage},
    process::{ProcessFacts, ProcessId, cpu_step},
};

use super::Holder;

/// How busy a process kept the processors; 100 is one of them all the time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Cpu {
    pub(crate) percent: f64,
    /// How finely that is known: the kernel counts in ticks.
    pub(crate) step_percent: f64,
}

/// How busy a process kept an engine; 100 is all engines of this name all the time.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Load {
    pub(crate) name: String,
    /// `None` where one of the two looks is missing, or the counter went back (a client was closed).
    pub(crate) percent: Option<f64>,
    pub(crate) capacity: u32,
}

/// The counters of one look.
#[derive(Debug)]
pub(super) struct Before {
    at: Instant,
    cpu: HashMap<u32, (ProcessId, Instant, Duration)>,
    engines: HashMap<Holder, Vec<Engine>>,
}

impl Before {
    pub(super) fn at(at: Instant) -> Self {
        Self { at, cpu: HashMap::new(), engines: HashMap::new() }
    }

    pub(super) fn note_cpu(&mut self, facts: &ProcessFacts) {
        self.cpu.insert(facts.id.pid, (facts.id, Instant::now(), facts.cpu_time));
    }

    pub(super) fn note_engines(&mut self, usage: &Usage) {
        if !usage.engines.is_empty() {
            self.engines.insert((usage.pid, usage.device.clone()), usage.engines.clone());
        }
    }

    pub(super) fn cpu_since(&self, before: &Self, pid: u32) -> Option<Cpu> {
        let (id, at, time) = self.cpu.get(&pid)?;
        let (id_before, at_before, time_before) = before.cpu.get(&pid)?;
        let passed = at.checked_duration_since(*at_before).filter(|passed| !passed.is_zero())?;
        let used = time.checked_sub(*time_before)?;
        // A pid may have been given to another process.
        (id == id_before).then(|| Cpu {
            percent: used.as_secs_f64() / passed.as_secs_f64() * 100.0,
            step_percent: cpu_step().as_secs_f64() / passed.as_secs_f64() * 100.0,
        })
    }

    pub(super) fn loads_since(&self, before: &Self, usage: &Usage) -> Vec<Load> {
        let passed = self.at.duration_since(before.at);
        let earlier = before.engines.get(&(usage.pid, usage.device.clone()));
        let load = |engine: &Engine| {
            let of_then = earlier.and_then(|engines| engines.iter().find(|then| then.name == engine.name));
            Load {
                name: engine.name.clone(),
                percent: of_then.and_then(|then| percent(then.busy, then.of, engine, passed)),
                capacity: engine.capacity,
            }
        };
        usage.engines.iter().map(load).collect()
    }
}

/// Of nanoseconds, the time that passed is the whole; of cycles, all cycles that passed. Clocks are not read at
/// quite the same moment, so the result is cut at 100.
fn percent(busy_then: u64, of_then: Option<u64>, now: &Engine, passed: Duration) -> Option<f64> {
    let busy = now.busy.checked_sub(busy_then)? as f64;
    let whole = match (now.of, of_then) {
        (Some(of), Some(of_then)) => of.checked_sub(of_then)? as f64,
        (None, None) => passed.as_nanos() as f64,
        _ => return None,
    };
    let share = busy / whole / f64::from(now.capacity.max(1));
    if whole > 0.0 { Some((share * 100.0).min(100.0)) } else { (busy == 0.0).then_some(0.0) }
}
