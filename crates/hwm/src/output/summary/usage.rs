//! Lines on what was used beside memory.

use highwater::record::{Certainty, CpuTime, Faults, Io, Pressure, PressureOf};

use super::{text, with_certainty};

fn sign(certainty: Certainty) -> &'static str {
    if certainty == Certainty::AtLeast { "≥ " } else { "" }
}

/// User, system, and how busy that kept the processors.
pub(super) fn cpu(cpu: &CpuTime) -> String {
    let (user, system) = (text::moment(cpu.user_seconds), text::moment(cpu.system_seconds));
    let busy = cpu.mean_processors.map(|busy| format!("; {busy:.2} processors busy on average"));
    format!("{}{user} user, {system} system{}", sign(cpu.certainty), busy.unwrap_or_default())
}

/// Through calls, and from and to storage.
pub(super) fn io(io: &Io) -> String {
    let size = |bytes| with_certainty(bytes, io.certainty);
    format!(
        "{} read, {} written; of storage {} read, {} written",
        size(io.read_bytes),
        size(io.written_bytes),
        text::size(io.storage_read_bytes),
        text::size(io.storage_written_bytes),
    )
}

/// Page faults, with and without I/O.
pub(super) fn faults(faults: &Faults) -> String {
    let sign = sign(faults.certainty);
    format!("{sign}{}, {sign}{} with I/O", faults.minor.saturating_add(faults.major), faults.major)
}

/// How long tasks waited, and whose. `None` where that is not worth a line.
pub(super) fn pressure(pressure: &Pressure, elapsed: f64) -> Option<String> {
    let worth_saying = pressure.some_seconds >= 0.1 || pressure.some_seconds > elapsed * 0.01;
    worth_saying.then(|| {
        let whose = match pressure.of {
            PressureOf::Job => "tasks of the job",
            PressureOf::Cgroup => "tasks of the cgroup around it",
            _ => "tasks of this machine",
        };
        let full = pressure.full_seconds.map(|full| format!(", all at once for {}", text::moment(full)));
        format!(
            "{whose} waited {} for memory{}",
            text::moment(pressure.some_seconds),
            full.unwrap_or_default()
        )
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lines() {
        let of = |certainty| {
            serde_json::from_value::<CpuTime>(json!({"user_seconds": 61.25, "system_seconds": 0.5,
                "mean_processors": 1.5, "source": "waited", "certainty": certainty}))
            .unwrap()
        };
        assert_eq!(cpu(&of("exact")), "61.25 s user, 500.0 ms system; 1.50 processors busy on average");
        assert!(cpu(&of("at_least")).starts_with("≥ 61.25 s"));
        let mut short = of("exact");
        short.mean_processors = None;
        assert_eq!(cpu(&short), "61.25 s user, 500.0 ms system");
        let moved: Io = serde_json::from_value(json!({"read_bytes": 1024, "written_bytes": 0,
            "storage_read_bytes": 0, "storage_written_bytes": 4096, "source": "sampled", "certainty": "at_least"}))
        .unwrap();
        assert_eq!(io(&moved), "≥ 1.00 KiB read, ≥ 0 B written; of storage 0 B read, 4.00 KiB written");
        let faulted: Faults = serde_json::from_value(
            json!({"minor": 10, "major": 2, "source": "waited", "certainty": "exact"}),
        )
        .unwrap();
        assert_eq!(faults(&faulted), "12, 2 with I/O");
    }

    #[test]
    fn pressure_is_said_where_it_matters_and_whose_it_is() {
        let of = |some: f64| -> Pressure {
            serde_json::from_value(json!({"of": "machine", "some_seconds": some, "full_seconds": 0.05}))
                .unwrap()
        };
        assert_eq!(pressure(&of(0.001), 10.0), None);
        let said = pressure(&of(0.5), 10.0).unwrap();
        assert_eq!(said, "tasks of this machine waited 500.0 ms for memory, all at once for 50.0 ms");
    }
}
