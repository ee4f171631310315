//! What became of a limit, while the job runs and in the summary.

use highwater::{
    job::LimitNotice,
    process::{PRIMARY, Primary},
    record::{Limit, LimitAction, LimitEnd, Limited, Metric},
};

use crate::text;

/// Said once, while the job runs.
pub(crate) fn notice(notice: &LimitNotice) -> String {
    let (what, limit) = (name(notice.of, here()), text::size(notice.limit_bytes));
    if notice.of == Limited::Cgroup {
        return format!(
            "the kernel killed a process of the job: its cgroup reached {limit}{}",
            ending(notice)
        );
    }
    let who = notice.culprit.as_ref().map(|held| format!("; most has pid {}, {}", held.pid, held.command));
    let who = who.unwrap_or_default();
    let bytes = text::size(notice.bytes);
    if notice.is_over {
        let who = notice.culprit.as_ref().map(|held| format!("; it had pid {}, {}", held.pid, held.command));
        let who = who.unwrap_or_default();
        format!("{what} was {bytes}, over the limit of {limit}, which was noticed at the job's end only{who}")
    } else if notice.is_exceeded {
        format!("{what} is {bytes}, over the limit of {limit}{who}{}", ending(notice))
    } else {
        format!("{what} is {bytes}, near the limit of {limit}{who}")
    }
}

fn ending(notice: &LimitNotice) -> &'static str {
    if notice.ends_the_job { "; the job is ended" } else { "" }
}

/// For the summary of a record whose primary metric this is.
pub(crate) fn sentence(limit: &Limit, metric: Metric) -> String {
    let (what, most) = (name(limit.of, metric), text::size(limit.limit_bytes));
    let Some(exceeded) = &limit.exceeded else {
        return format!("{what} at most {most}: kept, as far as was seen");
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

/// The primary metric of this system.
fn here() -> Metric {
    match PRIMARY {
        Primary::WorkingSet => Metric::WorkingSet,
        Primary::PhysFootprint => Metric::PhysFootprint,
        _ => Metric::Rss,
    }
}

fn name(of: Limited, metric: Metric) -> String {
    match of {
        Limited::TotalRss => format!("total {}", text::metric(metric)),
        Limited::ProcessRss => format!("{} of a process", text::metric(metric)),
        Limited::TotalPss => "total PSS".to_owned(),
        Limited::Cgroup => "cgroup charge".to_owned(),
        _ => "memory".to_owned(),
    }
}
