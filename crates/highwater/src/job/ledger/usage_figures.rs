//! Amounts in the form of the record.

use std::time::Duration;

use crate::{
    job::{
        moment::rounded_seconds,
        resource_use::{CpuUse, IoBytes},
    },
    record::{Certainty, CpuTime, Faults, Io, UsageSource},
};

/// Shortest life by which CPU time is divided. A shorter one is a few ticks of the kernel, and the mean says nothing.
const MIN_LIFE_FOR_MEAN: Duration = Duration::from_millis(100);

pub(super) fn certainty(is_whole: bool) -> Certainty {
    if is_whole { Certainty::Exact } else { Certainty::AtLeast }
}

pub(super) fn cpu_time(cpu: CpuUse, life: Duration, source: UsageSource, certainty: Certainty) -> CpuTime {
    let processors = cpu.time().as_secs_f64() / life.as_secs_f64();
    CpuTime {
        user_seconds: rounded_seconds(cpu.user),
        system_seconds: rounded_seconds(cpu.system),
        mean_processors: (life >= MIN_LIFE_FOR_MEAN).then(|| (processors * 1000.0).round() / 1000.0),
        source,
        certainty,
    }
}

pub(super) fn io_of(io: IoBytes, source: UsageSource, certainty: Certainty) -> Io {
    Io {
        read_bytes: io.read,
        written_bytes: io.written,
        storage_read_bytes: io.storage_read,
        storage_written_bytes: io.storage_written,
        source,
        certainty,
    }
}

/// Returns whether any kind of page faults is known.
pub(super) fn knows_faults(cpu: &CpuUse) -> bool {
    cpu.minor_faults.or(cpu.major_faults).or(cpu.mixed_faults).is_some()
}

pub(super) fn faults(cpu: CpuUse, source: UsageSource, certainty: Certainty) -> Faults {
    let (minor, major) = (cpu.minor_faults, cpu.major_faults);
    Faults { minor, major, total: cpu.faults(), source, certainty }
}
