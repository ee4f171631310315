//! Facts that a reader of a comparison must know beside the figures.

use serde::Serialize;

use crate::record::{Exit, Record};

/// A fact that weakens a comparison.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Warning {
    /// The kind of warning.
    pub kind: WarningKind,
    /// The text, without a full stop.
    pub text: String,
}

/// Kinds of [`Warning`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WarningKind {
    /// The records are of different commands.
    DifferentCommand,
    /// They have different minor versions.
    DifferentVersion,
    /// A record was written by a newer version: it may contain more than is read here.
    NewerVersion,
    /// They were measured on machines that differ.
    DifferentMachine,
    /// They were measured in different ways.
    DifferentCapture,
    /// The job did not end well, so it may not have reached its usual peak.
    JobFailed,
    /// A record is a checkpoint: its job had not ended, so its figures count as unknown.
    Incomplete,
    /// Each side has a single run, so the spread of runs is unknown.
    SingleRun,
}

pub(super) fn all<P, Q>(base: &[Record<P>], candidate: &[Record<Q>]) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let mut warn = |kind, text: String| warnings.push(Warning { kind, text });
    let is_bare = base.iter().any(|record| record.arguments_left_out)
        || candidate.iter().any(|record| record.arguments_left_out);
    if let Some((one, two)) =
        differ(base, candidate, |record| command(record, is_bare), |record| command(record, is_bare))
    {
        warn(WarningKind::DifferentCommand, format!("not the same command: {one:?} and {two:?}"));
    }
    let version = |schema: &crate::record::SchemaVersion| format!("{}.{}", schema.major, schema.minor);
    if let Some((one, two)) = differ(base, candidate, |r| version(&r.schema), |r| version(&r.schema)) {
        let text = format!("records of versions {one} and {two}: what one of them lacks cannot be compared");
        warn(WarningKind::DifferentVersion, text);
    }
    let newer = base.iter().any(|record| record.schema.is_newer_minor())
        || candidate.iter().any(|record| record.schema.is_newer_minor());
    if newer {
        let text =
            "a newer highwater wrote one of the records: what it measured beyond this version is passed over";
        warn(WarningKind::NewerVersion, text.to_owned());
    }
    if let Some((one, two)) = differ(base, candidate, machine, machine) {
        warn(WarningKind::DifferentMachine, format!("not the same kind of machine: {one}, and {two}"));
    }
    if let Some((one, two)) = differ(base, candidate, capture, capture) {
        warn(WarningKind::DifferentCapture, format!("not measured in the same way: {one}, and {two}"));
    }
    each(base, "base", &mut warn);
    each(candidate, "candidate", &mut warn);
    if base.len() == 1 && candidate.len() == 1 {
        let text = "single run on each side: how far runs differ by themselves is not known";
        warn(WarningKind::SingleRun, text.to_owned());
    }
    warnings
}

/// Warns about single records.
fn each<P>(records: &[Record<P>], side: &str, warn: &mut impl FnMut(WarningKind, String)) {
    for (index, record) in records.iter().enumerate() {
        let which = if records.len() == 1 { side.to_owned() } else { format!("{side} {}", index + 1) };
        if !record.complete {
            let text =
                format!("{which} is a checkpoint: its job had not ended, so its figures count as unknown");
            warn(WarningKind::Incomplete, text);
        }
        if let Some(how) = record.exit.as_ref().and_then(bad_end) {
            let text = format!("the job of {which} {how}: it may not have reached its usual peak");
            warn(WarningKind::JobFailed, text);
        }
    }
}

/// Returns the first two values that differ: the base's first one and another.
fn differ<P, Q>(
    base: &[Record<P>],
    candidate: &[Record<Q>],
    of_base: impl Fn(&Record<P>) -> String,
    of_candidate: impl Fn(&Record<Q>) -> String,
) -> Option<(String, String)> {
    let mut values = base.iter().map(of_base).chain(candidate.iter().map(of_candidate));
    let first = values.next()?;
    let other = values.find(|value| *value != first)?;
    Some((first, other))
}

/// `is_bare`: a record beside it has no arguments, so they cannot be compared.
fn command<P>(record: &Record<P>, is_bare: bool) -> String {
    let words = if is_bare { record.command.len().min(1) } else { record.command.len() };
    record.command[..words].join(" ")
}

fn machine<P>(record: &Record<P>) -> String {
    let host = &record.host;
    let cpus = host.cpus.map_or_else(|| "an unknown number of".to_owned(), |cpus| cpus.to_string());
    let plural = if host.cpus == Some(1) { "processor" } else { "processors" };
    format!("{}, {cpus} {plural}", record.tool.target)
}

fn capture<P>(record: &Record<P>) -> String {
    use crate::record::PeaksFrom::{ExitNotify, ExitNotifyAndTaskstats, Marks, Samples, Taskstats};
    match record.capture.peaks {
        Marks => "peaks from the kernel's marks",
        Samples => "peaks from samples alone",
        Taskstats => "peaks from exit records",
        ExitNotify | ExitNotifyAndTaskstats => "exact peaks (--exact)",
        _ => "peaks from a source that is not known here",
    }
    .to_owned()
}

fn bad_end(exit: &Exit) -> Option<String> {
    match (exit.code, exit.signal) {
        (Some(0), _) => None,
        (Some(code), _) => Some(format!("exited with code {code}")),
        (None, Some(signal)) => Some(match &exit.signal_name {
            Some(name) => format!("was killed by {name}"),
            None => format!("was killed by signal {signal}"),
        }),
        (None, None) => Some("ended in an unknown way".to_owned()),
    }
}
