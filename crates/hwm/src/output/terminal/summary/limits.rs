//! The results of a limit, while the job runs and in the summary.

use highwater::{
    job::{LimitNotice, UnjudgedLimit},
    process::{PRIMARY, Primary},
    record::{Limit, LimitAction, LimitEnd, LimitVerdict, Limited, MemorySource, Metric, Record},
};

use crate::text;

/// Returns the message that is printed once, while the job runs.
pub(crate) fn notice(notice: &LimitNotice) -> String {
    let (what, limit) = (name(notice.of, here()), text::size(notice.limit_bytes));
    if notice.of == Limited::Cgroup {
        return format!(
            "the kernel killed a process of the job: its cgroup reached {limit}{}",
            ending(notice)
        );
    }
    let culprit = notice
        .culprit
        .as_ref()
        .map(|culprit| format!("; the largest is pid {}, {}", culprit.pid, culprit.command));
    let culprit = culprit.unwrap_or_default();
    let bytes = text::size(notice.bytes);
    let is_rss = matches!(notice.of, Limited::TotalRss) && notice.is_exceeded;
    let memory = notice.memory_bytes.filter(|_| is_rss);
    let memory =
        memory.and_then(|memory| shared_only(memory, notice.limit_bytes, &limit)).unwrap_or_default();
    if notice.is_over {
        let culprit = notice
            .culprit
            .as_ref()
            .map(|culprit| format!("; it was pid {}, {}", culprit.pid, culprit.command));
        let culprit = culprit.unwrap_or_default();
        format!(
            "{what} was {bytes}, over the limit of {limit}, which was noticed at the job's end only{culprit}{memory}"
        )
    } else if notice.is_exceeded {
        format!("{what} is {bytes}, over the limit of {limit}{culprit}{}{memory}", ending(notice))
    } else {
        format!("{what} is {bytes}, near the limit of {limit}{culprit}")
    }
}

/// Returns the remark that a job over a limit on the sum of RSS holds less, if its processes share memory.
fn shared_only(memory: u64, limit_bytes: u64, limit: &str) -> Option<String> {
    (memory <= limit_bytes).then(|| {
        format!(
            "; with shared pages counted once it is {}, within the limit: --max-memory {} limits that",
            text::size(memory),
            limit.replace(' ', "")
        )
    })
}

/// Returns the warning for a limit that cannot be judged, or only in part. It is written once.
pub(crate) fn unjudged(unjudged: &UnjudgedLimit) -> String {
    let (what, limit) = (name(unjudged.of, here()), text::size(unjudged.limit_bytes));
    let advice = match unjudged.of {
        Limited::TotalPss | Limited::Memory => "; set --max-total-rss or --max-cgroup beside it",
        Limited::Cgroup => "; set --max-memory beside it",
        _ if cfg!(target_os = "linux") => "; set --max-cgroup beside it, which needs no sample",
        _ => "",
    };
    format!("{what} may exceed the limit of {limit} unseen: {}{advice}", unjudged.reason)
}

fn ending(notice: &LimitNotice) -> &'static str {
    if notice.ends_the_job { "; the job is ended" } else { "" }
}

/// Returns the judgement on a limit of the record, for the summary.
pub(crate) fn sentence<P>(limit: &Limit, record: &Record<P>) -> String {
    let (what, most) = (name(limit.of, record.primary_metric), text::size(limit.limit_bytes));
    let exceeded = match record.verdict(limit) {
        LimitVerdict::Exceeded(exceeded) => exceeded,
        LimitVerdict::Kept => return format!("{what} at most {most}: kept, as far as was seen"),
        LimitVerdict::JudgedInPart(reason) => {
            return format!("{what} at most {most}: judged only in part; {}", text::printable(reason));
        }
        _ => return format!("{what} at most {most}: not judged, as no figure to compare it with was read"),
    };
    let at = exceeded.at_seconds.map(|at| format!(" at {}", text::duration(at))).unwrap_or_default();
    let mut parts = vec![match exceeded.bytes {
        Some(bytes) => format!("{what} exceeded {most}: {}{at}", text::size(bytes)),
        None => format!("{what} reached {most}{at}"),
    }];
    if let Some((pid, command)) = exceeded.pid.zip(exceeded.command.as_ref()) {
        parts.push(format!("most had pid {pid}, {}", text::printable(command)));
    }
    if let Some(over) = exceeded.highest_bytes.map(|highest| highest.saturating_sub(limit.limit_bytes)) {
        let percent = over as f64 * 100.0 / limit.limit_bytes.max(1) as f64;
        parts.push(format!("overshoot {} ({percent:.0} %)", text::size(over)));
    }
    // RSS alone does not show what processes share.
    let memory = record.peak.memory.as_ref();
    let memory = memory.filter(|memory| limit.of == Limited::TotalRss && memory.source != MemorySource::Rss);
    if let Some(remark) = memory.and_then(|memory| shared_only(memory.bytes, limit.limit_bytes, &most)) {
        parts.push(remark.trim_start_matches("; ").to_owned());
    }
    parts.push(
        match (limit.action, exceeded.ended_by) {
            (_, Some(LimitEnd::Term)) => "the job was ended (TERM)",
            (_, Some(LimitEnd::Kill)) => "the job was killed (KILL)",
            (_, Some(LimitEnd::Oom)) => "the kernel killed for it, and the rest was ended",
            (LimitAction::Warn, None) => "the job was left alone",
            _ => "the job had another end before it was noticed",
        }
        .to_owned(),
    );
    parts.join("; ")
}

/// Returns the primary metric of this system.
fn here() -> Metric {
    match PRIMARY {
        Primary::WorkingSet => Metric::WorkingSet,
        Primary::PhysFootprint => Metric::PhysFootprint,
        _ => Metric::Rss,
    }
}

fn name(of: Limited, metric: Metric) -> String {
    match of {
        Limited::Memory => "peak memory".to_owned(),
        Limited::TotalRss => format!("total {}", text::metric(metric)),
        Limited::ProcessRss => format!("{} of a process", text::metric(metric)),
        Limited::TotalPss => "total PSS".to_owned(),
        Limited::Cgroup => "cgroup charge".to_owned(),
        _ => "memory".to_owned(),
    }
}
