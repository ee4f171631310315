//! Compares the limits with the job's peaks once it is over: the kernel's high-water marks include what no sample saw.

use super::{LimitCulprit, LimitNotice, UnjudgedLimit};
use crate::{
    job::Rows,
    record::{Certainty, Exceeded, Limit, LimitVerdict, Limited, MemorySource, Record},
};

/// A peak, its time, and its process.
struct Peak {
    bytes: u64,
    at_seconds: Option<f64>,
    of: Option<LimitCulprit>,
}

/// Corrects the limits of the record of a finished job, and returns a notice for each that was exceeded unseen.
pub(crate) fn check_post_run(record: &mut Record<Rows>) -> Vec<LimitNotice> {
    let mut limits = std::mem::take(&mut record.limits);
    let memory_bytes = record.peak.memory.as_ref().map(|memory| memory.bytes);
    let check = |limit: &mut Limit| {
        let notice = check_limit(limit, peak(record, limit.of)?)?;
        Some(LimitNotice { memory_bytes, ..notice })
    };
    let notices = limits.iter_mut().filter_map(check).collect();
    record.limits = limits;
    notices
}

/// Returns the limits of a finished job that were not judged, or only in part.
pub(crate) fn unjudged(record: &Record<Rows>) -> impl Iterator<Item = UnjudgedLimit> {
    record.limits.iter().filter_map(|limit| {
        let reason = match record.verdict(limit) {
            LimitVerdict::JudgedInPart(reason) => reason.to_owned(),
            LimitVerdict::NotJudged => "no figure to compare it with was read".to_owned(),
            LimitVerdict::Exceeded(_) | LimitVerdict::Kept => return None,
        };
        Some(UnjudgedLimit { of: limit.of, limit_bytes: limit.limit_bytes, reason })
    })
}

fn check_limit(limit: &mut Limit, Peak { bytes, at_seconds, of }: Peak) -> Option<LimitNotice> {
    if let Some(exceeded) = &mut limit.exceeded {
        exceeded.highest_bytes = exceeded.highest_bytes.map(|highest| highest.max(bytes));
        return None;
    }
    if bytes <= limit.limit_bytes {
        return None;
    }
    let (pid, command) = of.clone().map(|of| (of.pid, of.command)).unzip();
    limit.exceeded = Some(Exceeded {
        bytes: Some(bytes),
        highest_bytes: Some(bytes),
        at_seconds,
        pid,
        command,
        ended_by: None,
    });
    Some(LimitNotice {
        of: limit.of,
        limit_bytes: limit.limit_bytes,
        bytes,
        is_exceeded: true,
        ends_the_job: false,
        is_over: true,
        culprit: of,
        memory_bytes: None,
    })
}

/// Returns the highest value that was reached for certain. The kernel enforces the limit of a cgroup, so no peak of it
/// is above.
fn peak(record: &Record<Rows>, of: Limited) -> Option<Peak> {
    match of {
        Limited::Memory => {
            let memory = record.peak.memory.as_ref()?;
            // Without a group the best estimate may count shared pages more than once.
            let is_counted_once = memory.source == MemorySource::Cgroup;
            let bytes = if is_counted_once { memory.bytes } else { memory.lower_bytes };
            Some(Peak { bytes, at_seconds: memory.at_seconds.filter(|_| bytes == memory.bytes), of: None })
        }
        Limited::TotalRss => {
            let rss = record.peak.rss.as_ref()?;
            let at_seconds = rss.at_seconds.filter(|_| rss.lower_bytes == rss.bytes);
            Some(Peak { bytes: rss.lower_bytes, at_seconds, of: None })
        }
        Limited::TotalPss => {
            let is_sure = |certainty| matches!(certainty, Certainty::Exact | Certainty::AtLeast);
            let pss = record.peak.pss.as_ref().filter(|pss| is_sure(pss.certainty))?;
            Some(Peak { bytes: pss.bytes, at_seconds: pss.at_seconds, of: None })
        }
        Limited::ProcessRss => {
            // A row that cannot be read back is missing in the record, too.
            let rows = record.processes.iter().flatten();
            let peaks = rows.filter_map(|row| {
                let rss = row.peak.rss.filter(|rss| rss.certainty != Certainty::AtMost)?;
                Some(Peak {
                    bytes: rss.bytes,
                    at_seconds: None,
                    of: Some(LimitCulprit { pid: row.pid, command: row.command }),
                })
            });
            // A rigorous lower bound of the job's peak was reached by a single process, which may be unknown.
            let rss = record.peak.rss.as_ref().filter(|rss| rss.lower_rigorous);
            let unnamed = rss.map(|rss| Peak { bytes: rss.lower_bytes, at_seconds: None, of: None });
            unnamed.into_iter().chain(peaks).max_by_key(|peak| peak.bytes)
        }
        Limited::Cgroup | Limited::Other => None,
    }
}
