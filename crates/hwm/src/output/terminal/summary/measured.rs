//! One line on how it was measured and what could not be seen.

use highwater::record::{Certainty, Lineage, PeaksFrom, Record};

use crate::text;

/// Returns how starts and exits were learned, where the peaks come from, how many processes were seen, and what is
/// missing.
pub(crate) fn sentence<P>(record: &Record<P>) -> String {
    let capture = &record.capture;
    let mut parts = vec![
        match capture.lineage {
            Lineage::Children => "descendants looked up at each sample".to_owned(),
            Lineage::Scan => "descendants found by looking through all processes at each sample".to_owned(),
            Lineage::Perf => "births and deaths from the kernel's perf events".to_owned(),
            Lineage::ProcConnector => "births and deaths from the kernel's proc connector".to_owned(),
            Lineage::JobObject => "births and deaths from the Job Object".to_owned(),
            Lineage::Kqueue => "births and deaths from kqueue and the tree of parents".to_owned(),
            _ => "descendants found in a way that this hwm does not know".to_owned(),
        },
        match capture.peaks {
            PeaksFrom::Marks => "peaks from the kernel's marks".to_owned(),
            PeaksFrom::Samples => "peaks from samples alone".to_owned(),
            PeaksFrom::Taskstats => "peaks from the kernel's exit records".to_owned(),
            PeaksFrom::AfterEnd => "peaks kept by the kernel, read again after each end".to_owned(),
            PeaksFrom::ExitNotify => "peaks read while processes were held at their exec and exit".to_owned(),
            PeaksFrom::ExitNotifyAndTaskstats => {
                "peaks from the kernel's exit records, and read while processes were held at their exec and exit"
                    .to_owned()
            }
            _ => "peaks from a source that this hwm does not know".to_owned(),
        },
    ];
    let seen = capture.processes_seen;
    let plural = if seen == 1 { "process" } else { "processes" };
    parts.push(if capture.processes_seen_is == Certainty::Exact {
        format!("{seen} {plural}")
    } else {
        format!("at least {seen} {plural} (shorter ones may have been missed)")
    });
    if capture.processes_without_exact_peak == seen {
        parts.push("no process's peak is exact".to_owned());
    } else if capture.processes_without_exact_peak > 0 {
        parts.push(format!("{} without an exact peak", capture.processes_without_exact_peak));
    }
    if capture.lost_events > 0 {
        parts.push(format!("{} events were lost", capture.lost_events));
    }
    if let (true, Some(unmarked @ 1..)) =
        (capture.lineage.is_reported_by_kernel(), capture.images_without_last_mark)
    {
        let remedy = match capture.peaks {
            _ if capture.attached.is_some() => "",
            PeaksFrom::Marks | PeaksFrom::Taskstats => " (--exact reads them)",
            _ => "",
        };
        let plural = if unmarked == 1 { "program" } else { "programs" };
        parts.push(format!(
            "the upper end is not rigorous: {unmarked} {plural} ended without a last mark{remedy}"
        ));
    }
    for downgrade in &capture.downgrades {
        parts.push(text::printable(&format!("missing: {} ({})", downgrade.wanted, downgrade.reason)));
    }
    parts.join("; ")
}
