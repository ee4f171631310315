//! Lines on what was used beside memory.

use highwater::record::{Certainty, CpuTime, Faults, Io, OomEvidence, OomKills, Pressure, PressureOf};

use super::lines::with_certainty;
use crate::text;

fn sign(certainty: Certainty) -> &'static str {
    if certainty == Certainty::AtLeast { "≥ " } else { "" }
}

/// User, system, and how busy that kept the processors.
pub(super) fn cpu(cpu: &CpuTime) -> String {
    let (user, system) = (text::moment(cpu.user_seconds), text::moment(cpu.system_seconds));
    let busy = cpu.mean_processors.map(|busy| format!("; {busy:.2} processors busy on average"));
    format!("{}{user} user, {system} system{}", sign(cpu.certainty), busy.unwrap_or_default())
}

/// Returns the bytes through calls, and from and to storage. A pair that the system does not report is left out if the
/// other is reported.
pub(super) fn io(io: &Io) -> String {
    let pair = |read: Option<u64>, written: Option<u64>, size: &dyn Fn(u64) -> String| {
        let or_unknown = |bytes: Option<u64>| bytes.map_or_else(|| "unknown".to_owned(), size);
        let is_known = read.or(written).is_some();
        is_known.then(|| format!("{} read, {} written", or_unknown(read), or_unknown(written)))
    };
    let sized = |bytes| with_certainty(bytes, io.certainty);
    let calls = pair(io.read_bytes, io.written_bytes, &sized);
    // The sign stands once.
    let plain: &dyn Fn(u64) -> String = if calls.is_some() { &text::size } else { &sized };
    let storage = pair(io.storage_read_bytes, io.storage_written_bytes, plain);
    match (calls, storage) {
        (Some(calls), Some(storage)) => format!("{calls}; of storage {storage}"),
        (Some(calls), None) => calls,
        (None, Some(storage)) => format!("of storage {storage}; through calls unknown"),
        (None, None) => "unknown".to_owned(),
    }
}

/// Page faults, with and without I/O.
pub(super) fn faults(faults: &Faults) -> String {
    let sign = sign(faults.certainty);
    let total = faults.total.or_else(|| Some(faults.minor?.saturating_add(faults.major?)));
    match (total, faults.major) {
        (Some(total), Some(major)) => format!("{sign}{total}, {sign}{major} with I/O"),
        (Some(total), None) => format!("{sign}{total}; how many needed I/O is unknown"),
        (None, Some(major)) => format!("{sign}{major} with I/O, others unknown"),
        (None, None) => "unknown".to_owned(),
    }
}

/// Returns how long tasks waited for memory, and which tasks. `None` if that is not worth a line.
pub(super) fn pressure(pressure: &Pressure, elapsed: f64) -> Option<String> {
    let worth_saying = pressure.some_seconds >= 0.1 || pressure.some_seconds > elapsed * 0.01;
    worth_saying.then(|| {
        let tasks = match pressure.of {
            PressureOf::Job => "tasks of the job",
            PressureOf::Cgroup => "tasks of the cgroup around it",
            _ => "tasks of this machine",
        };
        let full = pressure.full_seconds.map(|full| format!(", all at once for {}", text::moment(full)));
        format!(
            "{tasks} waited {} for memory{}",
            text::moment(pressure.some_seconds),
            full.unwrap_or_default()
        )
    })
}

/// Returns the processes that the kernel killed for want of memory. `None` if none of the job can have been meant.
pub(super) fn oom(kills: &OomKills) -> Option<String> {
    let names = |is: fn(&OomEvidence) -> bool| {
        let victims = kills.victims.iter().filter(|victim| is(&victim.evidence));
        victims
            .map(|victim| format!("{} (pid {})", text::printable(&victim.command), victim.pid))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let known = names(|evidence| matches!(evidence, OomEvidence::KernelLog | OomEvidence::Counted));
    let possible = names(|evidence| *evidence == OomEvidence::Possible);
    let mut parts = Vec::new();
    match kills.in_job {
        _ if !known.is_empty() => parts.push(format!("the kernel killed {known}")),
        Some(1) => parts.push("the kernel killed a process of the job".to_owned()),
        Some(count @ 2..) => parts.push(format!("the kernel killed {count} processes of the job")),
        _ => {}
    }
    if !possible.is_empty() {
        let where_else = match (kills.in_job, kills.around_is) {
            (Some(1..), _) => "",
            (_, PressureOf::Cgroup) => {
                ": the kernel killed a process in the cgroup around the job while it ran"
            }
            _ => ": the kernel killed a process on this machine while the job ran",
        };
        parts.push(format!("possibly {possible}{where_else}"));
    }
    // On a whole machine it may be any process; a cgroup around the job is close by.
    let is_close = kills.in_job.is_none() && kills.around_is == PressureOf::Cgroup;
    if parts.is_empty() && is_close && kills.around.is_some_and(|count| count > 0) {
        parts.push(
            "the kernel killed a process in the cgroup around the job; whether it belonged to the job is unknown"
                .into(),
        );
    }
    (!parts.is_empty()).then(|| parts.join("; "))
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
        let mut apart = moved;
        (apart.storage_read_bytes, apart.storage_written_bytes) = (None, None);
        assert_eq!(io(&apart), "≥ 1.00 KiB read, ≥ 0 B written");
        apart = moved;
        (apart.read_bytes, apart.written_bytes) = (None, None);
        assert_eq!(io(&apart), "of storage ≥ 0 B read, ≥ 4.00 KiB written; through calls unknown");
        let mut faulted: Faults = serde_json::from_value(
            json!({"minor": 10, "major": 2, "source": "waited", "certainty": "exact"}),
        )
        .unwrap();
        assert_eq!(faults(&faulted), "12, 2 with I/O");
        (faulted.minor, faulted.major, faulted.total) = (None, None, Some(12));
        assert_eq!(faults(&faulted), "12; how many needed I/O is unknown");
    }

    #[test]
    fn killed_processes_and_their_evidence() {
        let of = |in_job: Option<u64>, evidence: &[&str]| -> OomKills {
            let victims: Vec<_> = evidence
                .iter()
                .map(|evidence| json!({"pid": 7, "command": "cc1", "evidence": evidence}))
                .collect();
            serde_json::from_value(
                json!({"in_job": in_job, "around": 1, "around_is": "machine", "victims": victims}),
            )
            .unwrap()
        };
        assert_eq!(oom(&of(Some(1), &["counted"])).unwrap(), "the kernel killed cc1 (pid 7)");
        assert_eq!(oom(&of(Some(2), &[])).unwrap(), "the kernel killed 2 processes of the job");
        assert_eq!(
            oom(&of(None, &["possible"])).unwrap(),
            "possibly cc1 (pid 7): the kernel killed a process on this machine while the job ran"
        );
        assert_eq!(oom(&of(Some(0), &[])), None, "not of the job");
        let mut close = of(None, &[]);
        close.around_is = PressureOf::Cgroup;
        assert!(oom(&close).unwrap().ends_with("whether it belonged to the job is unknown"));
    }

    #[test]
    fn pressure_is_reported_with_its_scope_where_it_matters() {
        let of = |some: f64| -> Pressure {
            serde_json::from_value(json!({"of": "machine", "some_seconds": some, "full_seconds": 0.05}))
                .unwrap()
        };
        assert_eq!(pressure(&of(0.001), 10.0), None);
        let line = pressure(&of(0.5), 10.0).unwrap();
        assert_eq!(line, "tasks of this machine waited 500.0 ms for memory, all at once for 50.0 ms");
    }
}
