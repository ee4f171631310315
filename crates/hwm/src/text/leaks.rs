//! The sentences about leaks, the same in each format.

use highwater::record::{Confidence, Finding, Leak, LeakSearch, Scope};

use crate::text;

/// Returns the sentence about one leak.
pub(crate) fn sentence(leak: &Leak) -> String {
    let owner = match (leak.scope, leak.pid, &leak.command) {
        (Scope::Total, ..) => "the job's total".to_owned(),
        (Scope::Process, Some(pid), Some(command)) => format!("pid {pid}, {}", text::printable(command)),
        (Scope::Device, ..) => format!("GPU {}", leak.id.map_or_else(|| "?".to_owned(), |id| id.to_string())),
        _ => "a process that the record does not name".to_owned(),
    };
    let sure = match leak.sureness {
        Confidence::Clear => "grew all along",
        Confidence::Probable => "grew most of the time",
        _ => "how sure this is, a newer hwm can say",
    };
    format!(
        "{owner}: {} a minute, from {} at {} to {} at {} ({sure}; floor of its {})",
        text::size(leak.bytes_per_minute),
        text::size(leak.from_bytes),
        text::duration(leak.began_seconds),
        text::size(leak.to_bytes),
        text::duration(leak.until_seconds),
        text::metric(leak.metric)
    )
}

/// Returns the meaning of a search without a finding.
pub(crate) fn nothing(search: &LeakSearch) -> String {
    if !search.total_judged {
        let least = text::duration(search.min_duration_seconds);
        return format!(
            "cannot tell; the record's timeline is too short or has too few readings to show growth over {least}"
        );
    }
    let short = match search.too_short {
        0 => String::new(),
        short => format!(" ({short} more were too short to judge)"),
    };
    format!("none found in {} series{short}", search.judged)
}

/// Returns a line for each leak, or one that explains why there is none.
pub(crate) fn lines<'a>(search: &LeakSearch, leaks: impl IntoIterator<Item = &'a Leak>) -> Vec<String> {
    let found: Vec<String> = leaks.into_iter().map(|leak| format!("Leak: {}", sentence(leak))).collect();
    if found.is_empty() { vec![format!("Leaks: {}", nothing(search))] } else { found }
}

/// Returns the leaks among a record's findings.
pub(crate) fn among(findings: &[Finding]) -> impl Iterator<Item = &Leak> {
    findings.iter().filter_map(|finding| match finding {
        Finding::Leak(leak) => Some(leak),
        _ => None,
    })
}
